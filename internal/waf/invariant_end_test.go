package waf

import (
	"net/netip"
	"slices"
	"time"
)

// slot is what the budget leaves between two writes.
func (a *simAccount) slot() time.Duration { return time.Duration(float64(time.Second) / a.rate) }

// settle ends all trouble, and checks what the sets hold in the end: twice, when
// every set had its turn, and when all bans are over.
func (d *day) settle() {
	d.server.Faults().Clear()
	d.faulty = false
	d.lag(0, 0)
	for _, p := range d.before {
		p.resume()
	}
	// What lands late, a full read of all sets, then every set's turn in slots of half
	// the rate.
	turns := time.Duration(len(d.sets)) * 2 * d.slot()
	pass(stillLands + d.period + slowFor + 2*turns)
	for _, p := range d.before {
		if !p.deposed() {
			d.t.Errorf("%v: the leader of epoch %d has not noticed that it was deposed", time.Now(), p.epoch)
		}
	}
	d.retire()
	late := d.grace + 2*turns + 10*time.Second
	d.check("after the trouble", late)
	pass(21*time.Minute + late) // adopted bans, too, are over
	d.check("after the bans", late)
	if err := d.leader.ready(); err != nil {
		d.t.Errorf("not ready in the end: %v", err)
	}
}

func (d *day) check(when string, late time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	d.ledger.tidy(time.Now())
	for _, g := range d.targets {
		for _, e := range d.ledger.bans {
			d.checkBan(when, g, e)
		}
		held := make(map[string]map[netip.Prefix]bool) // by pool
		for _, s := range g.sets {
			if held[s.word] == nil {
				held[s.word] = make(map[netip.Prefix]bool)
			}
			for p := range s.held {
				if held[s.word][p] && !s.hand[p] && !d.excused[p] && !d.anywhereByHand(g, p) {
					d.t.Errorf("%s: %s is held twice in the pool of %s", when, p, s.name)
				}
				held[s.word][p] = true
				d.checkHeld(when, s, p, late)
			}
			for p := range s.hand {
				if !s.held[p] {
					d.t.Errorf("%s: %s was added to %s by hand and is gone", when, p, s.name)
				}
			}
		}
	}
}

func (d *day) anywhereByHand(g *simTarget, p netip.Prefix) bool {
	return slices.ContainsFunc(g.sets, func(s *simSet) bool { return s.hand[p] })
}

// checkBan: what is in force for a while is enforced, in its pool, if there is room.
func (d *day) checkBan(when string, g *simTarget, e Entry) {
	pool := g.pool(e)
	if len(pool) == 0 || time.Since(e.Created) < time.Minute || !e.Until.After(time.Now()) || !d.ledger.allowedSince(e.Prefix).IsZero() {
		return
	}
	holds := func(p netip.Prefix) bool {
		return slices.ContainsFunc(pool, func(s *simSet) bool { return s.held[p] })
	}
	if !covered(holds, e.Prefix) && (!d.crowded(pool) || e.Manual && !d.closed(pool)) {
		d.t.Errorf("%s: %s is wanted in the pool of %s and not held", when, e.Prefix, pool[0].name)
	}
}

// closed reports whether the sets of a pool are full of what is never taken out, not
// for a manual ban either: people's entries, what may be theirs, and manual bans.
func (d *day) closed(pool []*simSet) bool {
	n := 0
	for _, s := range pool {
		stays := 0
		for p := range s.held {
			if s.hand[p] || d.excused[p] || d.ledger.bans[p].Manual {
				stays++
			}
		}
		n += min(stays, d.capacity)
	}
	return n >= len(pool)*d.capacity
}

// checkHeld: what is held is in force, or ended not long ago, or is a person's; or
// it is to be in another pool, which has no room for it. Whoever is to be blocked, and
// had to solve a captcha until then, goes on having to: to take that away before a set
// holds the block would let him in.
func (d *day) checkHeld(when string, s *simSet, p netip.Prefix, late time.Duration) {
	banned := func(q netip.Prefix) bool {
		e, ok := d.ledger.bans[q]
		if !ok {
			e, ok = d.ledger.over[q]
		}
		pool := s.target.pool(e)
		return ok && time.Since(e.Until) < late && (slices.Contains(pool, s) || len(pool) > 0 && d.crowded(pool))
	}
	if !s.hand[p] && !d.excused[p] && !covered(banned, p) {
		d.t.Errorf("%s: %s is held by %s and not wanted since %v", when, p, s.name, d.ledger.over[p].Until)
	}
}

// latency checks how long bans take while all is well: at most one slot for each
// pool that has bans or takes its turn in the background, and the calls' own time.
func (d *day) latency() {
	made := make(map[netip.Prefix]time.Time)
	for i := range 20 {
		p := []netip.Prefix{v4(300 + 2*i), v6(300 + 2*i)}[d.rng.IntN(2)]
		made[p] = time.Now()
		d.ledger.ban(Entry{Prefix: p, Action: "block", Severity: 4, Created: time.Now(), Until: time.Now().Add(time.Hour), Hit: time.Now()})
		pass(time.Duration(d.rng.IntN(1500)) * time.Millisecond)
	}
	competing := 2 * len(d.targets)
	limit := time.Duration(competing)*d.slot() + d.slot()/2 + time.Duration(len(d.targets))*time.Second
	pass(limit + d.slot())
	took := make(map[netip.Prefix]time.Duration)
	for _, w := range d.server.WAF().Writes() {
		for _, p := range w.Added {
			if at, ok := made[p]; ok {
				took[p] = max(took[p], w.At.Sub(at))
			}
		}
	}
	for p := range made {
		if d.leader.full(p) {
			continue // of what people added
		}
		if got, ok := took[p]; !ok || got > limit {
			d.t.Errorf("%s: accepted %v after %s, at most %s are right", p, ok, got, limit)
		}
	}
}

// pace checks the budget of every process over its whole life.
func (d *day) pace() {
	for _, p := range d.processes {
		for i := range p.sent[min(1, len(p.sent)):] {
			if gap := p.sent[i+1].Sub(p.sent[i]); gap < d.slot() {
				d.t.Errorf("%v: the leader of epoch %d wrote again after %s", p.sent[i+1], p.epoch, gap)
			}
		}
	}
}
