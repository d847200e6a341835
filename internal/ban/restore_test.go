package ban

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"weir/internal/detect"
)

func TestRestore(t *testing.T) {
	var told []*Decision
	s := testStore(t, Config{
		Now:       func(event time.Time) time.Time { return event },
		Retention: MaxDuration,
		OnAlert:   func(_ detect.Alert, d *Decision) { told = append(told, d) },
		Allowlist: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	}, newMemory())
	restored := Decision{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Scenario: probing.Name, At: noon}
	for range 2 { // a decision that is told twice is one
		if err := s.Restore(t.Context(), restored); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []Decision{
		{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Action: Captcha, At: noon, Until: noon.Add(time.Hour)},
		{Prefix: netip.MustParsePrefix("198.51.100.7/32"), At: noon},
	} {
		if err := s.Restore(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	// In event time, whatever the clock on the wall says.
	for _, tt := range []struct {
		client string
		after  time.Duration
		want   bool
	}{
		{"192.0.2.1/32", 0, true},
		{"192.0.2.1/32", 4*time.Hour - 1, true},
		{"192.0.2.1/32", 4 * time.Hour, false},
		{"192.0.2.1/32", -lateGrace, true}, // judged already
		{"192.0.2.1/32", -lateGrace - time.Millisecond, false},
		{"203.0.113.9/32", time.Hour - time.Millisecond, true},
		{"203.0.113.9/32", time.Hour, false},
		{"198.51.100.7/32", 0, false}, // allowlisted
	} {
		if got := s.Banned(netip.MustParsePrefix(tt.client), noon.Add(tt.after).UnixMilli()); got != tt.want {
			t.Errorf("%s is banned %v after noon: %v", tt.client, tt.after, got)
		}
	}
	if n := s.index.table.Load().Size(); n != 2 {
		t.Errorf("%d prefixes are held, want 2", n)
	}
	if got := len(listAll(t, s, Query{All: true})); got != 2 {
		t.Errorf("%d decisions are stored, want 2", got)
	}

	// The alert that led to it finds it made.
	s.Alert(alert("192.0.2.1/32", noon))
	mustCommit(t, s)
	if len(told) != 1 || told[0] == nil || told[0].Until != noon.Add(4*time.Hour) {
		t.Errorf("told %+v", told)
	}
	if got := len(listAll(t, s, Query{All: true})); got != 2 {
		t.Errorf("%d decisions are stored, want 2: the alert made one", got)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := testStore(t, Config{}, newMemory())
	one := netip.MustParsePrefix("192.0.2.1/32")
	for want, d := range map[Refusal]Decision{
		RefusedPrefix: {Prefix: netip.MustParsePrefix("192.0.2.1/24"), At: noon},
		RefusedAction: {Prefix: one, At: noon, Action: "shame"},
		RefusedUntil:  {Prefix: one, At: noon, Until: noon},
	} {
		var refused *RefusedError
		if err := s.Restore(t.Context(), d); !errors.As(err, &refused) || refused.Code != want {
			t.Errorf("%v, want a refusal of the %s", err, want)
		}
	}
	if s.Banned(one, noon.UnixMilli()) {
		t.Error("what was refused bans")
	}
}

func TestRestoreFails(t *testing.T) {
	st := &flaky{storage: newMemory()}
	st.fail.Store(true)
	s := testStore(t, Config{}, st)
	one := netip.MustParsePrefix("192.0.2.1/32")
	if err := s.Restore(t.Context(), Decision{Prefix: one, At: noon}); !errors.Is(err, errFlaky) {
		t.Errorf("%v, want %v", err, errFlaky)
	}
	if s.Banned(one, noon.UnixMilli()) {
		t.Error("what could not be stored bans")
	}
}
