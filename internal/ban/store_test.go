package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/detect"
	"weir/internal/scenario"
)

func TestAlertDecides(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	changed := s.Subscribe()
	at := noon.Add(-10 * time.Second)
	a := alert("192.0.2.1/32", at)
	s.Alert(a)

	if got := s.Banned(a.Client, at.UnixMilli()); !got {
		t.Error("the client is not banned as soon as Alert returns")
	}
	if got := inForceOf(s, noon); len(got) != 0 {
		t.Errorf("in force before it is stored: %v", got)
	}
	if got := listAll(t, s, Query{}); len(got) != 0 {
		t.Errorf("listed before it is stored: %v", got)
	}
	if isNotified(changed) {
		t.Error("something to write before it is stored")
	}
	mustCommit(t, s)
	if !isNotified(changed) {
		t.Error("nothing to write after a decision was stored")
	}

	want := Decision{
		ID: alertID("http-probing", a.Client, at), Prefix: a.Client, Action: Block, Scenario: "http-probing", Origin: OriginScenario,
		At: at, Created: noon, Until: noon.Add(4 * time.Hour), Arrived: at.Add(time.Second), Hit: at,
	}
	if got := slices.Collect(s.InForce(noon)); len(got) != 1 || got[0] != want {
		t.Errorf("in force: %+v\nwant %+v", got, want)
	}
	d, ok, err := s.Get(t.Context(), want.ID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if d.Context == nil || d.Context.Events != 11 || len(d.Context.Samples) != 1 || d.Context.Samples[0].Path != "/.env" {
		t.Errorf("context: %+v", d.Context)
	}
}

func TestScenarioOverridesDefaults(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	a := alert("192.0.2.1/32", noon)
	a.Scenario = &scenario.Scenario{Name: "x", Mode: scenario.Enforce, Remediation: true, Ban: time.Minute, Action: "captcha"}
	s.Alert(a)
	mustCommit(t, s)
	got := slices.Collect(s.InForce(noon))
	if len(got) != 1 || got[0].Action != Captcha || !got[0].Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("in force: %+v", got)
	}
	if got := inForceOf(s, noon.Add(time.Minute)); len(got) != 0 {
		t.Errorf("in force when it is over: %v", got)
	}
}

func TestAlertRefused(t *testing.T) {
	c := newClock()
	simulate, noRemedy := *probing, *probing
	simulate.Mode, noRemedy.Remediation = scenario.Simulate, false
	with := func(a detect.Alert, sc *scenario.Scenario) detect.Alert { a.Scenario = sc; return a }

	for _, tc := range []struct {
		reason string
		alert  detect.Alert
	}{
		{refusedSimulate, with(alert("192.0.2.1/32", noon), &simulate)},
		{refusedRemediation, with(alert("192.0.2.1/32", noon), &noRemedy)},
		{refusedAllowlist, alert("198.51.100.7/32", noon)},
		{refusedAllowlist, alert("2001:db8:0:5::/64", noon)}, // one address of it is allowlisted
		{refusedUnban, alert("203.0.113.1/32", noon)},
		{refusedUnban, alert("203.0.113.1/32", noon.Add(-time.Hour))},
		{refusedUnban, alert("203.0.114.9/32", noon)}, // its range was unbanned
		{refusedLate, alert("192.0.2.1/32", noon.Add(-4*time.Hour))},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			var told []*Decision
			s := testStore(t, Config{
				Now:       c.Now,
				Allowlist: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:0:5::1/128")},
				OnAlert:   func(_ detect.Alert, d *Decision) { told = append(told, d) },
			}, newMemory())
			for _, p := range []string{"203.0.113.1/32", "203.0.114.0/24"} {
				if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix(p)}); err != nil {
					t.Fatal(err)
				}
				if n, err := s.Remove(t.Context(), netip.MustParsePrefix(p)); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			s.Alert(tc.alert)
			mustCommit(t, s)
			if !slices.Equal(told, []*Decision{nil}) {
				t.Errorf("told %v, want one alert without a decision", told)
			}
			if got := inForceOf(s, noon); len(got) != 0 {
				t.Errorf("in force: %v", got)
			}
			if n := counted(t, s.metrics.refused[tc.reason]); n != 1 {
				t.Errorf("counted %v times as %s", n, tc.reason)
			}
		})
	}
}

func TestAlertAfterUnbanDecides(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	s.Alert(alert("192.0.2.1/32", noon))
	if n, err := s.Remove(t.Context(), netip.MustParsePrefix("192.0.2.1/32")); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	c.advance(time.Second)
	s.Alert(alert("192.0.2.1/32", noon.Add(time.Millisecond)))
	mustCommit(t, s)
	if got := inForceOf(s, c.now()); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("in force: %v", got)
	}
}

// A ban begins at the event time but lasts, from the decision, on the wall clock.
func TestBanCoversEventTimes(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now, Duration: time.Minute}, newMemory())
	client := netip.MustParsePrefix("2001:db8::/64")
	s.Alert(alert(client.String(), noon.Add(-30*time.Second)))
	for ms, want := range map[int64]bool{-30_001: false, -30_000: true, 0: true, 59_999: true, 60_000: false} {
		if got := s.Banned(client, noon.UnixMilli()+ms); got != want {
			t.Errorf("%d ms after noon: banned = %t", ms, got)
		}
	}
}

// A record from the far future does not make a ban that begins there, nor one
// that cannot be written as JSON.
func TestFutureEvent(t *testing.T) {
	c := newClock()
	s := openTest(t, t.TempDir(), Config{Now: c.Now})
	a := alert("192.0.2.1/32", noon)
	a.At, a.First = 1<<60, 1<<60
	s.Alert(a)
	mustCommit(t, s)
	if !s.Banned(a.Client, noon.UnixMilli()) {
		t.Error("not banned now")
	}
	if got := listAll(t, s, Query{}); len(got) != 1 || got[0].Until != noon.Add(4*time.Hour) {
		t.Errorf("listed: %+v", got)
	}
}

func TestReplayClock(t *testing.T) {
	s := testStore(t, Config{Now: func(event time.Time) time.Time { return event }, Duration: time.Hour}, newMemory())
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	s.Alert(alert("192.0.2.1/32", at))
	mustCommit(t, s)
	got := slices.Collect(s.InForce(at))
	if len(got) != 1 || got[0].Created != at || got[0].Until != at.Add(time.Hour) {
		t.Errorf("in force: %+v", got)
	}
}

// An alert that is raised again gets the decision it had.
func TestKnownAlert(t *testing.T) {
	c := newClock()
	var told []string
	s := testStore(t, Config{Now: c.Now, OnAlert: func(_ detect.Alert, d *Decision) { told = append(told, d.ID) }}, newMemory())
	s.Alert(alert("192.0.2.1/32", noon))
	s.Alert(alert("192.0.2.1/32", noon)) // before it is stored
	mustCommit(t, s)
	c.advance(time.Minute)
	s.Alert(alert("192.0.2.1/32", noon)) // and after
	mustCommit(t, s)
	all := listAll(t, s, Query{All: true})
	if len(all) != 1 || all[0].Until != noon.Add(4*time.Hour) {
		t.Errorf("decisions: %+v", all)
	}
	if len(told) != 3 || told[0] != told[1] || told[1] != told[2] {
		t.Errorf("told: %v", told)
	}
	if n := counted(t, s.metrics.refused[refusedKnown]); n != 2 {
		t.Errorf("counted %v known ones, want 2", n)
	}
}

func TestLongestLastingIsInForce(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	p := netip.MustParsePrefix("192.0.2.0/24")
	for _, h := range []int{1, 5, 3} {
		if _, err := s.Add(t.Context(), Decision{Prefix: p, Until: noon.Add(time.Duration(h) * time.Hour), Reason: fmt.Sprint(h)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Collect(s.InForce(noon)); len(got) != 1 || got[0].Reason != "5" {
		t.Errorf("in force: %+v", got)
	}
	if got := listAll(t, s, Query{}); len(got) != 3 {
		t.Errorf("listed: %+v", got)
	}
	if n, err := s.Remove(t.Context(), p); n != 3 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	if got := slices.Collect(s.InForce(noon)); len(got) != 0 {
		t.Errorf("in force after the unban: %+v", got)
	}
}

// What storage refuses is enforced, but not shown, and shown when it works again.
func TestStorageFails(t *testing.T) {
	c := newClock()
	var told []string
	st := &flaky{storage: newMemory()}
	s := testStore(t, Config{Now: c.Now, OnAlert: func(a detect.Alert, _ *Decision) { told = append(told, a.Client.String()) }}, st)
	changed := s.Subscribe()
	st.fail.Store(true)
	s.Alert(alert("192.0.2.1/32", noon))
	for range 2 {
		if err := s.Commit(t.Context()); err == nil {
			t.Fatal("no error from a storage that fails")
		}
		if s.Ready() == nil {
			t.Error("ready while storing fails")
		}
		if !isNotified(changed) {
			t.Error("nothing to write")
		}
		if got := inForceOf(s, noon); !slices.Equal(got, []string{"192.0.2.1"}) {
			t.Errorf("in force: %v", got)
		}
		if got := listAll(t, s, Query{All: true}); len(got) != 0 || len(told) != 0 {
			t.Errorf("shown: %v, told: %v", got, told)
		}
	}
	if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("203.0.113.0/24")}); err == nil {
		t.Error("banned by hand without storing it")
	}
	if n, err := s.Remove(t.Context(), netip.MustParsePrefix("192.0.2.1/32")); err == nil {
		t.Errorf("unbanned %d without storing it", n)
	}
	s.Alert(alert("192.0.2.2/32", noon))
	if got := inForceOf(s, noon); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("in force while failing: %v", got)
	}

	st.fail.Store(false)
	mustCommit(t, s)
	if err := s.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if got := listAll(t, s, Query{}); len(got) != 2 {
		t.Errorf("shown when storing works again: %v", got)
	}
	if !slices.Equal(told, []string{"192.0.2.1/32", "192.0.2.2/32"}) {
		t.Errorf("told: %v", told)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Alerts are told in their order even if one comes while storing others fails.
func TestOrderAfterFailure(t *testing.T) {
	c := newClock()
	var told []string
	st := &slow{storage: newMemory()}
	s := testStore(t, Config{Now: c.Now, OnAlert: func(a detect.Alert, _ *Decision) { told = append(told, FormatPrefix(a.Client)) }}, st)
	st.meanwhile = func(batch) error {
		s.Alert(alert("192.0.2.2/32", noon))
		return errFlaky
	}
	s.Alert(alert("192.0.2.1/32", noon))
	if err := s.Commit(t.Context()); err == nil {
		t.Fatal("no error from a storage that fails")
	}
	st.meanwhile = func(batch) error { return nil }
	mustCommit(t, s)
	if want := []string{"192.0.2.1", "192.0.2.2"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// An alert that comes while others are being stored waits for the next Commit.
func TestAlertDuringCommit(t *testing.T) {
	c := newClock()
	st := &slow{storage: newMemory()}
	s := testStore(t, Config{Now: c.Now}, st)
	st.meanwhile = func(batch) error {
		s.Alert(alert("192.0.2.2/32", noon))
		return nil
	}
	s.Alert(alert("192.0.2.1/32", noon))
	mustCommit(t, s)
	if got := inForceOf(s, noon); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("in force: %v", got)
	}
	st.meanwhile = func(batch) error { return nil }
	mustCommit(t, s)
	if got := inForceOf(s, noon); !slices.Equal(got, []string{"192.0.2.1", "192.0.2.2"}) {
		t.Errorf("in force: %v", got)
	}
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	st := &flaky{storage: newMemory()}
	s := testStore(t, Config{}, st)
	s.Alert(alert("192.0.2.1/32", time.Now()))
	st.fail.Store(true)
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "1 alerts") {
		t.Errorf("close: %v", err)
	}
}

// Whoever's Commit returns nil may rely on everything decided before the call
// having been stored and told, no matter who else is committing.
func TestConcurrentCommit(t *testing.T) {
	var mu sync.Mutex
	told := make(map[string]int)
	s := openTest(t, t.TempDir(), Config{OnAlert: func(a detect.Alert, d *Decision) {
		mu.Lock()
		defer mu.Unlock()
		told[a.Client.String()]++
		if d == nil || d.Context == nil {
			t.Error("an alert without its decision or context")
		}
	}})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				client := fmt.Sprintf("10.0.%d.%d/32", g, i)
				a := alert(client, time.Now())
				s.Alert(a)
				if !s.Banned(a.Client, a.At) {
					t.Errorf("%s is not banned", client)
				}
				if err := s.Commit(t.Context()); err != nil {
					t.Error(err)
				}
				if _, ok, err := s.Get(t.Context(), alertID("http-probing", a.Client, fromMillis(a.At))); !ok || err != nil {
					t.Errorf("%s is not stored after Commit: %v", client, err)
				}
				mu.Lock()
				if told[client] != 1 {
					t.Errorf("%s was told %d times when Commit returned", client, told[client])
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got := listAll(t, s, Query{}); len(got) != 160 {
		t.Errorf("%d decisions, want 160", len(got))
	}
}

// Readers, alerts, people and housekeeping at once: for the race detector, and
// for the bans that nobody lifts.
func TestConcurrentUse(t *testing.T) {
	s := testStore(t, Config{}, newMemory())
	stays := alert("10.9.9.9/32", time.Now())
	s.Alert(stays)
	mustCommit(t, s)
	var wg sync.WaitGroup
	each := func(do func(i int, p netip.Prefix)) {
		wg.Go(func() {
			for i := range 200 {
				do(i, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 8)}), 32))
			}
		})
	}
	each(func(_ int, p netip.Prefix) { s.Alert(alert(p.String(), time.Now())) })
	each(func(_ int, _ netip.Prefix) { s.Commit(t.Context()) })
	each(func(_ int, p netip.Prefix) { s.Add(t.Context(), Decision{Prefix: p}) })
	each(func(_ int, p netip.Prefix) { s.Remove(t.Context(), p) })
	each(func(_ int, p netip.Prefix) {
		s.Covering(p, time.Now())
		s.sweep()
		s.purge(t.Context())
	})
	each(func(_ int, _ netip.Prefix) {
		if !slices.Contains(inForceOf(s, time.Now()), "10.9.9.9") || !s.Banned(stays.Client, stays.At) {
			t.Error("a ban that nobody lifted is gone")
		}
	})
	wg.Wait()
	mustCommit(t, s)
}

func TestNoAllocations(t *testing.T) {
	s := testStore(t, Config{Allowlist: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, newMemory())
	now := time.Now()
	for _, p := range []string{"192.0.2.1/32", "2001:db8::/64"} {
		s.Alert(alert(p, now))
	}
	if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("192.0.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		client string
		at     time.Time
	}{
		{"192.0.2.1/32", now}, {"192.0.2.1/32", now.Add(-time.Hour)}, // the second asks the range, too
		{"192.0.7.7/32", now}, {"203.0.113.1/32", now}, {"2001:db8::/64", now}, {"2001:db8:1::/64", now},
	} {
		client, at := netip.MustParsePrefix(c.client), c.at.UnixMilli()
		if n := testing.AllocsPerRun(100, func() { s.Banned(client, at) }); n != 0 {
			t.Errorf("Banned(%s) allocates %v times", c.client, n)
		}
		if n := testing.AllocsPerRun(100, func() { s.Allowed(client.Addr()) }); n != 0 {
			t.Errorf("Allowed(%s) allocates %v times", c.client, n)
		}
	}
	mustCommit(t, s)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { s.Commit(ctx) }); n != 0 {
		t.Errorf("Commit with nothing to do allocates %v times", n)
	}
}

func TestOpenRefusesConfig(t *testing.T) {
	_, err := Open(t.Context(), Config{
		Allowlist: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
		Action:    "ban", Duration: time.Millisecond, Retention: -1,
	})
	for _, want := range []string{"192.0.2.0/24", `"ban"`, "1ms", "retention"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s: %v", want, err)
		}
	}
}
