package wafsim

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/waf"
)

// TestTargets: three targets of one account and region, with pools of their own,
// share one budget.
func TestTargets(t *testing.T) {
	for _, rate := range []float64{1, 0.5} {
		trial(t, fmt.Sprintf("three targets, %v a second", rate), func(t *testing.T, f *figures) {
			const targets, pools, adds, six = 3, 2, 2, 0.3
			w := newWorld(t, rate)
			capacity := scaled(10_000)
			f.Rate, f.Live, f.AddsPerS = rate, scaled(30_000), adds
			mean := time.Duration(f.Live/adds) * time.Second
			budget := waf.NewBudgets()
			begin := time.Now()
			for range f.Live {
				w.store.add(waf.Entry{Prefix: w.address(six), Action: "block", Created: begin, Until: begin.Add(time.Minute + w.expiry(mean))})
			}
			for _, name := range []string{"shop", "api", "blog"} {
				w.sets(types.ScopeCloudfront, name+"-block-v4-", types.IPAddressVersionIpv4, 3)
				w.sets(types.ScopeCloudfront, name+"-block-v6-", types.IPAddressVersionIpv6, 2)
				cfg := w.store.config(w.link())
				cfg.Target, cfg.Sets, cfg.Budget, cfg.WritesPerSecond, cfg.Capacity = name, []string{name + "-"}, budget, rate, capacity
				p := w.start(cfg)
				defer p.halt()
			}
			whole := func() int { // bans that not every target holds
				n := 0
				for p := range w.store.inForce() {
					if w.holding(p) < targets {
						n++
					}
				}
				return n
			}
			w.until(10*time.Minute, func() bool { return whole() == 0 })
			pass(time.Minute)
			w.reset()
			w.countAt(targets)
			w.traffic(100*time.Second, adds, adds, mean, six)
			pass(time.Duration(2*targets*pools)*w.slot() + time.Second)
			f.Lost = whole()
			w.report(f)
			// Every pool of every target has something new in every round of slots.
			f.holds("ban_p99_s, in all targets", f.BanP99, (targets*pools+.2)/rate*slack())
		})
	}
}
