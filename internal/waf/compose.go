package waf

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// write is one UpdateIPSet: everything the set is to hold from then on.
type write struct {
	set       *set
	start     time.Time
	adds      []*entry
	drops     []*entry
	addresses []string
	desc      description
	text      string // desc
	waits     bool   // something leaves later, for another pool's sake
}

// compose puts the write for a set together. The allowlist is asked once more:
// this is the last gate.
func (p *plan) compose(s *set, now time.Time) *write {
	w := &write{set: s, start: now, desc: description{gen: s.gen + 1}}
	w.desc.epoch = p.epoch
	pl := p.pool(s)
	held := make([]netip.Prefix, 0, min(len(s.members)+len(pl.pending), p.capacity))
	stay := func(e *entry) {
		held = append(held, e.prefix)
		if e.hand {
			w.desc.marks = append(w.desc.marks, mark(e.prefix))
			return
		}
		w.desc.exp = max(w.desc.exp, e.until/1000)
	}
	stamp := s.epoch < p.epoch && s.epoch > 0 && p.takingOver(now)
	var torn []*entry // leave only when others are held
	needed := p.needed(s, now.UnixMilli())
	w.waits = len(needed) > 0
	for _, e := range s.members {
		switch {
		case e.hand || (!e.class.leaves() || needed[e]) && !p.allowed(e.prefix):
			stay(e)
		case stamp && e.displaced && !p.allowed(e.prefix): // what its place is for does not come yet
			stay(e)
		case (e.shadowed() || len(e.rest) > 0) && !p.allowed(e.prefix):
			torn = append(torn, e)
		default:
			w.drops = append(w.drops, e)
		}
	}
	for c, keep := range s.copies {
		if keep {
			held = append(held, c)
			w.desc.marks = append(w.desc.marks, mark(c))
		}
	}
	mends, room := p.mend(pl, torn, p.capacity-len(held)-len(s.opaque)-len(torn))
	for _, e := range p.adds(pl, p.share(pl, p.capacity-room), &mends, now) {
		if !stamp && !p.allowed(e.prefix) {
			mends.add(e)
		}
	}
	w.adds = mends.list
	for _, e := range w.adds {
		stay(e)
	}
	for _, e := range torn {
		if e.shadowed() && !mends.has[e.top()] || !e.covered(mends.has) {
			stay(e)
		} else {
			w.drops = append(w.drops, e)
		}
	}
	w.desc.hand = len(w.desc.marks) + len(s.opaque)
	w.desc.n = len(held) + len(s.opaque)
	w.desc.sum = checksum(held, s.opaque)
	w.text = w.desc.String()
	w.addresses = make([]string, 0, w.desc.n) // never null: the API wants a list
	for _, prefix := range held {
		w.addresses = append(w.addresses, prefix.String())
	}
	w.addresses = append(w.addresses, s.opaque...)
	return w
}

// shadowed reports whether e leaves for an entry that is not held yet.
func (e *entry) shadowed() bool { return e.class == yielding && e.over != nil && !e.shielded() }

// mend gives what has to come with a write so that torn entries may leave, as far
// as there is room, and the room that is left then. Torn entries count as staying.
func (p *plan) mend(pl *pool, torn []*entry, room int) (adds batch, left int) {
	if pl.most > 0 { // a refused entry is looked for
		return adds, room
	}
	for _, e := range torn {
		switch {
		case !e.shadowed():
		case adds.has[e.top()]:
			room++
		case e.top().class == pending && !p.allowed(e.top().prefix):
			adds.add(e.top()) // in its place
		}
	}
	for _, e := range torn {
		var need batch
		for _, u := range e.rest {
			if u.waits(adds.has) {
				need.add(u.top())
			}
		}
		stuck := func(u *entry) bool { return u.pool != pl || u.class != pending || p.allowed(u.prefix) }
		if len(need.list) == 0 || len(need.list) > room+1 || slices.ContainsFunc(need.list, stuck) {
			continue
		}
		for _, u := range need.list {
			adds.add(u)
		}
		room -= len(need.list) - 1
	}
	return adds, room
}

// batch is a set of entries that keeps their order.
type batch struct {
	list []*entry
	has  map[*entry]bool
}

func (b *batch) add(e *entry) {
	if b.has[e] {
		return
	}
	if b.has == nil {
		b.has = make(map[*entry]bool)
	}
	b.has[e] = true
	b.list = append(b.list, e)
}

// share is how many entries a set that holds some is to take at most. A backlog is
// spread, so that every set keeps room for bans to ride along with its removals.
func (p *plan) share(pl *pool, held int) int {
	total := len(pl.pending)
	for _, s := range pl.sets {
		total += s.held() - s.leaving()
	}
	return p.level(pl, p.capacity-held, len(pl.pending), total)
}

// level is share for a set with some room, when so many are pending, and those in
// the pool's sets make a total with them.
func (p *plan) level(pl *pool, room, pending, total int) int {
	const few = 500
	if pending <= few {
		return room
	}
	level := max(p.capacity*85/100, (total+len(pl.sets)-1)/len(pl.sets))
	return min(room, max(level-p.capacity+room, few))
}

// adds gives the pending entries that a write with room for n takes along, beside
// those that come anyway: those of people first, then the oldest.
func (p *plan) adds(pl *pool, n int, anyway *batch, now time.Time) []*entry {
	if pl.most > 0 {
		n = min(n, pl.most)
	}
	list := make([]*entry, 0, len(pl.pending))
	for _, e := range pl.pending {
		if !anyway.has[e] && (e.made || e.until > now.UnixMilli()) {
			list = append(list, e)
		}
	}
	if n < len(list) {
		slices.SortFunc(list, func(a, b *entry) int {
			return cmp.Or(boolCompare(b.manual, a.manual), cmp.Compare(a.since, b.since), a.prefix.Compare(b.prefix))
		})
	}
	return list[:max(0, min(n, len(list)))]
}
