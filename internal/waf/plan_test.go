package waf

import (
	"container/heap"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// load is a plan driven on virtual time, without a Writer: AWS accepts at once.
type load struct {
	rate  float64 // writes a second
	live  int     // bans in force
	adds  float64 // a second
	sets  int     // of each family that is used
	v6    float64 // share of IPv6
	whole bool    // there is no list of changes
	span  time.Duration
	grace time.Duration
}

// figures are what came of it.
type figures struct {
	ban, expiry []time.Duration // sorted
	writes      int
	steps       int
	look        time.Duration // the slowest, real time
	compose     time.Duration
}

func (r *figures) at(list []time.Duration, share float64) time.Duration {
	return list[min(len(list)-1, int(share*float64(len(list))))]
}

// expiring is a heap of bans by when they end.
type expiring []Entry

func (h expiring) Len() int           { return len(h) }
func (h expiring) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }
func (h expiring) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiring) Push(x any)        { *h = append(*h, x.(Entry)) }
func (h *expiring) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (l load) settings() settings {
	return settings{
		selection: Selection{Prefixes: []SetPrefix{{Prefix: "weir-", Pool: "block"}}}, capacity: setLimit, budget: NewBudgets(), rate: l.rate, grace: l.grace,
		period: time.Minute, allowed: func(netip.Prefix) bool { return false },
	}
}

// filled gives a plan with sets that hold the bans already in force.
func (l load) filled(now time.Time, bans []Entry) *plan {
	p := newPlan(l.settings(), now)
	p.look(now, slices.Values(bans))
	var page []summary
	for f := range families {
		if f == ipv6 && l.v6 == 0 {
			continue
		}
		for i := range l.sets {
			name := fmt.Sprintf("weir-%s-%02d", f, i)
			page = append(page, summary{name, name, "arn:" + name, "t0", ""})
		}
	}
	p.listed(page, "", now)
	held := make([][]netip.Prefix, len(p.sets))
	for i, b := range bans {
		k := i % l.sets
		if familyOf(b.Prefix) == ipv6 {
			k += l.sets
		}
		held[k] = append(held[k], b.Prefix)
	}
	for i, s := range p.sets {
		f := ipv4
		if strings.Contains(s.name, "ipv6") {
			f = ipv6
		}
		p.got(s, reading{token: "t0", family: f, held: held[i]}, now)
	}
	p.look(now, slices.Values(bans))
	return p
}

func (l load) prefix(rng *rand.Rand, n int) netip.Prefix {
	if rng.Float64() < l.v6 {
		return v6(n)
	}
	return v4(n)
}

func (l load) run() *figures {
	rng := rand.New(rand.NewPCG(3, 4))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := now.Add(l.span)
	mean := float64(l.live) / l.adds
	var bans expiring
	for i := range l.live {
		until := now.Add(time.Duration(rng.ExpFloat64()*mean*1e9) * time.Nanosecond)
		bans = append(bans, Entry{Prefix: l.prefix(rng, i), Until: until, Created: now.Add(-time.Hour)})
	}
	heap.Init(&bans)
	byPrefix := make(map[netip.Prefix]Entry, len(bans))
	for _, b := range bans {
		byPrefix[b.Prefix] = b
	}
	p := l.filled(now, bans)
	if !l.whole {
		p.lookup = func(q netip.Prefix, now time.Time) (Entry, bool) {
			b, ok := byPrefix[q]
			return b, ok && b.Until.After(now)
		}
	}
	var changed []netip.Prefix
	all := iter.Seq[Entry](func(yield func(Entry) bool) {
		for _, b := range bans {
			if !yield(b) {
				return
			}
		}
	})
	r := &figures{}
	arrival := now
	for n := l.live; now.Before(end); r.steps++ {
		for !arrival.After(now) {
			b := Entry{Prefix: l.prefix(rng, n), Until: arrival.Add(time.Duration(rng.ExpFloat64()*mean*1e9) * time.Nanosecond), Created: arrival}
			heap.Push(&bans, b)
			byPrefix[b.Prefix] = b
			changed = append(changed, b.Prefix)
			n++
			arrival = arrival.Add(time.Duration(rng.ExpFloat64() / l.adds * 1e9))
			p.changed()
		}
		for len(bans) > 0 && !bans[0].Until.After(now) {
			delete(byPrefix, heap.Pop(&bans).(Entry).Prefix)
		}
		begin := time.Now()
		switch st := p.next(now); st.do {
		case doWait:
			now = st.until
			if arrival.Before(now) {
				now = arrival
			}
		case doLook:
			if p.whole(now) {
				p.look(now, all)
			} else {
				p.apply(now, changed)
			}
			changed = changed[:0]
			r.look = max(r.look, time.Since(begin))
		case doWrite:
			r.compose = max(r.compose, time.Since(begin))
			p.writes.take(now)
			r.writes++
			for _, e := range st.write.drops {
				r.expiry = append(r.expiry, now.Sub(time.UnixMilli(e.until)))
			}
			for _, e := range p.wrote(st.write, now, fmt.Sprint("t", r.writes)) {
				r.ban = append(r.ban, now.Sub(time.UnixMilli(e.created)))
			}
		case doList:
			p.reads.take(now)
			var page []summary
			for _, s := range p.sets {
				page = append(page, summary{s.name, s.id, s.arn, s.token, ""})
			}
			p.listed(page, "", now)
		default:
			panic(fmt.Sprintf("BUG: step %d", st.do))
		}
	}
	slices.Sort(r.ban)
	slices.Sort(r.expiry)
	return r
}

// Bans wait for a slot and never for a set; what has ended leaves within one turn
// of all sets after its grace.
func TestLatencyAtScale(t *testing.T) {
	cases := []load{
		{rate: 0.5, live: 8_000, adds: 0.5, sets: 1, span: 10 * time.Minute, grace: 30 * time.Second},
		{rate: 1, live: 60_000, adds: 2, sets: 8, whole: true, span: 40 * time.Second, grace: 5 * time.Second},
		{rate: 1, live: 60_000, adds: 2, sets: 8, span: 40 * time.Second, grace: 5 * time.Second},
		{rate: 1, live: 60_000, adds: 2, sets: 8, v6: 0.3, span: 40 * time.Second, grace: 5 * time.Second},
		{rate: 1, live: 200_000, adds: 10, sets: 24, span: 32 * time.Second, grace: 5 * time.Second},
		{rate: 1, live: 1_000, adds: 83, sets: 3, span: time.Minute, grace: 5 * time.Second}, // 5,000 bans in a minute
	}
	if testing.Short() {
		cases = cases[:1]
	}
	for _, l := range cases {
		if os.Getenv("WEIR_SIM_LONG") != "" {
			l.span *= 10
		}
		r := l.run()
		slot := time.Duration(float64(time.Second) / l.rate)
		pools := time.Duration(1)
		if l.v6 > 0 {
			pools = 2
		}
		t.Logf("%.1f/s, %d live, %.1f adds/s, %d sets, %.0f%% IPv6: ban p50 %s p99 %s max %s, expiry p50 %s p99 %s, %d writes, look %s, compose %s",
			l.rate, l.live, l.adds, l.sets, 100*l.v6, r.at(r.ban, .5).Round(time.Millisecond), r.at(r.ban, .99).Round(time.Millisecond),
			r.at(r.ban, 1).Round(time.Millisecond), r.at(r.expiry, .5).Round(time.Millisecond), r.at(r.expiry, .99).Round(time.Millisecond), r.writes, r.look, r.compose)
		if p99, limit := r.at(r.ban, .99), pools*slot+200*time.Millisecond; p99 > limit {
			t.Errorf("%+v: bans waited %s, at most %s are right", l, p99, limit)
		}
		if worst, limit := r.at(r.expiry, 1), l.grace+time.Duration(l.sets)*pools*slot+2*slot; worst > limit {
			t.Errorf("%+v: an ended ban stayed for %s, at most %s are right", l, worst, limit)
		}
		if most := int(l.span/slot) + 1; r.writes > most {
			t.Errorf("%+v: %d writes, at most %d are right", l, r.writes, most)
		}
		if r.steps > 40*int(l.span/time.Second)+int(8*l.adds*l.span.Seconds()) {
			t.Errorf("%+v: %d steps, the plan is spinning", l, r.steps)
		}
	}
}

// One slot after a full pass: the write of one of 24 sets.
func BenchmarkSlot(b *testing.B) {
	l := load{rate: 1, live: 200_000, adds: 10, sets: 24, grace: 30 * time.Second}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	bans := make([]Entry, l.live)
	for i := range bans {
		bans[i] = Entry{Prefix: v4(i), Until: now.Add(time.Hour), Created: now}
	}
	p := l.filled(now, bans)
	b.ReportAllocs()
	for b.Loop() {
		p.look(now, slices.Values(bans))
		p.compose(p.sets[0], now)
	}
}
