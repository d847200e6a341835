package ban

import (
	"net/netip"
	"testing"
	"time"
)

// Who takes only some decisions gets the strongest of those, where a stronger one
// hides it from everybody else.
func TestInForceOf(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	p := netip.MustParsePrefix("192.0.2.7/32")
	for _, d := range []Decision{
		{Prefix: p, Action: Captcha, Until: noon.Add(time.Hour)},
		{Prefix: p, Action: Captcha, Until: noon.Add(2 * time.Hour)},
		{Prefix: p, Action: Block, Until: noon.Add(time.Minute)},
		{Prefix: netip.MustParsePrefix("192.0.2.8/32"), Action: Block, Until: noon.Add(time.Hour)},
	} {
		if _, err := s.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	only := func(a Action) func(*Decision) bool { return func(d *Decision) bool { return d.Action == a } }
	for _, tt := range []struct {
		take  func(*Decision) bool
		count int // prefixes
		about Action
		lasts time.Duration
	}{
		{nil, 2, Block, time.Minute},
		{only(Block), 2, Block, time.Minute},
		{only(Captcha), 1, Captcha, 2 * time.Hour},
		{only(Count), 0, "", 0},
	} {
		n := 0
		for d := range s.InForceOf(noon, tt.take) {
			if n++; d.Prefix == p && (d.Action != tt.about || !d.Until.Equal(noon.Add(tt.lasts))) {
				t.Errorf("in force: %+v, want %+v", d, tt)
			}
		}
		d, ok := s.LookupOf(p, noon, tt.take)
		if n != tt.count || ok != (tt.about != "") || d.Action != tt.about || ok && !d.Until.Equal(noon.Add(tt.lasts)) {
			t.Errorf("%d in force, %+v about %s; want %+v", n, d, p, tt)
		}
	}
}
