package waf

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	lookEvery    = 15 * time.Second // heals a lost wake-up
	lookGap      = 50 * time.Millisecond
	lookIdle     = 5 * time.Second // between looks while no write could follow
	trustRead    = 500 * time.Millisecond
	contestedFor = time.Minute
)

// exclusion says why an entry that is in force is not written.
type exclusion uint8

const (
	malformed   exclusion = iota // not a prefix that WAF takes
	allowlisted                  // overlaps the allowlist
	unserved                     // its action is not what these sets are for
	quarantined                  // the API refused it by name
	exclusions                   // how many there are
)

func (x exclusion) String() string {
	return [...]string{"malformed", "allowlisted", "action", "quarantined"}[x]
}

// settings are what a plan is made from. Nothing in them changes.
type settings struct {
	selection Selection
	capacity  int // entries a set
	reserve   int // entries a pool keeps free for manual bans
	budget    *Budgets
	grace     time.Duration // an expired ban may stay this long
	period    time.Duration // between two lists
	fallback  fallback
	epoch     uint64
	dry       bool              // nothing is written
	filter    func(*Entry) bool // nil = all
	allowed   func(netip.Prefix) bool
	removals  bool // people's removals are told to somebody
}

// plan decides what to do next, and keeps what is known about the IP sets. It
// knows neither AWS nor a clock: next says what to do at a time, and one of look,
// listed, got, wrote or failed tells it how that went. One goroutine owns it.
type plan struct {
	settings
	pools  [poolCount]pool
	sets   []*set // by name
	byID   map[string]*set
	writes lane
	reads  lane

	round    uint32 // looks so far
	readings uint32 // sets read so far
	excluded [exclusions]int
	looked   time.Time
	took     time.Duration // by the last look
	dirty    bool          // something may have changed since
	hurry    bool          // a write waits for the next look only
	drain    bool          // the last round
	due      int64         // when the next expiry is overdue, Unix ms; 0 = never

	adopted   bool // every set was read, so writing may start
	listing   listing
	orphans   []*entry
	orphanAt  time.Time // hand them over then
	orphanErr error
	reading   trouble // of List and Get
	writing   trouble // of Update
}

func newPlan(cfg settings, now time.Time) *plan {
	p := &plan{
		settings: cfg,
		byID:     make(map[string]*set),
		writes:   lane{b: cfg.budget.bucket("", "", writeAction)},
		reads:    lane{b: cfg.budget.bucket("", "", readAction)},
	}
	for i := range p.pools {
		p.pools[i].key, p.pools[i].entries = keyAt(i), newIndex()
	}
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
		p.writes.move(p.budget.bucket(arn.Account, arn.Region, writeAction))
		p.reads.move(p.budget.bucket(arn.Account, arn.Region, readAction))
	}
	slices.SortFunc(p.sets, func(a, b *set) int { return strings.Compare(a.name, b.name) })
}

// look compares everything in force with what the sets hold. A pass over all of
// it, and no list of changes, is what makes a lost wake-up harmless.
func (p *plan) look(now time.Time, inForce iter.Seq[Entry]) {
	ms := now.UnixMilli()
	p.round++
	p.excluded = [exclusions]int{}
	p.looked, p.dirty, p.hurry, p.due = now, false, false, 0
	for f := range p.pools {
		pl := &p.pools[f]
		pl.before, pl.loose = pl.loose, pl.before[:0]
		pl.wanted, pl.enforced, pl.pending, pl.oldest = 0, 0, 0, 0
	}
	for w := range inForce {
		p.want(w, ms)
	}
	for f := range p.pools {
		pl := &p.pools[f]
		for _, e := range pl.before {
			if e.home == nil && e.seen != p.round {
				pl.entries.drop(e.prefix)
			}
		}
		clear(pl.before)
		p.sum(pl, now)
	}
}

// want takes one entry in force.
func (p *plan) want(w Entry, now int64) {
	prefix, ok := canonical(w.Prefix)
	if !ok {
		p.excluded[malformed]++
		return
	}
	until := w.Until.UnixMilli()
	if until <= now {
		return
	}
	if p.filter != nil && !p.filter(&w) {
		return
	}
	act, ok := actionOf(w.Action)
	pl, served := p.poolFor(act, w.List, familyOf(prefix))
	if !ok || !served {
		p.excluded[unserved]++
		return
	}
	e := pl.entries.get(prefix)
	if e != nil && e.seen == p.round { // twice in force: the longer one counts
		e.until = max(e.until, until)
		return
	}
	if e != nil {
		e.until, e.created = until, w.Created.UnixMilli()
	}
	if p.allowed(prefix) {
		p.excluded[allowlisted]++
		return
	}
	if e == nil {
		e = &entry{prefix: prefix, until: until, created: w.Created.UnixMilli(), since: now}
		pl.entries.put(e)
	}
	e.seen, e.admitted, e.orphan = p.round, !e.poison, false
	if e.home == nil {
		pl.loose = append(pl.loose, e)
	}
	switch {
	case e.poison:
		p.excluded[quarantined]++
		return
	case e.home != nil:
		pl.enforced++
	default:
		pl.pending++
		pl.oldest = earliest(pl.oldest, min(e.since, e.created))
	}
	e.gone = 0
	pl.wanted++
}

// wanted reports whether e was in force at the last look, and may be written.
func (p *plan) wanted(e *entry) bool { return e.seen == p.round && e.admitted }

// sum adds up what each set of a pool holds and what of it has to leave.
func (p *plan) sum(pl *pool, now time.Time) {
	pl.hands, pl.room = 0, 0
	for _, s := range pl.sets {
		p.sumSet(s, now.UnixMilli())
		pl.hands += s.hands
		if s.known {
			pl.room += s.room(p.capacity)
		}
	}
}

func (p *plan) sumSet(s *set, now int64) {
	s.own, s.hands, s.leaving, s.urgent, s.lapsed = 0, len(s.opaque), 0, 0, 0
	for _, keep := range s.copies {
		if keep {
			s.hands++
		} else {
			s.leaving++
			s.lapsed = earliest(s.lapsed, s.readAt.UnixMilli())
		}
	}
	grace := p.grace.Milliseconds()
	for _, e := range s.members {
		switch {
		case e.hand:
			s.hands++
			continue
		case p.wanted(e):
			s.own++
			p.due = earliest(p.due, e.until+grace)
			continue
		case e.orphan:
			if !p.allowed(e.prefix) {
				s.own++
				continue
			}
			e.orphan, e.gone = false, now
		case e.gone == 0 && e.until > now:
			e.gone = now
		}
		s.leaving++
		if e.gone != 0 {
			s.urgent = earliest(s.urgent, e.gone)
			continue
		}
		s.lapsed = earliest(s.lapsed, e.until)
		if over := e.until + grace; over > now {
			p.due = earliest(p.due, over)
		}
	}
	if over := s.unsigned + grace; s.unproven() && over > now {
		p.due = earliest(p.due, over)
	}
}

// earliest is the smaller of two times of which 0 means never.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
