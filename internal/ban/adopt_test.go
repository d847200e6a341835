package ban

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestAdopt(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now, Action: Captcha, Allowlist: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, newMemory())
	for _, p := range []string{"192.0.2.0/24", "203.0.113.0/32", "203.0.113.1/32"} {
		if _, err := s.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix(p)}); err != nil {
			t.Fatal(err)
		}
	}
	changed := s.Subscribe()
	var held []netip.Prefix
	for _, p := range []string{
		"192.0.2.0/24", "192.0.2.9/32", // known, and within what is known
		"203.0.113.0/31",                               // two that are known, merged
		"203.0.113.0/30",                               // more than is known
		"198.51.100.1/32",                              // allowlisted
		"2001:db8::/64", "2001:db8::/64", "10.0.0.0/8", // unknown, one of them twice
	} {
		held = append(held, netip.MustParsePrefix(p))
	}
	if err := s.Adopt(t.Context(), held, Captcha, noon); err == nil || s.Adopt(t.Context(), held, "drop", noon.Add(time.Hour)) == nil {
		t.Error("adopted until now, or with an action that there is not")
	}
	if err := s.Adopt(t.Context(), held, Captcha, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range listAll(t, s, Query{Origin: OriginAdopted}) {
		got = append(got, d.Prefix.String())
		if d.Action != Captcha || d.Until != noon.Add(time.Hour) || d.Reason == "" {
			t.Errorf("adopted %+v", d)
		}
		// What somebody insisted on when it was written would else be taken out as a mistake.
		if d.Wide != isWide(d.Prefix) {
			t.Errorf("%s adopted with wide %v", d.Prefix, d.Wide)
		}
	}
	slices.Sort(got)
	if want := []string{"10.0.0.0/8", "2001:db8::/64", "203.0.113.0/30"}; !slices.Equal(got, want) {
		t.Errorf("adopted %v, want %v", got, want)
	}
	if !isNotified(changed) || len(inForceOf(s, noon)) != 6 {
		t.Errorf("in force: %v", inForceOf(s, noon))
	}
	if err := s.Adopt(t.Context(), held, Block, noon.Add(2*time.Hour)); err != nil || isNotified(changed) {
		t.Errorf("adopted twice, %v", err)
	}
}

// A ban that ended while nobody wrote the IP sets is not adopted from them: it
// would come back from the dead.
func TestAdoptLeavesWhatEnded(t *testing.T) {
	c, st := newClock(), newMemory()
	s := testStore(t, Config{Now: c.Now}, st)
	ranOut, unbanned := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	held := []netip.Prefix{ranOut, unbanned}
	for _, p := range held {
		if _, err := s.Add(t.Context(), Decision{Prefix: p, Until: noon.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Remove(t.Context(), unbanned); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for _, later := range []time.Duration{2 * time.Hour, 48 * time.Hour, 96 * time.Hour} {
		c.advance(later)
		s = testStore(t, Config{Now: c.Now}, st)
		if err := s.Adopt(t.Context(), held, Block, c.now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := inForceOf(s, c.now()); len(got) != 0 {
			t.Errorf("in force %s after noon: %v", c.now().Sub(noon), got)
		}
	}
	c.advance(liftedLife)
	if err := s.Adopt(t.Context(), held, Block, c.now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := inForceOf(s, c.now()); len(got) != 2 {
		t.Errorf("not adopted though nothing recent accounts for them: %v", got)
	}
}
