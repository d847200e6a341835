package detect

import (
	"errors"
	"net/netip"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// A shard owns the buckets of the keys that are dealt to it. Everything in it is
// read and written by the goroutine of run alone.
type shard struct {
	in      chan *batch
	set     *scenario.Set
	limits  []limits
	alert   func(Alert)
	banned  func(netip.Prefix, int64) bool
	metrics *metrics

	buckets  *table
	requests recent // duplicates are known by these
	values   recent // distinct values that were poured
	samples  ring
	memory   memory // of the four above
	tally    tally

	touched uint32 // written only so that the reads of touch are not left out
}

// queuedBatches is how many batches may wait for a shard.
const queuedBatches = 16

// newShard returns a shard with its part of the memory. Unless run is called, whoever
// has it must free that.
func newShard(set *scenario.Set, l []limits, cfg Config, m *metrics) (*shard, error) {
	s := &shard{
		in:      make(chan *batch, queuedBatches),
		set:     set,
		limits:  l,
		alert:   cfg.Alert,
		banned:  cfg.Banned,
		metrics: m,
		tally:   newTally(set.Len()),
	}
	budget := cfg.Memory / int64(cfg.Shards)
	var errs [4]error
	s.buckets, errs[0] = newTable(&s.memory, budget/2)
	s.values, errs[1] = newRecent(&s.memory, budget/4)
	s.requests, errs[2] = newRecent(&s.memory, budget/8)
	s.samples, errs[3] = newRing(&s.memory, budget/8)
	return s, errors.Join(errs[:]...)
}

// run pours batches until the engine is closed.
func (s *shard) run() {
	defer s.memory.free()
	for b := range s.in {
		s.pourBatch(b)
		b.records = nil // they are the caller's again
		b.events = b.events[:0]
		b.hits = b.hits[:0]
		b.home <- b
	}
}

func (s *shard) pourBatch(b *batch) {
	first := uint32(0)
	earliest := b.events[0].at
	for i := range b.events {
		if i%touchAhead == 0 {
			s.touch(b.events[i:min(i+touchAhead, len(b.events))], b.hits, first)
		}
		e := &b.events[i]
		s.tally.records[s.pourEvent(e, b.hits[first:e.hits], &b.records[e.record])]++
		first = e.hits
		earliest = min(earliest, e.at)
	}
	// The earliest record says what time it is, as one that is dated wrongly
	// into the future must not make the living look expired.
	s.buckets.sweep(earliest)
	s.tally.flush(s)
}

// touchAhead is for how many events memory is read before they are poured.
const touchAhead = 32

// touch reads the memory that events will need, of which hits begin at first. The
// reads do not wait for each other, so together they take little longer than one; as
// the events are poured, each would wait for the one before it.
func (s *shard) touch(events []event, hits []scenario.Hit, first uint32) {
	var read uint32
	from := first
	for i := range events {
		e := &events[i]
		read += uint32(s.requests.set(e.request)[0])
		for _, hit := range hits[from:e.hits] {
			read += s.buckets.touch(e.hash, hit.Scenario)
			if hit.Distinct != 0 {
				read += uint32(s.values.set(distinctHash(e.hash, hit.Scenario, hit.Distinct))[0])
			}
		}
		from = e.hits
	}
	from = first
	for i := range events {
		e := &events[i]
		for _, hit := range hits[from:e.hits] {
			read += s.buckets.touchBucket(e.hash, hit.Scenario)
		}
		from = e.hits
	}
	s.touched = read
}

// pourEvent pours one record into the bucket of each scenario that it hit, if any.
func (s *shard) pourEvent(e *event, hits []scenario.Hit, r *cloudfront.Record) outcome {
	if e.request != 0 {
		if known, _ := s.requests.add(e.request, e.request, ^uint64(0)); known {
			return outcomeDuplicate
		}
	}
	if s.banned != nil && s.banned(e.key.prefix(), e.at) {
		return outcomeBlocked
	}
	if len(hits) == 0 {
		return outcomeUnmatched
	}
	best := outcomeLate
	for _, hit := range hits {
		best = min(best, s.pour(e, hit, r))
	}
	return best
}

// pour is the way of one hit: outcomePoured, outcomeRepeated or outcomeLate.
func (s *shard) pour(e *event, hit scenario.Hit, r *cloudfront.Record) outcome {
	l := &s.limits[hit.Scenario]
	p, found := s.buckets.find(e.key, e.hash, hit.Scenario, e.at)
	b := s.buckets.bucket(p)
	if !found {
		b = s.buckets.claim(p, e.key, e.hash, hit.Scenario, e.at)
	}
	at, admission := b.admit(l, e.at)
	switch admission {
	case late:
		return outcomeLate
	case afresh:
		b.begin(at, s.buckets.birth())
	}
	if hit.Distinct != 0 && s.repeated(e, hit, b, l, at) {
		return outcomeRepeated
	}
	s.tally.pours[hit.Scenario]++
	over := b.pour(l, at)
	if b.level > l.sampled {
		b.sample = s.samples.add(e, hit.Scenario, r, b.sample)
	}
	if over {
		s.overflow(e, hit.Scenario, r, b, l)
	}
	dry, until := b.expiry(l)
	s.buckets.keep(p, dry, until)
	return outcomePoured
}

// repeated reports whether the bucket holds the hit's distinct value already, and
// remembers it.
func (s *shard) repeated(e *event, hit scenario.Hit, b *bucket, l *limits, at int64) bool {
	hash := distinctHash(e.hash, hit.Scenario, hit.Distinct)
	now := seconds(at)
	value := distinctValue(hash, b.born, min(seconds(at+l.life), now+untilReach))
	known, out := s.values.add(hash, value, distinctMask)
	if wanted(out, now) {
		s.tally.forgotten++
	}
	return known
}

// overflow ends a bucket that ran over, and raises its alert unless it has only
// just done so.
func (s *shard) overflow(e *event, scenario uint16, r *cloudfront.Record, b *bucket, l *limits) {
	if !b.hushed(l, e.at) {
		b.alerted = e.at
		s.tally.alerts[scenario]++
		s.alert(Alert{
			Scenario: s.set.At(int(scenario)),
			Client:   e.key.prefix(),
			Addr:     r.Addr,
			At:       e.at,
			First:    b.first,
			Events:   int(b.count),
			Arrived:  r.Arrived,
			Samples:  s.samples.chain(b.sample, e.key, scenario),
		})
	}
	b.die()
}
