package detect

import (
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
	tally    tally
}

// queuedBatches is how many batches may wait for a shard.
const queuedBatches = 16

func newShard(set *scenario.Set, l []limits, cfg Config, m *metrics) *shard {
	memory := cfg.Memory / int64(cfg.Shards)
	return &shard{
		in:      make(chan *batch, queuedBatches),
		set:     set,
		limits:  l,
		alert:   cfg.Alert,
		banned:  cfg.Banned,
		metrics: m,

		buckets:  newTable(memory / 2),
		values:   newRecent(memory / 4),
		requests: newRecent(memory / 8),
		samples:  newRing(memory / 8),
		tally:    newTally(set.Len()),
	}
}

// run pours batches until the engine is closed.
func (s *shard) run() {
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

// pourEvent pours one record into the bucket of each scenario that it hit.
func (s *shard) pourEvent(e *event, hits []scenario.Hit, r *cloudfront.Record) outcome {
	if e.request != 0 {
		if known, _ := s.requests.add(e.request, e.request, ^uint64(0)); known {
			return outcomeDuplicate
		}
	}
	if s.banned != nil && s.banned(e.key.prefix(), e.at) {
		return outcomeBlocked
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
	p, found := s.buckets.find(e.key, e.hash, hit.Scenario)
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
	s.buckets.keep(p, b.expiry(l))
	return outcomePoured
}

// repeated reports whether the bucket holds the hit's distinct value already, and
// remembers it.
func (s *shard) repeated(e *event, hit scenario.Hit, b *bucket, l *limits, at int64) bool {
	hash := distinctHash(e.hash, hit.Scenario, hit.Distinct)
	value := distinctValue(hash, b.born, seconds(at+l.life))
	known, out := s.values.add(hash, value, distinctMask)
	if wanted(out, seconds(at)) {
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
