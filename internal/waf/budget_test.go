package waf

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Two Writers of one account share one bucket: together they are no faster than the
// slower one's pace, and both get their slots.
func TestWritersOfAnAccountShareABucket(t *testing.T) {
	bubble(t, 2, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.add("weir2-block-v4-0", f.sets[1].version)
		budgets, other := NewBudgets(), newStore()
		cfg, also := s.config(f), other.config(f)
		cfg.Budget, also.Budget = budgets, budgets
		cfg.WritesPerSecond, also.WritesPerSecond = 1, 0.5
		also.Sets, also.Target = []string{"weir2-"}, "other"
		a, b := start(t, cfg), start(t, also)
		defer a.halt()
		defer b.halt()
		pass(10 * time.Second)
		f.mu.Lock()
		f.latency = func() time.Duration { return 30 * time.Millisecond }
		f.mu.Unlock()
		for i := range 200 {
			s.ban(time.Hour, apart(i))
			other.ban(time.Hour, apart(1000+i))
			pass(500 * time.Millisecond)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		expectPaced(t, f.attempts, 2*time.Second)
		mine := 0
		for _, w := range f.accepted {
			if w.set != "weir2-block-v4-0" {
				mine++
			}
		}
		if n := len(f.accepted); n < 48 || mine < n/3 || mine > n*2/3 { // who of two that learn of bans at the slot is first, is open
			t.Errorf("of %d writes in 100 s %d were of the first", n, mine)
		}
		used := budgets.bucket("123456789012", "us-east-1", writeAction, 1).status(time.Now()).Used
		if used != 30 || a.Status().Budget.Used < used-1 || b.Status().Budget.Used < used-1 { // each as of its latest step
			t.Errorf("%d writes in the last minute, %+v, %+v", used, a.Status().Budget, b.Status().Budget)
		}
	})
}

// A Writer that wants a slot now and then gets the next one, though another has
// something for each, in two pools: what changed is known before the slot comes.
func TestABusyWriterLeavesTheSlotToTheOlderBusiness(t *testing.T) {
	bubble(t, 1, 1, func(t *testing.T, f *fakeWAF, _ *fakeStore) {
		f.add("weir2-block-v4-0", f.sets[1].version)
		f.latency = func() time.Duration { return 30 * time.Millisecond }
		budgets := NewBudgets()
		busy, calm := newLedger(t), newLedger(t)
		accepted := make(map[netip.Prefix]time.Time)
		run := func(l *ledger, sets string) *running {
			cfg, stop := l.config(0)
			t.Cleanup(stop)
			cfg.Client, cfg.Scope, cfg.Sets, cfg.Target, cfg.Budget, cfg.WritesPerSecond = f, "CLOUDFRONT", []string{sets}, sets, budgets, 1
			cfg.Accepted = func(list []netip.Prefix, at time.Time) {
				for _, p := range list {
					accepted[p] = at
				}
			}
			return start(t, cfg)
		}
		a := run(busy, "weir-")
		defer a.halt()
		b := run(calm, "weir2-")
		defer b.halt()
		ban := func(l *ledger, p netip.Prefix) {
			now := time.Now()
			l.ban(Entry{Prefix: p, Action: "block", Created: now, Until: now.Add(time.Hour)})
		}
		pass(10 * time.Second)
		made := make(map[netip.Prefix]time.Time)
		for i := range 600 {
			ban(busy, apart(1000+i))
			ban(busy, v6(i))
			if i%7 == 0 {
				made[apart(i)] = time.Now()
				ban(calm, apart(i))
			}
			pass(100 * time.Millisecond)
		}
		pass(5 * time.Second)
		for p, at := range made { // the slots of two pools whose business is older, and its own
			if took := accepted[p].Sub(at); took < 0 || took > 3100*time.Millisecond {
				t.Errorf("%s was accepted after %s", p, took)
			}
		}
	})
}

// expectPaced checks that between two calls lies at least the pace: so no window
// has more than the rate allows.
func expectPaced(t *testing.T, calls []time.Time, pace time.Duration) {
	t.Helper()
	for i := 1; i < len(calls); i++ {
		if gap := calls[i].Sub(calls[i-1]); gap < pace {
			t.Errorf("call %d came %s after the one before, the pace is %s", i, gap, pace)
		}
	}
}

// AWS counts accounts and regions by themselves.
func TestOtherAccountsHaveBucketsOfTheirOwn(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	budgets := NewBudgets()
	laneOf := func(account, region string) *lane { return &lane{b: budgets.bucket(account, region, writeAction, 1)} }
	one, same := laneOf("1", "us-east-1"), laneOf("1", "us-east-1")
	account, region := laneOf("2", "us-east-1"), laneOf("1", "eu-west-1")
	if !one.take(now) || same.take(now) || same.free(now.Add(999*time.Millisecond)) {
		t.Error("one account and region, and two buckets")
	}
	if !account.take(now) || !region.take(now) {
		t.Error("another account or region waits")
	}
	same.throttled(now)
	if one.interval(now) != 2*time.Second || account.interval(now) != time.Second {
		t.Errorf("after a throttle: %s, elsewhere %s", one.interval(now), account.interval(now))
	}
}

// What no pool serves goes to the fallback, or nowhere; what is to be counted never
// harms anybody.
func TestFallback(t *testing.T) {
	for _, c := range []struct {
		fallback string
		sets     []string // beside the two that block
		want     map[string]string
	}{
		{"", nil, map[string]string{"block": "block", "captcha": "block", "challenge": "block", "count": ""}},
		{"none", nil, map[string]string{"block": "block", "captcha": "", "challenge": "", "count": ""}},
		{"none", []string{"captcha"}, map[string]string{"captcha": "captcha", "challenge": ""}},
		{"count", []string{"count"}, map[string]string{"captcha": "count", "challenge": "count", "count": "count", "block": "block"}},
		{"captcha", []string{"captcha", "count"}, map[string]string{"challenge": "captcha", "count": "count"}},
	} {
		bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
			for _, word := range c.sets {
				f.add("weir-"+word+"-v4-0", f.sets[1].version)
			}
			cfg := s.config(f)
			cfg.Fallback = c.fallback
			w := start(t, cfg)
			defer w.halt()
			nowhere := 0
			s.mu.Lock()
			for i, action := range actionWords {
				if to, asked := c.want[action]; asked {
					s.bans[apart(i)] = Entry{Prefix: apart(i), Action: action, Until: time.Now().Add(time.Hour), Created: time.Now()}
					if to == "" {
						nowhere++
					}
				}
			}
			s.mu.Unlock()
			s.signal()
			pass(time.Minute)
			for i, action := range actionWords {
				to, asked := c.want[action]
				if !asked {
					continue
				}
				for _, set := range f.sets[1:] {
					if held := set.held[apart(i)]; held != (set.name == "weir-"+to+"-v4-0") {
						t.Errorf("fallback %q, sets for %v: %s in %s is %v", c.fallback, c.sets, action, set.name, held)
					}
				}
			}
			if n := testutil.ToFloat64(w.metrics.excluded[unserved]); int(n) != nowhere {
				t.Errorf("fallback %q, sets for %v: %v excluded, want %d", c.fallback, c.sets, n, nowhere)
			}
		})
	}
}

// The last gate: nothing wide unless somebody insists, and nothing that is nobody's
// on the internet, whoever insists.
func TestTheGateForPrefixes(t *testing.T) {
	refused := map[string]exclusion{
		"52.0.0.0/15": tooWide, "52.0.0.0/8": tooWide, "2600::/31": tooWide, "2600::/12": tooWide,
		"10.1.2.3/32": special, "100.64.0.1/32": special, "127.0.0.1/32": special, "169.254.169.254/32": special,
		"172.31.0.0/16": special, "192.168.1.0/24": special, "0.1.2.3/32": special, "224.0.0.1/32": special,
		"255.255.255.255/32": special, "::1/128": special, "fd00::/64": special, "fe80::1/128": special, "ff02::1/128": special,
	}
	fine := []netip.Prefix{
		pfx("52.0.0.0/16"), pfx("172.32.0.1/32"), pfx("100.128.0.1/32"), pfx("192.169.0.1/32"), pfx("223.255.255.255/32"),
		pfx("2600::/32"), pfx("2001:db8::/64"), pfx("192.0.2.1/32"), pfx("11.0.0.1/32"),
	}
	insisted := map[string]bool{"54.0.0.0/8": true, "2400::/20": true, "8.0.0.0/5": false, "192.0.0.0/8": false, "fc00::/8": false}
	bubble(t, 1, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		want := slices.Clone(fine)
		s.ban(time.Hour, fine...)
		var counts [exclusions]int
		for text, x := range refused {
			s.ban(time.Hour, pfx(text))
			counts[x]++
		}
		for text, ok := range insisted {
			s.mu.Lock()
			s.bans[pfx(text)] = Entry{Prefix: pfx(text), Wide: true, Until: time.Now().Add(time.Hour), Created: time.Now()}
			s.mu.Unlock()
			if ok {
				want = append(want, pfx(text))
			} else {
				counts[special]++
			}
		}
		pass(time.Minute)
		expectHeld(t, f, want...)
		for x := range exclusions {
			if n := testutil.ToFloat64(w.metrics.excluded[x]); int(n) != counts[x] {
				t.Errorf("%v excluded as %s, want %d", n, x, counts[x])
			}
		}
	})
}

// The counters move with what they count.
func TestStatusCounts(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		pass(10 * time.Second)
		expect := func(throttled, conflicts, repairs uint64, overdue int) {
			t.Helper()
			st := w.Status()
			if st.Throttled != throttled || st.Conflicts != conflicts || st.Repairs != repairs || st.Overdue != overdue {
				t.Errorf("throttled %d, conflicts %d, repairs %d, overdue %d; want %d %d %d %d",
					st.Throttled, st.Conflicts, st.Repairs, st.Overdue, throttled, conflicts, repairs, overdue)
			}
			if m := w.metrics; testutil.ToFloat64(m.repairs) != float64(repairs) || testutil.ToFloat64(m.overdue) != float64(overdue) {
				t.Errorf("metrics: %v repairs, %v overdue", testutil.ToFloat64(m.repairs), testutil.ToFloat64(m.overdue))
			}
		}
		s.ban(2*time.Minute, v4(1), v4(3))
		s.ban(4*time.Hour, v4(5))
		pass(90 * time.Second)
		expect(0, 0, 0, 0)
		f.edit("weir-block-v4-0", []netip.Prefix{pfx("203.0.113.7/32")}, nil, nil)
		s.ban(4*time.Hour, v4(7)) // meets the new token
		pass(5 * time.Second)
		expect(0, 1, 1, 0)
		f.breaks(func(call string) fault {
			if call == "UpdateIPSet" {
				return throttle
			}
			return fine
		})
		pass(time.Minute + 5*time.Second)
		s.unban(v4(5))
		pass(15 * time.Second)
		if st := w.Status(); st.Throttled == 0 || st.Overdue != 2 { // v4(5) is within its grace
			t.Errorf("%d throttled, %d overdue", st.Throttled, st.Overdue)
		}
		pass(time.Minute)
		if n := w.Status().Overdue; n != 3 {
			t.Errorf("%d overdue, want 3", n)
		}
		n := w.Status().Throttled
		f.breaks(nil)
		pass(2 * time.Minute)
		expect(n, 1, 1, 0)
		f.edit("weir-block-v4-0", nil, []netip.Prefix{v4(7)}, nil)
		pass(2 * time.Minute)
		expect(n, 1, 2, 0)
	})
}

// AWS may name nobody, and have meant another: what it refused is tried again.
func TestQuarantineEnds(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		f.poison, f.nameless = v4(1), true
		s.ban(4*time.Hour, v4(1), v4(3))
		pass(time.Minute)
		f.poison = netip.Prefix{}
		pass(30 * time.Minute)
		expectHeld(t, f, v4(3))
		pass(35 * time.Minute)
		expectHeld(t, f, v4(1), v4(3))
		if n := testutil.ToFloat64(w.metrics.excluded[quarantined]); n != 0 {
			t.Errorf("%v in quarantine", n)
		}
	})
}

// What finds no room is told once, also while the sets are not full yet.
func TestTheAlarmIsGivenOnce(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	cfg := newStore().config(newFake(t, 1, 0))
	cfg.Logger = zap.New(core)
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ held, evicted, lines int }{
		{50, 0, 0}, {50, 5, 1}, {50, 5, 1}, {100, 5, 1}, {99, 0, 1}, {90, 0, 2}, {10, 0, 3}, {85, 0, 4}, {79, 0, 4}, {70, 0, 5},
	} {
		w.alarm(&Status{Pools: []PoolStatus{{Pool: "block", Family: "ipv4", Capacity: 100, Held: c.held, Evicted: c.evicted}}})
		if n := logs.Len(); n != c.lines {
			t.Errorf("step %d, %+v: %d lines: %+v", i, c, n, logs.All())
		}
	}
}
