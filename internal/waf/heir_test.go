package waf

import (
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// A ban that a merged entry stands for, and that goes on in another pool, is held
// by the one or the other at any time.
func TestAMergedBanThatChangesItsPool(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.add("weir-list-v4-0", types.IPAddressVersionIpv4)
		cfg := s.config(f)
		cfg.Capacity = 3
		w := start(t, cfg)
		defer w.halt()
		both := pfx("1.0.0.8/31")
		s.ban(4*time.Hour, v4(8), v4(9), v4(20), v4(30))
		pass(time.Minute)
		if !f.find("weir-block-v4-0").held[both] {
			t.Fatal("nothing was merged")
		}
		f.check = func(_ *fakeSet, _ map[netip.Prefix]bool, _ time.Time) {
			for _, set := range f.sets[1:] {
				if set.held[both] || set.held[v4(9)] {
					return
				}
			}
			t.Errorf("%v: %s is held nowhere", time.Now(), v4(9))
		}
		s.mu.Lock()
		s.bans[v4(9)] = Entry{Prefix: v4(9), Action: "block", List: true, Created: time.Now(), Until: time.Now().Add(4 * time.Hour)}
		s.mu.Unlock()
		s.signal()
		pass(2 * time.Minute)
		expectHeld(t, f, v4(8), v4(9), v4(20), v4(30))
	})
}

// A ban that comes into a pool as part of a merged entry leaves the pool before.
func TestABanThatChangesItsPoolAndIsMerged(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.add("weir-captcha-v4-0", types.IPAddressVersionIpv4)
		cfg := s.config(f)
		cfg.Capacity = 3
		w := start(t, cfg)
		defer w.halt()
		becomes := func(action string) {
			s.mu.Lock()
			s.bans[v4(9)] = Entry{Prefix: v4(9), Action: action, Created: time.Now(), Until: time.Now().Add(4 * time.Hour)}
			s.mu.Unlock()
			s.signal()
			pass(2 * time.Minute)
		}
		s.ban(4*time.Hour, v4(8), v4(20), v4(30))
		becomes("captcha")
		if !f.find("weir-captcha-v4-0").held[v4(9)] {
			t.Fatal("not held at first")
		}
		becomes("block")
		if !f.find("weir-block-v4-0").held[pfx("1.0.0.8/31")] || f.find("weir-captcha-v4-0").held[v4(9)] {
			t.Error("not merged, or held twice")
		}
	})
}

// heirs runs a Writer that is told what changed, over a pool for each of three
// actions, and gives what puts a ban of one address in force, or ends it.
func heirs(t *testing.T, first string, story func(t *testing.T, f *fakeWAF, becomes func(action string))) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, _ *fakeStore) {
		f.add("weir-captcha-v4-0", types.IPAddressVersionIpv4)
		f.add("weir-count-v4-0", types.IPAddressVersionIpv4)
		l := newLedger(t)
		cfg, stop := l.config(0)
		defer stop()
		cfg.Client, cfg.Scope, cfg.Sets, cfg.Grace = f, types.ScopeCloudfront, []string{"weir-"}, 30*time.Second
		w := start(t, cfg)
		defer w.halt()
		ban := func(p netip.Prefix, action string) {
			now := time.Now()
			l.ban(Entry{Prefix: p, Action: action, Created: now, Until: now.Add(time.Hour)})
		}
		ban(v4(1), first)
		pass(time.Minute)
		if !f.find("weir-" + first + "-v4-0").held[v4(1)] {
			t.Fatal("not held at first")
		}
		ban(v4(9), "block") // takes the slot
		pass(100 * time.Millisecond)
		story(t, f, func(action string) {
			if action == "" {
				l.unban(v4(1))
			} else {
				ban(v4(1), action)
			}
		})
	})
}

// A ban that changes its pool again before the first change was written stays held:
// whoever waited for the one in between waits for the last one.
func TestABanThatChangesItsPoolTwice(t *testing.T) {
	for _, way := range [][]string{
		{"block", "count", "captcha"},
		{"captcha", "count", "block"},
		{"block", "captcha", "block"},
		{"block", "", "captcha"},
		{"captcha", "count", "captcha", "block"},
	} {
		heirs(t, way[0], func(t *testing.T, f *fakeWAF, becomes func(string)) {
			f.check = func(_ *fakeSet, _ map[netip.Prefix]bool, _ time.Time) {
				for _, set := range f.sets[1:] {
					if set.held[v4(1)] {
						return
					}
				}
				t.Errorf("%v, %v: held nowhere", way, time.Now())
			}
			for _, action := range way[1:] {
				becomes(action)
				pass(500 * time.Millisecond)
			}
			pass(2 * time.Minute)
			for _, set := range f.sets[1:] {
				if last := set.name == "weir-"+way[len(way)-1]+"-v4-0"; set.held[v4(1)] != last {
					t.Errorf("%v: in the end %s holds it: %v", way, set.name, !last)
				}
			}
		})
	}
}

// A ban that is lifted while its new pool's set still waits for its slot leaves the
// old one with the next write, and not with the grace of a ban that ended.
func TestABanThatIsLiftedWhileItChangesItsPool(t *testing.T) {
	heirs(t, "captcha", func(t *testing.T, f *fakeWAF, becomes func(string)) {
		becomes("block")
		pass(500 * time.Millisecond)
		becomes("")
		pass(4 * time.Second)
		if f.find("weir-captcha-v4-0").held[v4(1)] {
			t.Error("held four seconds after it was lifted")
		}
	})
}

// A ban comes back to the pool that it left, while the write that took it out there is
// unanswered and may be carried out late: the other pool keeps it until it is known
// which of the two was first.
func TestABanThatReturnsToWhereItMayBeLeaving(t *testing.T) {
	for delay := time.Duration(0); delay < 16*time.Second; delay += 500 * time.Millisecond {
		heirs(t, "captcha", func(t *testing.T, f *fakeWAF, becomes func(string)) {
			becomes("block")
			pass(10 * time.Second)
			if !f.find("weir-block-v4-0").held[v4(1)] {
				t.Fatal("did not change its pool")
			}
			failed := make(chan struct{})
			f.breaks(func(call string) fault {
				select {
				case <-failed:
				default:
					if call == "UpdateIPSet" {
						close(failed)
						return landsLate
					}
				}
				return fine
			})
			<-failed // what captcha held is over, after its grace
			f.check = func(_ *fakeSet, _ map[netip.Prefix]bool, _ time.Time) {
				if !f.find("weir-block-v4-0").held[v4(1)] && !f.find("weir-captcha-v4-0").held[v4(1)] {
					t.Errorf("back after %s: %v: held nowhere", delay, time.Now())
				}
			}
			pass(delay)
			becomes("captcha")
			pass(3 * time.Minute)
			if f.find("weir-block-v4-0").held[v4(1)] || !f.find("weir-captcha-v4-0").held[v4(1)] {
				t.Errorf("back after %s: not where it belongs in the end", delay)
			}
		})
	}
}
