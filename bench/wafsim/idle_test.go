package wafsim

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
	"weir/internal/waf"
)

// TestQuiet: what nothing and next to nothing cost, with 25,000 bans in force.
func TestQuiet(t *testing.T) {
	trial(t, "an idle hour and one expiry", func(t *testing.T, f *figures) {
		w := newWorld(t, 0.5)
		f.Rate, f.Live = w.rate, scaled(25_000)
		w.sets(types.ScopeCloudfront, "weir-block-v4-", types.IPAddressVersionIpv4, 3)
		begin := time.Now()
		for i := range f.Live {
			end := begin.Add(24 * time.Hour)
			if i == 0 {
				end = begin.Add(2 * time.Hour)
			}
			w.store.add(waf.Entry{Prefix: w.v4(), Action: "block", Created: begin, Until: end})
		}
		cfg := w.store.config(w.link())
		cfg.WritesPerSecond, cfg.Capacity = w.rate, scaled(10_000)
		p := w.start(cfg)
		defer p.halt()
		w.until(time.Minute, func() bool { return w.lost(0) == 0 })
		pass(2 * time.Minute)
		counts := func() (updates, lists, gets int) {
			for k, n := range w.server.Counts() {
				switch k.Action {
				case "UpdateIPSet":
					updates += n
				case "ListIPSets":
					lists += n
				case "GetIPSet":
					gets += n
				}
			}
			return updates, lists, gets
		}
		u0, l0, g0 := counts()
		pass(time.Hour)
		u1, l1, g1 := counts()
		f.holds("UpdateIPSet in an idle hour", float64(u1-u0), 0)
		f.holds("ListIPSets in an idle hour", float64(l1-l0), 60)
		f.holds("GetIPSet in an idle hour", float64(g1-g0), 0)
		w.reset()
		for _, e := range w.store.inForce() {
			w.ends(e.Prefix, e.Until)
		}
		pass(time.Until(begin.Add(2*time.Hour + 2*time.Minute)))
		f.Lost = w.lost(0)
		w.report(f)
		f.holds("UpdateIPSet for one expiry", float64(f.Writes), 1)
		f.holds("expiry_p99_s", f.ExpiryP99, grace.Seconds()+2)
		if extra, _, _ := w.strangers(grace); extra > 0 || f.ExpiryP99 == 0 {
			t.Errorf("%d entries are held and not wanted; the expiry took %v s", extra, f.ExpiryP99)
		}
	})
}

// TestOneCallAChangedSet: what the writer calls is no more than it is documented
// to need.
func TestOneCallAChangedSet(t *testing.T) {
	trial(t, "calls of an ordinary life", func(t *testing.T, f *figures) {
		w := newWorld(t, 1)
		f.Rate, f.Live, f.AddsPerS = w.rate, 200, 0.2
		w.sets(types.ScopeCloudfront, "weir-block-v4-", types.IPAddressVersionIpv4, 3)
		cfg := w.store.config(w.link())
		cfg.WritesPerSecond = w.rate
		p := w.start(cfg)
		defer p.halt()
		pass(10 * time.Second)
		w.reset()
		w.traffic(10*time.Minute, f.AddsPerS, f.AddsPerS, 5*time.Minute, 0)
		pass(5 * time.Second)
		f.Lost = w.lost(time.Second)
		changed := 0
		for _, u := range w.server.WAF().Writes() {
			if len(u.Added)+len(u.Removed) > 0 {
				changed++
			}
		}
		var others []awslocal.CallKey
		reads := 0
		for k, n := range w.server.Counts() {
			switch k.Action {
			case "UpdateIPSet", "CreateIPSet": // the latter is the case's own
			case "ListIPSets", "GetIPSet":
				reads += n
			default:
				others = append(others, k)
			}
		}
		w.report(f)
		if len(others) > 0 {
			t.Errorf("calls beyond the documented rights: %v", others)
		}
		f.holds("UpdateIPSet without a change", float64(f.Writes-changed), 0)
		f.holds("reads", float64(reads), 3+1+11) // each set once, the list at start, and once a minute
	})
}
