package waf

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestSimulation runs Writers through random days: bans, unbans, allowlisting,
// people editing sets, every fault the fake knows, crashes with the store kept or
// lost. An auditor that knows who did what checks each write, and in the end the
// sets.
func TestSimulation(t *testing.T) {
	seeds(t, 40, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
	})
}

// sim is one run.
type sim struct {
	t     *testing.T
	rng   *rand.Rand
	f     *fakeWAF
	s     *fakeStore
	cfg   Config
	w     *running
	every time.Duration // between writes

	faulty  bool
	dying   bool // a crash is due at the next call
	excused map[netip.Prefix]bool
}

func simulate(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 77))
	f := newFake(t, 1+rng.IntN(3), 1+rng.IntN(2))
	f.rng = rand.New(rand.NewPCG(seed, 78))
	m := &sim{t: t, rng: rng, f: f, s: newStore(), excused: make(map[netip.Prefix]bool)}
	m.cfg = m.s.config(f)
	m.cfg.WritesPerSecond = []float64{0.3, 0.5, 1}[rng.IntN(3)]
	m.cfg.Grace = time.Duration(1+rng.IntN(30)) * time.Second
	m.cfg.DriftPeriod = time.Duration(5+rng.IntN(60)) * time.Second
	if rng.IntN(3) == 0 {
		m.cfg.Capacity = 30 + rng.IntN(100)
	}
	m.every = time.Duration(float64(time.Second) / m.cfg.WritesPerSecond)
	orphans := m.cfg.Orphans
	m.cfg.Orphans = func(ctx context.Context, held []Entry) error {
		for _, e := range held {
			p := e.Prefix
			if m.s.allowed(p) {
				t.Errorf("%s is allowlisted and given to the store", p)
			}
		}
		f.mu.Lock()
		full := m.faulty && f.rng.IntN(4) == 0
		f.mu.Unlock()
		if full {
			return fmt.Errorf("disk full")
		}
		return orphans(ctx, held)
	}
	f.latency = func() time.Duration { return time.Duration(10+f.rng.IntN(290)) * time.Millisecond }
	f.fault = m.misfortune
	f.check = m.audit
	f.stop = func() { m.w.kill() }
	m.w = start(t, m.cfg)
	defer func() { m.w.halt() }()
	pass(20 * time.Second)
	for range 4 {
		f.mu.Lock()
		m.faulty = m.rng.IntN(4) > 0
		f.stale = time.Duration(m.rng.IntN(2)) * 700 * time.Millisecond
		f.mu.Unlock()
		for begin := time.Now(); time.Since(begin) < 2*time.Minute; {
			m.act()
			pass(time.Duration(m.rng.IntN(2000)) * time.Millisecond)
		}
	}
	m.settle()
	m.latency()
	m.pace()
}

// misfortune is the fault of one call. The fake holds its lock.
func (m *sim) misfortune(call string) fault {
	if m.dying && (call == "UpdateIPSet" || m.f.rng.IntN(4) == 0) {
		m.dying = false
		return []fault{crashBefore, crashAfter}[m.f.rng.IntN(2)]
	}
	if !m.faulty || m.f.rng.IntN(3) > 0 {
		return fine
	}
	if call != "UpdateIPSet" {
		return []fault{throttle, failBefore, lostBefore, emptyRequest}[m.f.rng.IntN(4)]
	}
	return []fault{throttle, failBefore, failAfter, lostBefore, lostAfter, landsLate, emptyRequest}[m.f.rng.IntN(7)]
}

// act is one thing that happens. Bans are numbered up to 150, hand-added entries
// from 1,000: people and Weir do not add the same address here, since it would be
// nobody's fault who takes it out.
func (m *sim) act() {
	one := func() netip.Prefix {
		if m.rng.IntN(3) == 0 {
			return v6(m.rng.IntN(150))
		}
		return v4(m.rng.IntN(150))
	}
	switch k := m.rng.IntN(100); {
	case k < 55:
		for range 1 + m.rng.IntN(6) {
			m.s.ban(time.Duration(5+m.rng.IntN(300))*time.Second, one())
		}
	case k < 70:
		m.s.unban(one(), one())
	case k < 73:
		m.s.allow(one())
	case k < 85:
		m.edit(1 + m.rng.IntN(3))
	case k < 90:
		m.crash()
	}
}

// edit is a person who adds entries, and at times takes some out.
func (m *sim) edit(n int) {
	set := m.f.sets[1+m.rng.IntN(len(m.f.sets)-1)] // the first is the office's
	var add, remove []netip.Prefix
	for range n {
		p := v4(1000 + m.rng.IntN(100_000))
		if set.version == "IPV6" {
			p = v6(1000 + m.rng.IntN(100_000))
		}
		add = append(add, p)
	}
	m.f.mu.Lock()
	for _, p := range sorted(set.held) {
		if m.rng.IntN(20) == 0 {
			remove = append(remove, p)
		}
	}
	m.f.mu.Unlock()
	if n == 1 { // only adds
		remove = nil
	}
	var desc *string
	if m.rng.IntN(4) == 0 {
		desc = new(string)
	}
	m.f.edit(set.name, add, remove, desc)
}

// crash kills the Writer at its next call and starts another one some time later.
func (m *sim) crash() {
	m.f.mu.Lock()
	m.dying = true
	m.f.mu.Unlock()
	select {
	case <-m.w.done:
	case <-time.After(time.Duration(m.rng.IntN(20_000)) * time.Millisecond):
		m.w.halt() // it made no call: killed while idle
	}
	m.f.mu.Lock()
	m.dying = false
	m.f.mu.Unlock()
	pass(time.Duration(m.rng.IntN(60_000)) * time.Millisecond)
	if m.rng.IntN(3) == 0 {
		m.edit(1)
	}
	pass(10 * time.Second) // what lands late has landed
	lost := m.rng.IntN(3) == 0
	before, _ := m.f.held()
	m.s.mu.Lock()
	if lost {
		clear(m.s.bans)
	}
	m.excuse()
	m.s.mu.Unlock()
	m.w = start(m.t, m.cfg)
	for begin := time.Now(); m.w.Ready() != nil; pass(time.Second) {
		if time.Since(begin) > 10*time.Minute {
			m.t.Fatalf("not ready ten minutes after a restart: %v", m.w.Ready())
		}
	}
	if lost {
		m.kept(before)
	}
}

// kept checks that a restart with an empty store unbanned nobody.
func (m *sim) kept(before map[netip.Prefix]bool) {
	after, _ := m.f.held()
	for p := range before {
		if !coveredBy(after, p) && !m.s.allowed(p) && !split(after, p) {
			m.t.Errorf("%v: %s was enforced before the restart", time.Now(), p)
		}
	}
}

// split reports whether all that p stands for is held.
func split(held map[netip.Prefix]bool, p netip.Prefix) bool {
	for _, part := range parts(p) {
		if !coveredBy(held, part) {
			return false
		}
	}
	return true
}

// excuse notes what nobody can know after a restart: in a set that people changed
// by more than one entry since a Weir's last write, an entry that the store does
// not know may be theirs. It stays.
func (m *sim) excuse() {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	for _, set := range m.f.sets {
		var held []netip.Prefix
		for p := range set.held {
			held = append(held, p)
		}
		ev := examine(set.desc, held, nil)
		for _, p := range held {
			e, known := m.s.bans[p]
			known = known && m.s.allowlist[p].IsZero() && e.Until.After(time.Now().Add(2*time.Minute))
			if !ev.ours(p) && !known {
				m.excused[p] = true
			}
		}
	}
}

// audit looks at what one accepted write changed. The fake holds its lock.
func (m *sim) audit(set *fakeSet, before map[netip.Prefix]bool, began time.Time) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for p := range set.held {
		since := m.s.allowlist[p]
		if !since.IsZero() && since.Before(began) && !set.hand[p] && !m.excused[p] {
			m.t.Errorf("%v: %s was written by a call begun %v, allowlisted since %v", time.Now(), p, began, since)
		}
	}
	for p := range before { // what people took out may not be known yet
		e, known := m.s.bans[p]
		if set.held[p] || !known || !e.Until.After(time.Now()) || !e.Created.Before(began.Add(-time.Second)) || !m.s.allowlist[p].IsZero() || m.f.taken[p].After(e.Created) || time.Since(m.f.taken[p]) < m.cfg.DriftPeriod+10*time.Second {
			continue
		}
		elsewhere := false
		for _, other := range m.f.sets {
			elsewhere = elsewhere || coveredBy(other.held, p)
		}
		if !elsewhere && !m.displaced(set, before, e) {
			m.t.Errorf("%v: a write of %s dropped %s, banned from %v until %v", time.Now(), set.name, p, e.Created, e.Until)
		}
	}
}

// coveredBy reports whether p or a prefix that contains it is held.
func coveredBy(held map[netip.Prefix]bool, p netip.Prefix) bool {
	for bits := p.Bits(); bits > 0; bits-- {
		if held[netip.PrefixFrom(p.Addr(), bits).Masked()] {
			return true
		}
	}
	return false
}

// banned reports whether a ban covers p: what was merged may have been adopted as it was.
func (m *sim) banned(p netip.Prefix) bool {
	for bits := p.Bits(); bits > 0; bits-- {
		if _, known := m.s.bans[netip.PrefixFrom(p.Addr(), bits).Masked()]; known {
			return true
		}
	}
	return false
}

// parts gives the bans that a held prefix may stand for.
func parts(p netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	for n := range 200 { // all that are ever banned
		if q := v4(n); p.Overlaps(q) {
			list = append(list, q)
		}
		if q := v6(n); p.Overlaps(q) {
			list = append(list, q)
		}
	}
	if len(list) == 0 {
		list = append(list, p)
	}
	return list
}

// displaced reports whether a ban that a write dropped has been evicted for want of
// room, or a clearly younger one took its place.
func (m *sim) displaced(set *fakeSet, before map[netip.Prefix]bool, e Entry) bool {
	for i := range m.w.plan.pools { // which nobody else uses during a call
		if is := m.w.plan.pools[i].entries.get(e.Prefix); is != nil && (is.spilled || is.displaced) {
			return m.cfg.Capacity > 0
		}
	}
	for p := range set.held {
		if younger := m.s.bans[p]; !before[p] && younger.Created.After(e.Created.Add(clearly)) {
			return m.cfg.Capacity > 0 && len(set.held) >= m.cfg.Capacity
		}
	}
	return false
}

// settle ends all trouble and checks what the sets hold in the end.
func (m *sim) settle() {
	m.f.mu.Lock()
	m.faulty, m.f.stale = false, 0
	m.f.mu.Unlock()
	// Late writes, a full read of all sets, then every set's turn in half-rate slots.
	turns := time.Duration(len(m.f.sets)) * 2 * m.every
	pass(15*time.Second + m.cfg.DriftPeriod + slowFor + 2*turns)
	check := func(when string) {
		all, twice := m.f.held()
		hands := m.f.hands()
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		for _, p := range twice {
			if !hands[p] && !m.excused[p] {
				m.t.Errorf("%s: %s is held twice", when, p)
			}
		}
		room := m.w.Status()
		for p, e := range m.s.bans {
			fits := poolOf(room, p).Evicted == 0
			if !coveredBy(all, p) && e.Until.After(time.Now()) && time.Since(e.Created) > time.Minute && fits && m.s.allowlist[p].IsZero() {
				m.t.Errorf("%s: %s is wanted and not held", when, p)
			}
		}
		for p := range hands {
			if !all[p] {
				m.t.Errorf("%s: %s was added by hand and is gone", when, p)
			}
		}
		late := m.cfg.Grace + 2*turns + 2*time.Second
		for held := range all {
			if _, known := m.s.bans[held]; known || hands[held] || m.excused[held] {
				continue
			}
			for _, p := range parts(held) {
				if known := m.banned(p); !hands[p] && !m.excused[p] && !known && time.Since(m.s.ended[p]) > late {
					m.t.Errorf("%s: %s is held as %s and not wanted since %v", when, p, held, m.s.ended[p])
				}
			}
		}
	}
	check("after the trouble")
	pass(6*time.Minute + m.cfg.Grace + 2*turns) // every ban but adopted ones is over
	check("after the bans")
	if err := m.w.Ready(); err != nil {
		m.t.Errorf("not ready in the end: %v", err)
	}
}

// latency checks how long bans take while all is well: at most one slot for each
// family that competes, and the calls' own time.
func (m *sim) latency() {
	m.s.mu.Lock()
	clear(m.s.accepted)
	m.s.mu.Unlock()
	made := make(map[netip.Prefix]time.Time)
	for i := range 20 {
		p := []netip.Prefix{v4(200 + i), v6(200 + i)}[m.rng.IntN(2)]
		made[p] = time.Now()
		m.s.ban(time.Hour, p)
		pass(time.Duration(m.rng.IntN(1500)) * time.Millisecond)
	}
	pass(2*m.every + 5*time.Second)
	for p, at := range made {
		got, ok := m.s.accepted[p]
		if pool := poolOf(m.w.Status(), p); pool.Evicted > 0 || pool.Fill() > .9 {
			continue // no set may have room for all that is pending
		}
		if limit := 2*m.every + time.Second; !ok || got.Sub(at) > limit {
			m.t.Errorf("%s: accepted %v after %s, at most %s are right", p, ok, got.Sub(at), limit)
		}
	}
}

// pace checks the budgets over the whole run, restarts included.
func (m *sim) pace() {
	for i, at := range m.f.attempts[1:] {
		if gap := at.Sub(m.f.attempts[i]); gap < min(m.every, 2*time.Second) {
			m.t.Errorf("%v: write attempts %s apart", at, gap)
		}
	}
	for i, at := range m.f.reads[1:] {
		if gap := at.Sub(m.f.reads[i]); gap < time.Second/readsPerSecond && gap > 0 {
			m.t.Errorf("%v: reads %s apart", at, gap)
		}
	}
}

// sorted gives a set in one order, so that a seed does the same again.
func sorted(set map[netip.Prefix]bool) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(set), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
}
