package waf

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Entry is one prefix in force.
type Entry struct {
	Prefix  netip.Prefix
	Action  string // "block", ...; "" = the first of Config.Actions
	Until   time.Time
	Created time.Time // for the histogram of seconds until it is enforced
}

// Config is what a [Writer] is made from. Every func is called on the goroutine
// that Run runs on, so none of them holds up detection, and each may take its time
// at the price of later writes.
type Config struct {
	Client API
	Scope  types.Scope // CLOUDFRONT (all calls go to us-east-1) or REGIONAL
	Sets   []string    // what ParseSets takes: one name prefix, or ARNs

	WritesPerSecond float64       // of UpdateIPSet, 0.01 to 1; 0 = 0.5. AWS takes 1 for the account and region
	Grace           time.Duration // how long an ended ban may stay, so that one write removes many; 0 = until the next write
	DriftPeriod     time.Duration // between two ListIPSets that show other people's writes; 0 = 60 s
	CallTimeout     time.Duration // of each call; 0 = 5 s
	Capacity        int           // entries to put into a set, 1 to 10,000; 0 = 10,000
	Actions         []string      // entries of other actions are not written; nil = "block"

	// Wanted gives everything in force. An entry that it no longer gives is
	// removed: lazily when its time was up, at the next write when it was not.
	Wanted func(now time.Time) iter.Seq[Entry]
	// Changed says that Wanted has something new. One slot is enough.
	Changed <-chan struct{}
	// Allowed reports whether a prefix overlaps the allowlist: such an entry is
	// never written, and removed at once if it is held. nil = none is.
	Allowed func(netip.Prefix) bool
	// Orphans takes the bans that IP sets hold and Wanted does not give, when
	// they have been read at start. When it returns nil, Wanted gives those that
	// are to stay; the others are removed. On an error all of them stay, and it is
	// called again. nil = they stay for ever.
	Orphans func(ctx context.Context, held []netip.Prefix) error
	// Accepted is told what an UpdateIPSet newly holds, when AWS has accepted it.
	// nil = nobody is told.
	Accepted func(prefixes []netip.Prefix, at time.Time)
	// Removed is told which bans in force a person took out of an IP set. Those
	// that Wanted still gives afterwards are put back. nil = all are put back.
	Removed func(prefixes []netip.Prefix, at time.Time)

	Logger     *zap.Logger           // nil = none
	Registerer prometheus.Registerer // nil = none
}

// Writer keeps IP sets equal to what is in force. Ready and Status may be called
// by anyone at any time; Run and Flush by one goroutine, one after the other.
type Writer struct {
	cfg     Config
	options func(*wafv2.Options)
	metrics *metrics
	started time.Time

	plan     *plan // owned by the goroutine in Run or Flush
	attempts uint64
	accepts  uint64
	grumbled time.Time // last log line about a failing call

	status atomic.Pointer[Status]
	why    atomic.Pointer[error] // nil inside = ready
}

// New checks cfg and makes a Writer. It calls nothing.
func New(cfg Config) (*Writer, error) {
	selection, err := ParseSets(cfg.Sets, cfg.Scope)
	errs := []error{err}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	orElse(&cfg.WritesPerSecond, 0.5)
	orElse(&cfg.DriftPeriod, time.Minute)
	orElse(&cfg.CallTimeout, 5*time.Second)
	orElse(&cfg.Capacity, setLimit)
	check(cfg.Client != nil && cfg.Wanted != nil, "client and wanted are needed")
	check(cfg.Scope == types.ScopeCloudfront || cfg.Scope == types.ScopeRegional, "scope %q is neither CLOUDFRONT nor REGIONAL", cfg.Scope)
	check(cfg.WritesPerSecond >= 0.01 && cfg.WritesPerSecond <= 1, "%v writes a second: allowed are 0.01 to 1", cfg.WritesPerSecond)
	check(cfg.Grace >= 0 && cfg.DriftPeriod > 0 && cfg.CallTimeout > 0, "a grace, drift period or call timeout is negative")
	check(cfg.Capacity > 0 && cfg.Capacity <= setLimit, "capacity of %d: an IP set takes 1 to %d entries", cfg.Capacity, setLimit)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("AWS WAF writer: %w", err)
	}
	if cfg.Actions == nil {
		cfg.Actions = []string{"block"}
	}
	if cfg.Allowed == nil {
		cfg.Allowed = func(netip.Prefix) bool { return false }
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	now := time.Now()
	w := &Writer{
		cfg: cfg, options: callOptions(cfg.Scope), metrics: newMetrics(cfg.Registerer), started: now,
		plan: newPlan(settings{
			selection: selection, capacity: cfg.Capacity, rate: cfg.WritesPerSecond,
			grace: cfg.Grace, period: cfg.DriftPeriod, serves: cfg.Actions,
			allowed: cfg.Allowed, removals: cfg.Removed != nil,
		}, now),
	}
	w.publish(now)
	return w, nil
}

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// Run adopts what the IP sets hold and then keeps them right until ctx ends. A
// failing AWS is retried for ever, and shows in Ready. The error is always nil: a
// call in flight when ctx ends is waited for.
func (w *Writer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		w.do(ctx, w.next())
	}
	return nil
}

// Flush is the last round after Run has returned: it writes what is pending, at
// the usual pace, until nothing is or ctx ends. An error says how much is left;
// the sets stay as they are either way.
func (w *Writer) Flush(ctx context.Context) error {
	p := w.plan
	p.drain, p.hurry = true, true
	p.changed()
	defer func() { p.drain = false }()
	for ctx.Err() == nil {
		st := w.next()
		if st.do == doFinish {
			return nil
		}
		w.do(ctx, st)
	}
	left := 0
	for f := range p.pools {
		left += p.pools[f].pending
	}
	return fmt.Errorf("last round of writes: %d bans are in no IP set: %w", left, context.Cause(ctx))
}

// Ready says why the IP sets are not what they should be; nil: they are, or are
// about to be.
func (w *Writer) Ready() error { return *w.why.Load() }

// Status gives the state after the latest step.
func (w *Writer) Status() Status { return *w.status.Load() }

// next asks the plan, which has to know what changed during the step before.
func (w *Writer) next() step {
	select {
	case <-w.cfg.Changed:
		w.plan.changed()
	default:
	}
	return w.plan.next(time.Now())
}

// do carries out one step.
func (w *Writer) do(ctx context.Context, st step) {
	switch st.do {
	case doWait:
		w.wait(ctx, st.until)
		return
	case doLook:
		w.look()
	case doList:
		w.list(ctx, st.marker)
	case doGet:
		w.get(ctx, st.set)
	case doWrite:
		w.update(ctx, st.write)
	case doAdopt:
		w.adopt(ctx, st.orphans)
	case doFinish:
		panic("BUG: a last round finished that nobody asked for")
	}
	w.publish(time.Now())
}

func (w *Writer) wait(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.cfg.Changed:
		w.plan.changed()
	case <-timer.C:
	}
}

func (w *Writer) look() {
	start := time.Now()
	w.plan.look(start, w.cfg.Wanted(start))
	w.plan.took = time.Since(start)
	w.metrics.look.Observe(w.plan.took.Seconds())
}

func (w *Writer) adopt(ctx context.Context, orphans []*entry) {
	if w.cfg.Orphans == nil {
		w.plan.keep(orphans)
		return
	}
	err := w.cfg.Orphans(ctx, prefixes(orphans))
	if err == nil {
		w.cfg.Logger.Info("adopted bans that the IP sets held", zap.Int("entries", len(orphans)))
	}
	w.plan.taken(orphans, time.Now(), err)
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
	st := w.plan.status(now)
	st.Writes, st.Accepted = w.attempts, w.accepts
	w.status.Store(st)
	w.metrics.show(st, w.plan.excluded)
	why := w.plan.why(now)
	if before := w.why.Swap(&why); before != nil && (*before == nil) != (why == nil) {
		if why == nil {
			w.cfg.Logger.Info("the IP sets are kept up to date")
		} else {
			w.cfg.Logger.Warn("the IP sets are not kept up to date", zap.Error(why))
		}
	}
}
