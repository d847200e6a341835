package waf

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// draw gives a ban of p.
func draw(t *rapid.T, y *yard, p netip.Prefix) Entry {
	return Entry{
		Prefix: p, Action: "block", Created: y.now, Severity: uint8(rapid.IntRange(0, 4).Draw(t, "severity")),
		Manual: rapid.IntRange(0, 9).Draw(t, "manual") == 0,
		Hit:    y.now.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(t, "silent")) * time.Second),
		Until:  y.now.Add(time.Duration(rapid.IntRange(60, 4000).Draw(t, "seconds")) * time.Second),
	}
}

// worth is the order of the issue, written down once more.
func worth(a, b Entry) int {
	return cmp.Or(boolCompare(b.Manual, a.Manual), cmp.Compare(b.Severity, a.Severity), b.Hit.Compare(a.Hit), b.Until.Compare(a.Until))
}

func (y *yard) inForce() []Entry {
	var list []Entry
	for _, b := range y.bans {
		if b.Until.After(y.now) {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, worth)
	return list
}

// What comes at once is sorted by its worth, and what comes later displaces what
// is clearly worth less. The rest comes back when there is room.
func TestTheMostValuableAreEnforced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const capacity = 6
		y := newYard(t, capacity/2, "weir-block-v4-0", "weir-block-v4-1")
		for i := range rapid.IntRange(0, 15).Draw(t, "bans") {
			y.ban(draw(t, y, apart(i)))
		}
		y.pass(40 * time.Second)
		held := y.covered("block")
		list := y.inForce()
		for _, e := range list[:min(len(list), capacity)] {
			if !held[e.Prefix.Addr()] && worth(e, list[min(len(list), capacity)-1]) != 0 {
				t.Fatalf("%+v is worth more than what is held: %v", e, held)
			}
		}
		moves := make(map[netip.Addr]time.Time)
		y.after = func(*write) {
			now := y.covered("block")
			for a := range now {
				if !held[a] {
					if !moves[a].IsZero() && y.now.Sub(moves[a]) < restFor && !y.bans[netip.PrefixFrom(a, 32)].Created.After(moves[a]) {
						t.Fatalf("%s came back after %s", a, y.now.Sub(moves[a]))
					}
					moves[a] = y.now
				}
			}
			held = now
		}
		for range rapid.IntRange(1, 20).Draw(t, "acts") {
			p := apart(rapid.IntRange(0, 20).Draw(t, "address"))
			if rapid.IntRange(0, 2).Draw(t, "ends") == 0 {
				y.ban(Entry{Prefix: p})
			} else {
				y.ban(draw(t, y, p))
			}
			y.pass(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
		}
		y.pass(5 * time.Minute)
		list, held = y.inForce(), y.covered("block")
		inForce := 0
		for a := range held {
			if y.bans[netip.PrefixFrom(a, 32)].Until.After(y.now) {
				inForce++
			}
		}
		if inForce != min(len(list), capacity) && len(held) < capacity {
			t.Fatalf("%d are held of %d", inForce, len(list))
		}
		for i, e := range list {
			for _, less := range list[i+1:] {
				if held[e.Prefix.Addr()] || !held[less.Prefix.Addr()] || e.Manual == less.Manual && e.Severity == less.Severity && e.Hit.Sub(less.Hit) <= clearly {
					continue
				}
				t.Fatalf("%+v is held, and not %+v", less, e)
			}
		}
	})
}

// Merging loses nothing: what is written covers banned addresses alone, and none
// that is covered goes without, but for those that are evicted.
func TestMergingLosesNothing(t *testing.T) {
	merged := 0
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t, rapid.IntRange(1, 5).Draw(t, "capacity"), "weir-block-v4-0", "weir-block-v4-1")
		before := make(map[*entry]bool)
		lately := func(a netip.Addr, at time.Time) bool {
			for bits := 32; bits >= 28; bits-- {
				p, _ := a.Prefix(bits)
				if y.bans[p].Until.After(at) {
					return true
				}
			}
			return false
		}
		inForce := func(a netip.Addr) bool { return lately(a, y.now) }
		y.after = func(w *write) {
			after := y.covered("block")
			for _, e := range w.adds {
				if e.made {
					merged++
				}
				for a := e.prefix.Addr(); e.prefix.Contains(a); a = a.Next() {
					if !inForce(a) {
						t.Fatalf("%s covers %s, which is not banned", e.prefix, a)
					}
				}
			}
			now := make(map[*entry]bool)
			for e := range y.p.pools[0].entries.all() {
				if !e.met { // what stood for it may be about to leave, and must not yet
					if before[e] && e.wanted && e.class != spilled && !after[e.prefix.Addr()] {
						t.Fatalf("%s goes without after %s %v -%v\n%s", e.prefix, w.set.name, prefixes(w.adds), prefixes(w.drops), y.dump())
					}
					continue
				}
				for a := e.prefix.Addr(); e.prefix.Contains(a); a = a.Next() {
					if !after[a] {
						t.Fatalf("%s is said to be enforced, and %s is not covered", e.prefix, a)
					}
				}
			}
			for e := range y.p.pools[0].entries.all() {
				now[e] = e.met || before[e] && after[e.prefix.Addr()] && e.class != spilled
			}
			before = now
		}
		for range rapid.IntRange(1, 60).Draw(t, "acts") {
			p := netip.PrefixFrom(v4(rapid.IntRange(0, 15).Draw(t, "address")).Addr(), rapid.SampledFrom([]int{32, 32, 32, 31, 30}).Draw(t, "bits")).Masked()
			if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
				y.ban(Entry{Prefix: p})
			} else {
				y.ban(draw(t, y, p))
			}
			y.pass(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			if got, want := y.sums(), y.counted(); got != want {
				t.Fatalf("kept up:\n%scounted:\n%s", got, want)
			}
		}
		y.pass(5 * time.Minute)
		for a := range y.covered("block") {
			if !lately(a, y.now.Add(-y.p.grace-3*time.Second)) {
				t.Fatalf("%s is covered, and not banned\n%s", a, y.dump())
			}
		}
		if st := y.p.status(y.now).Pool("block", "ipv4"); st.Evicted == 0 {
			for _, e := range y.inForce() {
				for a := e.Prefix.Addr(); e.Prefix.Contains(a); a = a.Next() {
					if !y.covered("block")[a] {
						t.Fatalf("%s is banned, and not covered: %+v\n%s", a, st, y.dump())
					}
				}
			}
		}
	})
	if merged == 0 {
		t.Error("nothing was ever merged")
	}
}

// clusters against a plain twin: the addresses are those of the bans, no two
// clusters could be one, and none is wider than allowed.
func TestClustersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := netip.MustParseAddr("203.0.113.0").As4()
		var bans []*entry
		banned := make(map[netip.Addr]bool)
		seen := make(map[netip.Prefix]bool)
		for range rapid.IntRange(0, 40).Draw(t, "bans") {
			base[3] = byte(rapid.IntRange(0, 63).Draw(t, "host"))
			p := netip.PrefixFrom(netip.AddrFrom4(base), rapid.IntRange(28, 32).Draw(t, "bits")).Masked()
			if seen[p] {
				continue
			}
			seen[p] = true
			bans = append(bans, &entry{prefix: p})
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				banned[a] = true
			}
		}
		slices.SortFunc(bans, byAddress)
		widest := rapid.IntRange(26, 28).Draw(t, "widest")
		list := clusters(bans, widest)
		covered, next := make(map[netip.Addr]bool), 0
		for i, c := range list {
			if c.prefix.Bits() < widest || c.from != next {
				t.Fatalf("cluster %d is %+v", i, c)
			}
			next = c.to
			for _, e := range bans[c.from:c.to] {
				if !c.prefix.Overlaps(e.prefix) || c.prefix.Bits() > e.prefix.Bits() {
					t.Fatalf("%s is in the cluster %s", e.prefix, c.prefix)
				}
			}
			for a := c.prefix.Addr(); c.prefix.Contains(a); a = a.Next() {
				if covered[a] || !banned[a] {
					t.Fatalf("%s: covered twice %v, banned %v", a, covered[a], banned[a])
				}
				covered[a] = true
			}
			if i > 0 {
				if both, ok := union(list[i-1].prefix, c.prefix); ok && both.Bits() >= widest {
					t.Fatalf("%s and %s could be one", list[i-1].prefix, c.prefix)
				}
			}
		}
		if len(covered) != len(banned) || next != len(bans) {
			t.Fatalf("%d of %d addresses, %d of %d bans", len(covered), len(banned), next, len(bans))
		}
	})
}
