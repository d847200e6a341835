package main

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/internal/ban"
)

// A decision lands once, whatever the number of targets; of what the log shows only
// the first request counts that was answered in its name.
func TestLandings(t *testing.T) {
	l := newLandings(prometheus.NewRegistry())
	begin := time.UnixMilli(1_790_000_000_000)
	decision := func(prefix string, created time.Time) *ban.Decision {
		return &ban.Decision{Prefix: netip.MustParsePrefix(prefix), Created: created, Until: created.Add(time.Hour)}
	}
	answered := func(client string, after time.Duration) {
		l.answered(netip.MustParseAddr(client), begin.Add(after).UnixMilli())
	}
	want := func(count uint64, seconds float64) {
		t.Helper()
		var m dto.Metric
		if err := l.shown.Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.Histogram.GetSampleCount() != count || m.Histogram.GetSampleSum() != seconds {
			t.Errorf("%d observed, of %v s together; want %d of %v s", m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum(), count, seconds)
		}
	}
	answered("192.0.2.1", 0)
	want(0, 0)
	if !l.land(decision("192.0.2.1/32", begin), begin) || l.land(decision("192.0.2.1/32", begin), begin.Add(time.Second)) {
		t.Error("a decision lands once")
	}
	if !l.land(decision("2001:db8::/48", begin), begin) {
		t.Error("another does not land")
	}
	answered("192.0.2.2", 3*time.Second)  // nobody's
	answered("192.0.2.1", -time.Second)   // before the decision
	answered("192.0.2.1", 61*time.Minute) // after it
	want(0, 0)
	answered("192.0.2.1", 4*time.Second)
	answered("192.0.2.1", 5*time.Second)
	want(1, 4)
	answered("2001:db8:0:7::9", 1500*time.Millisecond)
	want(2, 5.5)
	// Banned anew, it is a new decision.
	if !l.land(decision("192.0.2.1/32", begin.Add(2*time.Hour)), begin.Add(2*time.Hour)) {
		t.Error("a new decision about the same client does not land")
	}
	answered("192.0.2.1", 2*time.Hour+time.Second)
	want(3, 6.5)
	if n := l.waiting.Load(); n != 0 {
		t.Errorf("%d wait to be seen, want none", n)
	}
}

// However many decisions there are, what is kept is bounded, and what has ended
// gives way.
func TestLandingsAreBounded(t *testing.T) {
	l := newLandings(prometheus.NewRegistry())
	begin := time.UnixMilli(1_790_000_000_000)
	land := func(block, n int, now time.Time) {
		d := ban.Decision{Prefix: netip.MustParsePrefix(fmt.Sprintf("%d.%d.%d.%d/32", block, n>>16, n>>8&255, n&255)), Created: now, Until: now.Add(time.Minute)}
		if !l.land(&d, now) {
			t.Fatalf("%s does not land", d.Prefix)
		}
	}
	for n := range mostLandings + 500 {
		land(10, n, begin)
	}
	if size := l.table.Size(); size != mostLandings || l.waiting.Load() != mostLandings {
		t.Errorf("%d kept, %d wait to be seen; want %d", size, l.waiting.Load(), mostLandings)
	}
	// What is too much costs no look at all the others, but for one a minute.
	looked := l.again
	for n := range 100 {
		land(12, n, begin.Add(30*time.Second))
	}
	if l.again != looked {
		t.Error("it was looked for room again within a minute")
	}
	land(11, 0, begin.Add(time.Hour))
	if size := l.table.Size(); size != 1 || l.waiting.Load() != 1 {
		t.Errorf("an hour later %d are kept and %d wait, want 1", size, l.waiting.Load())
	}
}
