package main

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
)

// mostLandings bounds what is kept of decisions in IP sets: more than these are not
// measured.
const mostLandings = 1 << 17

// landings knows which decisions have reached an IP set, of whatever target, so
// that of each it is told once how long that took; and of which the log has shown
// since that they work.
type landings struct {
	shown prometheus.Histogram

	waiting atomic.Int64 // landings of which the log has shown nothing yet
	mu      sync.RWMutex
	table   bart.Table[*landing]
	full    int   // entries at which those that ended are dropped
	again   int64 // Unix ms before which it is no use to look for such
}

// landing is one decision in an IP set.
type landing struct {
	created, until int64 // Unix ms
	seen           atomic.Bool
}

func newLandings(reg prometheus.Registerer) *landings {
	l := &landings{full: 1024, shown: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "decision_to_blocked_seconds",
		Help: "From the making of a decision to the first request of its client that the log shows as answered by WAF in its name.",
		// CloudFront takes a while to know, and an attacker to come back.
		Buckets: []float64{.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 900, 3600},
	})}
	reg.MustRegister(l.shown)
	return l
}

// land notes that a decision is in an IP set, and reports whether it was in none
// before. Of those that nothing is kept of, each target tells anew.
func (l *landings) land(d *ban.Decision, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, ok := l.table.Get(d.Prefix)
	if ok && before.created == d.Created.UnixMilli() {
		return false
	}
	if !ok && l.table.Size() >= l.full && (now.UnixMilli() < l.again || !l.makeRoom(now.UnixMilli())) {
		return true
	}
	if !ok || before.seen.Load() {
		l.waiting.Add(1)
	}
	l.table.Insert(d.Prefix, &landing{created: d.Created.UnixMilli(), until: d.Until.UnixMilli()})
	return true
}

// makeRoom drops what has ended, and reports whether there is room then. mu is held.
func (l *landings) makeRoom(now int64) bool {
	var over []netip.Prefix
	for p, is := range l.table.All() {
		if is.until <= now {
			over = append(over, p)
			if !is.seen.Load() {
				l.waiting.Add(-1)
			}
		}
	}
	for _, p := range over {
		l.table.Delete(p)
	}
	if l.full = min(max(1024, 2*l.table.Size()), mostLandings); l.full == mostLandings {
		// Each look takes milliseconds, in which no log line is judged.
		l.again = now + time.Minute.Milliseconds()
	}
	return l.table.Size() < l.full
}

// answered is told of a request at an event time (Unix ms) that the log shows with
// the answer that WAF gives in our name. It is for any goroutine, and cheap where
// every decision has been seen to work.
func (l *landings) answered(client netip.Addr, at int64) {
	if l.waiting.Load() == 0 {
		return
	}
	l.mu.RLock()
	is, ok := l.table.Lookup(client)
	l.mu.RUnlock()
	// What was answered before the decision was answered by somebody else.
	if !ok || at < is.created || at >= is.until || is.seen.Swap(true) {
		return
	}
	l.waiting.Add(-1)
	l.shown.Observe(float64(at-is.created) / 1000)
}
