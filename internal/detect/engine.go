// Package detect turns records into alerts: it keeps a leaky bucket for every
// client and scenario that meet, and calls out when one runs over.
//
// One rule holds it together: every bucket has one owner. The goroutine that
// calls Process matches the records and deals what they hit to shards, by client,
// network or value; it then takes the shards that it needs, and while it has one it
// alone reads and writes what is in there. It takes them for some hundred records
// at a time, so that a record pays nothing for it, and the records of one call are
// poured in their order.
//
// Time is the record's own. Nothing here reads a clock, so an incident that is
// replayed from a file raises the alerts that it raised live.
package detect

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// Limits of Config.
const (
	DefaultMemory = 512 << 20 // bytes
	MaxShards     = 256

	// minShardMemory is the least budget of a shard in bytes: below it a table
	// holds too few buckets to tell one client from the next.
	minShardMemory = 256 << 10
)

// Config says how an Engine is built.
type Config struct {
	// Shards is in how many parts the state lies, 1 to MaxShards: so many calls
	// of Process can pour at once. 0 takes one for each CPU that Go may use.
	Shards int

	// Memory is the budget in bytes for all state: half of it holds buckets, a
	// quarter the values that scenarios count only once, an eighth the request
	// ids that reveal duplicates, and an eighth the sample requests of alerts.
	// Scenarios with members take a sixteenth of it out of the quarter.
	// It is reserved by New and never grows, and lies outside of Go's heap. Its pages
	// come into being as they are first used; where the system has large pages these are
	// of 2 MiB, and some thousand clients touch most of them: so count on all of it. 0 takes
	// DefaultMemory; the least is 256 KiB for each shard.
	Memory int64

	// Alert is called for every overflow, on the goroutine that called Process.
	// Whoever decides on a ban must have done so when it returns, as the client's
	// next record is checked against Banned. It must not block, and it must not
	// call Process. Calls about different clients can come at once.
	Alert func(Alert)

	// Banned reports whether a ban in force covers this client at this event
	// time in Unix milliseconds. Records of which it says so are not poured: a
	// client must not be kept out by what the WAF answers it. Several goroutines
	// call it at once. Nil means that nobody is banned.
	Banned func(client netip.Prefix, at int64) bool

	// Observe is told of each hit that may change something what it did, as Alert is called:
	// an alert that the hit raised comes before. Nil means that nobody looks on.
	Observe func(Observation)

	// Seed is the secret behind all hashes that tell what is remembered of whom. An
	// Engine that restores what another one had must have the same. The zero Seed takes
	// a random one.
	Seed seeded.Seed

	Registerer prometheus.Registerer // required
}

// Engine holds the buckets of all clients.
type Engine struct {
	plan    *plan
	limits  []limits // by scenario
	shards  []*shard
	marks   marks
	metrics *metrics
	idle    chan *dealer  // dealers that no Process holds
	callers atomic.Int32  // of Process
	raised  atomic.Uint64 // alerts
	banned  func(netip.Prefix, int64) bool
	watched bool // somebody observes
	memory  int64
	cut     atomic.Pointer[Cut] // nil = there is none
}

// A plan is what an Engine needs of a set of scenarios.
type plan struct {
	scenarios []*scenario.Scenario
	matcher   func() matcher
	judge     func(i int, queue []Sample) bool
	hasher    hasher
	texts     *seeded.Hasher
	mixed     bool     // some scenario counts something else than clients
	members   bool     // some scenario alerts about the members of a full bucket
	drains    []bool   // by scenario: some record takes something out of its buckets
	shields   []uint16 // by scenario: the first of those that have the same shield
	values    []uint64 // by scenario: what stands for it in keys of values
}

func newPlan(scenarios []*scenario.Scenario, drains func(i int) bool, shieldOf func(i int) int) *plan {
	p := &plan{scenarios: scenarios}
	for i, s := range scenarios {
		p.drains = append(p.drains, drains(i))
		p.shields = append(p.shields, uint16(shieldOf(i)))
		p.mixed = p.mixed || s.Group.By != scenario.ByClient
		p.members = p.members || s.Group.Members
	}
	return p
}

// hashWith settles what keys and texts are hashed with.
func (p *plan) hashWith(seed seeded.Seed) {
	p.hasher, p.texts, p.values = newHasher(seed), seed.Hasher(), nil
	for _, s := range p.scenarios {
		p.values = append(p.values, p.texts.String(s.Name))
	}
}

// New returns an Engine that pours what the set matches. Close frees its memory.
func New(set *scenario.Set, cfg Config) (*Engine, error) {
	if set == nil {
		return nil, errors.New("build the detection engine: there is no scenario set")
	}
	return build(planOf(set), cfg)
}

// planOf returns the plan of a set.
func planOf(set *scenario.Set) *plan {
	scenarios := make([]*scenario.Scenario, set.Len())
	for i := range scenarios {
		scenarios[i] = set.At(i)
	}
	p := newPlan(scenarios, func(i int) bool { return scenarios[i].Drains() }, set.ShieldOf)
	p.matcher = func() matcher { return set.NewMatcher() }
	p.judge = func(i int, queue []Sample) bool { return set.Judge(i, eventsOf(queue)) }
	return p
}

func build(p *plan, cfg Config) (*Engine, error) {
	if cfg.Shards == 0 {
		cfg.Shards = min(runtime.GOMAXPROCS(0), MaxShards)
	}
	if cfg.Memory == 0 {
		cfg.Memory = DefaultMemory
	}
	if err := check(cfg); err != nil {
		return nil, fmt.Errorf("build the detection engine: %w", err)
	}
	if cfg.Seed == (seeded.Seed{}) {
		cfg.Seed = seeded.New()
	}
	p.hashWith(cfg.Seed)
	e := &Engine{
		plan:    p,
		banned:  cfg.Banned,
		watched: cfg.Observe != nil,
		memory:  cfg.Memory,
		metrics: newMetrics(cfg.Registerer, p.scenarios),
		idle:    make(chan *dealer, maxIdleDealers),
	}
	for _, s := range p.scenarios {
		e.limits = append(e.limits, newLimits(s))
	}
	for range cfg.Shards {
		s, err := newShard(p, e.limits, cfg, e.metrics, &e.raised)
		e.shards = append(e.shards, s)
		if err != nil {
			e.Close()
			return nil, fmt.Errorf("build the detection engine: %w", err)
		}
	}
	return e, nil
}

func check(cfg Config) error {
	var errs []error
	if cfg.Shards < 1 || cfg.Shards > MaxShards {
		errs = append(errs, fmt.Errorf("%d shards: allowed are 1 to %d", cfg.Shards, MaxShards))
	} else if least := int64(cfg.Shards) * minShardMemory; cfg.Memory < least {
		errs = append(errs, fmt.Errorf("%d bytes of memory: %d shards need %d or more", cfg.Memory, cfg.Shards, least))
	}
	if cfg.Alert == nil {
		errs = append(errs, errors.New("nobody takes the alerts"))
	}
	if cfg.Registerer == nil {
		errs = append(errs, errors.New("there is no registerer for the metrics"))
	}
	return errors.Join(errs...)
}

// Process pours the records in their order and returns when all are poured. It
// keeps no slice of them. Any number of goroutines may call it at once.
func (e *Engine) Process(records []cloudfront.Record) {
	if len(records) == 0 {
		return
	}
	e.callers.Add(1)
	defer e.callers.Add(-1)
	d := e.dealer()
	d.deal(records)
	e.giveBack(d)
}

// dealer returns one that nobody holds.
func (e *Engine) dealer() *dealer {
	select {
	case d := <-e.idle:
		return d
	default:
		return newDealer(e)
	}
}

func (e *Engine) giveBack(d *dealer) {
	select {
	case e.idle <- d:
	default: // enough of them are kept
	}
}

// Close frees the memory. Every Process must have returned.
func (e *Engine) Close() {
	for _, s := range e.shards {
		e.metrics.buckets.Sub(float64(s.tally.live))
		s.tally.live = 0
		s.memory.free()
	}
}
