package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/detect"
	"weir/internal/scenario"
)

// breakerTwin judges as plainly as it can be said: it remembers every decision.
type breakerTwin struct {
	perMinute int
	open      map[string]bool
	enforced  map[string][]int64 // by breaker: Unix seconds, since it was released
}

func (w *breakerTwin) lastMinute(scenario string, second int64) (n int) {
	for _, at := range w.enforced[scenario] {
		if at > second-60 {
			n++
		}
	}
	return n
}

func (w *breakerTwin) judge(scenario string, second int64) Hold {
	switch {
	case w.open[scenario]:
		return HeldByScenario
	case w.lastMinute(scenario, second) >= w.perMinute:
		w.open[scenario] = true
		return HeldByScenario
	case w.open[everyScenario]:
		return HeldByAll
	case w.lastMinute(everyScenario, second) >= allTimes*w.perMinute:
		w.open[everyScenario] = true
		return HeldByAll
	}
	for _, name := range []string{scenario, everyScenario} {
		w.enforced[name] = append(w.enforced[name], second)
	}
	return ""
}

// The breakers agree with their twin, however decisions are spread over scenarios
// and time, and through releases.
func TestBreakersTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		opened := make(map[string]bool)
		w := &breakerTwin{perMinute: rapid.IntRange(1, 6).Draw(rt, "limit"), open: make(map[string]bool), enforced: make(map[string][]int64)}
		b := newBreakers(Config{PerMinute: w.perMinute}, func(scenario, _ string) { opened[scenario] = true })
		c := new(census)
		c.begin()
		second := noon.Unix()
		name := func() string { return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "scenario") }
		rt.Repeat(map[string]func(*rapid.T){
			"decide": func(rt *rapid.T) {
				d := &Decision{Scenario: name(), Action: Block, Created: time.Unix(second, int64(rapid.IntRange(0, 999_999_999).Draw(rt, "ns")))}
				if got, want := b.judge(d, false, c.both.Load()), w.judge(d.Scenario, second); got != want {
					rt.Fatalf("%s is held by %q, want %q", d.Scenario, got, want)
				}
			},
			"count": func(rt *rapid.T) {
				if got := b.judge(&Decision{Scenario: name(), Action: Count}, true, c.both.Load()); got != "" {
					rt.Fatal("what stops nobody is held")
				}
			},
			"wait": func(rt *rapid.T) {
				second += int64(rapid.SampledFrom([]int{1, 20, 59, 60, 61, 4000}).Draw(rt, "seconds"))
			},
			"release": func(rt *rapid.T) {
				n := rapid.SampledFrom([]string{everyScenario, "a", "b"}).Draw(rt, "of")
				b.of(n).reset()
				w.open[n] = false
				delete(opened, n)
				delete(w.enforced, n) // its count begins anew, and those of the others do not
			},
			"": func(rt *rapid.T) {
				for n, open := range w.open {
					if open != opened[n] || open != b.of(n).open {
						rt.Fatalf("%s: told %t, want %t", n, opened[n], open)
					}
				}
			},
		})
	})
}

// visit is a number of clients, from the first on, that send a request.
func visit(s *Store, first, n int) {
	for i := first; i < first+n; i++ {
		s.Seen(visitor(i).Addr())
	}
}

func visitor(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)}), 32)
}

// A scenario that bans the site's visitors is stopped soon. One that bans as many
// strangers, of an attack that is larger than the site, is not.
func TestShareBreaker(t *testing.T) {
	const visitors, share = 4000, 0.05
	for _, tc := range []struct {
		name        string
		first, bans int  // whom the scenario bans
		before      bool // they were here in the window before, too
		enforced    int
	}{
		{"visitors", 0, 1000, true, visitors * share},
		{"an attack", 100_000, 12_000, false, 12_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClock()
			s := testStore(t, Config{Now: c.Now, Share: share}, newMemory())
			s.census.turn(noon)
			visit(s, 0, visitors)
			s.census.turn(noon.Add(censusWindow))
			visit(s, 0, visitors)
			visit(s, tc.first, tc.bans)
			for i := range tc.bans {
				s.Alert(alert(visitor(tc.first+i).String(), c.now()))
			}
			mustCommit(t, s)
			// Two clients may share a bit, of a million.
			if got := len(inForceOf(s, c.now())); got < tc.enforced-tc.enforced/20-1 || got > tc.enforced {
				t.Errorf("%d bans are enforced, want %d", got, tc.enforced)
			}
			if got := len(listAll(t, s, Query{})); got != tc.bans {
				t.Errorf("%d decisions are shown, want %d", got, tc.bans)
			}
		})
	}
}

// While little is known, nothing is concluded from shares.
func TestShareBreakerNeedsNumbers(t *testing.T) {
	banned := func(windows, visitors, bans int) int {
		c := newClock()
		s := testStore(t, Config{Now: c.Now, Share: 0.01}, newMemory())
		for w := range windows {
			s.census.turn(noon.Add(time.Duration(w) * censusWindow))
			visit(s, 0, visitors)
		}
		for i := range bans {
			s.Alert(alert(visitor(i).String(), c.now()))
		}
		mustCommit(t, s)
		return len(inForceOf(s, c.now()))
	}
	if got := banned(1, 2000, 1000); got != 1000 {
		t.Errorf("in the first window: %d of 1000", got)
	}
	if got := banned(2, leastClients/2, 400); got != 400 {
		t.Errorf("on a small site: %d of 400", got)
	}
	if got := banned(2, 2000, leastBans-1); got != leastBans-1 {
		t.Errorf("a few: %d", got)
	}
	if got := banned(2, 2000, 1000); got != leastBans-1 {
		t.Errorf("with numbers: %d, want %d", got, leastBans-1)
	}
}

// What is held is stored and shown; it neither hides its client nor is it enforced,
// and the scenario does not decide about it again. It is so after a restart, too,
// until it is released.
func TestHold(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	cfg := Config{Now: c.Now, PerMinute: 3}
	s := openTest(t, dir, cfg)
	for i := range 10 {
		s.Alert(alert(visitor(i).String(), c.now()))
	}
	other := by(alert(visitor(99).String(), c.now()), scenario.Scenario{Name: "other"})
	s.Alert(other)
	mustCommit(t, s)
	check := func(inForce, held int, open bool) {
		t.Helper()
		if got := len(inForceOf(s, c.now())); got != inForce {
			t.Errorf("%d in force, want %d", got, inForce)
		}
		n := 0
		for _, d := range listAll(t, s, Query{}) {
			if d.Held != "" {
				n++
				if s.Banned(d.Prefix, c.now().UnixMilli()) || s.Answered(d.Prefix, c.now().UnixMilli()) {
					t.Errorf("%s is held, and hidden", d.Prefix)
				}
				if len(s.Covering(d.Prefix, c.now())) != 0 {
					t.Errorf("%s is held, and covered", d.Prefix)
				}
			}
		}
		bs := s.Breakers()
		i := slices.IndexFunc(bs, func(b Breaker) bool { return b.Scenario == "http-probing" })
		if n != held || i < 0 || bs[i].Held != held || bs[i].Open != open || (bs[i].Why != "") != open {
			t.Errorf("%d are held, want %d; breakers %+v", n, held, bs)
		}
	}
	check(4, 7, true)
	c.advance(2 * time.Minute)
	s.Alert(alert(visitor(5).String(), c.now())) // its decision is held already
	s.Alert(alert(visitor(11).String(), c.now()))
	mustCommit(t, s)
	check(4, 8, true)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, cfg)
	check(4, 8, true)
	s.Alert(alert(visitor(12).String(), c.now()))
	mustCommit(t, s)
	check(4, 9, true)
	if n, err := s.Remove(t.Context(), visitor(12)); n != 1 || err != nil {
		t.Error(n, err) // an unban is never held
	}
	check(4, 8, true)

	changed := s.Subscribe()
	_, seq, _ := s.Since(0)
	if n, err := s.Release(t.Context(), "other", false); n != 0 || err != nil {
		t.Errorf("of another scenario: %d, %v", n, err)
	}
	check(4, 8, true)
	if n, err := s.Release(t.Context(), "http-probing", false); n != 8 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	if told, _, ok := s.Since(seq); !ok || len(told) != 8 || !isNotified(changed) {
		t.Errorf("told %v", told)
	}
	check(12, 0, false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, cfg)
	if got := len(inForceOf(s, c.now())); got != 12 {
		t.Errorf("%d in force after a restart", got)
	}
	for _, b := range s.Breakers() {
		if b.Open {
			t.Errorf("open after it was released: %+v", b)
		}
	}
}

// The breaker of all holds what no single scenario would be held for, and what is
// dropped is banned again for nothing that was before.
func TestDrop(t *testing.T) {
	c := newClock()
	st := &flaky{storage: newMemory()}
	s := testStore(t, Config{Now: c.Now, PerMinute: 4}, st)
	from := func(i int) detect.Alert {
		return by(alert(visitor(i).String(), c.now()), scenario.Scenario{Name: fmt.Sprint("s", i%4)})
	}
	for i := range 12 {
		s.Alert(from(i))
	}
	mustCommit(t, s)
	if got := len(inForceOf(s, c.now())); got != 8 {
		t.Fatalf("%d in force, want 8", got)
	}
	if bs := s.Breakers(); !bs[0].Open || bs[0].Scenario != "" || bs[0].Held != 4 {
		t.Fatalf("breakers: %+v", bs)
	}
	st.fail.Store(true)
	if n, err := s.Release(t.Context(), "", true); n != 0 || !errors.Is(err, errFlaky) {
		t.Errorf("while storing fails: %d, %v", n, err)
	}
	if bs := s.Breakers(); !bs[0].Open || bs[0].Held != 4 {
		t.Errorf("breakers after a failure: %+v", bs)
	}
	st.fail.Store(false)
	s.Alert(from(12)) // not stored yet
	c.advance(time.Second)
	if n, err := s.Release(t.Context(), "", true); n != 5 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	if got := len(inForceOf(s, c.now())); got != 8 {
		t.Errorf("%d in force, want 8", got)
	}
	c.ms.Add(-1000)
	s.Alert(by(alert(visitor(12).String(), c.now()), scenario.Scenario{Name: "s9"}))
	c.advance(2 * time.Second)
	s.Alert(from(13))
	mustCommit(t, s)
	if got := len(inForceOf(s, c.now())); got != 9 {
		t.Errorf("%d in force, want 9", got)
	}
}
