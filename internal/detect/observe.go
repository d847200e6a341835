package detect

import (
	"net/netip"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// Fate is what became of a hit, or of the whole record.
type Fate uint8

const (
	Poured      Fate = iota // it counts
	Repeated                // the bucket holds its distinct value already
	Late                    // it is older than what the bucket holds
	Alerted                 // the bucket ran over, and an alert was raised
	Silenced                // the bucket ran over within the blackhole of an alert
	Protected               // the bucket ran over, and its key is shielded
	Acquitted               // the bucket ran over, and the scenario thought better of it
	Drained                 // it took something out of the bucket
	Cancelled               // it emptied the bucket
	Ineffective             // it would have taken something out of a bucket, and there was nothing
	Shielding               // it protects the bucket's key from alerts
	Duplicate               // the record was there before: none of its hits counts
	Banned                  // a ban in force covers the client: none of the record's hits counts
	numFates    = iota
)

var fateNames = [numFates]string{
	"poured", "repeated", "late", "alerted", "silenced", "protected", "acquitted",
	"drained", "cancelled", "ineffective", "shielding", "duplicate", "banned",
}

// String returns the fate in one word, in lower case.
func (f Fate) String() string { return fateNames[f] }

// An Observation tells what a hit did. It is for people who want to understand what
// happens, and not for anything that has to be fast.
type Observation struct {
	Record   *cloudfront.Record // good until Observe returns
	Client   netip.Prefix       // of the record
	Scenario int                // index in the set; -1 for Duplicate and Banned
	Effect   scenario.Effect
	Fate     Fate

	// Key is the client or the network that the bucket is kept for; the zero Prefix for
	// a bucket that is kept for a value. Group is what tells the buckets of a key, or
	// those of values, apart.
	Key   netip.Prefix
	Group uint32

	// Before and Level are how many events, or how much weight, were in the bucket at
	// the time of the record: before, and with what it did. When the bucket ran over,
	// Level is how far; it is empty afterwards. Of Conditional it counts records.
	Before, Level float64
	Weight        float64 // of the hit
	Events        int     // records that the bucket counted, or estimated, this one included
	First         int64   // Unix milliseconds of the first of them; 0 = none
}

// watched does what a hit does to its bucket, and tells Observe.
func (s *shard) watched(e *event, hit *scenario.Hit, spot spot, r *cloudfront.Record) outcome {
	if hit.Effect == scenario.Shield {
		s.watchedShield(e, hit, spot, r)
		return outcomeUnmatched
	}
	l := &s.limits[hit.Scenario]
	o := Observation{
		Record: r, Client: clientOf(r), Scenario: int(hit.Scenario), Effect: hit.Effect,
		Group: hit.Group, Weight: float64(hit.Weight) / scenario.WholeEvent,
	}
	o.Key, _ = l.keyOf(o.Client)
	before := s.look(e, hit, spot)
	o.Before = before.holding(l, e.at)
	best := outcomeUnmatched
	switch hit.Effect {
	case scenario.Pour:
		s.fate = Poured
		best = s.pour(e, hit, spot, r)
		o.Fate = s.fate
		switch best {
		case outcomeRepeated:
			o.Fate = Repeated
		case outcomeLate:
			o.Fate = Late
		}
	default:
		s.lower(e, hit, spot)
	}
	after := s.look(e, hit, spot)
	o.Level, o.Events, o.First = after.holding(l, e.at), int(after.count), after.first
	switch {
	case o.Fate.runsOver():
		o.Level = o.Before + float64(l.cost(hit.Weight))/float64(max(1, l.leak))
		if l.kind == scenario.Conditional {
			o.Level = o.Before + 1
		}
		if after.count == 0 {
			o.Events, o.First = int(before.count+hit.Records()), before.first
			if before.count == 0 || !before.holds(l, e.at) {
				o.Events, o.First = int(hit.Records()), e.at
			}
		}
	case hit.Effect == scenario.Cancel && before.holds(l, e.at):
		o.Fate = Cancelled
	case hit.Effect == scenario.Drain && o.Level < o.Before:
		o.Fate = Drained
	case hit.Effect == scenario.Drain, hit.Effect == scenario.Cancel:
		o.Fate = Ineffective
	}
	s.observe(o)
	return best
}

// watchedShield does what a Shield does, and tells Observe so of each scenario of which it
// says that no alert about the key is raised.
func (s *shard) watchedShield(e *event, hit *scenario.Hit, spot spot, r *cloudfront.Record) {
	s.shield(e, hit, spot)
	client, shields := clientOf(r), s.plan.shields
	key, _ := s.limits[hit.Scenario].keyOf(client)
	for i := range s.limits {
		l := &s.limits[i]
		if own, ok := l.keyOf(client); !ok || own != key || shields[i] != shields[hit.Scenario] || l.guard == 0 {
			continue
		}
		h := *hit
		h.Scenario = uint16(i)
		b := s.look(e, &h, s.locate(e, e.key.ident(h.Scenario, h.Group)))
		held := b.holding(l, e.at)
		s.observe(Observation{
			Record: r, Client: client, Scenario: i, Effect: scenario.Shield, Fate: Shielding, Key: key, Group: hit.Group,
			Before: held, Level: held, Weight: float64(hit.Weight) / scenario.WholeEvent, Events: int(b.count), First: b.first,
		})
	}
}

// keyOf returns whom the bucket of a client is kept for; of a value, the zero Prefix. ok is
// false if there is none for a client of its family.
func (l *limits) keyOf(client netip.Prefix) (key netip.Prefix, ok bool) {
	switch l.group.By {
	case scenario.ByClient:
		return client, true
	case scenario.ByRange:
		return networkOf(client, &l.group)
	}
	return netip.Prefix{}, true
}

// dismissed tells Observe that no hit of a record counts.
func (s *shard) dismissed(e *event, r *cloudfront.Record, f Fate) {
	if s.observe != nil {
		s.observe(Observation{Record: r, Client: clientOf(r), Key: clientOf(r), Scenario: -1, Fate: f})
	}
}

func (f Fate) runsOver() bool {
	return f == Alerted || f == Silenced || f == Protected || f == Acquitted
}

// look returns a copy of the bucket of a hit.
func (s *shard) look(e *event, hit *scenario.Hit, spot spot) bucket {
	p, found := s.buckets.find(e.key.ident(hit.Scenario, hit.Group), spot)
	if !found {
		return bucket{}
	}
	return *s.buckets.bucket(p)
}

// holding returns how many events are in the bucket at a time; of a Conditional, how
// many records.
func (b *bucket) holding(l *limits, at int64) float64 {
	switch {
	case !b.holds(l, at):
		return 0
	case l.kind == scenario.Conditional:
		return float64(b.count)
	}
	leaked := max(0, at-b.last) * 1_000_000
	return float64(max(0, b.level-leaked)) / float64(max(1, l.leak))
}
