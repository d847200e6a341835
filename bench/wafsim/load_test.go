package wafsim

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/waf"
)

// load is a stream of bans into an account that has many already.
type load struct {
	name  string
	live  int
	adds  float64 // a second
	burst int     // bans more, within a minute
}

var loads = []load{
	{"60000 live", 60_000, 2, 0},
	{"200000 live", 200_000, 10, 0},
	{"burst", 60_000, 2, 5000},
}

// TestLatency: how long a ban waits does not depend on how many there are.
func TestLatency(t *testing.T) {
	for _, l := range loads {
		for _, rate := range []float64{1, 0.5} {
			for _, six := range []float64{0, 0.3} {
				name := fmt.Sprintf("%s, %v a second", l.name, rate)
				if six > 0 {
					name += fmt.Sprintf(", %.0f %% IPv6", six*100)
				}
				trial(t, name, func(t *testing.T, f *figures) { l.run(t, f, rate, six) })
			}
		}
	}
}

func (l load) run(t *testing.T, f *figures, rate, six float64) {
	w := newWorld(t, rate)
	capacity, burst := scaled(10_000), scaled(l.burst)
	f.Rate, f.Live, f.AddsPerS = rate, scaled(l.live), l.adds
	mean := time.Duration(float64(f.Live) / l.adds * float64(time.Second))
	sets := func(share float64) int { // with a fifth to spare
		return int(share*float64(f.Live+burst)*1.2)/capacity + 1
	}
	w.sets(types.ScopeCloudfront, "weir-block-v4-", types.IPAddressVersionIpv4, sets(1-six))
	pools := 1
	if six > 0 {
		pools = 2
		w.sets(types.ScopeCloudfront, "weir-block-v6-", types.IPAddressVersionIpv6, sets(six))
	}
	begin := time.Now()
	for range f.Live {
		w.store.add(waf.Entry{Prefix: w.address(six), Action: "block", Created: begin, Until: begin.Add(time.Minute + w.expiry(mean))})
	}
	cfg := w.store.config(w.link())
	cfg.WritesPerSecond, cfg.Capacity = rate, capacity
	p := w.start(cfg)
	defer p.halt()
	w.until(10*time.Minute, func() bool { return w.lost(0) == 0 })
	pass(time.Minute) // until expiries come in their usual number
	w.reset()
	span := 5 * time.Minute
	if !*full {
		span = 100 * time.Second
	}
	w.traffic(span, l.adds+float64(burst)/60, l.adds, mean, six)
	pass(time.Duration(float64(pools)*2/rate*float64(time.Second)) + time.Second)
	f.Lost = w.lost(time.Second)
	w.report(f)
	slot := 1 / rate
	f.holds("ban_p99_s", f.BanP99, []float64{0, 1.2, 2.2}[pools]*slot*slack())
	// The grace, and then every set's turn, in slots that the pools share.
	f.holds("expiry_p99_s", f.ExpiryP99, grace.Seconds()+float64(pools*sets(1-six)+2)*slot)
}

// traffic bans by chance: in its first minute with one rate, then with another.
func (w *world) traffic(span time.Duration, first, then float64, mean time.Duration, six float64) {
	w.t.Helper()
	begin := time.Now()
	for _, e := range w.store.inForce() {
		w.ends(e.Prefix, e.Until)
	}
	for {
		adds := then
		if time.Since(begin) < time.Minute {
			adds = first
		}
		pass(time.Duration(w.rng.ExpFloat64() / adds * float64(time.Second)))
		if time.Since(begin) >= span {
			return
		}
		w.ban(waf.Entry{Prefix: w.address(six), Action: "block", Until: time.Now().Add(time.Minute + w.expiry(mean))})
	}
}
