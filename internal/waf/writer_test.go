package waf

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// expectHeld compares what the sets hold with a list, and finds duplicates.
func expectHeld(t *testing.T, f *fakeWAF, want ...netip.Prefix) {
	t.Helper()
	all, twice := f.held()
	for _, p := range want {
		if !all[p] {
			t.Errorf("%s is in no set", p)
		}
		delete(all, p)
	}
	if len(all) > 0 || len(twice) > 0 {
		t.Errorf("held but not expected: %v, held twice: %v", slices.Collect(maps.Keys(all)), twice)
	}
}

// bubble runs a story on virtual time.
func bubble(t *testing.T, v4sets, v6sets int, story func(t *testing.T, f *fakeWAF, s *fakeStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { story(t, newFake(t, v4sets, v6sets), newStore()) })
}

func TestFirstBanIsWrittenAtOnceAndLaterOnesTogether(t *testing.T) {
	bubble(t, 1, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		pass(10 * time.Second)
		if err := w.Ready(); err != nil || len(f.attempts) != 0 {
			t.Fatalf("idle: ready %v, %d writes", err, len(f.attempts))
		}
		begin := time.Now()
		s.ban(time.Hour, v4(1))
		pass(0)
		if got := s.accepted[v4(1)].Sub(begin); len(s.accepted) != 1 || got > lookGap {
			t.Fatalf("first ban accepted after %s (%d bans)", got, len(s.accepted))
		}
		for i := range 100 {
			pass(10 * time.Millisecond)
			s.ban(time.Hour, v4(100+i))
		}
		pass(2 * time.Second)
		expectHeld(t, f, append(numbered(v4, 100, 100), v4(1))...)
		if len(f.attempts) != 2 {
			t.Errorf("%d writes for the first and a hundred further bans", len(f.attempts))
		}
		if gap := f.attempts[1].Sub(f.attempts[0]); gap != 2*time.Second {
			t.Errorf("the writes are %s apart", gap)
		}
	})
}

func TestFamiliesShareTheSlots(t *testing.T) {
	bubble(t, 2, 2, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		cfg := s.config(f)
		cfg.WritesPerSecond = 1
		w := start(t, cfg)
		defer w.halt()
		pass(5 * time.Second)
		made := make(map[netip.Prefix]time.Time)
		for i := range 300 { // ten bans a second, each third IPv6
			p := v4(i)
			if i%3 == 0 {
				p = v6(i)
			}
			made[p] = time.Now()
			s.ban(time.Hour, p)
			pass(100 * time.Millisecond)
		}
		pass(3 * time.Second)
		for p, at := range made {
			if late := s.accepted[p].Sub(at); late < 0 || late > 2*time.Second {
				t.Errorf("%s was accepted after %s", p, late)
			}
		}
	})
}

func TestExpiryIsLazyAndUnbanUrgent(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		s.ban(time.Minute, v4(1), v4(2))
		s.ban(time.Hour, v4(3), v4(4))
		pass(50 * time.Second)
		s.ban(time.Hour, v4(2)) // renewed: no write
		pass(39 * time.Second)
		if len(f.attempts) != 1 {
			t.Fatalf("%d writes before the grace was over", len(f.attempts))
		}
		pass(2 * time.Second) // 91 s: v4(1) is past its grace
		expectHeld(t, f, v4(2), v4(3), v4(4))
		pass(10 * time.Second)
		begin := time.Now()
		s.unban(v4(3))
		pass(lookGap)
		if last := f.attempts[len(f.attempts)-1]; last.Sub(begin) > lookGap {
			t.Errorf("the unban was not written at once: %s", last.Sub(begin))
		}
		pass(10 * time.Second)
		s.allow(v4(4))
		pass(time.Second)
		expectHeld(t, f, v4(2))
		if len(f.attempts) != 4 {
			t.Errorf("%d writes", len(f.attempts))
		}
	})
}

func TestIdlenessCostsOneListAMinute(t *testing.T) {
	bubble(t, 3, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.page = 100
		w := start(t, s.config(f))
		defer w.halt()
		s.ban(3*time.Hour, numbered(v4, 0, 25_000)...)
		pass(90 * time.Second)
		writes, reads := len(f.attempts), len(f.reads)
		if writes != 3 {
			t.Errorf("%d writes for 25,000 bans in 3 sets", writes)
		}
		pass(20 * time.Minute)
		if len(f.attempts) != writes || len(f.reads)-reads > 20 {
			t.Errorf("twenty idle minutes: %d writes, %d reads", len(f.attempts)-writes, len(f.reads)-reads)
		}
		s.ban(time.Minute, v4(17)) // ends sooner than it was to
		pass(2 * time.Minute)
		if n := len(f.attempts) - writes; n != 1 {
			t.Errorf("one expiry among 25,000 bans cost %d writes", n)
		}
	})
}

func TestWhatFindsNoRoomIsCountedAndComesBack(t *testing.T) {
	bubble(t, 2, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		cfg := s.config(f)
		cfg.Capacity = 10
		w := start(t, cfg)
		defer w.halt()
		for i := range 30 { // the longer the number, the longer the ban
			s.ban(time.Hour+time.Duration(i)*time.Minute, apart(i))
		}
		pass(10 * time.Second)
		expectHeld(t, f, numbered(apart, 10, 20)...)
		if st := poolOf(w.Status(), v4(0)); st.Evicted != 10 || st.Pending != 0 || st.Enforced != 20 {
			t.Errorf("status %+v", st)
		}
		if n := len(f.attempts); n != 2 {
			t.Errorf("%d writes, though nothing could be placed", n)
		}
		s.unban(apart(10), apart(11), apart(12))
		pass(10 * time.Second)
		expectHeld(t, f, append(numbered(apart, 13, 17), apart(7), apart(8), apart(9))...)
		if err := w.Ready(); err != nil {
			t.Errorf("full sets are no reason to be unready: %v", err)
		}
	})
}

func TestHandEdits(t *testing.T) {
	bubble(t, 2, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		s.ban(time.Hour, numbered(v4, 0, 4)...)
		pass(10 * time.Second)
		office := pfx("203.0.113.0/24")
		home := "weir-block-v4-0"
		f.edit(home, []netip.Prefix{office}, []netip.Prefix{v4(0)}, nil)
		s.ban(time.Hour, v4(9))
		pass(70 * time.Second) // the next list shows the edit
		expectHeld(t, f, office, v4(1), v4(2), v4(3), v4(9))
		if !slices.Equal(s.removed, []netip.Prefix{v4(0)}) {
			t.Errorf("told of %v", s.removed)
		}
		if st := poolOf(w.Status(), v4(0)); st.Foreign != 1 {
			t.Errorf("status %+v", st)
		}
		// Emptied by a tool: everything of ours comes back, nothing is unbanned.
		empty := "managed elsewhere"
		f.edit(home, nil, []netip.Prefix{v4(1), v4(2), v4(3)}, &empty)
		pass(2 * time.Minute)
		expectHeld(t, f, office, v4(1), v4(2), v4(3), v4(9))
		if len(s.removed) != 1 {
			t.Errorf("told of %v", s.removed)
		}
		// A person takes back what a person gave.
		f.edit(home, nil, []netip.Prefix{office}, nil)
		pass(2 * time.Minute)
		expectHeld(t, f, v4(1), v4(2), v4(3), v4(9))
	})
}

func TestARestartKeepsBansAndHandAddedEntries(t *testing.T) {
	for _, lost := range []bool{false, true} {
		bubble(t, 2, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
			w := start(t, s.config(f))
			mine := append(numbered(v4, 0, 50), numbered(v6, 0, 50)...)
			hand := []netip.Prefix{pfx("203.0.113.0/24"), pfx("2001:db8:ffff::/48")}
			f.edit("weir-block-v4-1", hand[:1], nil, nil)
			f.edit("weir-block-v6-0", hand[1:], nil, nil)
			s.ban(3*time.Hour, mine...)
			pass(3 * time.Minute)
			w.halt()
			// While nobody watches, a person adds another one.
			late := pfx("198.51.100.7/32")
			f.edit("weir-block-v4-0", []netip.Prefix{late}, nil, nil)
			writes := len(f.attempts)
			if lost {
				s.unban(mine...)
			}
			w = start(t, s.config(f))
			pass(time.Minute)
			expectHeld(t, f, slices.Concat(mine, hand, []netip.Prefix{late})...)
			if n := len(f.attempts) - writes; n != 1 { // of the set that a person changed: its description
				t.Errorf("lost %v: adopting cost %d writes", lost, n)
			}
			if want := map[bool]int{true: len(mine)}[lost]; len(s.orphans) != want {
				t.Errorf("lost %v: %d orphans, want %d", lost, len(s.orphans), want)
			}
			w.halt()
			s.unban(mine...)
			w = start(t, s.config(f))
			pass(2 * time.Hour) // orphans live for one
			expectHeld(t, f, append(hand, late)...)
			w.halt()
		})
	}
}

// A stop right after a hand edit leaves a description that proves what is ours:
// otherwise the next start, without the store, would keep our bans for ever.
// A set that people edited while nobody watched proves nothing: what ended lately is
// ours by the store's memory, and only what it does not know is people's.
func TestARestartKnowsWhatEndedLately(t *testing.T) {
	for _, known := range []bool{true, false} {
		bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
			s.ban(time.Hour, v4(1))
			s.ban(time.Minute, v4(2))
			w := start(t, s.config(f))
			pass(10 * time.Second)
			w.halt()
			f.edit("weir-block-v4-0", []netip.Prefix{v4(1001), v4(1002)}, nil, nil)
			pass(2 * time.Minute) // v4(2) ends meanwhile
			cfg := s.config(f)
			if known {
				cfg.Ended = func(p netip.Prefix) (time.Time, bool) { return time.Now().Add(-time.Minute), p == v4(2) }
			}
			w = start(t, cfg)
			defer w.halt()
			pass(5 * time.Minute)
			want := []netip.Prefix{v4(1), v4(1001), v4(1002)}
			if !known {
				want = append(want, v4(2))
			}
			expectHeld(t, f, want...)
		})
	}
}

func TestAStopRestoresTheProof(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		mine := numbered(v4, 0, 50)
		s.ban(3*time.Hour, mine...)
		pass(10 * time.Second)
		office := []netip.Prefix{pfx("203.0.113.0/24"), pfx("198.51.100.7/32")}
		f.edit("weir-block-v4-0", office, mine[:1], nil)
		pass(65 * time.Second) // the edit has been seen, and its grace is not over
		w.halt()
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.unban(mine...) // the store is lost
		w = start(t, s.config(f))
		pass(2 * time.Hour) // orphans live for one
		expectHeld(t, f, office...)
		w.halt()
	})
}

func TestASetNoWeirWroteIsPeoples(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		desc := "blocked by the operations team"
		f.edit("weir-block-v4-0", []netip.Prefix{v4(1), v4(2)}, nil, &desc)
		s.ban(time.Minute, v4(2), v4(3))
		w := start(t, s.config(f))
		defer w.halt()
		pass(10 * time.Second)
		expectHeld(t, f, v4(1), v4(2), v4(3))
		if len(s.orphans) != 0 {
			t.Errorf("orphans %v", s.orphans)
		}
		delete(f.find("weir-block-v4-0").hand, v4(2)) // known to the store: taken for ours
		pass(5 * time.Minute)
		expectHeld(t, f, v4(1))
	})
}

func TestFailedWrites(t *testing.T) {
	for how, name := range map[fault]string{
		throttle: "throttled", failBefore: "500", failAfter: "500 after", lostBefore: "timeout",
		lostAfter: "timeout after", landsLate: "late", emptyRequest: "refused connection",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
				w := start(t, s.config(f))
				defer w.halt()
				s.ban(time.Hour, v4(0))
				pass(10 * time.Second)
				broken := true
				f.breaks(func(call string) fault {
					if broken && call == "UpdateIPSet" {
						return how
					}
					return fine
				})
				s.ban(time.Hour, v4(1))
				s.ban(20*time.Second, v4(2)) // over before AWS is back
				pass(10 * time.Minute)
				if n := len(f.attempts); n > 2+10*60/2 {
					t.Errorf("%d attempts in ten minutes", n)
				}
				f.mu.Lock()
				broken = false
				f.mu.Unlock()
				pass(20 * time.Second)
				if _, landed := s.accepted[v4(2)]; !landed {
					expectHeld(t, f, v4(0), v4(1))
				}
				pass(2 * time.Minute)
				expectHeld(t, f, v4(0), v4(1))
				if s.accepted[v4(1)].IsZero() || w.Ready() != nil {
					t.Errorf("accepted at %v, ready: %v", s.accepted[v4(1)], w.Ready())
				}
				for i, at := range f.attempts[1:] {
					if at.Sub(f.attempts[i]) < 2*time.Second {
						t.Errorf("attempts %s apart", at.Sub(f.attempts[i]))
					}
				}
			})
		})
	}
}

// AWS refuses everything for ten minutes. Afterwards all is in place within a slot
// for each set and two more.
func TestRecoveryFromAnOutage(t *testing.T) {
	const sets = 4
	for how, name := range map[fault]string{
		throttle: "throttled", failBefore: "500", failAfter: "500 after", lostBefore: "timeout",
		lostAfter: "timeout after", landsLate: "late", emptyRequest: "refused connection",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sets, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
				cfg := s.config(f)
				cfg.WritesPerSecond = 1
				w := start(t, cfg)
				defer w.halt()
				for i := range sets { // each set gets some that will have ended, and so is dirty
					s.ban(5*time.Minute, numbered(v4, 100*i, 10)...)
					pass(2 * time.Second)
				}
				down := true
				calls := len(f.attempts) + len(f.reads)
				f.breaks(func(string) fault {
					if down {
						return how
					}
					return fine
				})
				for i := range 60 {
					s.ban(time.Hour, v4(1000+i))
					pass(10 * time.Second)
				}
				if n := len(f.attempts) + len(f.reads) - calls; n > 2*600 {
					t.Errorf("%d calls in ten minutes of outage", n)
				}
				f.mu.Lock()
				down = false
				f.mu.Unlock()
				slot := time.Second
				if how == throttle {
					slot *= 2
				}
				pass((sets + 2) * slot)
				all, _ := f.held()
				for _, p := range numbered(v4, 1000, 60) {
					if !all[p] {
						t.Errorf("%s is not held %s after the outage", p, (sets+2)*slot)
					}
				}
				pass(2 * time.Minute)
				expectHeld(t, f, numbered(v4, 1000, 60)...)
			})
		})
	}
}

func TestThrottlingHalvesTheRateForAMinute(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		pass(5 * time.Second)
		once := true
		f.breaks(func(call string) fault {
			if call == "UpdateIPSet" && once {
				once = false
				return throttle
			}
			return fine
		})
		for i := range 100 {
			s.ban(time.Hour, v4(i))
			pass(time.Second)
		}
		for i, at := range f.attempts[1:] {
			want := 2 * time.Second
			if at.Before(f.attempts[0].Add(slowFor)) {
				want = 4 * time.Second
			}
			if gap := at.Sub(f.attempts[i]); gap < want || gap > want+2*time.Second {
				t.Errorf("attempt %d came after %s, want %s", i+1, gap, want)
			}
		}
	})
}

func TestPoisonIsQuarantined(t *testing.T) {
	for _, nameless := range []bool{false, true} {
		bubble(t, 1, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
			reg := prometheus.NewRegistry()
			cfg := s.config(f)
			cfg.Registerer = reg
			w := start(t, cfg)
			defer w.halt()
			f.poison, f.nameless = v6(3), nameless
			all := append(numbered(v6, 0, 20), numbered(v4, 0, 20)...)
			s.ban(time.Hour, all...)
			pass(time.Minute)
			expectHeld(t, f, slices.DeleteFunc(all, func(p netip.Prefix) bool { return p == v6(3) })...)
			if n := testutil.ToFloat64(w.metrics.quarantined); n != 1 {
				t.Errorf("%v quarantined", n)
			}
			if n := testutil.ToFloat64(w.metrics.excluded[quarantined]); n != 1 {
				t.Errorf("%v excluded as quarantined", n)
			}
		})
	}
}

func TestReadySaysWhy(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		expect := func(w *running, part string) {
			t.Helper()
			if err := w.Ready(); err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("ready: %v, want %q", err, part)
			}
		}
		f.breaks(func(string) fault { return forbid })
		fresh, err := New(s.config(f))
		if err != nil {
			t.Fatal(err)
		}
		expect(&running{Writer: fresh}, "not been read yet")
		w := start(t, s.config(f))
		pass(10 * time.Minute)
		expect(w, "AccessDenied")
		if n := len(f.reads); n > 30 {
			t.Errorf("%d calls in ten minutes without rights", n)
		}
		f.breaks(nil)
		pass(time.Minute)
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
		s.ban(time.Hour, v6(1))
		pass(5 * time.Second)
		expect(w, "1 block ipv6 entries are wanted and no IP set is for block ipv6")
		f.mu.Lock()
		f.add("weir-block-v6-0", types.IPAddressVersionIpv6)
		slices.SortFunc(f.sets, func(a, b *fakeSet) int { return strings.Compare(a.name, b.name) })
		f.mu.Unlock()
		pass(70 * time.Second) // found by the next list
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
		expectHeld(t, f, v6(1))
		w.halt()

		cfg := s.config(f)
		cfg.Sets = []string{"nothing-"}
		w = start(t, cfg)
		pass(time.Minute)
		expect(w, `starts with "nothing-"`)
		w.halt()

		cfg.Sets = []string{f.find("weir-block-v6-0").arn, "arn:aws:wafv2:us-east-1:123456789012:global/ipset/gone/0"}
		w = start(t, cfg)
		pass(time.Minute)
		expect(w, "ipset/gone/0 does not exist")
		w.halt()
	})
}

func TestADeletedSetsBansMove(t *testing.T) {
	bubble(t, 3, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		cfg := s.config(f)
		cfg.Capacity = 10
		w := start(t, cfg)
		defer w.halt()
		s.ban(time.Hour, numbered(v4, 0, 20)...)
		pass(10 * time.Second)
		f.drop("weir-block-v4-0")
		pass(90 * time.Second)
		expectHeld(t, f, numbered(v4, 0, 20)...)
		if err := w.Ready(); err != nil || len(w.Status().Sets) != 2 {
			t.Errorf("ready: %v, %d sets", err, len(w.Status().Sets))
		}
	})
}

func TestFlushWritesWhatIsPendingAndNothingElse(t *testing.T) {
	bubble(t, 1, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		s.ban(time.Minute, v4(0))
		pass(80 * time.Second) // expired, within its grace
		s.ban(time.Hour, v4(1))
		pass(time.Second)
		s.ban(time.Hour, v4(2), v6(3))
		w.halt()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Flush(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("took %s", took)
		}
		expectHeld(t, f, v4(1), v4(2), v6(3))
		if err := w.Flush(ctx); err != nil { // nothing to do
			t.Error(err)
		}
		f.breaks(func(string) fault { return failBefore })
		s.ban(time.Hour, v4(5))
		if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 bans") {
			t.Error(err)
		}
	})
}

func TestStopWaitsForTheWriteInFlight(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.latency = func() time.Duration { return time.Second }
		w := start(t, s.config(f))
		pass(10 * time.Second)
		s.ban(time.Hour, v4(1))
		pass(lookGap + 100*time.Millisecond)
		w.halt()
		expectHeld(t, f, v4(1))
		if s.accepted[v4(1)].IsZero() {
			t.Error("the write was cut off")
		}
	})
}

// A rival writes the only set every two seconds, in step with us.
func TestARivalInStepDoesNotLockUsOut(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.latency = func() time.Duration { return 100 * time.Millisecond }
		w := start(t, s.config(f))
		defer w.halt()
		pass(5 * time.Second)
		var late []time.Duration
		for i := range 60 {
			f.edit("weir-block-v4-0", []netip.Prefix{v4(1000 + i)}, nil, nil)
			s.ban(time.Hour, v4(i))
			pass(2 * time.Second)
		}
		pass(10 * time.Second)
		for i := range 60 {
			at, ok := s.accepted[v4(i)]
			if !ok {
				t.Fatalf("ban %d was never accepted", i)
			}
			late = append(late, at.Sub(s.bans[v4(i)].Created))
		}
		if worst := slices.Max(late); worst > 6500*time.Millisecond { // three slots
			t.Errorf("the slowest ban took %s", worst)
		}
		expectHeld(t, f, append(numbered(v4, 0, 60), numbered(v4, 1000, 60)...)...)
	})
}

func TestActionsAndMalformedEntries(t *testing.T) {
	bubble(t, 1, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		reg := prometheus.NewRegistry()
		cfg := s.config(f)
		cfg.Registerer = reg
		put := func(p netip.Prefix, action string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.bans[p] = Entry{Prefix: p, Action: action, Until: time.Now().Add(time.Hour), Created: time.Now()}
		}
		put(v4(1), "block")
		put(v4(2), "")
		put(v4(3), "count")
		put(netip.MustParsePrefix("0.0.0.0/0"), "block")
		put(netip.Prefix{}, "block")
		put(netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.77"), 128), "block") // an IPv4 host in IPv6 clothes
		put(netip.PrefixFrom(netip.MustParseAddr("192.0.2.77"), 24), "block")         // host bits
		w := start(t, cfg)
		defer w.halt()
		pass(10 * time.Second)
		expectHeld(t, f, v4(1), v4(2), pfx("192.0.2.77/32"), pfx("192.0.2.0/24"))
		if n := testutil.ToFloat64(w.metrics.excluded[malformed]); n != 2 {
			t.Errorf("%v malformed", n)
		}
		if n := testutil.ToFloat64(w.metrics.excluded[unserved]); n != 1 {
			t.Errorf("%v of other actions", n)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v %v", problems, err)
		}
	})
}

func TestNewRefusesBadSettings(t *testing.T) {
	good := newStore().config(newFake(t, 1, 0))
	for name, bend := range map[string]func(*Config){
		"no client":  func(c *Config) { c.Client = nil },
		"no wanted":  func(c *Config) { c.Wanted = nil },
		"no sets":    func(c *Config) { c.Sets = nil },
		"scope":      func(c *Config) { c.Scope = "GLOBAL" },
		"too fast":   func(c *Config) { c.WritesPerSecond = 1.5 },
		"too slow":   func(c *Config) { c.WritesPerSecond = 0.001 },
		"capacity":   func(c *Config) { c.Capacity = 10_001 },
		"grace":      func(c *Config) { c.Grace = -1 },
		"two errors": func(c *Config) { c.Grace, c.Capacity = -1, -1 },
	} {
		cfg := good
		bend(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// The gauges of a pool go with its last set.
func TestGaugesOfPoolsThatAreGone(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.add("weir-captcha-v4-0", types.IPAddressVersionIpv4)
		w := start(t, s.config(f))
		defer w.halt()
		pass(time.Minute)
		if n := testutil.CollectAndCount(w.metrics.sets); n != 2 {
			t.Fatalf("%d pools", n)
		}
		f.drop("weir-captcha-v4-0")
		pass(5 * time.Minute)
		for _, v := range []*prometheus.GaugeVec{w.metrics.sets, w.metrics.fill, w.metrics.wanted} {
			if n := testutil.CollectAndCount(v); n != 1 {
				t.Errorf("%d pools when one is gone", n)
			}
		}
	})
}
