package waf

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"pgregory.net/rapid"
)

// A merged entry is taken apart when all that is banned under it is held without it,
// in whichever pool: also what nobody held before, and what a Writer that has just
// started knows no more of than that it is banned.
func TestAMergedEntryStaysForOtherPoolsBans(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
			f.add("weir-captcha-v4-0", types.IPAddressVersionIpv4)
			f.add("weir-list-v4-0", types.IPAddressVersionIpv4)
			cfg := s.config(f)
			cfg.Capacity = 3
			w := start(t, cfg)
			defer func() { w.halt() }()
			one, other := pfx("1.0.0.8/30"), pfx("1.0.0.12/30")
			s.ban(4*time.Hour, one, other, v4(20), v4(30))
			pass(time.Minute)
			if !f.find("weir-block-v4-0").held[pfx("1.0.0.8/29")] {
				t.Fatal("nothing was merged")
			}
			f.check = func(_ *fakeSet, _ map[netip.Prefix]bool, _ time.Time) {
				for _, set := range f.sets[1:] {
					if set.held[pfx("1.0.0.8/29")] || set.held[v4(9)] {
						return
					}
				}
				t.Errorf("restart %v: %v: %s is held nowhere", restart, time.Now(), v4(9))
			}
			if restart {
				w.halt()
			}
			s.mu.Lock()
			until := time.Now().Add(4 * time.Hour)
			s.bans[v4(9)] = Entry{Prefix: v4(9), Action: "block", List: true, Created: time.Now(), Until: until}
			s.bans[v4(50)] = Entry{Prefix: v4(50), Action: "captcha", Created: time.Now(), Until: until} // takes the slot
			s.mu.Unlock()
			begun := len(f.attempts)
			if restart {
				w = start(t, cfg)
				pass(2 * time.Second)
			}
			s.signal()
			pass(500 * time.Millisecond)
			if !f.find("weir-captcha-v4-0").held[v4(50)] || len(f.attempts) != begun+1 {
				t.Fatalf("restart %v: %d writes", restart, len(f.attempts)-begun)
			}
			s.unban(one)
			pass(2 * time.Minute)
			expectHeld(t, f, v4(9), other, v4(20), v4(30), v4(50))
			if len(s.orphans) > 0 {
				t.Errorf("restart %v: taken for orphans: %v", restart, s.orphans)
			}
		})
	}
}

// So does a network whose ban has ended, which may stay for its grace anyway; one
// that somebody unbans goes at once.
func TestANetworkThatEndsStaysForOtherPoolsBans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t, 10, "weir-block-v4-0", "weir-list-v4-0")
		network, lifted := pfx("1.0.0.0/28"), rapid.Bool().Draw(t, "lifted")
		y.ban(Entry{Prefix: network, Action: "block", Created: y.now, Until: y.now.Add(time.Minute)})
		y.pass(time.Duration(rapid.IntRange(50_000, 59_000).Draw(t, "ms")) * time.Millisecond)
		ends := y.bans[network].Until
		waited := false
		y.after = func(w *write) {
			waited = waited || w.waits
			if all := y.covered(""); !lifted && !all[v4(9).Addr()] {
				t.Fatalf("%s is held nowhere %s after the end", v4(9), y.now.Sub(ends))
			}
		}
		if lifted {
			y.ban(Entry{Prefix: network})
		} else {
			y.pass(ends.Sub(y.now))
		}
		// A ban rides along with the removal, and lists come after it.
		y.ban(Entry{Prefix: v4(9), Action: "block", List: true, Created: y.now, Until: y.now.Add(time.Hour)})
		y.ban(Entry{Prefix: v4(40), Action: "block", Created: y.now, Until: y.now.Add(time.Hour)})
		y.pass(1100 * time.Millisecond)
		if held := y.covered("block"); lifted == held[v4(1).Addr()] || waited == lifted || !held[v4(40).Addr()] {
			t.Fatalf("lifted %v: waited %v, held %v", lifted, waited, held)
		}
		y.pass(y.p.grace + 5*time.Second)
		if slices.Contains(y.held["weir-block-v4-0"], network.String()) || !y.covered("list")[v4(9).Addr()] {
			t.Fatalf("in the end %v", y.held)
		}
	})
}

// What is merged is no ban: to unban its prefix, which nobody banned, changes nothing.
func TestAMergedEntryIsNotUnbanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t, 2, "weir-block-v4-0")
		for i := range 4 {
			y.ban(Entry{Prefix: v4(8 + i), Action: "block", Created: y.now, Until: y.now.Add(time.Hour)})
		}
		y.pass(time.Minute)
		merged, before := y.held["weir-block-v4-0"], y.writes
		y.ban(Entry{Prefix: pfx("1.0.0.8/30")})
		y.pass(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
		if !slices.Equal(merged, []string{"1.0.0.8/30"}) || y.writes != before {
			t.Fatalf("%v, and %d writes later %v", merged, y.writes-before, y.held)
		}
	})
}

// What waits for another pool does not wait for ever when that pool's sets cannot be
// written.
func TestAMergedEntryStaysForAMinuteAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t, 3, "weir-block-v4-0", "weir-list-v4-0")
		ban := func(list bool, prefix string) {
			y.ban(Entry{Prefix: pfx(prefix), Action: "block", List: list, Created: y.now, Until: y.now.Add(time.Hour)})
		}
		for _, prefix := range []string{"1.0.0.8/30", "1.0.0.12/30", "1.0.0.40/32", "1.0.0.60/32"} {
			ban(false, prefix)
		}
		y.pass(time.Minute)
		if !slices.Contains(y.held["weir-block-v4-0"], "1.0.0.8/29") {
			t.Fatal("nothing was merged")
		}
		y.p.byID["weir-list-v4-0"].hold = y.now.Add(time.Hour)
		ban(true, "1.0.0.9/32")
		y.ban(Entry{Prefix: pfx("1.0.0.8/30")})
		wait := time.Duration(rapid.IntRange(0, 120).Draw(t, "seconds")) * time.Second
		y.pass(wait)
		waits := slices.Contains(y.held["weir-block-v4-0"], "1.0.0.8/29")
		if slack := 5 * time.Second; waits && wait > awaitFor+slack || !waits && wait < awaitFor {
			t.Fatalf("after %s it waits: %v", wait, waits)
		}
	})
}

// Taking a merged entry apart lets nobody in who is banned, for whichever pool, if
// there is room for him.
func TestTakingApartLosesNothing(t *testing.T) {
	apart := 0
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t, rapid.IntRange(2, 5).Draw(t, "capacity"), "weir-block-v4-0", "weir-block-v4-1", "weir-captcha-v4-0", "weir-list-v4-0")
		made := make(map[netip.Prefix]bool)
		y.after = func(w *write) {
			for _, e := range w.adds {
				if e.made {
					made[e.prefix] = true
				}
			}
			covered := y.covered("")
			for _, d := range w.drops {
				if !made[d.prefix] || d.wanted {
					continue
				}
				apart++
				for i := range y.p.pools {
					for u := range y.p.pools[i].entries.all() {
						if !u.wanted || u.made || u.class == spilled || !u.prefix.Overlaps(d.prefix) {
							continue
						}
						for a := u.prefix.Addr(); u.prefix.Contains(a); a = a.Next() {
							if d.prefix.Contains(a) && !covered[a] {
								t.Fatalf("%s leaves, and %s of %s is held nowhere\n%s", d.prefix, u.prefix, u.pool.key, y.dump())
							}
						}
					}
				}
			}
		}
		for i := range 16 { // so that something is merged from the start
			e := draw(t, y, v4(i))
			e.Until = y.now.Add(time.Hour)
			y.ban(e)
		}
		y.pass(time.Minute)
		for range rapid.IntRange(1, 40).Draw(t, "acts") {
			p := netip.PrefixFrom(v4(rapid.IntRange(0, 15).Draw(t, "address")).Addr(), rapid.SampledFrom([]int{32, 32, 31, 30, 29}).Draw(t, "bits")).Masked()
			e := draw(t, y, p)
			e.Action, e.List = rapid.SampledFrom([]string{"block", "block", "captcha"}).Draw(t, "action"), rapid.IntRange(0, 3).Draw(t, "list") == 0
			if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
				e = Entry{Prefix: p}
			} else {
				delete(made, p) // from now on it is a ban
			}
			y.ban(e)
			y.pass(time.Duration(rapid.IntRange(0, 8000).Draw(t, "ms")) * time.Millisecond)
		}
	})
	t.Logf("%d were taken apart", apart)
	if apart == 0 {
		t.Error("nothing was ever taken apart")
	}
}
