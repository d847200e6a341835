package ban

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAdd(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	changed := s.Subscribe()
	d, err := s.Add(t.Context(), Decision{
		Prefix: netip.MustParsePrefix("192.0.2.0/24"), Until: noon.Add(time.Minute), Action: Count, Reason: "scraper",
		ID: "mine", Origin: OriginScenario, Scenario: "x", // not for people to say
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Decision{
		ID: d.ID, Prefix: netip.MustParsePrefix("192.0.2.0/24"), Action: Count, Origin: OriginManual, Reason: "scraper", Severity: SeverityManual,
		At: noon, Created: noon, Until: noon.Add(time.Minute),
	}
	if d != want || d.ID == "mine" || len(d.ID) != 24 {
		t.Errorf("made %+v", d)
	}
	if got, ok, err := s.Get(t.Context(), d.ID); !ok || err != nil || got != want {
		t.Errorf("stored %+v, %t, %v", got, ok, err)
	}
	if !isNotified(changed) || !slices.Equal(inForceOf(s, noon), []string{"192.0.2.0/24"}) {
		t.Error("not in force at once")
	}
	if s.Banned(netip.MustParsePrefix("192.0.2.200/32"), noon.UnixMilli()) {
		t.Error("a client that is only counted is hidden")
	}
	d, err = s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("2001:db8::1/128")})
	if err != nil || d.Action != Block || d.Until != noon.Add(4*time.Hour) {
		t.Errorf("defaults: %+v, %v", d, err)
	}
}

func TestAddRefuses(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now, Allowlist: []netip.Prefix{
		netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("2001:db8::/48"),
	}}, newMemory())
	ok := netip.MustParsePrefix("192.0.2.1/32")
	changed := s.Subscribe()
	for _, tc := range []struct {
		d        Decision
		code     Refusal
		mentions string
	}{
		{Decision{}, RefusedPrefix, "no address"},
		{Decision{Prefix: netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 24)}, RefusedPrefix, "192.0.2.0/24"},
		{Decision{Prefix: netip.MustParsePrefix("::ffff:192.0.2.1/128")}, RefusedPrefix, "192.0.2.1"},
		{Decision{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, RefusedWidth, "/16"},
		{Decision{Prefix: netip.MustParsePrefix("2001::/31")}, RefusedWidth, "/32"},
		{Decision{Prefix: netip.MustParsePrefix("198.51.100.7/32")}, RefusedAllowlist, "198.51.100.7"},
		{Decision{Prefix: netip.MustParsePrefix("198.51.100.0/24")}, RefusedAllowlist, "198.51.100.7"},
		{Decision{Prefix: netip.MustParsePrefix("2001:db8::/64")}, RefusedAllowlist, "2001:db8::/48"},
		{Decision{Prefix: ok, Action: "drop"}, RefusedAction, `"drop"`},
		{Decision{Prefix: ok, Until: noon}, RefusedUntil, "1s"},
		{Decision{Prefix: ok, Until: noon.Add(-time.Hour)}, RefusedUntil, "-1h"},
		{Decision{Prefix: ok, Until: noon.Add(MaxDuration + time.Second)}, RefusedUntil, "87600h"},
		{Decision{Prefix: ok, Reason: "a\x1b[31mb"}, RefusedReason, "control"},
		{Decision{Prefix: ok, Reason: "\xff"}, RefusedReason, "UTF-8"},
		{Decision{Prefix: ok, Reason: strings.Repeat("x", MaxReason+1)}, RefusedReason, "1001"},
	} {
		_, err := s.Add(t.Context(), tc.d)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Code != tc.code || !strings.Contains(err.Error(), tc.mentions) {
			t.Errorf("add %+v: %v; want it refused as %s with a word about %s", tc.d, err, tc.code, tc.mentions)
		}
	}
	if got := inForceOf(s, noon); len(got) != 0 || isNotified(changed) {
		t.Errorf("in force: %v", got)
	}
}

func TestRemove(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	for _, p := range []string{"192.0.2.0/24", "192.0.2.1/32", "2001:db8::/64"} {
		if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	changed := s.Subscribe()
	remove := func(p string, want int) {
		t.Helper()
		if n, err := s.Remove(t.Context(), netip.MustParsePrefix(p)); n != want || err != nil {
			t.Errorf("removed %d of %s, %v; want %d", n, p, err, want)
		}
	}
	remove("192.0.2.2/32", 0)
	remove("2001:db8::1/128", 0)
	if isNotified(changed) {
		t.Error("something to write after nothing was removed")
	}
	if got := s.Covering(netip.MustParsePrefix("2001:db8::1/128"), noon); len(got) != 1 || got[0].Prefix.String() != "2001:db8::/64" {
		t.Errorf("covering an address of a banned /64: %+v", got)
	}
	remove("192.0.2.1/32", 1)
	if !isNotified(changed) {
		t.Error("nothing to write after an unban")
	}
	remove("192.0.2.1/32", 0)
	if got := inForceOf(s, noon); !slices.Equal(got, []string{"192.0.2.0/24", "2001:db8::/64"}) {
		t.Errorf("in force: %v", got)
	}
	if got := s.Covering(netip.MustParsePrefix("192.0.2.1/32"), noon); len(got) != 1 || got[0].Prefix.String() != "192.0.2.0/24" {
		t.Errorf("covering: %+v", got)
	}
	all := listAll(t, s, Query{All: true, Client: netip.MustParsePrefix("192.0.2.1/32")})
	if len(all) != 2 || all[0].Removed.IsZero() == all[1].Removed.IsZero() {
		t.Errorf("history: %+v", all)
	}
	if _, err := s.Remove(t.Context(), netip.Prefix{}); err == nil {
		t.Error("removed nothing at all without an error")
	}
}

func TestRemoveID(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	p := netip.MustParsePrefix("192.0.2.1/32")
	d, err := s.Add(t.Context(), Decision{Prefix: p})
	if err != nil {
		t.Fatal(err)
	}
	s.Alert(alert(p.String(), noon))
	mustCommit(t, s)
	for _, want := range []int{1, 0} {
		if n, err := s.RemoveID(t.Context(), d.ID); n != want || err != nil {
			t.Errorf("removed %d, %v; want %d", n, err, want)
		}
	}
	if n, err := s.RemoveID(t.Context(), "nobody"); n != 0 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	if got := listAll(t, s, Query{}); len(got) != 1 || got[0].Scenario != "http-probing" {
		t.Errorf("left: %+v", got)
	}
	other := alert(p.String(), noon.Add(-time.Second))
	s.Alert(other)
	mustCommit(t, s)
	if got := listAll(t, s, Query{}); len(got) != 1 {
		t.Errorf("an event from before the unban banned: %+v", got)
	}
}

// An alert that slips in while an unban is stored does not outlive it.
func TestAlertDuringRemove(t *testing.T) {
	c := newClock()
	st := &slow{storage: newMemory()}
	s := testStore(t, Config{Now: c.Now}, st)
	p := netip.MustParsePrefix("192.0.2.1/32")
	st.meanwhile = func(b batch) error {
		if len(b.unban) > 0 {
			s.Alert(alert(p.String(), noon.Add(-time.Minute)))
		}
		return nil
	}
	if _, err := s.Add(t.Context(), Decision{Prefix: p}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Remove(t.Context(), p); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	c.advance(2 * lateGrace)
	s.sweep() // keeps what is not stored
	mustCommit(t, s)
	if got := listAll(t, s, Query{}); len(got) != 0 || len(inForceOf(s, noon.Add(time.Second))) != 0 {
		t.Errorf("in force after the unban: %+v", got)
	}
	if got := listAll(t, s, Query{All: true}); len(got) != 2 || got[0].Removed.IsZero() || got[1].Removed.IsZero() {
		t.Errorf("history: %+v", got)
	}
}
