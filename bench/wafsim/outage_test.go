package wafsim

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
	"weir/internal/waf"
)

// TestOutage: while AWS refuses everything, nothing is dropped and nothing piles
// up; when it is back, a write for each set that has to change is enough.
func TestOutage(t *testing.T) {
	for _, kind := range []struct {
		name string
		do   awslocal.FaultKind
		slow float64 // slots, in those of the budget, while the account is known to be busy
	}{
		{"throttling", awslocal.FaultThrottle, 2},
		{"5xx", awslocal.FaultError, 1},
		{"timeouts after applying", awslocal.FaultHangAfter, 1},
	} {
		for _, rate := range []float64{1, 0.5} {
			name := fmt.Sprintf("ten minutes of %s, %v a second", kind.name, rate)
			trial(t, name, func(t *testing.T, f *figures) { outage(t, f, rate, kind.do, kind.slow) })
		}
	}
}

func outage(t *testing.T, f *figures, rate float64, kind awslocal.FaultKind, slow float64) {
	const adds, trouble, timeout = 2, 10 * time.Minute, 5 * time.Second
	w := newWorld(t, rate)
	capacity := scaled(10_000)
	f.Rate, f.Live, f.AddsPerS = rate, scaled(30_000), adds
	mean := time.Duration(f.Live/adds) * time.Second
	w.sets(types.ScopeCloudfront, "weir-block-v4-", types.IPAddressVersionIpv4, 5)
	begin := time.Now()
	for range f.Live {
		w.store.add(waf.Entry{Prefix: w.v4(), Action: "block", Created: begin, Until: begin.Add(time.Minute + w.expiry(mean))})
	}
	cfg := w.store.config(w.link())
	cfg.WritesPerSecond, cfg.Capacity, cfg.CallTimeout = rate, capacity, timeout
	p := w.start(cfg)
	defer p.halt()
	w.until(10*time.Minute, func() bool { return w.lost(0) == 0 })
	pass(time.Minute)
	w.reset()
	w.server.Faults().Add(awslocal.Fault{Service: "wafv2", Do: kind})
	before := uint64(0)
	for begin, i := time.Now(), 0; time.Since(begin) < trouble; i++ {
		pass(time.Second / adds)
		lasts := time.Minute + w.expiry(mean)
		if i%4 == 0 {
			lasts = 30 * time.Second // over before AWS is back
		}
		w.ban(waf.Entry{Prefix: w.v4(), Action: "block", Until: time.Now().Add(lasts)})
		if before == 0 && time.Since(begin) > time.Minute {
			before = liveHeap()
		}
	}
	f.holds("MB of heap grown", max(0, float64(liveHeap())-float64(before))/1e6, 5)
	f.note("calls a second meanwhile", round(float64(len(w.updates)+w.reads)/trouble.Seconds()))
	back := time.Now()
	w.server.Faults().Clear()
	dirty := w.overdue(back.Add(-grace))
	waiting := w.lost(0)
	took := w.until(10*time.Minute, func() bool { return w.lost(0) == 0 })
	// What ended is removed lazily, from the moment that it is known to be held.
	removed := took + w.until(10*time.Minute, func() bool { return len(w.overdue(back.Add(-grace))) == 0 })
	slots := w.wrote(back)
	f.note("bans waiting", waiting)
	f.note("dirty sets", len(dirty))
	if waiting == 0 && kind != awslocal.FaultHangAfter {
		t.Error("nothing waited for the end of the outage: the case shows nothing")
	}
	f.holds("slots until all has landed", float64(slots), float64(len(dirty)+2))
	most := timeout.Seconds() + slow*float64(len(dirty)+2)/rate
	f.holds("seconds until all has landed", took.Seconds(), most)
	f.holds("seconds until all that is over has left", removed.Seconds(), most+grace.Seconds())
	f.Lost = w.lost(0)
	f.BanP50, f.BanP99 = 0, 0
	w.report(f)
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
}

// liveHeap is what is reachable, in bytes.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
