package scenario

import (
	"bytes"
	"hash/maphash"
	"slices"

	"weir/internal/cloudfront"
)

// How many verdicts a Matcher keeps of each kind: powers of two.
const (
	pathVerdicts   = 4096
	agentVerdicts  = 1024
	headerVerdicts = 512
)

// A verdict is kept under the hash of its column: a seeded 64-bit hash stands for
// the column. It takes the place of another verdict whose hash ends alike.
type (
	pathVerdict struct {
		hash  uint64
		facts facts
		whole uint32 // fingerprint of the path

		// Fingerprints that few records need; 0 until shapes was called.
		shape  uint32 // of the path without what numbers its things
		parent uint32 // of the shape above the last segment, or of all of it near the root
		top    uint32 // of the first segment
	}
	agentVerdict struct {
		hash    uint64
		facts   facts
		crawler int // index in the Set's crawlers + 1; 0 = none
	}
	headerVerdict struct {
		hash  uint64
		facts facts
	}
)

// path returns what a path says. The verdict is good until the next call.
func (m *Matcher) path(raw []byte) *pathVerdict {
	hash := maphash.Bytes(m.set.seed, raw)
	v := &m.paths[hash%pathVerdicts]
	if v.hash != hash {
		m.decoded = cloudfront.Decode(m.decoded[:0], raw, false)
		f := m.set.paths.find(m.decoded)
		if isStatic(m.decoded) {
			f |= pathStatic
		}
		*v = pathVerdict{hash: hash, facts: m.readCloser(f, m.decoded), whole: fingerprint(hash)}
	}
	return v
}

// shapes completes a path's verdict.
func (m *Matcher) shapes(v *pathVerdict, raw []byte) {
	if v.shape != 0 {
		return
	}
	m.decoded = cloudfront.Decode(m.decoded[:0], raw, false)
	var parent int
	m.shape, parent = appendShape(m.shape[:0], m.decoded)
	v.shape = fingerprint(maphash.Bytes(m.set.seed, m.shape))
	v.parent = fingerprint(maphash.Bytes(m.set.seed, m.shape[:parent]))
	v.top = fingerprint(maphash.Bytes(m.set.seed, top(m.shape)))
}

// agent returns what the user agent says.
func (m *Matcher) agent(r *cloudfront.Record) facts {
	raw := r.Raw(cloudfront.FieldCSUserAgent)
	hash := maphash.Bytes(m.set.seed, raw)
	v := &m.agents[hash%agentVerdicts]
	if v.hash != hash {
		m.decoded = cloudfront.Decode(m.decoded[:0], raw, false)
		*v = m.set.judgeAgent(m.decoded)
		v.hash = hash
	}
	if v.crawler != 0 && m.set.crawlers[v.crawler-1].isAt(r.Raw(cloudfront.FieldASN)) {
		return v.facts | isCrawler
	}
	return v.facts
}

func (s *Set) judgeAgent(agent []byte) agentVerdict {
	f := s.agents.find(agent)
	v := agentVerdict{facts: f &^ hintCrawler}
	if s.payloads.find(agent)&(hasCommand|hasLookup|hasSQL) != 0 {
		v.facts |= hasLookup
	}
	if f&hintCrawler != 0 {
		v.crawler = 1 + slices.IndexFunc(s.crawlers, func(c crawler) bool {
			return bytes.Contains(agent, []byte(c.name))
		})
	}
	return v
}

// isAt reports whether the crawler works from a network. Where networks are not
// logged, its word has to do.
func (c *crawler) isAt(asn []byte) bool {
	if asn == nil {
		return true
	}
	return slices.Contains(c.asns, string(asn))
}

// familiar says whether a client shows that it was here before or is a browser.
// Where nothing is logged that could tell, everybody is familiar: scenarios about
// strangers are then silent.
func (m *Matcher) familiar(r *cloudfront.Record) facts {
	names := r.Raw(cloudfront.FieldCSHeaderNames)
	if names == nil {
		if r.Raw(cloudfront.FieldCSReferer) != nil || r.Raw(cloudfront.FieldCSCookie) != nil || !r.Has(cloudfront.FieldCSReferer) {
			return isFamiliar
		}
		return 0
	}
	hash := maphash.Bytes(m.set.seed, names)
	v := &m.headers[hash%headerVerdicts]
	if v.hash != hash {
		*v = headerVerdict{hash, familiarNames(names)}
	}
	return v.facts
}

func familiarNames(names []byte) facts {
	for name := range cloudfront.HeaderEntries(names) {
		for _, known := range [...]string{"cookie", "authorization", "referer", "sec-fetch-mode", "sec-fetch-site"} {
			if len(name) == len(known) && bytes.EqualFold(name, []byte(known)) {
				return isFamiliar
			}
		}
	}
	return 0
}
