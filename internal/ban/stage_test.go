package ban

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"weir/internal/detect"
	"weir/internal/scenario"
)

// by returns a as an alert of another scenario.
func by(a detect.Alert, sc scenario.Scenario) detect.Alert {
	sc.Remediation = true
	a.Scenario = &sc
	return a
}

// A scenario that is being tried out decides, counts, and neither hides its client
// nor decides about it again while that lasts.
func TestStage(t *testing.T) {
	c := newClock()
	var told []string
	s := testStore(t, Config{Now: c.Now, OnAlert: func(_ detect.Alert, d *Decision) { told = append(told, d.ID) }}, newMemory())
	client := netip.MustParsePrefix("192.0.2.1/32")
	staged := scenario.Scenario{Name: "trial", Mode: scenario.Stage, Action: "block", Ban: time.Hour, Severity: scenario.High}
	for range 3 {
		s.Alert(by(alert("192.0.2.1/32", c.now()), staged))
		c.advance(time.Minute)
	}
	mustCommit(t, s)
	got := slices.Collect(s.InForce(c.now()))
	if len(got) != 1 || got[0].Action != Count || !got[0].Staged || got[0].Severity != Severity(scenario.High) || got[0].Until != noon.Add(time.Hour) {
		t.Fatalf("in force: %+v", got)
	}
	if n := counted(t, s.metrics.refused[refusedKnown]); n != 2 || len(told) != 3 || told[0] != told[2] {
		t.Errorf("%v known alerts, told %v", n, told)
	}
	if s.Banned(client, c.now().UnixMilli()) || s.Answered(client, c.now().UnixMilli()) {
		t.Error("a client that is only counted is hidden")
	}

	// One that enforces is not kept from it, not even under the same name.
	staged.Mode = scenario.Enforce
	s.Alert(by(alert("192.0.2.1/32", c.now()), staged))
	mustCommit(t, s)
	if d, ok := s.Lookup(client, c.now()); !ok || d.Action != Block || d.Staged {
		t.Errorf("in force: %+v", d)
	}
	if !s.Banned(client, c.now().UnixMilli()) {
		t.Error("a block does not hide its client")
	}
	if ds := listAll(t, s, Query{}); len(ds) != 2 {
		t.Errorf("listed: %+v", ds)
	}

	// When the trial's decision is over, an alert makes another.
	c.advance(2 * time.Hour)
	staged.Mode = scenario.Stage
	s.Alert(by(alert("192.0.2.9/32", c.now()), staged))
	c.advance(time.Hour)
	s.Alert(by(alert("192.0.2.9/32", c.now()), staged))
	mustCommit(t, s)
	if ds := listAll(t, s, Query{Client: netip.MustParsePrefix("192.0.2.9/32"), All: true}); len(ds) != 2 {
		t.Errorf("listed: %+v", ds)
	}
}

// Who is asked for a captcha goes on sending requests, and is asked once.
func TestAsked(t *testing.T) {
	for _, action := range []Action{Captcha, Challenge} {
		c := newClock()
		s := testStore(t, Config{Now: c.Now}, newMemory())
		client := netip.MustParsePrefix("2001:db8::/64")
		asks := scenario.Scenario{Name: "crawl", Action: string(action)}
		s.Alert(by(alert(client.String(), noon), asks))
		c.advance(time.Minute)
		s.Alert(by(alert(client.String(), c.now()), asks))
		mustCommit(t, s)
		at := c.now().UnixMilli()
		if ds := listAll(t, s, Query{}); len(ds) != 1 {
			t.Errorf("%s: %d decisions", action, len(ds))
		}
		if s.Banned(client, at) || !s.Answered(client, at) {
			t.Errorf("%s: hidden %t, answered %t", action, s.Banned(client, at), s.Answered(client, at))
		}
		s.Alert(alert(client.String(), c.now())) // of a scenario that blocks
		mustCommit(t, s)
		if d, _ := s.Lookup(client, c.now()); d.Action != Block || !s.Banned(client, at) {
			t.Errorf("%s: a block beside it: %+v", action, d)
		}
		// The block ends first: what is left is asked again.
		c.advance(4*time.Hour - time.Minute)
		if d, ok := s.Lookup(client, c.now()); !ok || d.Action != Block {
			t.Errorf("%s: before both end: %+v", action, d)
		}
	}
}

// Of two decisions the stronger is in force, and the weaker when that one ends.
func TestWeakerIsFoundAgain(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	p := netip.MustParsePrefix("192.0.2.0/24")
	for i, action := range []Action{Count, Block, Challenge, Captcha} {
		until := noon.Add(time.Duration([]int{9, 1, 4, 2}[i]) * time.Hour)
		if _, err := s.Add(t.Context(), Decision{Prefix: p, Action: action, Until: until}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []Action{Block, Captcha, Challenge, Challenge, Count} {
		if d, ok := s.Lookup(p, c.now()); !ok || d.Action != want {
			t.Errorf("at %s: %s, want %s", c.now().Format(time.TimeOnly), d.Action, want)
		}
		c.advance(time.Hour)
	}
	c.advance(4 * time.Hour)
	if d, ok := s.Lookup(p, c.now()); ok {
		t.Errorf("when all are over: %+v", d)
	}
}

// The latest record of a client is known, to a second of event time.
func TestHit(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	p := netip.MustParsePrefix("192.0.2.1/32")
	s.Alert(alert(p.String(), noon))
	mustCommit(t, s)
	hit := func() time.Time {
		d, _ := s.Lookup(p, c.now())
		return d.Hit
	}
	if got := hit(); !got.IsZero() {
		t.Errorf("seen at %s by nobody", got)
	}
	for _, step := range []struct{ at, want time.Duration }{
		{time.Second, time.Second},
		{time.Second + 999*time.Millisecond, time.Second},
		{time.Minute, time.Minute},
		{time.Second, time.Minute},   // a late one
		{5 * time.Hour, time.Minute}, // beyond its end
	} {
		s.Banned(p, noon.Add(step.at).UnixMilli())
		if got := hit(); got != noon.Add(step.want) {
			t.Errorf("after a record at %s it was seen at %s, want %s", step.at, got, step.want)
		}
	}
	if ds := listAll(t, s, Query{}); len(ds) != 1 || ds[0].Hit != noon.Add(time.Minute) {
		t.Errorf("listed: %+v", ds)
	}
}
