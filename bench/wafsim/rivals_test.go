package wafsim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/waf"
)

// rivals is an account that several processes, and people, write to.
type rivals struct {
	*world
	t     *testing.T
	f     *figures
	epoch uint64
}

func newRivals(t *testing.T, f *figures, rate float64) *rivals {
	r := &rivals{world: newWorld(t, rate), t: t, f: f}
	f.Rate, f.Live, f.AddsPerS = rate, 900, 1
	r.sets(types.ScopeCloudfront, "weir-block-v4-", types.IPAddressVersionIpv4, 3)
	begin := time.Now()
	for range f.Live {
		r.store.add(waf.Entry{Prefix: r.v4(), Action: "block", Created: begin, Until: begin.Add(time.Minute + r.expiry(15*time.Minute))})
	}
	return r
}

// lead starts a process that takes the lead.
func (r *rivals) lead() (*process, *link) {
	r.t.Helper()
	r.epoch++
	r.processes++
	l := r.link()
	cfg := r.store.config(l)
	epoch := r.epoch
	cfg.WritesPerSecond, cfg.Capacity, cfg.Epoch = r.rate, 500, func() uint64 { return epoch }
	return r.start(cfg), l
}

// live bans for a while, at one a second, and ends some bans before their time.
func (r *rivals) live(span time.Duration) {
	for begin := time.Now(); time.Since(begin) < span; {
		pass(time.Duration(r.rng.ExpFloat64() * float64(time.Second)))
		r.ban(waf.Entry{Prefix: r.v4(), Action: "block", Until: time.Now().Add(time.Minute + r.expiry(15*time.Minute))})
		if r.rng.IntN(20) == 0 {
			r.store.mu.Lock()
			list := r.store.ends
			p := list[r.rng.IntN(len(list))].Prefix
			r.store.mu.Unlock()
			r.store.drop(p)
		}
	}
}

// edit is a person at the console, who adds an address and, each third time,
// takes one out: one of people's, or one of Weir's.
func (r *rivals) edit(n int) {
	names := []string{"weir-block-v4-0", "weir-block-v4-1", "weir-block-v4-2"}
	set := names[r.rng.IntN(len(names))]
	add, remove := []netip.Prefix{r.v4()}, []netip.Prefix(nil)
	if held := r.server.WAF().Addresses("CLOUDFRONT")[set]; n%3 == 0 && len(held) > 0 {
		remove = []netip.Prefix{held[r.rng.IntN(len(held))]}
	}
	if err := r.server.WAF().EditByHand("CLOUDFRONT", set, add, remove); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range add {
		r.hand[p] = true
	}
	for _, p := range remove {
		delete(r.hand, p)
	}
}

// settle ends all trouble and checks what there is in the end: what is wanted and
// what people added, each once.
func (r *rivals) settle() {
	pass(3*time.Minute + grace)
	r.f.Lost = r.lost(time.Minute)
	extra, twice, gone := r.strangers(grace + 10*r.slot())
	r.report(r.f)
	r.f.note("conflicts", r.conflicts)
	r.f.holds("entries held and not wanted", float64(extra), 0)
	r.f.holds("entries held twice", float64(twice), 0)
	r.f.holds("people's entries gone", float64(gone), 0)
	r.f.holds("flapping addresses", float64(r.flapping()), 0)
}

// TestBusyColleague: a person edits the sets every two seconds.
func TestBusyColleague(t *testing.T) {
	trial(t, "hand edits every 2 s", func(t *testing.T, f *figures) {
		r := newRivals(t, f, 0.5)
		p, _ := r.lead()
		r.until(time.Minute, func() bool { return r.lost(0) == 0 })
		r.reset()
		for i := range 300 {
			r.edit(i)
			r.live(2 * time.Second)
		}
		r.settle()
		f.holds("ban_p99_s", f.BanP99, 10)
		p.halt()
	})
}
