package waf

import "time"

// Status is what a [Writer] knows and does, at one moment.
type Status struct {
	At     time.Time
	Target string
	Pools  []PoolStatus // those that have IP sets, or entries that want some; hot ones first
	Sets   []SetStatus  // by name

	Writes    uint64       // UpdateIPSet calls made
	Accepted  uint64       // of them accepted
	Throttled uint64       // of them refused for the rate
	Conflicts uint64       // of them refused because somebody else had written
	Repairs   uint64       // readings of sets that others had changed, merged since
	LastWrite time.Time    // accepted; zero = none yet
	NextWrite time.Time    // no write before this
	Rate      float64      // writes a second allowed at present
	Budget    BudgetStatus // of UpdateIPSet in this account and region
	Overdue   int          // ended bans that an IP set holds past their grace
	Epoch     uint64
	Deposed   bool // a higher epoch was met: nothing is written any more
	DryRun    bool
}

// PoolStatus sums up the IP sets of one action and family.
type PoolStatus struct {
	Pool     string // one of PoolWords
	Action   string // block, captcha, challenge, count
	List     bool   // for imported lists
	Family   string // "ipv4", "ipv6"
	Sets     int
	Capacity int // entries that the sets take
	Held     int // entries in the sets
	Wanted   int // entries in force
	Enforced int // of them in a set
	Foreign  int // entries that people added
	Pending  int // in force, waiting for a write
	Evicted  int // in force, without room in any set
}

// Fill is the share of the room that is taken, 0 to 1.
func (p *PoolStatus) Fill() float64 {
	if p.Capacity == 0 {
		return 0
	}
	return float64(p.Held) / float64(p.Capacity)
}

// alarm is the share of the room, in percent, that somebody should know is taken:
// 80, 95, 100, or 0 while it is less.
func (p *PoolStatus) alarm() int {
	full := p.Capacity > 0 && (p.Held >= p.Capacity || p.Evicted > 0)
	switch fill := p.Fill(); {
	case full:
		return 100
	case fill >= .95:
		return 95
	case fill >= .8:
		return 80
	}
	return 0
}

// Pool gives the sums of one pool by its word and family ("ipv4", "ipv6"); zero
// where there is nothing of it.
func (s *Status) Pool(word, family string) PoolStatus {
	for _, p := range s.Pools {
		if p.Pool == word && p.Family == family {
			return p
		}
	}
	return PoolStatus{Pool: word, Family: family}
}

// SetStatus is one IP set.
type SetStatus struct {
	Name, ARN string
	Pool      string // one of PoolWords
	Family    string // "" until the set has been read
	Held      int    // entries, Foreign included
	Foreign   int
	Known     bool      // what it holds is known; false: it is about to be read
	Missing   bool      // AWS says it does not exist
	Written   time.Time // our latest accepted write; zero = none yet
	Epoch     uint64    // of the writer that described it
}

// status sums the plan up.
func (p *plan) status(now time.Time) *Status {
	st := &Status{
		At: now, NextWrite: p.writes.next(), Epoch: p.epoch, DryRun: p.dry, Deposed: p.deposed != nil,
		Throttled: p.throttles, Conflicts: p.conflicts, Repairs: p.repairs,
		Rate: float64(time.Second) / float64(p.writes.interval(now)), Budget: p.writes.status(now),
	}
	var held [poolCount]int
	for _, s := range p.sets {
		is := SetStatus{
			Name: s.name, ARN: s.arn, Pool: s.key.Word(), Held: s.held(),
			Foreign: s.hands(), Epoch: s.epoch, Known: s.known, Missing: s.missing, Written: s.written,
		}
		if s.adopted {
			is.Family = s.key.family.String()
			held[s.key.index()] += is.Held
		}
		st.Overdue += s.overdue(now.Add(-p.grace).UnixMilli())
		if s.written.After(st.LastWrite) {
			st.LastWrite = s.written
		}
		st.Sets = append(st.Sets, is)
	}
	for i := range p.pools {
		pl := &p.pools[i]
		if len(pl.sets) == 0 && pl.wanted == 0 {
			continue
		}
		st.Pools = append(st.Pools, PoolStatus{
			Pool: pl.key.Word(), Action: pl.key.action.String(), List: pl.key.list, Family: pl.key.family.String(),
			Sets: len(pl.sets), Capacity: len(pl.sets) * p.capacity, Held: held[i],
			Wanted: pl.wanted, Enforced: pl.enforced, Foreign: pl.hands(),
			Pending: pl.wanted - pl.enforced - pl.count[spilled], Evicted: pl.count[spilled],
		})
	}
	return st
}
