package waf

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// What is in force and not written is named with its reason.
func TestExcluded(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.poison = v4(7)
		w := start(t, s.config(f))
		defer w.halt()
		until := time.Now().Add(time.Hour)
		s.mu.Lock()
		for p, action := range map[string]string{
			"1.0.0.7/32": "block", "1.0.0.8/32": "block", "1.0.0.9/32": "count", "6.0.0.0/8": "block", "10.1.1.1/32": "block", "1.0.0.10/32": "block",
		} {
			s.bans[pfx(p)] = Entry{Prefix: pfx(p), Action: action, Created: time.Now(), Until: until}
		}
		s.mu.Unlock()
		s.allow(v4(10))
		pass(time.Minute)
		want := []Excluded{
			{v4(9), "action"}, {v4(10), "allowlisted"}, {v4(7), "quarantined"}, {pfx("10.1.1.1/32"), "special"}, {pfx("6.0.0.0/8"), "wide"},
		}
		if got := w.Excluded(); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		expectHeld(t, f, v4(8))
	})
}

// What people put into a set is found by the addresses that it shares with a
// client, and told once where it overlaps the allowlist.
func TestForeign(t *testing.T) {
	bubble(t, 2, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		core, logs := observer.New(zap.WarnLevel)
		cfg := s.config(f)
		cfg.Logger = zap.New(core)
		w := start(t, cfg)
		defer w.halt()
		s.ban(time.Hour, v4(1))
		pass(time.Minute)
		wide := pfx("1.0.0.0/24")
		f.edit("weir-block-v4-0", []netip.Prefix{wide, v4(3)}, nil, nil)
		f.edit("weir-block-v4-1", []netip.Prefix{v4(3)}, nil, nil)
		pass(2 * time.Minute)
		if got := w.Foreign(v4(1)); !slices.Equal(got, []Foreign{{wide, "weir-block-v4-0"}}) {
			t.Errorf("about %s: %v", v4(1), got)
		}
		if got := w.Foreign(pfx("1.0.0.2/31")); !slices.Equal(got, []Foreign{{wide, "weir-block-v4-0"}, {v4(3), "weir-block-v4-0"}, {v4(3), "weir-block-v4-1"}}) {
			t.Errorf("about a range: %v", got)
		}
		if got := w.Foreign(pfx("2.0.0.1/32")); len(got) > 0 {
			t.Errorf("about another: %v", got)
		}
		warnings := func() int { return logs.FilterMessageSnippet("overlaps the allowlist").Len() }
		if warnings() > 0 {
			t.Error("warned of nothing")
		}
		s.allow(v4(3))
		pass(5 * time.Minute)
		if n := warnings(); n != 2 {
			t.Errorf("%d warnings of two entries", n)
		}
		f.edit("weir-block-v4-1", nil, []netip.Prefix{v4(3)}, nil)
		pass(2 * time.Minute)
		f.edit("weir-block-v4-1", []netip.Prefix{v4(3)}, nil, nil)
		pass(2 * time.Minute)
		if n := warnings(); n != 3 {
			t.Errorf("%d warnings when one had come back", n)
		}
	})
}
