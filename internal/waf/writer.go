package waf

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"go.uber.org/zap"

	"weir/internal/watchdog"
)

// Writer keeps IP sets equal to what is in force. Ready and Status may be called
// by anyone at any time; Run, Flush and Reset by one goroutine, one after the other.
type Writer struct {
	cfg     Config
	options func(*wafv2.Options)
	metrics *metrics
	started time.Time

	nudge chan struct{}             // Reconcile was called
	wakes func(time.Time) time.Time // moves the times to wake up at, so that a simulation can be repeated; nil = not
	loop  watchdog.Loop

	mu       sync.Mutex // of plan; not held during a call of AWS
	plan     *plan
	busy     bool   // a step is under way, and knows the plan as it was
	position uint64 // in the list of changes
	attempts uint64
	accepts  uint64
	alarms   map[string]int   // by pool: what was last logged
	grumbled time.Time        // last log line about a failing call
	warned   map[Foreign]bool // entries of people's that overlap the allowlist

	status atomic.Pointer[Status]
	why    atomic.Pointer[error] // nil inside = ready
}

// New checks cfg and makes a Writer. It calls nothing.
func New(cfg Config) (*Writer, error) {
	set, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	w := &Writer{
		cfg: cfg, options: callOptions(cfg.Scope), metrics: newMetrics(cfg.Registerer, cfg.Target), started: now,
		plan: newPlan(set, now), nudge: make(chan struct{}, 1), alarms: make(map[string]int),
	}
	w.publish(now)
	return w, nil
}

// Run adopts what the IP sets hold and then keeps them right until ctx ends. A
// failing AWS is retried for ever, and shows in Ready. A call in flight when ctx
// ends is waited for, and the error is nil then; the only other end is an ErrDeposed,
// after which nothing may be written any more.
func (w *Writer) Run(ctx context.Context) error {
	if w.cfg.Epoch != nil {
		w.mu.Lock()
		w.plan.epoch = w.cfg.Epoch()
		w.mu.Unlock()
	}
	w.cfg.Watch.Enter(&w.loop, "the writer of target "+w.cfg.Target)
	defer w.cfg.Watch.Leave(&w.loop)
	for ctx.Err() == nil {
		w.loop.Works()
		st := w.next()
		if st.do == doDeposed {
			w.publish(time.Now())
			return st.err
		}
		w.do(ctx, st)
	}
	return nil
}

// Flush is the last round after Run has returned: it writes what is pending, at
// the usual pace, until nothing is or ctx ends. An error says how much is left;
// the sets stay as they are either way. A dry run has no last round.
func (w *Writer) Flush(ctx context.Context) error {
	p := w.plan // Reset is ours to call, and not now
	if p.dry {
		return nil
	}
	w.mu.Lock()
	p.drain, p.hurry = true, true
	p.changed()
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		p.drain, w.busy = false, false
		w.mu.Unlock()
	}()
	for ctx.Err() == nil {
		st := w.next()
		switch st.do {
		case doFinish:
			return nil
		case doDeposed:
			return st.err
		}
		w.do(ctx, st)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	left := 0
	for f := range p.pools {
		left += len(p.pools[f].pending) + p.pools[f].count[bound]
	}
	return fmt.Errorf("last round of writes: %d bans are in no IP set: %w", left, context.Cause(ctx))
}

// Reset forgets what was learnt of the IP sets, so that Run can be called again: by
// then another leader may have written them, and they are read as at a start. What
// was spent of the budget is remembered. It is called after Run and Flush.
func (w *Writer) Reset() {
	w.mu.Lock()
	now := time.Now()
	w.plan.writes.claim(0)
	w.plan.reads.claim(0)
	w.plan, w.position = newPlan(w.plan.settings, now), 0
	why := w.plan.why(now)
	w.why.Store(&why) // which is no news for the log
	w.mu.Unlock()
	w.publish(now)
}

// Ready says why the IP sets are not what they should be; nil: they are, or are
// about to be.
func (w *Writer) Ready() error { return *w.why.Load() }

// Status gives the state after the latest step.
func (w *Writer) Status() Status { return *w.status.Load() }

// next asks the plan, which has to know what changed during the step before.
func (w *Writer) next() step {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.cfg.Changed:
		w.plan.changed()
	default:
	}
	st := w.plan.next(time.Now())
	w.busy = st.do != doWait
	return st
}

// do carries out one step.
func (w *Writer) do(ctx context.Context, st step) {
	switch st.do {
	case doWait:
		w.wait(ctx, st.until)
		return
	case doLook:
		w.mu.Lock()
		w.look()
		w.mu.Unlock()
	case doList:
		w.list(ctx, st.marker)
	case doGet:
		w.get(ctx, st.set)
	case doWrite:
		w.update(ctx, st.write)
	case doAdopt:
		w.adopt(ctx, st.orphans)
	case doFinish, doDeposed:
		panic("BUG: the end is not a step")
	}
	w.publish(time.Now())
}

func (w *Writer) wait(ctx context.Context, until time.Time) {
	w.loop.Waits()
	defer w.loop.Works()
	if w.wakes != nil {
		until = w.wakes(until)
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.nudge:
	case <-w.cfg.Changed:
		w.mu.Lock()
		w.plan.changed()
		w.mu.Unlock()
	case <-timer.C:
	}
}

// look has the plan see what changed. The caller holds mu.
func (w *Writer) look() {
	p, start := w.plan, time.Now()
	var changed []netip.Prefix
	partial := false
	if w.cfg.Changes != nil {
		// The position is taken before a full pass: what changes meanwhile comes again.
		changed, w.position, partial = w.cfg.Changes(w.position)
	}
	if partial && !p.whole(start) {
		p.apply(start, changed)
	} else {
		p.look(start, w.cfg.Wanted(start))
		p.took = time.Since(start)
		w.warn()
	}
	w.metrics.strange.Add(float64(p.strange))
	p.strange = 0
	w.metrics.look.Observe(time.Since(start).Seconds())
}

func (w *Writer) adopt(ctx context.Context, orphans []*entry) {
	if w.cfg.Orphans == nil {
		w.mu.Lock()
		w.plan.keep(orphans)
		w.mu.Unlock()
		return
	}
	found := make([]Entry, 0, len(orphans))
	for _, e := range orphans {
		found = append(found, Entry{Prefix: e.prefix, Action: e.pool.key.action.String(), List: e.pool.key.list})
	}
	w.loop.Waits()
	err := w.cfg.Orphans(ctx, found)
	w.loop.Works()
	if err == nil {
		w.cfg.Logger.Info("adopted bans that the IP sets held", zap.Int("entries", len(orphans)))
	}
	w.mu.Lock()
	w.plan.taken(orphans, time.Now(), err)
	w.mu.Unlock()
}

// landed tells who asked what is enforced from now on.
func (w *Writer) landed(entries []*entry, at time.Time) {
	if len(entries) == 0 {
		return
	}
	for _, e := range entries {
		// One that is older than this process says nothing about how fast it is.
		if created := time.UnixMilli(e.created); created.After(w.started) {
			w.metrics.banned(created, at)
		}
	}
	if w.cfg.Accepted != nil {
		w.cfg.Accepted(prefixes(entries), at)
	}
}

// removed tells who asked what a person took out of a set.
func (w *Writer) removed(s *set, list []netip.Prefix, at time.Time) {
	if len(list) == 0 {
		return
	}
	w.metrics.taken.Add(float64(len(list)))
	w.cfg.Logger.Info("bans were taken out of an IP set by hand", zap.String("set", s.name), zap.Int("entries", len(list)))
	w.cfg.Removed(list, at)
}

func prefixes(entries []*entry) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.prefix)
	}
	return list
}

// complain logs a failed write, at most one a minute: the rest is counted.
func (w *Writer) complain(s *set, how outcome, err error) {
	if now := time.Now(); now.Sub(w.grumbled) >= time.Minute {
		w.grumbled = now
		w.cfg.Logger.Warn("an IP set was not written", zap.String("set", s.name), zap.Stringer("result", how), zap.Error(err))
	}
}

// publish shows the state to Ready, Status and the metrics.
func (w *Writer) publish(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = false
	st := w.plan.status(now)
	st.Target, st.Writes, st.Accepted = w.cfg.Target, w.attempts, w.accepts
	w.status.Store(st)
	w.metrics.show(st, w.plan.exclusions())
	w.alarm(st)
	why := w.plan.why(now)
	if before := w.why.Swap(&why); before != nil && (*before == nil) != (why == nil) {
		if why == nil {
			w.cfg.Logger.Info("the IP sets are kept up to date")
		} else {
			w.cfg.Logger.Warn("the IP sets are not kept up to date", zap.Error(why))
		}
	}
}

// alarm logs when a pool has become fuller than 80, 95 or 100 percent, and when it
// is back below. It is back when it is well below, so that a pool at a limit does
// not fill the log.
func (w *Writer) alarm(st *Status) {
	for i := range st.Pools {
		p := &st.Pools[i]
		name := p.Pool + " " + p.Family
		before, now := w.alarms[name], p.alarm()
		fields := []zap.Field{
			zap.String("pool", p.Pool), zap.String("family", p.Family), zap.Int("held", p.Held),
			zap.Int("capacity", p.Capacity), zap.Int("evicted", p.Evicted),
		}
		switch {
		case now > before:
			w.cfg.Logger.Warn(fmt.Sprintf("%d percent of a pool's room is taken: make more IP sets", now), fields...)
		case now < before && p.Fill() < float64(before)/100-.02:
			w.cfg.Logger.Info(fmt.Sprintf("less than %d percent of a pool's room is taken again", before), fields...)
		default:
			continue
		}
		w.alarms[name] = now
	}
}
