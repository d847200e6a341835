package detect

import (
	"net/netip"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// A sieve leaves out of a record's hits what can change nothing, before anything is made
// of them: drains and cancels of keys that have no bucket to take out of, and shields
// that the client sent within the minute. Most records of healthy visitors hit nothing
// else.
type sieve struct {
	engine *Engine
	rules  []rule // by scenario
	sent   [shieldsKept]uint64

	// Of the record that was sifted last:

	apart   []apartHit // the hits on networks and values, taken out of the others
	pours   bool       // a hit pours
	lowers  bool       // a hit may take something out
	shields uint64     // stands for client, minute and shields, which are not known to be sent; 0 = none
}

// A rule is what a sieve has to know of a scenario.
type rule uint8

const (
	ruleApart  rule = 1 << iota // its buckets are for networks or values
	ruleDrains                  // some record takes something out of its buckets
)

// shieldsKept is how many of the latest shields a dealer remembers. A second shield of a
// minute changes nothing, so one that is forgotten is only work.
const shieldsKept = 16 << 10

// An apartHit is a hit on the bucket of a network or a value.
type apartHit struct {
	hit  scenario.Hit
	key  key
	hash uint64
}

func newSieve(e *Engine) *sieve {
	s := &sieve{engine: e, rules: make([]rule, len(e.limits))}
	for i := range s.rules {
		if e.limits[i].group.By != scenario.ByClient {
			s.rules[i] |= ruleApart
		}
		if e.plan.drains[i] {
			s.rules[i] |= ruleDrains
		}
	}
	return s
}

// sift sifts the hits of a record, whose client has the key with the hash, and returns
// what is left of those of its client, in their order.
func (s *sieve) sift(r *cloudfront.Record, k key, hash uint64, hits []scenario.Hit) []scenario.Hit {
	s.apart, s.pours, s.lowers = s.apart[:0], false, false
	s.shields = shieldsOf(hits, hash, r.Time)
	known := s.shields != 0 && *s.slot(s.shields) == s.shields
	if known {
		s.shields = 0
	}
	marked := s.engine.marks.has(hash)
	kept := 0
	for i := range hits {
		hit := &hits[i]
		if hit.Effect == scenario.Shield && known {
			continue
		}
		rule := s.rules[hit.Scenario]
		if rule&ruleApart != 0 {
			s.siftApart(r, k, hit, rule)
			continue
		}
		switch hit.Effect {
		case scenario.Drain, scenario.Cancel:
			if !marked {
				continue
			}
			s.lowers = true
		case scenario.Pour:
			s.pours = true
			if rule&ruleDrains != 0 {
				s.engine.marks.add(hash)
				marked = true
			}
		}
		if kept != i {
			hits[kept] = *hit
		}
		kept++
	}
	return hits[:kept]
}

// siftApart keeps a hit on the bucket of a network or a value, if it is one that may
// change something.
func (s *sieve) siftApart(r *cloudfront.Record, client key, hit *scenario.Hit, rule rule) {
	a := apartHit{hit: *hit, key: client}
	if !s.settle(&a, r, &s.engine.limits[hit.Scenario].group) {
		return
	}
	switch hit.Effect {
	case scenario.Drain, scenario.Cancel:
		if !s.engine.marks.has(a.hash) {
			return
		}
		s.lowers = true
	case scenario.Pour:
		s.pours = true
		if rule&ruleDrains != 0 {
			s.engine.marks.add(a.hash)
		}
	}
	s.apart = append(s.apart, a)
}

// settle finds the key of a hit on the bucket of a network or a value, false if the
// client's family has no networks there.
func (s *sieve) settle(a *apartHit, r *cloudfront.Record, g *scenario.Group) bool {
	h := &s.engine.plan.hasher
	if g.By == scenario.ByValue {
		a.key = key{addr: uint64(a.hit.Scenario), group: a.hit.Group, family: familyValue}
		a.hash = h.hash(a.key)
		return true
	}
	bits := g.V6
	if a.key.family == familyIPv4 {
		bits = g.V4
	}
	if bits == 0 {
		return false
	}
	// Hits on the same network mostly follow each other.
	bits = min(bits, a.key.bits)
	if n := len(s.apart); n > 0 && s.apart[n-1].key.bits == bits && s.apart[n-1].key.family == a.key.family {
		a.key, a.hash = s.apart[n-1].key, s.apart[n-1].hash
		return true
	}
	a.key = h.key(netip.PrefixFrom(r.Addr, int(bits)).Masked())
	a.hash = h.hash(a.key)
	return true
}

// shieldsOf returns what stands for all the shields among the hits of a client in the
// minute of a time, 0 if there are none.
func shieldsOf(hits []scenario.Hit, hash uint64, at int64) uint64 {
	var all uint64
	for i := range hits {
		if hit := &hits[i]; hit.Effect == scenario.Shield {
			all += (uint64(hit.Group)<<16|uint64(hit.Scenario))*0x9e3779b97f4a7c15 ^ 0xd6e8feb86659fd93
		}
	}
	if all == 0 {
		return 0
	}
	return fold(hash^uint64(at/minute), all) | 1
}

func (s *sieve) slot(shields uint64) *uint64 { return &s.sent[shields>>1%shieldsKept] }

// send remembers shields that were sent.
func (s *sieve) send(shields uint64) { *s.slot(shields) = shields }
