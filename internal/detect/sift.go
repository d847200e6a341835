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
	remote bool   // what is of networks and values is counted elsewhere

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
func (s *sieve) sift(r *cloudfront.Record, k key, hash uint64, hits []scenario.Hit, gist *scenario.Gist) []scenario.Hit {
	s.apart, s.pours, s.lowers, s.shields = s.apart[:0], false, false, 0
	line := s.engine.marks.line(hash)
	kept, i := 0, 0
	for ; i < int(gist.Lowers); i++ {
		rule := s.rules[hits[i].Scenario]
		if rule&ruleApart != 0 {
			s.siftApart(r, k, &hits[i], rule)
			continue
		}
		s.pours = true
		if rule&ruleDrains != 0 {
			s.engine.marks.add(hash, hits[i].Scenario)
		}
		hits[kept] = hits[i]
		kept++
	}
	if marked := line.has(hash); marked || gist.Apart {
		for ; i < int(gist.Shields); i++ {
			rule := s.rules[hits[i].Scenario]
			switch {
			case rule&ruleApart != 0:
				s.siftApart(r, k, &hits[i], rule)
			case marked && line.hasIn(hash, hits[i].Scenario):
				s.lowers = true
				hits[kept] = hits[i]
				kept++
			}
		}
	}
	if gist.Shield == 0 {
		return hits[:kept]
	}
	if s.shields = shieldsOf(gist, hash, r.Time); line.knows(s.shields) {
		s.shields = 0
		return hits[:kept]
	}
	for i = int(gist.Shields); i < len(hits); i++ {
		if rule := s.rules[hits[i].Scenario]; rule&ruleApart != 0 {
			s.siftApart(r, k, &hits[i], rule)
			continue
		}
		hits[kept] = hits[i]
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
		if line := s.engine.marks.line(a.hash); !s.remote && (!line.has(a.hash) || !line.hasIn(a.hash, hit.Scenario)) {
			return
		}
		s.lowers = true
	case scenario.Pour:
		s.pours = true
		if rule&ruleDrains != 0 && !s.remote {
			s.engine.marks.add(a.hash, hit.Scenario)
		}
	case scenario.Shield:
		if s.isShielding(&a) {
			return
		}
	}
	s.apart = append(s.apart, a)
}

// isShielding reports whether the record sends a shield already, as a hit of another
// scenario that has the same.
func (s *sieve) isShielding(a *apartHit) bool {
	shields := s.engine.plan.shields
	for i := range s.apart {
		b := &s.apart[i]
		if b.hit.Effect == scenario.Shield && b.key == a.key && b.hit.Group == a.hit.Group && shields[b.hit.Scenario] == shields[a.hit.Scenario] {
			return true
		}
	}
	return false
}

// settle finds the key of a hit on the bucket of a network or a value, false if the
// client's family has no networks there.
func (s *sieve) settle(a *apartHit, r *cloudfront.Record, g *scenario.Group) bool {
	h := &s.engine.plan.hasher
	if g.By == scenario.ByValue {
		a.key = key{addr: s.engine.plan.values[a.hit.Scenario], group: a.hit.Group, family: familyValue}
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

// isIdle reports whether a record, which pours nothing, has nothing that sift would keep.
// It is right in nearly all cases, and quicker.
func (s *sieve) isIdle(r *cloudfront.Record, hash uint64, gist *scenario.Gist) bool {
	line := s.engine.marks.line(hash)
	return !gist.Apart && (gist.Lowers == gist.Shields || !line.has(hash)) && (gist.Shield == 0 || line.knows(shieldsOf(gist, hash, r.Time)))
}

// shieldsOf returns what stands for a client's shields in the minute of a time; never 0.
func shieldsOf(gist *scenario.Gist, hash uint64, at int64) uint64 {
	return fold(hash^uint64(at/minute), gist.Shield) | 1
}

// sent remembers that the shields of a record of a client with the hash were sent.
func (s *sieve) sent(hash, shields uint64) { s.engine.marks.line(hash).send(shields) }
