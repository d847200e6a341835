package ban

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// With Public, what is nobody's on the internet is banned by no scenario, person or
// IP set, and goes into none.
func TestPublic(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now, Public: true}, newMemory())
	own := netip.MustParsePrefix("10.1.2.3/32")
	s.Alert(alert(own.String(), noon))
	mustCommit(t, s)
	if n := counted(t, s.metrics.refused[refusedReserved]); n != 1 {
		t.Errorf("counted %v", n)
	}
	var refused *RefusedError
	if _, err := s.Add(t.Context(), Decision{Prefix: own}); !errors.As(err, &refused) || refused.Code != RefusedReserved {
		t.Errorf("by hand: %v", err)
	}
	if err := s.Adopt(t.Context(), []netip.Prefix{own}, Block, noon.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if got := inForceOf(s, noon); len(got) != 0 || s.Banned(own, noon.UnixMilli()) {
		t.Errorf("in force: %v", got)
	}
	before := testStore(t, Config{Now: c.Now}, newMemory())
	before.Alert(alert(own.String(), noon))
	mustCommit(t, before)
	if got := inForceOf(testStore(t, Config{Now: c.Now, Public: true}, before.storage), noon); len(got) != 0 {
		t.Errorf("of before it was asked for: %v", got)
	}
	if !s.AllowedAny(own) || s.AllowedAny(netip.MustParsePrefix("192.0.2.1/32")) {
		t.Error("the last gate lets the wrong ones through")
	}
}

// A person may insist on a wide range, and that is told.
func TestWide(t *testing.T) {
	s := testStore(t, Config{Now: newClock().Now}, newMemory())
	for p, wide := range map[string]bool{"198.0.0.0/8": true, "128.0.0.0/1": true, "198.51.0.0/16": false, "2000::/3": true, "2001:db8::/32": false} {
		prefix := netip.MustParsePrefix(p)
		if _, err := s.Add(t.Context(), Decision{Prefix: prefix}); (err != nil) != wide {
			t.Errorf("%s: %v", p, err)
		}
		d, err := s.Add(t.Context(), Decision{Prefix: prefix, Wide: true})
		if err != nil || d.Wide != wide {
			t.Errorf("%s by force: %+v, %v", p, d, err)
		}
	}
	if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Wide: true}); err == nil {
		t.Error("everybody is banned")
	}
}
