package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/detect"
)

const (
	// MinDuration and MaxDuration bound how long a decision may last. WAF takes
	// seconds to enforce one, and a ban for ever is a firewall rule.
	MinDuration = time.Second
	MaxDuration = 10 * 365 * 24 * time.Hour

	// MaxReason is how long the reason of a decision may be, in bytes.
	MaxReason = 1000

	// lateGrace is how long a ban is remembered after its end for the sake of
	// records that come late: those of the banned time must still not be poured.
	lateGrace = 10 * time.Minute

	// liftedLife is how long an unban is remembered. Records older than it can
	// only come out of a stream that keeps them longer than the seven days of
	// Kinesis' extended retention.
	liftedLife = 7 * 24 * time.Hour
)

// Config is what a Store is made from.
type Config struct {
	Path      string           // SQLite file; empty, and no Table: memory only, nothing survives the process
	Table     string           // of DynamoDB, which other processes may use at the same time; excludes Path
	DynamoDB  *dynamodb.Client // to reach Table with
	Allowlist []netip.Prefix   // masked; who is never banned
	Lists     []string         // files of imported lists; see readList
	Duration  time.Duration    // of a ban whose scenario has none; MinDuration to MaxDuration
	Action    Action           // of a decision whose scenario has none; empty: Block
	Retention time.Duration    // how long ended decisions are kept; 0: 30 days

	// Public refuses decisions about addresses that are nobody's on the internet,
	// as Reserved has them: at an edge they are the service's own, or a proxy's. A
	// replay of a log from inside a network leaves it out.
	Public bool

	// PerMinute is how many new decisions a scenario may make in a minute, and all
	// together twice as many: what it decides beyond is held until Release. Those
	// that only count are neither counted nor held. 0: any number.
	PerMinute int

	// Share is the part, from 0 to 1, of the clients that keep coming back that a
	// scenario may ban within ten minutes, and all together twice as much: what is
	// decided beyond is held until Release. See Seen. 0: all of them.
	Share float64

	// Now is the clock bans run on, given the time of the event at hand, or the
	// current time where there is none: time.Now for a service, the event time
	// itself for a replay. Nil: time.Now.
	Now func(event time.Time) time.Time

	// OnAlert is told every alert once, in the order of the alerts, with the
	// decision that was made on it (nil: none was). It is called by Commit, after
	// the decision has been stored: what it shows is never lost. It must not
	// call Commit, Add, Remove, RemoveID or Adopt. May be nil.
	OnAlert func(detect.Alert, *Decision)

	Logger     *zap.Logger           // nil: silent
	Registerer prometheus.Registerer // nil: counted, but not shown
}

// withDefaults checks c and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	for _, p := range c.Allowlist {
		if err := checkPrefix(p); err != nil {
			errs = append(errs, fmt.Errorf("allowlist: %w", err))
		}
	}
	if c.Duration < MinDuration || c.Duration > MaxDuration {
		errs = append(errs, fmt.Errorf("ban duration %s: must be from %s to %s", c.Duration, MinDuration, MaxDuration))
	}
	if c.Action == "" {
		c.Action = Block
	}
	if !slices.Contains(Actions(), c.Action) {
		errs = append(errs, unknownAction(c.Action))
	}
	if len(c.Lists) > maxLists {
		errs = append(errs, fmt.Errorf("%d imported lists: there may be %d", len(c.Lists), maxLists))
	}
	for i, path := range c.Lists {
		if slices.Contains(c.Lists[:i], path) {
			errs = append(errs, fmt.Errorf("imported list %s is named twice", path))
		}
	}
	if c.Table != "" && (c.Path != "" || c.DynamoDB == nil) {
		errs = append(errs, fmt.Errorf("table %s: there must be a client for it, and no file", c.Table))
	}
	if c.PerMinute < 0 {
		errs = append(errs, fmt.Errorf("%d new decisions a minute: must not be negative", c.PerMinute))
	}
	if !(c.Share >= 0 && c.Share <= 1) {
		errs = append(errs, fmt.Errorf("share %v of the clients: must be from 0 to 1", c.Share))
	}
	if c.Retention == 0 {
		c.Retention = 30 * 24 * time.Hour
	}
	if c.Retention < 0 {
		errs = append(errs, fmt.Errorf("retention of ended decisions %s: must not be negative", c.Retention))
	}
	if c.Now == nil {
		c.Now = func(time.Time) time.Time { return time.Now() }
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	return c, errors.Join(errs...)
}

func unknownAction(a Action) error {
	return refuse(RefusedAction, "no action %q: there are %q", a, Actions())
}
