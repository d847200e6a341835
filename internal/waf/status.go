package waf

import "time"

// Status is what a [Writer] knows and does, at one moment.
type Status struct {
	At       time.Time
	Families []FamilyStatus // ipv4, ipv6
	Sets     []SetStatus    // by name

	Writes    uint64    // UpdateIPSet calls made
	Accepted  uint64    // of them accepted
	LastWrite time.Time // accepted; zero = none yet
	NextWrite time.Time // no write before this
	Rate      float64   // writes a second allowed at present
}

// FamilyStatus sums up the IP sets of one family.
type FamilyStatus struct {
	Family   string // "ipv4", "ipv6"
	Sets     int
	Capacity int // entries that the sets take
	Held     int // entries in the sets
	Wanted   int // entries in force
	Enforced int // of them in a set
	Foreign  int // entries that people added
	Pending  int // in force, waiting for a write
	Unplaced int // in force, without room in any set
}

func (f *FamilyStatus) fill() float64 {
	if f.Capacity == 0 {
		return 0
	}
	return float64(f.Held) / float64(f.Capacity)
}

// SetStatus is one IP set.
type SetStatus struct {
	Name, ARN string
	Family    string // "" until the set has been read
	Held      int    // entries, Foreign included
	Foreign   int
	Known     bool      // what it holds is known; false: it is about to be read
	Missing   bool      // AWS says it does not exist
	Written   time.Time // our latest accepted write; zero = none yet
}

// status sums the plan up.
func (p *plan) status(now time.Time) *Status {
	st := &Status{
		At: now, NextWrite: p.writes.next,
		Rate: float64(time.Second) / float64(p.writes.interval(now)),
	}
	for f := range p.pools {
		pl := &p.pools[f]
		unplaced := pl.unplaced()
		st.Families = append(st.Families, FamilyStatus{
			Family: family(f).String(), Sets: len(pl.sets), Capacity: len(pl.sets) * p.capacity,
			Wanted: pl.wanted, Enforced: pl.enforced, Foreign: pl.hands,
			Pending: pl.pending - unplaced, Unplaced: unplaced,
		})
	}
	for _, s := range p.sets {
		is := SetStatus{
			Name: s.name, ARN: s.arn, Held: len(s.members) + len(s.copies) + len(s.opaque),
			Foreign: s.hands, Known: s.known, Missing: s.missing, Written: s.written,
		}
		if s.adopted {
			is.Family = s.family.String()
			st.Families[s.family].Held += is.Held
		}
		if s.written.After(st.LastWrite) {
			st.LastWrite = s.written
		}
		st.Sets = append(st.Sets, is)
	}
	return st
}
