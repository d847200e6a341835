package waf

import "time"

// listShare is how many slots imported lists wait at most while others want each.
const listShare = 30

// pick chooses the set for the next write, and says since when there has been a
// reason for it, in Unix ms: nil when nothing has to be written, or nothing can be.
//
// Pools share the slots. The one whose oldest business is oldest goes first, and
// business counts as no older than the pool's last turn: so a pool that always has
// some cannot keep out the others. Imported lists wait until no other pool wants
// the slot, but not for ever, and not while something else waits for them.
func (p *plan) pick(now time.Time) (*set, int64) {
	if !p.adopted {
		return nil, 0
	}
	hot, since := p.oldest(p.pools[:poolCount/2], now)
	list, turn := p.oldest(p.pools[poolCount/2:], now)
	switch {
	case list != nil && hot != nil && p.pool(list).awaited != 0 && turn <= since:
		since = turn
	case list == nil || hot != nil && p.listTurn < listShare:
		return hot, since
	case hot == nil:
		since = now.UnixMilli() // other targets' bans go first
	}
	return list, since
}

// oldest chooses among pools.
func (p *plan) oldest(pools []pool, now time.Time) (best *set, first int64) {
	var last int64
	for i := range pools {
		pl := &pools[i]
		if len(pl.sets) == 0 {
			continue
		}
		p.balance(pl, now.UnixMilli())
		s, since := p.choose(pl, now)
		if s == nil {
			continue
		}
		if since = max(since, pl.tried); best == nil || since < first || since == first && pl.tried < last {
			best, first, last = s, since, pl.tried
		}
	}
	return best, first
}

// choose gives the set that a pool's next write is for, and since when there has
// been a reason to write. Pending bans are bound to no set, they ride along with
// whatever goes out first:
//
//  1. the set with the oldest unban, or with an expiry that has waited for longer
//     than every set's turn takes, if it has room for what is pending;
//  2. for pending bans the set with the oldest expiry, among those that have room
//     for all of them; without any expiry the emptiest;
//  3. where none has room for all, the one with most room;
//  4. with no ban pending, the set with the oldest expiry past its grace;
//  5. a set that people changed, so that its description proves again what is
//     ours: a restart would otherwise have to take bans for theirs, and keep them
//     for ever. The last round before a stop does this, too;
//  6. a set that bears the epoch of an earlier leader, so that it meets ours soon,
//     should it still write.
func (p *plan) choose(pl *pool, now time.Time) (*set, int64) {
	ms := now.UnixMilli()
	turns := time.Duration(len(p.sets)) * p.writes.interval(now)
	var urgent, riding, lapsed, unsigned, stamped *set
	over := ms - p.grace.Milliseconds()
	var since int64 // of the most urgent
	for _, s := range pl.sets {
		if !p.usable(s, now) {
			continue
		}
		s.sum()
		at := s.urgent
		late := ms - s.lapsed - (p.grace + turns).Milliseconds()
		if s.lapsed != 0 && late >= 0 && (s.room(p.capacity) >= len(pl.pending) || late > starvedFor.Milliseconds()) {
			at = earliest(at, s.lapsed+p.grace.Milliseconds())
		}
		if at != 0 && (urgent == nil || at < since) {
			urgent, since = s, at
		}
		if len(pl.pending) > 0 && s.room(p.capacity) > 0 && (riding == nil || p.rides(s, riding, len(pl.pending))) {
			riding = s
		}
		if s.lapsed != 0 && (lapsed == nil || s.lapsed < lapsed.lapsed) {
			lapsed = s
		}
		if s.unproven() && (s.unsigned <= ms-signAfter.Milliseconds() || p.drain) {
			unsigned = s
		}
		if s.epoch < p.epoch && s.held() > 0 && !p.drain {
			stamped = s
		}
	}
	switch {
	case stamped != nil && stamped.epoch > 0 && p.takingOver(now):
		return stamped, ms
	case urgent != nil && riding != nil:
		return urgent, min(since, pl.since())
	case urgent != nil:
		return urgent, since
	case riding != nil:
		return riding, pl.since()
	case lapsed != nil && lapsed.lapsed <= over && !p.drain:
		return lapsed, lapsed.lapsed + p.grace.Milliseconds()
	case unsigned != nil:
		return unsigned, unsigned.unsigned
	case stamped != nil:
		return stamped, ms
	}
	return nil, 0
}

// takingOver reports whether this leader is so new that the one before may still
// write: it stamps the sets first then, and adds nothing, so that the two do not put
// the same bans into different sets.
func (p *plan) takingOver(now time.Time) bool {
	return p.epoch > 0 && now.Sub(p.adoptedAt) < takeover
}

// rides reports whether a is a better set than b to take n pending bans.
func (p *plan) rides(a, b *set, n int) bool {
	roomA, roomB := a.room(p.capacity), b.room(p.capacity)
	switch {
	case roomA < n || roomB < n: // not all fit into both
		return roomA > roomB
	case a.lapsed != 0 && b.lapsed != 0:
		return a.lapsed < b.lapsed
	case a.lapsed != 0 || b.lapsed != 0:
		return a.lapsed != 0
	}
	return roomA > roomB
}

// usable reports whether a set may be written, perhaps after a read.
func (p *plan) usable(s *set, now time.Time) bool {
	return s.known && s.first == nil && !now.Before(s.hold) && (!p.doubted(s, now) || !now.Before(s.readAfter))
}

// doubted reports whether a set must be read right before it is written, since
// somebody else is writing it as well. Right before, because in a second's time
// what was read would be old again.
func (p *plan) doubted(s *set, now time.Time) bool {
	return s.refused || now.Sub(s.contested) < contestedFor && now.Sub(s.readAt) > trustRead+2*p.took
}
