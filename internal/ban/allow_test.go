package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func allowEntry(prefix string, expires time.Time) AllowEntry {
	return AllowEntry{Prefix: netip.MustParsePrefix(prefix), Comment: "office", Expires: expires}
}

// Whoever is allowlisted is not banned any more, at once, nor banned again; and once
// he is removed, only what he does from then on counts.
func TestAllow(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	core, logs := observer.New(zap.InfoLevel)
	s := openTest(t, dir, Config{Now: c.Now, Logger: zap.New(core)})
	for _, client := range []string{"192.0.2.1/32", "192.0.2.2/32", "198.51.100.1/32"} {
		s.Alert(alert(client, noon)) // not stored yet
	}
	if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("192.0.2.0/25")}); err != nil {
		t.Fatal(err)
	}
	_, seq, _ := s.Since(0)
	ctx := WithActor(t.Context(), "alice\n")
	e, n, err := s.Allow(ctx, allowEntry("192.0.2.1/32", time.Time{}), false)
	if err != nil || n != 2 || e.Author != "alice" || e.Created != noon {
		t.Fatalf("%+v, %d ended, %v", e, n, err)
	}
	said := logs.FilterMessage("allowlisted").All()
	if _, ends := said[0].ContextMap()["expires"]; ends || len(said) != 1 {
		t.Errorf("the log says of an entry without an end %v", said)
	}
	if got := fmt.Sprint(inForceOf(s, noon)); got != "[192.0.2.2 198.51.100.1]" {
		t.Errorf("in force: %s", got)
	}
	changed, _, _ := s.Since(seq)
	for _, p := range []string{"192.0.2.1/32", "192.0.2.0/25"} { // the range that shares the address ends, too
		if !slices.Contains(changed, netip.MustParsePrefix(p)) {
			t.Errorf("writers are not told of %s: %v", p, changed)
		}
	}
	a := netip.MustParseAddr("192.0.2.1")
	if !s.Allowed(a) || s.Allowed(a.Next()) || !s.AllowedAny(netip.MustParsePrefix("192.0.2.0/24")) {
		t.Error("the allowlist in force is not the new one")
	}
	s.Alert(alert("192.0.2.1/32", noon.Add(time.Second)))
	var refused *RefusedError
	if _, err := s.Add(t.Context(), Decision{Prefix: netip.PrefixFrom(a, 32)}); !errors.As(err, &refused) || refused.Code != RefusedAllowlist {
		t.Errorf("a ban by hand: %v", err)
	}
	mustCommit(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openTest(t, dir, Config{Now: c.Now, Allowlist: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
	if got := s.Allowlist(); len(got) != 2 || got[0].Comment != "office" || got[0].Author != "alice" || !got[1].Fixed {
		t.Errorf("after a restart: %+v", got)
	}
	c.advance(time.Minute)
	if ok, err := s.Disallow(ctx, netip.PrefixFrom(a, 32)); err != nil || !ok {
		t.Error(ok, err)
	}
	if ok, err := s.Disallow(ctx, netip.PrefixFrom(a, 32)); err != nil || ok {
		t.Errorf("a second time: %t, %v", ok, err)
	}
	if _, err := s.Disallow(ctx, netip.MustParsePrefix("203.0.113.0/24")); !errors.As(err, &refused) {
		t.Errorf("an entry of the settings: %v", err)
	}
	s.Alert(alert("192.0.2.1/32", noon)) // of before
	if s.Banned(netip.PrefixFrom(a, 32), c.now().UnixMilli()) {
		t.Error("what was done before the allowlist bans after it")
	}
	s.Alert(alert("192.0.2.1/32", c.now()))
	if !s.Banned(netip.PrefixFrom(a, 32), c.now().UnixMilli()) {
		t.Error("not banned after it was removed")
	}
	page, err := s.Audit(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, a := range page.Entries {
		log = append(log, a.Actor+" "+a.Action+" "+a.Target)
	}
	if got := strings.Join(log, ", "); got != "alice disallow 192.0.2.1, alice allow 192.0.2.1, weir ban 192.0.2.0/25" && got != "alice disallow 192.0.2.1, weir ban 192.0.2.0/25, alice allow 192.0.2.1" {
		t.Errorf("audit log: %s", got)
	}
}

func TestAllowRefuses(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	for _, tc := range []struct {
		e    AllowEntry
		want Refusal
	}{
		{AllowEntry{}, RefusedPrefix},
		{allowEntry("192.0.2.1/24", time.Time{}), RefusedPrefix},
		{allowEntry("10.0.0.0/8", time.Time{}), RefusedWidth},
		{allowEntry("192.0.2.1/32", noon), RefusedUntil},
		{AllowEntry{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Comment: "\x1b"}, RefusedReason},
	} {
		_, _, err := s.Allow(t.Context(), tc.e, false)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Code != tc.want {
			t.Errorf("%+v: %v, want %s", tc.e, err, tc.want)
		}
	}
	if _, _, err := s.Allow(t.Context(), allowEntry("10.0.0.0/8", time.Time{}), true); err != nil {
		t.Errorf("a wide range that is insisted on: %v", err)
	}
	for i := range maxAllowed {
		s.allowed[netip.PrefixFrom(netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)}), 32)] = AllowEntry{}
	}
	if _, _, err := s.Allow(t.Context(), allowEntry("192.0.2.1/32", time.Time{}), false); err == nil {
		t.Error("the allowlist has no end")
	}
}

// An entry ends to the second, and so does that of a list which is under it.
func TestAllowExpires(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list")
	write(t, list, "192.0.2.0/24\n192.0.2.7\n2001:db8::/48\n", time.Now())
	running(t, Config{Lists: []string{list}}, newMemory(), func(t *testing.T, s *Store) {
		if got := fmt.Sprint(inForceOf(s, time.Now())); got != "[192.0.2.0/24 192.0.2.7 2001:db8::/48]" {
			t.Errorf("in force: %s", got)
		}
		_, seq, _ := s.Since(0)
		if _, _, err := s.Allow(t.Context(), allowEntry("192.0.2.7/32", time.Now().Add(90*time.Second)), false); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Allow(t.Context(), allowEntry("2001:db8::/32", time.Now().Add(time.Hour)), false); err != nil {
			t.Fatal(err)
		}
		changed, seq, _ := s.Since(seq)
		slices.SortFunc(changed, comparePrefixes)
		if got := fmt.Sprint(slices.Compact(changed)); got != "[192.0.2.0/24 192.0.2.7/32 2001:db8::/48]" {
			t.Errorf("writers are told of %s", got)
		}
		if got := inForceOf(s, time.Now()); len(got) != 0 {
			t.Errorf("in force against the allowlist: %s", got)
		}
		if _, ok := s.Lookup(netip.MustParsePrefix("192.0.2.0/24"), time.Now()); ok {
			t.Error("looked up against the allowlist")
		}
		time.Sleep(90*time.Second - time.Millisecond)
		synctest.Wait()
		if !s.Allowed(netip.MustParseAddr("192.0.2.7")) {
			t.Error("the entry ended too soon")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s.Allowed(netip.MustParseAddr("192.0.2.7")) || len(s.Allowlist()) != 1 {
			t.Error("the entry did not end")
		}
		if got := fmt.Sprint(inForceOf(s, time.Now())); got != "[192.0.2.0/24 192.0.2.7]" {
			t.Errorf("in force afterwards: %s", got)
		}
		if changed, _, _ := s.Since(seq); len(changed) != 2 {
			t.Errorf("writers are told of %s", changed)
		}
	})
}
