package waf

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/watchdog"
)

// Entry is one prefix in force.
type Entry struct {
	Prefix   netip.Prefix
	Action   string // "block", "captcha", "challenge", "count"; "" = block
	List     bool   // from an imported list: it goes into pools of their own
	Manual   bool   // a person decided: it is never evicted
	Wide     bool   // a person insists on a prefix wider than /16 or, of IPv6, /32
	Severity uint8  // 0 to 4; where room is short, the lowest gives way first
	Scenario string // for Config.Filter; "" = none
	Origin   string // for Config.Filter

	Until   time.Time
	Created time.Time // for the histogram of seconds until it is enforced
	Hit     time.Time // last request seen of it: the longest silent gives way first; zero = Created
}

// Config is what a [Writer] is made from. The funcs are called by the goroutine
// that Run runs on, or, between two of its steps, by one that is in Preview,
// one at a time; so none of them holds up detection, each may take its time at the
// price of later writes, and none may call the Writer's Preview or Reconcile.
type Config struct {
	Client API
	Scope  types.Scope // CLOUDFRONT (all calls go to us-east-1) or REGIONAL
	Sets   []string    // what ParseSets takes: name prefixes, or ARNs
	Target string      // name of this account and scope in metrics and logs; "" = "default"

	WritesPerSecond float64       // of UpdateIPSet, 0.01 to 1; 0 = 0.5. AWS takes 1 for the account and region
	Budget          *Budgets      // shared by all Writers of a process; nil = one of its own
	Grace           time.Duration // how long an ended ban may stay, so that one write removes many; 0 = until the next write
	DriftPeriod     time.Duration // between two ListIPSets that show other people's writes; 0 = 60 s
	CallTimeout     time.Duration // of each call; 0 = 5 s
	Capacity        int           // entries to put into a set, 1 to 10,000; 0 = 10,000
	Fallback        string        // action of entries whose own no IP set is for: "block" (also ""), "captcha", "challenge", "count" or "none". Those to count never fall back
	DryRun          bool          // never write: Preview says what would be written

	// Epoch gives the epoch of this leader, whenever Run begins: a Writer that
	// meets a higher one in a set has been deposed. nil = 0.
	Epoch func() uint64
	// Confirm is asked before every write: an error means that this process does not
	// lead, or cannot know, and nothing is written. It may wait. nil = it leads.
	Confirm func(context.Context) error
	// Wanted gives everything in force. An entry that it no longer gives is
	// removed: lazily when its time was up, at the next write when it was not.
	Wanted func(now time.Time) iter.Seq[Entry]
	// Changes gives the prefixes about which something changed since a position,
	// and the position to ask from next time, which is valid in any case; the first
	// is 0. !ok: that is too long ago, and Wanted is passed over. nil = Wanted is,
	// at every change. Time alone is no change: an entry that ends need not be
	// among them.
	Changes func(since uint64) (changed []netip.Prefix, next uint64, ok bool)
	// Lookup gives what is in force about exactly p. It goes with Changes.
	Lookup func(p netip.Prefix, now time.Time) (Entry, bool)
	// Changed says that Wanted has something new. One slot is enough.
	Changed <-chan struct{}
	// Filter says which entries this target takes; nil = all.
	Filter func(*Entry) bool
	// Allowed reports whether a prefix overlaps the allowlist: such an entry is
	// never written, and removed at once if it is held. nil = none is.
	Allowed func(netip.Prefix) bool
	// Orphans takes the bans that IP sets hold and Wanted does not give, when
	// they have been read at start: their prefixes, actions, and whether they are in
	// a pool for lists. When it returns nil, Wanted gives those that
	// are to stay; the others are removed. On an error all of them stay, and it is
	// called again. nil = they stay for ever.
	Orphans func(ctx context.Context, held []Entry) error
	// Accepted is told what an UpdateIPSet newly holds, when AWS has accepted it.
	// nil = nobody is told.
	Accepted func(prefixes []netip.Prefix, at time.Time)
	// Ended gives when the latest ban of exactly p ended, if it did and is known. A
	// set that people edited while nobody watched proves no more which entries are
	// ours: those that are in force are, and by this those whose ban ended lately.
	// nil = it is never known, and they are taken for people's.
	Ended func(p netip.Prefix) (time.Time, bool)
	// Removed is told which bans in force a person took out of an IP set. Those
	// that Wanted still gives afterwards are put back. nil = all are put back.
	Removed func(prefixes []netip.Prefix, at time.Time)

	Watch      *watchdog.Monitor     // of a Run that does not get ahead; nil = none
	Logger     *zap.Logger           // nil = none
	Registerer prometheus.Registerer // nil = none. Several Writers may share one: their metrics differ in the label "target"
}

// settings checks the configuration, fills in what it leaves open, and gives what
// a plan is made from.
func (cfg *Config) settings() (settings, error) {
	selection, err := ParseSets(cfg.Sets, cfg.Scope)
	errs := []error{err}
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	orElse(&cfg.Target, "default")
	orElse(&cfg.WritesPerSecond, 0.5)
	orElse(&cfg.DriftPeriod, time.Minute)
	orElse(&cfg.CallTimeout, 5*time.Second)
	orElse(&cfg.Capacity, setLimit)
	fall, err := parseFallback(cfg.Fallback)
	errs = append(errs, err)
	check(cfg.Client != nil && cfg.Wanted != nil, "client and wanted are needed")
	check((cfg.Changes == nil) == (cfg.Lookup == nil), "changes and lookup go together")
	check(cfg.Scope == types.ScopeCloudfront || cfg.Scope == types.ScopeRegional, "scope %q is neither CLOUDFRONT nor REGIONAL", cfg.Scope)
	check(cfg.WritesPerSecond >= 0.01 && cfg.WritesPerSecond <= 1, "%v writes a second: allowed are 0.01 to 1", cfg.WritesPerSecond)
	check(cfg.Grace >= 0 && cfg.DriftPeriod > 0 && cfg.CallTimeout > 0, "a grace, drift period or call timeout is negative")
	check(cfg.Capacity > 0 && cfg.Capacity <= setLimit, "capacity of %d: an IP set takes 1 to %d entries", cfg.Capacity, setLimit)
	if err := errors.Join(errs...); err != nil {
		return settings{}, fmt.Errorf("AWS WAF writer: %w", err)
	}
	if cfg.Budget == nil {
		cfg.Budget = NewBudgets()
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
	return settings{
		selection: selection, capacity: cfg.Capacity, budget: cfg.Budget, rate: cfg.WritesPerSecond,
		grace: cfg.Grace, period: cfg.DriftPeriod, fallback: fall, dry: cfg.DryRun,
		filter: cfg.Filter, lookup: cfg.Lookup, ended: cfg.Ended, allowed: cfg.Allowed, removals: cfg.Removed != nil,
	}, nil
}

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
