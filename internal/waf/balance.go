package waf

import (
	"cmp"
	"slices"
	"time"
)

const (
	// restFor is how long an entry stays where it is, in an IP set or evicted,
	// before the other becomes of it for want of room.
	restFor = time.Minute
	// clearly is how much later an entry must have been seen than another of its
	// severity to displace it: clients that take turns would displace each other
	// for ever.
	clearly = 5 * time.Minute
)

// balance decides which entries of a pool get the room that there is. What finds
// none is evicted: it stays wanted, and comes back when there is room.
func (p *plan) balance(pl *pool, now int64) {
	if !pl.moved && (pl.again == 0 || now < pl.again) {
		return
	}
	pl.again = 0
	const rounds = 8 // what is taken apart in one is judged in the next
	pl.moved = true
	for i := 0; i < rounds && pl.moved; i++ {
		pl.moved = false
		p.rebalance(pl, now)
	}
	if len(pl.spilled.list) == 0 && pl.ranking {
		pl.ranking = false
		pl.worst.clear()
	}
	if len(pl.displaced) > 64+2*pl.count[yielding] { // many have left
		pl.displaced = slices.DeleteFunc(pl.displaced, func(e *entry) bool { return !e.displaced })
	}
}

// rebalance is one round of balance.
func (p *plan) rebalance(pl *pool, now int64) {
	room := pl.room(p.capacity)
	if (len(pl.pending) > room || len(pl.spilled.list) > 0) && p.bundle(pl, now) {
		room = pl.room(p.capacity)
	}
	room = p.restore(pl, room)
	p.spill(pl, room, now)
	p.recall(pl, room, now)
	p.displace(pl, room, now)
}

// spill evicts the least valuable of what is pending beyond the room.
func (p *plan) spill(pl *pool, room int, now int64) {
	var others []*entry
	for _, e := range pl.pending {
		if !e.manual {
			others = append(others, e)
		}
	}
	over := len(others) - max(0, room-(len(pl.pending)-len(others)))
	if over <= 0 {
		return
	}
	slices.SortFunc(others, value)
	again := false
	for _, e := range others[:over] {
		switch {
		case e.class != pending:
		case e.made:
			p.dissolve(e, now) // its members are judged one by one
			again = true
		default:
			again = again || len(e.under) > 0
			p.evict(e, true)
			p.expose(e, now)
		}
	}
	if again {
		p.spill(pl, pl.room(p.capacity), now)
	}
}

// evict takes the room from e, or gives it room again.
func (p *plan) evict(e *entry, yes bool) {
	p.out(e)
	e.spilled = yes
	p.in(e)
}

// recall gives room to the most valuable of what was evicted.
func (p *plan) recall(pl *pool, room int, now int64) {
	for e := pl.spilled.top(); e != nil && room > len(pl.pending); e = pl.spilled.top() {
		if rest := e.moved + restFor.Milliseconds(); e.moved != 0 && rest > now {
			pl.again = earliest(pl.again, rest)
			return
		}
		e.since = now
		p.evict(e, false)
	}
}

// displace has enforced entries give their room to more valuable ones, in the
// same write: to those of people at once, to others when they are worth clearly
// more.
func (p *plan) displace(pl *pool, room int, now int64) {
	short := -room
	for _, e := range pl.pending {
		if e.manual {
			short++
		}
	}
	if short <= 0 && len(pl.spilled.list) == 0 {
		return
	}
	p.rank(pl)
	for pl.worst.top() != nil {
		worst, best := pl.worst.top(), pl.spilled.top()
		switch {
		case short > 0:
			short--
		case best == nil || !clearlyWorthMore(best, worst):
			return
		case max(best.moved, worst.moved)+restFor.Milliseconds() > now && max(best.moved, worst.moved) != 0:
			pl.again = earliest(pl.again, max(best.moved, worst.moved)+restFor.Milliseconds())
			return
		default:
			best.since = now
			p.evict(best, false)
		}
		if worst.made {
			p.dissolve(worst, now)
			continue
		}
		p.out(worst)
		worst.displaced = true
		p.in(worst)
		p.expose(worst, now)
		pl.displaced = append(pl.displaced, worst)
	}
	p.wait(pl, short, now)
}

// yield evicts all but the most valuable of what an entry that is to leave waits
// for, where sets that are full would wait for each other.
func (p *plan) yield(s *set, now int64) {
	for _, e := range slices.Clone(s.members) {
		var need batch
		for _, u := range e.rest {
			if u.pool == e.pool && u.waits(nil) && u.top().class == pending {
				need.add(u.top())
			}
		}
		slices.SortFunc(need.list, value)
		for _, u := range need.list[:max(0, len(need.list)-1)] {
			if u.made {
				p.dissolve(u, now)
				continue
			}
			p.evict(u, true)
			p.expose(u, now)
		}
	}
}

// wait has so many bans of people wait for room that there is not even when all
// others have given way.
func (p *plan) wait(pl *pool, short int, now int64) {
	if short <= 0 {
		return
	}
	list := slices.DeleteFunc(slices.Clone(pl.pending), func(e *entry) bool { return !e.manual })
	slices.SortFunc(list, value)
	for _, e := range list[:min(short, len(list))] {
		if e.made {
			p.dissolve(e, now)
			continue
		}
		p.evict(e, true)
		p.expose(e, now)
	}
}

// restore lets displaced entries stay after all, as far as there is room now.
func (p *plan) restore(pl *pool, room int) int {
	for room > len(pl.pending) && len(pl.displaced) > 0 {
		last := len(pl.displaced) - 1
		e := pl.displaced[last]
		if pl.displaced = pl.displaced[:last]; !e.displaced {
			continue
		}
		p.out(e)
		e.displaced = false
		p.in(e)
		p.revive(e)
		room--
	}
	return room
}

// rank begins to keep the order of what may be evicted.
func (p *plan) rank(pl *pool) {
	if pl.ranking {
		return
	}
	pl.ranking = true
	for _, s := range pl.sets {
		for _, e := range s.members {
			if e.class == enforced && !e.manual {
				pl.worst.add(e)
			}
		}
	}
}

func clearlyWorthMore(a, b *entry) bool {
	return cmp.Or(boolCompare(a.manual, b.manual), cmp.Compare(a.severity, b.severity)) > 0 ||
		a.severity == b.severity && a.manual == b.manual && a.hit > b.hit+clearly.Milliseconds()
}
