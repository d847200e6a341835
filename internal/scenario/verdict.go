package scenario

import (
	"bytes"
	"hash/maphash"

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
		hash   uint64
		facts  facts
		whole  uint32 // fingerprint of the path
		shape  uint32 // of the path without what numbers its things
		parent uint32 // of the shape above the last segment, if it is two or more deep; else 0
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
	if v.hash == hash {
		return v
	}
	m.decoded = cloudfront.Decode(m.decoded[:0], raw, false)
	f := m.set.paths.find(m.decoded)
	f |= m.payload(m.decoded)
	if isStatic(m.decoded) {
		f |= pathStatic
	}
	var parent int
	m.shape, parent = appendShape(m.shape[:0], m.decoded)
	*v = pathVerdict{
		hash:  hash,
		facts: f,
		whole: fingerprint(hash),
		shape: fingerprint(maphash.Bytes(m.set.seed, m.shape)),
	}
	if parent > 0 {
		v.parent = fingerprint(maphash.Bytes(m.set.seed, m.shape[:parent]))
	}
	return v
}

// agent returns what the user agent says.
func (m *Matcher) agent(r *cloudfront.Record) facts {
	raw := r.Raw(cloudfront.FieldCSUserAgent)
	hash := maphash.Bytes(m.set.seed, raw)
	v := &m.agents[hash%agentVerdicts]
	if v.hash != hash {
		m.decoded = cloudfront.Decode(m.decoded[:0], raw, false)
		*v = agentVerdict{
			hash:    hash,
			facts:   m.set.agents.find(m.decoded) | attackIn(m.set.payloads.find(m.decoded)),
			crawler: m.set.findCrawler(m.decoded),
		}
	}
	if v.crawler != 0 && m.set.crawlers[v.crawler-1].isAt(r.Raw(cloudfront.FieldASN)) {
		return v.facts | isCrawler
	}
	return v.facts
}

// attackIn says that a header holds an attack if it holds what only an attack does.
func attackIn(payload facts) facts {
	if payload&(hasCommand|hasLookup|hasSQL) != 0 {
		return hasLookup
	}
	return 0
}

func (s *Set) findCrawler(agent []byte) int {
	for i := range s.crawlers {
		if bytes.Contains(agent, []byte(s.crawlers[i].name)) {
			return i + 1
		}
	}
	return 0
}

// isAt reports whether the crawler works from a network. Where networks are not
// logged, its word has to do.
func (c *crawler) isAt(asn []byte) bool {
	if asn == nil {
		return true
	}
	for _, own := range c.asns {
		if string(asn) == own {
			return true
		}
	}
	return false
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
