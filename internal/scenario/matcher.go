package scenario

import (
	"math/bits"
	"slices"

	"weir/internal/agent"
	"weir/internal/cloudfront"
	"weir/internal/filter"
	"weir/internal/payload"
)

// An Effect is what a record does to a bucket.
type Effect uint8

const (
	Pour   Effect = iota // adds to it
	Drain                // takes out of it, if there is any
	Cancel               // empties it, without an alert, if there is any
	Shield               // no alert about this bucket's key for Scenario.Shield after this record; see Set.ShieldOf
)

// WholeEvent is the Weight of one event.
const WholeEvent = 1000

// A Hit is a scenario that a record matches, and what it does there.
type Hit struct {
	Scenario uint16 // index in the Set
	Effect   Effect

	// Sample is of how many records this is the one that was picked to stand for all:
	// see Records.
	Sample uint8

	// Weight is by how much a Pour or a Drain changes the bucket, in thousandths of
	// an event.
	Weight uint32

	// Distinct is the fingerprint of the value that a bucket of the scenario counts
	// only once in its life; 0 when it counts every event. Fingerprints follow from the
	// record and Options.Seed alone, so nobody else can choose values that collide.
	Distinct uint32

	// Group is the fingerprint of what, beside the client, the bucket is for: 0 =
	// nothing else.
	Group uint32
}

// Records returns of how many records a hit tells, itself included: 1, or as many as
// the scenario samples.
func (h *Hit) Records() uint32 { return max(1, uint32(h.Sample)) }

// A Matcher tells which scenarios of its Set a record hits. It belongs to one
// goroutine, since it keeps scratch and the verdicts on columns that come again
// and again.
type Matcher struct {
	set      *Set
	filters  *filter.Matcher
	agents   *agent.Reader
	scanner  *payload.Scanner
	paths    []pathVerdict
	outlines []outline
	last     outline // of a set that is not kept
	queries  []queryVerdict

	facts filter.Facts
	path  *pathVerdict // of the record at hand, as what follows
	who   *agent.Client
	lot   lot

	decoded []byte // scratch
	shape   []byte // scratch
}

// NewMatcher returns a Matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher {
	return &Matcher{
		set:      s,
		filters:  s.filters.NewMatcher(),
		agents:   s.crawlers.NewReader(s.hasher),
		scanner:  payload.New(),
		paths:    make([]pathVerdict, pathVerdicts),
		outlines: make([]outline, filter.Slots),
		queries:  make([]queryVerdict, queryVerdicts),
	}
}

// Interpreted returns how often a filter, or a part of one, was run by expr's own
// machine since the last call, and how many of these runs failed. A filter that fails
// does not hold.
func (m *Matcher) Interpreted() (runs, failed uint64) { return m.filters.Counts() }

// Match appends a Hit for each scenario that the record matches, and for each effect that
// it has there: by Effect, and those of one by Scenario. It allocates only to make hits,
// or its own scratch, larger.
func (m *Matcher) Match(r *cloudfront.Record, hits []Hit) []Hit {
	hits, _ = m.MatchGist(r, hits)
	return hits
}

// MatchGist is Match, and returns the gist of the record's hits, too.
func (m *Matcher) MatchGist(r *cloudfront.Record, hits []Hit) ([]Hit, Gist) {
	if m.set.needsFacts {
		m.find(r)
		m.filters.PathHash = m.path.hash
	} else {
		m.path, m.filters.PathHash = nil, 0
	}
	set, slot, isNew := m.filters.Match(r, &m.facts)
	o := &m.last
	if slot >= 0 {
		o = &m.outlines[slot]
	}
	if isNew {
		m.set.outline(o, set)
	}
	first := len(hits)
	hits = append(hits, o.hits...)
	gist := o.gist
	m.lot = lot{}
	for i := len(o.open) - 1; i >= 0; i-- { // backwards, as one may fall out
		at := first + int(o.open[i].hit)
		if !m.complete(r, &m.set.uses[o.open[i].use], &hits[at]) {
			gist.drop(hits[at].Effect)
			hits = slices.Delete(hits, at, at+1)
		}
	}
	if gist.openShield {
		gist.openShield, gist.Shield = false, shieldOf(hits[first+int(gist.Shields):])
	}
	return hits, gist
}

// An outline is what is known of hits by which filters hold alone. It is kept for each set
// of filters, as the filters' Matcher does.
type outline struct {
	hits []Hit
	open []openHit // of which more follows from the record
	gist Gist      // a cache line ends here
}

type openHit struct{ hit, use uint16 } // indexes in the outline's hits and the Set's uses

// outline makes an outline of a set of filters.
func (s *Set) outline(o *outline, filters []uint64) {
	o.hits, o.open = o.hits[:0], o.open[:0]
	openShield := false
	for i, rest := range filters {
		for ; rest != 0; rest &= rest - 1 {
			at := i<<6 + bits.TrailingZeros64(rest)
			if s.uses[at].open {
				o.open = append(o.open, openHit{uint16(len(o.hits)), uint16(at)})
				openShield = openShield || s.hits[at].Effect == Shield
			}
			o.hits = append(o.hits, s.hits[at])
		}
	}
	o.gist = GistOf(o.hits, s.isApart)
	o.gist.openShield = openShield
}

// complete adds to a hit what follows from the record, and reports whether there is such
// a hit at all.
func (m *Matcher) complete(r *cloudfront.Record, u *use, hit *Hit) (ok bool) {
	if hit.Sample > 1 && !m.lot.draw(r, hit) {
		return false
	}
	if hit.Group, ok = m.fingerprint(r, &u.group); !ok || hit.Effect != Pour {
		return ok
	}
	if hit.Distinct, ok = m.fingerprint(r, &u.distinct); hit.Distinct == 0 && u.distinct.value > 0 {
		hit.Distinct = 1 // no text is a value like any other
	}
	if u.by != weightOne {
		hit.Weight = weigh(r, u.by) // which no scenario does that samples
	}
	return ok
}
