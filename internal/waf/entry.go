package waf

import "net/netip"

// entry is a prefix in one pool that is wanted, held by an IP set, or both. Times
// are Unix milliseconds: there may be hundreds of thousands of these.
type entry struct {
	prefix netip.Prefix
	pool   *pool
	home   *set     // the IP set that holds it; nil = none does
	over   *entry   // the wider entry that stands for it; nil = it stands for itself
	under  []*entry // what it stands for
	rest   []*entry // what it stood for, and may not leave before that is held
	owed   *entry   // that may not leave before this one is held
	bound  *set     // an unanswered write may have brought it there
	loose  bool     // an unanswered write may have taken it out of its home
	heir   *entry   // the same prefix in another pool: this one stays until that one is held

	created int64 // as last wanted
	until   int64 // as last wanted, or when it was adopted
	hit     int64 // last request seen, as last wanted
	since   int64 // when it was first seen wanted and homeless
	gone    int64 // when it was found unwanted before its time was up; 0 = it was not
	moved   int64 // when it was last added to an IP set or evicted; 0 = never

	at    int32 // its index in home.members, pool.pending or pool.spilled
	timer int32 // its place in plan.ends
	rank  int32 // its place in pool.worst

	pass      uint32 // the last full pass that gave it
	mark      uint32 // the last reading of home that had it
	class     class
	severity  uint8
	wanted    bool // in force, and it may be written
	made      bool // no ban, but made to stand for several
	split     bool // was made, and is taken apart
	inherits  bool // some entry has it for its heir
	manual    bool // never evicted
	hand      bool // people put it there: never removed
	orphan    bool // a Weir put it there, and nobody has said yet until when
	poison    bool // the API refused it by name
	spilled   bool // no IP set has room for it
	displaced bool // it gives its place to a more valuable one
	asked     bool // it is counted as wanted
	met       bool // and as enforced
}

// class says what is to become of an entry. It follows from the other fields.
type class uint8

const (
	nothing   class = iota // neither wanted nor held
	pending                // waits for a write
	spilled                // waits for room
	bound                  // an unanswered write may have brought it into a set, which is to be read
	sheltered              // needs no place, since a wider entry stands for it
	shut                   // the API refuses it
	enforced               // wanted and held
	foreign                // people put it there
	staying                // an orphan, or kept until its heir is held
	yielding               // held, and leaves with the next write of its set, whenever that is, if what stands for it is held then
	lapsed                 // held, and its time is up
	lifted                 // held, and unwanted before its time was up
	classes                // how many there are
)

func (e *entry) classify() class {
	switch {
	case e.home == nil && !e.wanted:
		return nothing
	case e.home == nil && e.poison:
		return shut
	case e.home == nil && e.over != nil:
		return sheltered
	case e.home == nil && e.bound != nil:
		return bound
	case e.home == nil && e.spilled:
		return spilled
	case e.home == nil:
		return pending
	case e.hand:
		return foreign
	case e.wanted && !e.poison && (e.displaced || e.over != nil):
		return yielding
	case e.wanted && !e.poison:
		return enforced
	case e.orphan, e.heir != nil:
		return staying
	case e.gone != 0:
		return lifted
	}
	return lapsed
}

// leaves reports whether the next write of its set drops an entry of this class.
func (c class) leaves() bool { return c >= yielding }

// out takes e out of every sum and order, before it changes; in puts it back.
func (p *plan) out(e *entry) {
	pl, s := e.pool, e.home
	pl.count[e.class]--
	if e.asked {
		pl.wanted--
	}
	if e.met {
		pl.enforced--
	}
	e.asked, e.met = false, false
	switch e.class {
	case pending:
		pl.pending = unlist(pl.pending, e)
		if min(e.since, e.created) <= pl.oldest {
			pl.oldest = 0
		}
	case spilled:
		pl.spilled.remove(e)
	case shut:
		delete(pl.poison, e)
	}
	if s == nil {
		return
	}
	s.count[e.class]--
	switch e.class {
	case enforced:
		pl.worst.remove(e)
	case lapsed:
		s.resum = s.resum || e.until <= s.lapsed
	case lifted:
		s.resum = s.resum || e.gone <= s.urgent
	}
}

func (p *plan) in(e *entry) {
	e.class = e.classify()
	pl, s := e.pool, e.home
	pl.count[e.class]++
	pl.moved = true
	if e.asked = e.wanted && !e.made && !e.poison; e.asked {
		pl.wanted++
	}
	if e.met = e.asked && e.enforced(); e.met {
		pl.enforced++
	}
	switch e.class {
	case pending:
		e.at = int32(len(pl.pending))
		pl.pending = append(pl.pending, e)
		if len(pl.pending) == 1 || pl.oldest != 0 {
			pl.oldest = earliest(pl.oldest, min(e.since, e.created))
		}
	case spilled:
		pl.spilled.add(e)
	case shut:
		pl.poison[e] = p.looked.UnixMilli()
	}
	if s == nil {
		return
	}
	s.count[e.class]++
	switch e.class {
	case enforced:
		if pl.ranking && !e.manual {
			pl.worst.add(e)
		}
	case lapsed:
		s.lapsed = earliest(s.lapsed, e.until)
	case lifted:
		s.urgent = earliest(s.urgent, e.gone)
	}
}

// enforced reports whether an IP set holds e, or what stands for it, for certain.
func (e *entry) enforced() bool { return e.home != nil && !e.loose || e.shielded() }

// shielded reports whether an IP set holds what stands for e, or for that.
func (e *entry) shielded() bool {
	for o := e.over; o != nil; o = o.over {
		if o.home != nil && !o.loose {
			return true
		}
	}
	return false
}

// goes reports whether e is held, and about to be dropped since nobody wants it.
func (e *entry) goes() bool { return !e.wanted && (e.class == lapsed || e.class == lifted) }

// comes reports whether e is about to be held, or it is about to be known whether it is.
func (e *entry) comes() bool {
	return e.class == pending || e.class == bound || e.loose && e.wanted
}

// top is the widest entry that stands for e, or e itself.
func (e *entry) top() *entry {
	for e.over != nil {
		e = e.over
	}
	return e
}

// forget drops an entry that is nothing any more.
func (p *plan) forget(e *entry) {
	if e.class == nothing && e.home == nil {
		e.pool.count[nothing]--
		e.pool.entries.drop(e.prefix)
	}
}

func unlist(list []*entry, e *entry) []*entry {
	last := list[len(list)-1]
	list[e.at], last.at = last, e.at
	list[len(list)-1] = nil
	return list[:len(list)-1]
}

// earliest is the smaller of two times of which 0 means never.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
