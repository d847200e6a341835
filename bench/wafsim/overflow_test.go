package wafsim

import (
	"cmp"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"weir/internal/waf"
)

// worth orders bans: those that stay where there is no room for all come first.
func worth(a, b waf.Entry) int {
	manual := func(e waf.Entry) int {
		if e.Manual {
			return 1
		}
		return 0
	}
	return cmp.Or(manual(b)-manual(a), int(b.Severity)-int(a.Severity), b.Hit.Compare(a.Hit), b.Until.Compare(a.Until))
}

// TestOverflow: where half as much again is wanted as there is room for, the right
// bans are enforced, and the others as soon as there is room.
func TestOverflow(t *testing.T) {
	trial(t, "150000 wanted on 10 sets", func(t *testing.T, f *figures) {
		const sets = 10
		w := newWorld(t, 1)
		capacity := scaled(10_000)
		room, manual := sets*capacity, scaled(3000)
		f.Rate, f.Live = w.rate, scaled(150_000)
		w.sets(types.ScopeCloudfront, "weir-block-v4-", types.IPAddressVersionIpv4, sets)
		begin := time.Now()
		entry := func(manual bool) waf.Entry {
			return waf.Entry{
				Prefix: w.v4(), Action: "block", Created: begin, Manual: manual, Severity: uint8(w.rng.IntN(5)),
				Hit:   begin.Add(-time.Duration(w.rng.IntN(86_400)) * time.Second),
				Until: begin.Add(24*time.Hour + time.Duration(w.rng.IntN(86_400))*time.Second),
			}
		}
		for i := range f.Live {
			w.store.add(entry(i < manual))
		}
		core, logs := observer.New(zap.WarnLevel)
		cfg := w.store.config(w.link())
		cfg.WritesPerSecond, cfg.Capacity, cfg.Logger = w.rate, capacity, zap.New(core)
		p := w.start(cfg)
		defer p.halt()
		// right checks that the sets hold the bans that are worth most, and nothing else.
		right := func(when string) {
			t.Helper()
			all := w.store.inForce()
			list := make([]waf.Entry, 0, len(all))
			for _, e := range all {
				list = append(list, e)
			}
			slices.SortFunc(list, worth)
			list = list[:min(room, len(list))]
			wrong := 0
			for _, e := range list {
				if w.holding(e.Prefix) != 1 {
					wrong++
				}
			}
			if wrong += max(0, len(w.allHeld())-len(list)); wrong > 0 {
				t.Errorf("%s: of the %d bans that are worth most, %d are not held, or others in their place", when, len(list), wrong)
			}
			f.Lost += wrong
		}
		pass(2 * time.Minute)
		right("at first")
		st := p.Status()
		evicted := st.Pool("block", "ipv4").Evicted
		f.note("evicted", evicted)
		if evicted != f.Live-room {
			t.Errorf("%d are evicted by the status, %d by count", evicted, f.Live-room)
		}
		if logs.Len() == 0 {
			t.Error("no alarm is raised")
		}
		f.note("alarms", logs.Len())

		var gone []netip.Prefix
		for _, q := range w.allHeld() {
			if gone = append(gone, q); len(gone) == scaled(20_000) {
				break
			}
		}
		slices.SortFunc(gone, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		w.store.drop(gone...)
		pass(2 * time.Minute)
		right("when room has come")

		w.reset()
		for i := range 20 { // worth more than what is held, a few a minute
			e := entry(i%2 == 0)
			e.Severity, e.Hit = 4, time.Now()
			w.ban(e)
			pass(10 * time.Second)
		}
		pass(2 * time.Minute)
		right("after worthier ones")
		w.report(f)
		f.holds("ban_p99_s", f.BanP99, 1.2)
	})
}
