package scenario

import (
	"hash/maphash"

	"weir/internal/cloudfront"
)

// An Effect is what a record does to a bucket.
type Effect uint8

const (
	Pour   Effect = iota // adds to it
	Drain                // takes out of it, if there is any
	Cancel               // empties it, without an alert, if there is any
	Shield               // no alert about this bucket's key for Scenario.Shield after this record
)

// WholeEvent is the Weight of one event.
const WholeEvent = 1000

// A Hit is a scenario that a record matches, and what it does there.
type Hit struct {
	Scenario uint16 // index in the Set
	Effect   Effect

	// Weight is by how much a Pour or a Drain changes the bucket, in thousandths of
	// an event.
	Weight uint32

	// Distinct is the fingerprint of the value that a bucket of the scenario counts
	// only once in its life; 0 when it counts every event. Fingerprints are seeded
	// in each process, so that nobody can choose values that collide.
	Distinct uint32

	// Group is the fingerprint of what, beside the client, the bucket is for: 0 =
	// nothing else.
	Group uint32
}

// A Matcher tells which scenarios of its Set a record hits. It belongs to one
// goroutine, since it keeps scratch and the verdicts on columns that come again
// and again: paths, user agents, lists of header names.
type Matcher struct {
	set *Set

	paths   []pathVerdict
	agents  []agentVerdict
	headers []headerVerdict

	decoded []byte  // scratch
	shape   []byte  // scratch
	tokens  []token // scratch
}

// NewMatcher returns a Matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher {
	return &Matcher{
		set:     s,
		paths:   make([]pathVerdict, pathVerdicts),
		agents:  make([]agentVerdict, agentVerdicts),
		headers: make([]headerVerdict, headerVerdicts),
	}
}

// Match appends a Hit for each scenario that the record matches, in the order of
// the Set. It allocates only to make hits, or its own scratch, larger.
func (m *Matcher) Match(r *cloudfront.Record, hits []Hit) []Hit {
	query := r.Query()
	path := m.path(r.Path())
	f := m.set.answer(r) | path.facts | m.agent(r) | m.query(query) | m.claims(r) | method(r)
	if f&wasServed != 0 {
		f |= m.familiar(r)
	}
	if f&wasMissing != 0 {
		f |= linked(r)
	}
	if f&pathWPAuth != 0 {
		f |= jetpack(r, r.Path(), query)
	}
	f = f.conclude()
	for i := range m.set.active {
		if a := &m.set.active[i]; a.match.holds(f) {
			hits = append(hits, Hit{Scenario: a.index, Weight: WholeEvent, Distinct: m.fingerprint(a.distinct, f, path, r, query)})
		}
	}
	return hits
}

// fingerprint returns the fingerprint of what a scenario counts only once. Values
// are taken as logged: CloudFront escapes a value in one way, so they differ
// exactly when their wire forms do.
func (m *Matcher) fingerprint(d distinct, f facts, path *pathVerdict, r *cloudfront.Record, query []byte) uint32 {
	switch d {
	case distinctPath:
		return path.whole
	case distinctTop:
		m.shapes(path, r.Path())
		return path.top
	case distinctShape:
		m.shapes(path, r.Path())
		if f&wasJSON != 0 {
			return path.parent
		}
		return path.shape
	case distinctRequest:
		if len(query) == 0 {
			return path.whole
		}
		return fingerprint(maphash.Bytes(m.set.seed, query) + uint64(path.whole)<<32)
	default:
		return 0
	}
}

// fingerprint cuts a hash to 32 bits, never 0.
func fingerprint(hash uint64) uint32 {
	return max(1, uint32(hash>>32))
}
