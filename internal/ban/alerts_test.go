package ban

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"weir/internal/scenario"
)

// Every alert is remembered that made a decision, once, and of the others a few about
// each client and hour.
func alertsAreKept(t *testing.T, st storage) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, st)
	simulated := *probing
	simulated.Mode = scenario.Simulate
	raise := func(client string, sc *scenario.Scenario) {
		a := alert(client, c.now())
		a.Scenario = sc
		s.Alert(a)
	}
	raise("192.0.2.1/32", probing)
	raise("192.0.2.1/32", probing) // the same again, as after a restart
	mustCommit(t, s)
	raise("192.0.2.1/32", probing)
	for range alertsPerHour + 5 {
		c.advance(time.Second)
		raise("192.0.2.2/32", &simulated)
	}
	raise("192.0.2.3/32", &simulated)
	mustCommit(t, s)
	if n := counted(t, s.metrics.alertsDropped); n != 5 {
		t.Errorf("%v alerts counted as not kept, want 5", n)
	}
	page, err := s.Alerts(t.Context(), Query{Limit: 100})
	if err != nil || len(page.Alerts) != 1+alertsPerHour+1 {
		t.Fatalf("%d alerts, %v", len(page.Alerts), err)
	}
	first := page.Alerts[len(page.Alerts)-1]
	if first.Decision != first.ID || first.Refused != "" || !first.Until.Equal(noon.Add(4*time.Hour)) {
		t.Errorf("of the decision: %+v", first)
	}
	if got, ok, err := s.GetAlert(t.Context(), first.ID); err != nil || !ok || got.Context == nil || got.Context.Events != 11 {
		t.Errorf("with its context: %+v, %t, %v", got, ok, err)
	}
	var ids []string
	q := Query{Client: netip.MustParsePrefix("192.0.2.2/32"), Limit: 3}
	for {
		page, err := s.Alerts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Alerts {
			if a.Refused != refusedSimulate || a.Decision != "" {
				t.Errorf("in vain: %+v", a)
			}
			ids = append(ids, a.ID)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	if len(ids) != alertsPerHour {
		t.Errorf("pages of %d alerts", len(ids))
	}
	if got, ok, err := s.GetAlert(t.Context(), ids[0]); err != nil || !ok || got.Context == nil {
		t.Errorf("one in vain, with its context: %+v, %t, %v", got, ok, err)
	}
	c.advance(time.Hour)
	raise("192.0.2.2/32", &simulated)
	mustCommit(t, s)
	if page, err := s.Alerts(t.Context(), q); err != nil || len(page.Alerts) != 3 || page.Alerts[0].Created != c.now() {
		t.Errorf("in the next hour: %+v, %v", page, err)
	}
	c.advance(31 * 24 * time.Hour)
	if page, err := s.Alerts(t.Context(), Query{Limit: 10}); err != nil || len(page.Alerts) != 0 {
		t.Errorf("after its time: %+v, %v", page, err)
	}
	if _, ok, err := s.GetAlert(t.Context(), first.ID); err != nil || ok {
		t.Errorf("one after its time: %t, %v", ok, err)
	}
}

func TestAlertBudgetIsBounded(t *testing.T) {
	var b alertBudget
	for i := range alertClients {
		if !b.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), noon) {
			t.Fatal("not kept:", i)
		}
	}
	one := netip.MustParsePrefix("192.0.2.1/32")
	if b.take(one, noon) || !b.take(one, noon.Add(time.Hour)) {
		t.Error("clients are counted without end, or for ever")
	}
}

// While nothing can be stored, alerts wait without most of their requests.
func TestPendingAlertsAreLight(t *testing.T) {
	st := &flaky{storage: newMemory()}
	st.fail.Store(true)
	s := testStore(t, Config{Now: newClock().Now, Duration: time.Hour}, st)
	for i := range wholeAlerts + 10 {
		a := alert(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255), noon)
		for range 9 {
			a.Samples = append(a.Samples, a.Samples[0])
		}
		s.Alert(a)
	}
	if err := s.Commit(t.Context()); err == nil {
		t.Fatal("stored")
	}
	for i, q := range s.queue {
		want := 10
		if i >= wholeAlerts {
			want = fewSamples
		}
		if len(q.alert.Samples) != want || cap(q.alert.Samples) > 16 {
			t.Fatalf("alert %d waits with %d requests, want %d", i, len(q.alert.Samples), want)
		}
	}
	st.fail.Store(false)
	mustCommit(t, s)
	if n := len(inForceOf(s, noon)); n != wholeAlerts+10 {
		t.Errorf("%d in force", n)
	}
}
