package waf

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// ErrDeposed is in what Run returns when an IP set bears the epoch of a later leader.
var ErrDeposed = errors.New("a later leader writes the IP sets, this one has been deposed")

// SetDiff is what distinguishes an IP set from what it is to hold.
type SetDiff struct {
	Name, ARN string
	Pool      string         // one of PoolWords
	Family    string         // "ipv4", "ipv6"
	Adds      []netip.Prefix // by address
	Drops     []netip.Prefix // lifted, or ended for longer than the grace, or ended and leaving with another; by address
	Foreign   []netip.Prefix // what people added, and stays; by address
}

// Slot is one write to come.
type Slot struct {
	At time.Time // not before
	SetDiff
}

// Preview is what would be written if nothing changed, and AWS took all of it. It
// foretells the writes that add and drop something, by the rules that they are chosen
// by; not those that renew a description only, nor what is evicted or merged on the
// way when room runs short.
type Preview struct {
	At    time.Time
	Ready error     // why nothing can be said yet; nil = it can
	Sets  []SetDiff // every set, by name
	Slots []Slot    // the writes, in their order
}

// Preview gives the differences and the slots that would settle them. It may be
// called by anyone at any time, and calls nothing of AWS. While a call is under way,
// what has changed since it began is not in it.
func (w *Writer) Preview() Preview {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !w.busy {
		w.look()
	}
	return w.plan.preview(now)
}

// Reconcile has Run list and read every IP set now, pass over everything in force,
// and write what differs. It returns at once, and may be called by anyone.
func (w *Writer) Reconcile() {
	w.mu.Lock()
	w.plan.reconcile(time.Now())
	w.mu.Unlock()
	select {
	case w.nudge <- struct{}{}:
	default:
	}
}

// reconcile has every set read anew.
func (p *plan) reconcile(now time.Time) {
	for _, s := range p.sets {
		if !s.missing {
			s.known, s.readAfter = false, now
		}
	}
	p.listing, p.dirty, p.overflow = listing{at: now, done: p.listing.done}, true, true
}

// preview foretells the writes by the rules of choose, from the sums as they are:
// neither what will change until then is in it, nor what will be evicted or merged.
func (p *plan) preview(now time.Time) Preview {
	pre := Preview{At: now}
	if !p.adopted {
		pre.Ready = p.why(now)
		return pre
	}
	var hot, lists [][]SetDiff // by pool, those who have waited longest first
	order := make([]*pool, 0, poolCount)
	since := make(map[*pool]int64)
	for i := range p.pools {
		pl := &p.pools[i]
		_, at := p.choose(pl, now)
		order, since[pl] = append(order, pl), max(at, pl.tried)
	}
	slices.SortStableFunc(order, func(a, b *pool) int { return cmp.Or(cmp.Compare(since[a], since[b]), cmp.Compare(a.tried, b.tried)) })
	for _, pl := range order {
		turns := p.turns(pl, now)
		pre.Sets = append(pre.Sets, turns...)
		turns = slices.DeleteFunc(turns, func(t SetDiff) bool { return len(t.Adds)+len(t.Drops) == 0 })
		if pl.key.list {
			lists = append(lists, turns)
		} else {
			hot = append(hot, turns)
		}
	}
	at := latest(now, p.writes.next())
	for _, t := range append(interleave(hot), interleave(lists)...) {
		pre.Slots = append(pre.Slots, Slot{at, t})
		at = at.Add(p.writes.interval(now))
	}
	slices.SortFunc(pre.Sets, func(a, b SetDiff) int { return cmp.Compare(a.Name, b.Name) })
	return pre
}

// interleave has pools take turns.
func interleave(pools [][]SetDiff) []SetDiff {
	var list []SetDiff
	for i, more := 0, true; more; i++ {
		more = false
		for _, turns := range pools {
			if i < len(turns) {
				list, more = append(list, turns[i]), true
			}
		}
	}
	return list
}

// turns gives the next writes of a pool's sets, in their order; also of those that
// need none.
func (p *plan) turns(pl *pool, now time.Time) []SetDiff {
	pending := p.adds(pl, len(pl.pending), &batch{}, now)
	total := len(pending)
	for _, s := range pl.sets {
		s.sum()
		total += s.held() - s.leaving()
	}
	left := slices.Clone(pl.sets)
	var list []SetDiff
	for len(left) > 0 {
		i := 0
		for j, s := range left {
			if j > 0 && p.sooner(s, left[i], len(pending)) {
				i = j
			}
		}
		s := left[i]
		left = slices.Delete(left, i, i+1)
		room := s.room(p.capacity)
		n := min(len(pending), p.level(pl, room, len(pending), total))
		list = append(list, p.turn(s, pending[:n], now))
		pending = pending[n:]
	}
	return list
}

// sooner reports whether set a is written before b when n bans are pending: choose,
// for two sets.
func (p *plan) sooner(a, b *set, n int) bool {
	switch {
	case a.urgent != b.urgent:
		return earliest(a.urgent, b.urgent) == a.urgent
	case n > 0:
		return p.rides(a, b, n)
	case a.lapsed != b.lapsed:
		return earliest(a.lapsed, b.lapsed) == a.lapsed
	}
	return false
}

// turn gives one write. What has ended leaves with it, but is no reason for it before
// the grace is over.
func (p *plan) turn(s *set, adds []*entry, now time.Time) SetDiff {
	t := SetDiff{Name: s.name, ARN: s.arn, Pool: s.key.Word(), Family: s.key.family.String(), Adds: prefixes(adds)}
	due := s.lapsed != 0 && s.lapsed <= now.Add(-p.grace).UnixMilli()
	written := len(adds) > 0 || s.urgent != 0 || due
	for _, e := range s.members {
		switch {
		case e.hand:
			t.Foreign = append(t.Foreign, e.prefix)
		case e.class.leaves() && written:
			t.Drops = append(t.Drops, e.prefix)
		}
	}
	for c, keep := range s.copies {
		switch {
		case keep:
			t.Foreign = append(t.Foreign, c)
		case written:
			t.Drops = append(t.Drops, c)
		}
	}
	for _, list := range [][]netip.Prefix{t.Adds, t.Drops, t.Foreign} {
		slices.SortFunc(list, netip.Prefix.Compare)
	}
	return t
}
