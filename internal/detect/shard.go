package detect

import (
	"errors"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"unsafe"

	"weir/internal/cloudfront"
	"weir/internal/prefetch"
	"weir/internal/scenario"
)

// A shard owns the buckets of the keys that are dealt to it. Everything in it is
// read and written by the one who holds mu alone.
type shard struct {
	mu      sync.Mutex
	plan    *plan
	limits  []limits
	alert   func(Alert)
	banned  func(netip.Prefix, int64) bool
	observe func(Observation)
	fate    Fate // of the latest hit whose bucket ran over, for observe
	metrics *metrics
	raised  *atomic.Uint64 // alerts of the engine
	clock   int64          // event time of the latest chunk

	buckets  *table
	requests recent // duplicates are known by these
	values   recent // distinct values that were poured
	members  recent // of buckets with members: who got an alert, and when
	samples  ring
	memory   memory // of the five above
	tally    tally
}

// newShard returns a shard with its part of the memory. Whoever has it must free
// that.
func newShard(p *plan, l []limits, cfg Config, m *metrics, raised *atomic.Uint64) (*shard, error) {
	s := &shard{
		plan:    p,
		limits:  l,
		alert:   cfg.Alert,
		banned:  cfg.Banned,
		observe: cfg.Observe,
		metrics: m,
		raised:  raised,
		tally:   newTally(len(p.scenarios)),
	}
	budget := cfg.Memory / int64(cfg.Shards)
	values := budget / 4
	var errs [5]error
	if p.members {
		values -= budget / 16
		s.members, errs[4] = newRecent(&s.memory, budget/16)
	}
	s.buckets, errs[0] = newTable(&s.memory, budget/2)
	s.values, errs[1] = newRecent(&s.memory, values)
	s.requests, errs[2] = newRecent(&s.memory, budget/8)
	s.samples, errs[3] = newRing(&s.memory, budget/8)
	return s, errors.Join(errs[:]...)
}

// finish ends what a dealer did in a shard, of a chunk whose earliest record has this
// time. That one says what time it is, as one that is dated wrongly into the future
// must not make the living look expired.
func (s *shard) finish(earliest int64) {
	s.clock = earliest
	s.buckets.sweep(earliest)
	s.tally.flush(s)
}

// fetch fetches the memory in which the buckets of an event are looked for, and
// appends where that is for each hit. It does not need the shard.
func (s *shard) fetch(e *event, hits []scenario.Hit, spots []spot) []spot {
	if e.request != 0 {
		prefetch.Line(unsafe.Pointer(s.requests.set(e.request)))
	}
	fetched := uint32(math.MaxUint32)
	for i := range hits {
		hit := &hits[i]
		id, spot := s.spot(e, hit)
		spots = append(spots, spot)
		if hit.Effect == scenario.Shield {
			continue
		}
		if spot.set != fetched {
			fetched = spot.set
			prefetch.Line(unsafe.Pointer(&s.buckets.heads[spot.set]))
		}
		if hit.Distinct != 0 {
			prefetch.Line(unsafe.Pointer(s.values.set(distinctHash(e.hash, id, hit.Distinct))))
		}
	}
	return spots
}

// spot returns the ident of the bucket of a hit, and where it is looked for.
func (s *shard) spot(e *event, hit *scenario.Hit) (ident, spot) {
	id := e.key.ident(hit.Scenario, hit.Group)
	if hit.Effect == scenario.Shield {
		id = e.key.shieldIdent(s.plan.shields[hit.Scenario], hit.Group)
	}
	return id, s.locate(e, id)
}

// locate returns where the bucket of an ident of the event's key is looked for.
func (s *shard) locate(e *event, id ident) spot {
	return s.buckets.locate(id, e.hash, id.group() != 0 && e.key.family != familyValue)
}

// pourEvent pours one event into the bucket of each scenario that it hit, if any, unless
// its record was there before.
func (s *shard) pourEvent(e *event, hits []scenario.Hit, spots []spot, r *cloudfront.Record) outcome {
	if e.request != 0 {
		if known, _ := s.requests.add(e.request, e.request, ^uint64(0)); known {
			s.dismissed(e, r, Duplicate)
			return outcomeDuplicate
		}
	}
	best := outcomeUnmatched
	for i := range hits {
		if s.observe != nil {
			best = min(best, s.watched(e, &hits[i], spots[i], r))
			continue
		}
		switch hit := &hits[i]; hit.Effect {
		case scenario.Pour:
			best = min(best, s.pour(e, hit, spots[i], r))
		case scenario.Shield:
			s.shield(e, hit, spots[i])
		default:
			s.lower(e, hit, spots[i])
		}
	}
	return best
}

// pour is the way of one hit: outcomePoured, outcomeRepeated or outcomeLate.
func (s *shard) pour(e *event, hit *scenario.Hit, spot spot, r *cloudfront.Record) outcome {
	l := &s.limits[hit.Scenario]
	id := e.key.ident(hit.Scenario, hit.Group)
	p, found := s.buckets.find(id, spot)
	b := s.buckets.bucket(p)
	if !found {
		p, b = s.buckets.claim(id, spot, e.at)
	} else if s.buckets.cut != nil {
		s.buckets.save(p)
	}
	at, admission := b.admit(l, e.at)
	switch admission {
	case late:
		return outcomeLate
	case afresh:
		b.begin(at, s.buckets.birth())
	default:
		if at-b.last < l.space {
			return outcomeRepeated
		}
	}
	if hit.Distinct != 0 && s.repeated(e, hit, b, l, at) {
		return outcomeRepeated
	}
	s.tally.pours[hit.Scenario]++
	cost := l.cost(hit.Weight)
	over := b.pour(l, cost, at, hit.Records())
	if over || b.brim(l, cost) {
		b.sample = s.samples.add(id, r, b.sample)
	}
	switch {
	case over:
		s.overflow(e, r, b, l)
	case l.kind == scenario.Conditional && l.queue > 0 && s.judged(b, l):
		s.overflow(e, r, b, l)
	}
	dry, until := b.expiry(l)
	s.buckets.keep(p, dry, until)
	return outcomePoured
}

// repeated reports whether the bucket holds the hit's distinct value already, and
// remembers it.
func (s *shard) repeated(e *event, hit *scenario.Hit, b *bucket, l *limits, at int64) bool {
	now := ticks(at)
	value := distinctValue(hit.Distinct, b.born, min(ticks(at+l.life), now+untilReach))
	known, out := s.values.add(distinctHash(e.hash, b.ident, hit.Distinct), value, distinctMask)
	if wanted(out, now) {
		s.tally.forgotten++
	}
	return known
}

// lower takes out of a bucket that is there: a Drain what it weighs, a Cancel
// everything.
func (s *shard) lower(e *event, hit *scenario.Hit, spot spot) {
	if !s.buckets.has(spot) {
		return
	}
	p, found := s.buckets.find(e.key.ident(hit.Scenario, hit.Group), spot)
	if !found {
		return
	}
	l, b := &s.limits[hit.Scenario], s.buckets.edit(p)
	if !b.holds(l, e.at) {
		return
	}
	if hit.Effect == scenario.Cancel {
		b.die()
	} else {
		b.drain(l.cost(hit.Weight), e.at)
	}
	dry, until := b.expiry(l)
	s.buckets.keep(p, dry, until)
}

// shield protects a key from the alerts of a scenario, and of those with the same shield.
func (s *shard) shield(e *event, hit *scenario.Hit, spot spot) {
	id := e.key.shieldIdent(s.plan.shields[hit.Scenario], hit.Group)
	l := &s.limits[hit.Scenario]
	p, found := s.buckets.find(id, spot)
	b := s.buckets.bucket(p)
	if !found {
		p, b = s.buckets.claim(id, spot, e.at)
	} else if s.buckets.cut != nil {
		s.buckets.save(p)
	}
	if !b.guard(l, e.at) {
		return
	}
	dry, until := b.expiry(l)
	s.buckets.keep(p, dry, until)
}

// shielded reports whether no alert is to be raised of a bucket of the event's key.
func (s *shard) shielded(e *event, b *bucket, l *limits) bool {
	if l.guard == 0 {
		return false
	}
	id := e.key.shieldIdent(s.plan.shields[b.ident.scenario()], b.ident.group())
	p, found := s.buckets.find(id, s.locate(e, id))
	return found && s.buckets.bucket(p).shielded(e.at)
}
