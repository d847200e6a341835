package waf

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	lookEvery    = 15 * time.Second // heals a lost wake-up where there is no list of changes
	passEvery    = time.Minute      // heals a lost change where there is one
	lookGap      = 50 * time.Millisecond
	lookIdle     = 5 * time.Second        // between full passes while no write could follow
	endsGap      = 250 * time.Millisecond // between looks at what has ended
	signAfter    = 2 * time.Second        // a set that people changed gets a new description
	boundFor     = time.Minute            // after which a set that cannot be read loses what it may hold
	shutFor      = time.Hour              // after which an entry that AWS refused is tried again
	starvedFor   = 5 * time.Minute        // after which an ended ban is worth a slot that others want
	listGap      = 3 * time.Second        // between two lists, however many hints there are that others write
	takeover     = 10 * time.Second       // within which a new leader stamps sets before it adds to them
	trustRead    = 500 * time.Millisecond
	readAhead    = 300 * time.Millisecond // before a slot that this Writer wants it begins no read, which might miss it
	contestedFor = time.Minute
	landsFor     = 15 * time.Second // after its call failed, a write may still be carried out
)

// settings are what a plan is made from. Nothing in them changes.
type settings struct {
	selection Selection
	capacity  int // entries a set
	budget    *Budgets
	rate      float64       // writes a second
	grace     time.Duration // an expired ban may stay this long
	period    time.Duration // between two lists
	fallback  fallback
	dry       bool              // nothing is written
	filter    func(*Entry) bool // nil = all
	allowed   func(netip.Prefix) bool
	ended     func(netip.Prefix) (time.Time, bool)
	removals  bool // people's removals are told to somebody
	// lookup gives what is in force about a prefix; nil = there is no list of
	// changes, and every look passes over everything.
	lookup func(p netip.Prefix, now time.Time) (Entry, bool)
}

// plan decides what to do next, and keeps what is known about the IP sets. It
// knows neither AWS nor a clock: next says what to do at a time, and one of look,
// apply, listed, got, wrote or failed tells it how that went. One goroutine at a
// time owns it.
type plan struct {
	settings
	pools  [poolCount]pool
	sets   []*set // by name
	byID   map[string]*set
	writes lane
	reads  lane

	ends     order  // bans in force, the next to end first
	round    uint32 // full passes so far
	seen     int    // bans that the present pass gave
	passing  bool   // a pass is under way
	strange  int    // entries of people found in sets read for the first time
	readings uint32 // sets read so far
	excluded [exclusions]int
	looked   time.Time
	passed   time.Time     // latest full pass
	advanced time.Time     // ended bans have been noticed until then
	took     time.Duration // by the latest full pass
	dirty    bool          // something may have changed since the latest look
	overflow bool          // what has changed is not known: a full pass is due
	hurry    bool          // a write waits for the next look only
	drain    bool          // the last round
	epoch    uint64        // of this leader
	deposed  error         // a set bears a higher one
	listTurn int           // slots that lists have waited for

	adoptedAt time.Time
	adopted   bool // every set was read, so writing may start
	listing   listing
	orphans   []*entry
	judged    []*entry  // orphans that were handed over: wanted or not at the next full pass
	orphanAt  time.Time // hand them over then
	orphanErr error
	reading   trouble // of List and Get
	writing   trouble // of Update
	throttles uint64  // writes refused for the rate
	conflicts uint64  // writes refused because somebody else had written
	repairs   uint64  // readings that showed what others had changed
}

func newPlan(cfg settings, now time.Time) *plan {
	turn := cfg.budget.join()
	p := &plan{
		settings: cfg,
		byID:     make(map[string]*set),
		writes:   lane{b: cfg.budget.bucket("", "", writeAction, cfg.rate), turn: turn},
		reads:    lane{b: cfg.budget.bucket("", "", readAction, readsPerSecond), turn: turn},
	}
	for i := range p.pools {
		p.pools[i].init(keyAt(i))
	}
	p.ends = order{first: func(a, b *entry) bool { return a.until < b.until }, place: func(e *entry) *int32 { return &e.timer }}
	// A start counts as a write: the process before may have made one just now.
	p.writes.hold(now.Add(min(p.writes.interval(now), 2*time.Second)))
	p.listing.at = now
	for _, a := range cfg.selection.ARNs {
		key, _ := keyOf(a.Pool)
		p.know(&set{name: a.ARN.Name, id: a.ARN.ID, arn: a.ARN.String(), key: key})
		p.listing.at = now.Add(cfg.period) // what to read is known without
	}
	return p
}

// know takes a set that was not known before.
func (p *plan) know(s *set) {
	p.byID[s.id] = s
	p.sets = append(p.sets, s)
	if arn, err := ParseARN("ipset", s.arn); err == nil { // whose quota it counts against
		p.writes.move(p.budget.bucket(arn.Account, arn.Region, writeAction, p.rate))
		p.reads.move(p.budget.bucket(arn.Account, arn.Region, readAction, readsPerSecond))
	}
	slices.SortFunc(p.sets, func(a, b *set) int { return strings.Compare(a.name, b.name) })
}
