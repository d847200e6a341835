package ban

import (
	"net/netip"
	"testing"
	"time"
)

// For an hour after its end it is known when a decision ended that was enforced, in
// this process and in the next one on the same storage.
func TestEnded(t *testing.T) {
	c, st := newClock(), newMemory()
	s := testStore(t, Config{Now: c.Now}, st)
	ranOut, lifted, lasting, never := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32"),
		netip.MustParsePrefix("192.0.2.3/32"), netip.MustParsePrefix("192.0.2.4/32")
	for p, lasts := range map[netip.Prefix]time.Duration{ranOut: 5 * time.Minute, lifted: time.Hour, lasting: 3 * time.Hour} {
		if _, err := s.Add(t.Context(), Decision{Prefix: p, Until: noon.Add(lasts)}); err != nil {
			t.Fatal(err)
		}
	}
	c.advance(7 * time.Minute)
	if _, err := s.Remove(t.Context(), lifted); err != nil {
		t.Fatal(err)
	}
	want := func(s *Store, ranOutAt, liftedAt time.Time) {
		t.Helper()
		for p, at := range map[netip.Prefix]time.Time{ranOut: ranOutAt, lifted: liftedAt, lasting: {}, never: {}} {
			if got, ok := s.Ended(p); !got.Equal(at) || ok == at.IsZero() {
				t.Errorf("%s after noon: %s ended %s, %t; want %s", c.now().Sub(noon), p, got, ok, at)
			}
		}
	}
	for _, m := range []int{7, 30, 64} { // minutes; from 17 on the index knows nothing of them
		c.advance(noon.Add(time.Duration(m) * time.Minute).Sub(c.now()))
		s.sweep()
		want(s, noon.Add(5*time.Minute), noon.Add(7*time.Minute))
		want(testStore(t, Config{Now: c.Now}, st), noon.Add(5*time.Minute), noon.Add(7*time.Minute))
	}
	c.advance(2 * time.Minute)
	want(s, time.Time{}, noon.Add(7*time.Minute))
	c.advance(2 * time.Minute)
	want(s, time.Time{}, time.Time{})
	if err := s.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.ended) > 0 {
		t.Errorf("it remembers %v", s.ended)
	}
}

// What was held was in no IP set.
func TestEndedIsNotHeld(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now, PerMinute: 1}, newMemory())
	s.Alert(alert("192.0.2.1/32", noon))
	s.Alert(alert("192.0.2.2/32", noon))
	mustCommit(t, s)
	if n, err := s.RemoveWhere(t.Context(), Where{All: true}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	c.advance(time.Second)
	if _, ok := s.Ended(netip.MustParsePrefix("192.0.2.1/32")); !ok {
		t.Error("what was enforced is not known to have ended")
	}
	if at, ok := s.Ended(netip.MustParsePrefix("192.0.2.2/32")); ok {
		t.Errorf("what was held ended at %s", at)
	}
}
