package waf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/awslocal"
)

// seeds runs a test for n seeds from 1. WEIR_SIM_FIRST and WEIR_SIM_SEEDS say from
// which other one and for how many, and WEIR_SIM_SEED runs one alone again.
func seeds(t *testing.T, n int, run func(t *testing.T, seed uint64)) {
	t.Helper()
	first := 1
	given := func(name string, to *int) {
		s := os.Getenv(name)
		if s == "" {
			return
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		*to = n
	}
	given("WEIR_SIM_FIRST", &first)
	given("WEIR_SIM_SEEDS", &n)
	if os.Getenv("WEIR_SIM_SEED") != "" {
		given("WEIR_SIM_SEED", &first)
		n = 1
	}
	for seed := first; seed < first+n; seed++ {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { run(t, uint64(seed)) }) {
			t.Errorf("run it again with WEIR_SIM_SEED=%d", seed)
		}
	}
}

// TestInvariants runs processes with Writers through random days, against the strict
// stand-in and through the SDK: bans of every kind in pools and targets that share a
// budget, unbans, allowlisting, people editing sets at the worst moments, every
// fault that the stand-in knows, reads that are behind, crashes at any call with the
// store kept or lost, leaders that are stopped and go on when others lead. What must
// hold, by the letters of the auditor's checks:
//
//	(a) no allowlisted address is ever covered by a write
//	(b) no more writes than the budget allows, over all targets of a process
//	(c) a ban is accepted within a slot for each pool that competes
//	(d) an ended ban is removed within its grace and every set's turn
//	(e) what people added stays through any conflict
//	(f) a restart after a crash at any call converges, and drops no ban in force
//	(g) two leaders at once lose no ban; the earlier one writes no set after the later
//	(h) in the end, nothing is held twice
//
// Every lock token's history, as the clients saw it, must be that of a register.
func TestInvariants(t *testing.T) {
	seeds(t, quickSeeds, func(t *testing.T, seed uint64) {
		if _, err := repeatable(t, seed).book.check(); err != nil {
			t.Error(err)
		}
	})
}

// repeatable lives a day as it is lived every time: everybody acts in moments of
// their own, and of what runs at one, on one thread, the order is the same again.
func repeatable(t *testing.T, seed uint64) (d *day) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) { d = live(t, seed) })
	return d
}

// TestADayRepeats: a failing seed is of use only when it fails again.
func TestADayRepeats(t *testing.T) {
	if raced {
		t.Skip("with the race detector the runtime shuffles who runs next")
	}
	for seed := uint64(1); ; seed++ {
		one := repeatable(t, seed)
		if len(one.targets) < 2 { // more Writers have more to do at the same moment
			continue
		}
		first, second := one.server.WAF().Writes(), repeatable(t, seed).server.WAF().Writes()
		if !reflect.DeepEqual(first, second) {
			t.Errorf("seed %d: %d writes, and another time %d others", seed, len(first), len(second))
		}
		return
	}
}

// quickSeeds is how many days every test run has.
const quickSeeds = 40

// day is one run.
type day struct {
	*simAccount
	t      *testing.T
	rng    *rand.Rand
	whim   *rand.Rand // of who meddles
	leader *simProcess
	before []*simProcess // that led, and may be at work still
	epoch  uint64
	faulty bool
}

func live(t *testing.T, seed uint64) *day {
	rng := rand.New(rand.NewPCG(seed, 99))
	d := &day{simAccount: newSimAccount(t, seed, rng), t: t, rng: rng, whim: rand.New(rand.NewPCG(seed, 98))}
	d.meddle = d.meddles
	d.ledger.full = func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.faulty && d.whim.IntN(4) == 0
	}
	d.lead()
	defer func() {
		for _, p := range d.processes {
			p.halt()
		}
	}()
	pass(20 * time.Second)
	for range 4 {
		d.trouble()
		for begin := time.Now(); time.Since(begin) < 2*time.Minute; {
			d.act()
			pass(time.Duration(d.rng.IntN(2000)) * time.Millisecond)
		}
	}
	d.settle()
	d.latency()
	d.pace()
	return d
}

func (d *day) lead() {
	d.epoch++
	d.leader = d.start(d.ledger, d.epoch)
}

// trouble draws what goes wrong for the next two minutes.
func (d *day) trouble() {
	d.server.Faults().Clear()
	faulty := d.rng.IntN(4) > 0
	d.mu.Lock()
	d.faulty = faulty
	d.mu.Unlock()
	if !faulty {
		d.lag(0, 0)
		return
	}
	kinds := awslocal.FaultKinds()
	for range 1 + d.rng.IntN(3) {
		f := awslocal.Fault{
			Service: "wafv2", Action: []string{"", "UpdateIPSet", "GetIPSet", "ListIPSets"}[d.rng.IntN(4)],
			Do: kinds[d.rng.IntN(len(kinds))], Probability: 0.3 * d.rng.Float64(),
			Delay: time.Duration(d.rng.IntN(3000)) * time.Millisecond,
		}
		if f.Do == awslocal.FaultLate {
			f.Delay *= 3
		}
		d.server.Faults().Add(f)
	}
	d.lag(time.Duration(d.rng.IntN(2)*d.rng.IntN(900))*time.Millisecond, time.Duration(d.rng.IntN(2)*d.rng.IntN(4000))*time.Millisecond)
}

func (d *day) lag(get, list time.Duration) {
	behind := get+list > 0
	if behind {
		d.book.lags(true)
	}
	d.server.WAF().SetReadLag(get, list)
	if !behind {
		d.book.lags(false)
	}
}

// meddles is a person who edits a set in the moment of an update.
func (d *day) meddles(set string) {
	d.mu.Lock()
	now := d.faulty && d.whim.IntN(20) == 0
	whim := rand.New(rand.NewPCG(d.whim.Uint64(), 97))
	d.mu.Unlock()
	if now {
		d.edit(set, []netip.Prefix{d.stranger(whim, set)}, nil)
	}
}

// stranger is an address that only people add: what both add would be nobody's
// fault who takes it out.
func (d *day) stranger(rng *rand.Rand, set string) netip.Prefix {
	n := 1000 + rng.IntN(100_000)
	if d.sets[set].family == ipv6 {
		return v6(n)
	}
	return v4(n)
}

// one is an address that may be banned.
func (d *day) one() netip.Prefix {
	if d.rng.IntN(3) == 0 {
		return v6(d.rng.IntN(150))
	}
	return v4(d.rng.IntN(150))
}

func (d *day) ban(p netip.Prefix, lasts time.Duration) {
	now := time.Now()
	d.ledger.ban(Entry{
		Prefix: p, Created: now, Until: now.Add(lasts), Hit: now.Add(-time.Duration(d.rng.IntN(3600)) * time.Second),
		Action: []string{"block", "block", "block", "captcha", "challenge", "count"}[d.rng.IntN(6)],
		List:   d.rng.IntN(8) == 0, Manual: d.rng.IntN(20) == 0, Severity: uint8(d.rng.IntN(5)),
	})
}

// act is one thing that happens.
func (d *day) act() {
	lasts := func() time.Duration { return time.Duration(5+d.rng.IntN(300)) * time.Second }
	switch k := d.rng.IntN(100); {
	case k < 50:
		for range 1 + d.rng.IntN(6) {
			d.ban(d.one(), lasts())
		}
	case k < 55: // networks; some that nobody may ban, and one that somebody insists on
		d.ban(netip.PrefixFrom(netip.AddrFrom4([4]byte{1, 0, 0, byte(d.rng.IntN(8)) * 16}), 28), lasts())
		d.ban(pfx([]string{"10.1.2.3/32", "6.0.0.0/8", "2600::/24", "fe80::/64", "0.0.0.0/0"}[d.rng.IntN(5)]), lasts())
		now := time.Now()
		d.ledger.ban(Entry{Prefix: pfx("200.16.0.0/12"), Action: "block", Wide: true, Created: now, Until: now.Add(lasts())})
	case k < 68:
		d.ledger.unban(d.one(), d.one())
	case k < 71:
		d.ledger.allowlist(d.one())
	case k < 83:
		d.busy()
	case k < 87:
		d.crash()
	case k < 90:
		d.overlap()
	case k < 93:
		d.stopped()
	}
}

// busy is a person at the console.
func (d *day) busy() {
	names := d.names()
	set := names[d.rng.IntN(len(names))]
	add := []netip.Prefix{d.stranger(d.rng, set)}
	var remove []netip.Prefix
	if d.rng.IntN(2) == 0 {
		add = append(add, d.stranger(d.rng, set))
		d.mu.Lock()
		for _, p := range byPrefix(d.sets[set].held) {
			if d.rng.IntN(20) == 0 {
				remove = append(remove, p)
			}
		}
		d.mu.Unlock()
	}
	d.edit(set, add, remove)
}

// retire ends the processes that led before.
func (d *day) retire() {
	for _, p := range d.before {
		p.halt()
	}
	d.before = nil
}

// crash kills the leader at its next call; another one starts some time later.
func (d *day) crash() {
	d.retire()
	old := d.leader
	old.mu.Lock()
	old.dying = true
	old.mu.Unlock()
	pass(time.Duration(d.rng.IntN(20_000)) * time.Millisecond)
	old.halt() // if it made no call: killed while idle
	pass(time.Duration(d.rng.IntN(60_000)) * time.Millisecond)
	if d.rng.IntN(3) == 0 {
		d.busy()
	}
	lost := d.rng.IntN(3) == 0
	var before map[*simTarget]map[netip.Prefix]bool
	if lost {
		pass(stillLands) // and who did it is known of what has
		before = d.enforced()
		d.ledger.lose()
	}
	d.lead()
	for begin := time.Now(); d.leader.ready() != nil; pass(time.Second) {
		if time.Since(begin) > 10*time.Minute {
			d.t.Fatalf("not ready ten minutes after a restart: %v", d.leader.ready())
		}
	}
	if !lost {
		return
	}
	for target, list := range before { // a lost store unbans nobody
		for p := range list {
			holds := func(q netip.Prefix) bool {
				for _, s := range target.sets {
					if s.held[q] {
						return true
					}
				}
				return false
			}
			// Another target may have held it for something weaker, and been asked first.
			e, banned := d.ledger.lookup(p, time.Now())
			d.mu.Lock()
			if banned && (len(target.pool(e)) == 0 || e.Action == "count") {
				d.mu.Unlock()
				continue
			}
			if !covered(holds, p) && !d.ledger.allowed(p) && d.ledger.taken[p].IsZero() {
				d.t.Errorf("%v: %s was enforced before the restart in %s; now %v %+v", time.Now(), p, target.prefix, banned, e)
			}
			d.mu.Unlock()
		}
	}
}

// enforced gives what the sets hold.
func (d *day) enforced() map[*simTarget]map[netip.Prefix]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[*simTarget]map[netip.Prefix]bool)
	for _, g := range d.targets {
		all[g] = make(map[netip.Prefix]bool)
		for _, s := range g.sets {
			for p := range s.held {
				all[g][p] = true
			}
		}
	}
	return all
}

// overlap is a rolling deployment: another process takes the lead while the old
// one works on for a while.
func (d *day) overlap() {
	d.retire()
	d.before = append(d.before, d.leader)
	d.lead()
}

// stopped is a leader that gets no processor time until another one leads, and some.
func (d *day) stopped() {
	d.retire()
	old := d.leader
	old.suspend()
	pass(15*time.Second + time.Duration(d.rng.IntN(5000))*time.Millisecond)
	d.lead()
	d.before = append(d.before, old)
	pass(time.Duration(d.rng.IntN(40_000)) * time.Millisecond)
	old.resume()
}
