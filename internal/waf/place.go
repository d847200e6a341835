package waf

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
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
}

// pick chooses the set for the next write: nil when nothing has to be written,
// or nothing can be.
//
// Families share the slots. The one whose oldest business is oldest goes first,
// and business counts as no older than the family's last turn: so a family that
// always has some cannot keep out the other.
func (p *plan) pick(now time.Time) *set {
	var best *set
	var first, last int64
	for f := range p.pools {
		pl := &p.pools[f]
		s, since := p.choose(pl, now)
		if s == nil {
			continue
		}
		if since = max(since, pl.tried); best == nil || since < first || since == first && pl.tried < last {
			best, first, last = s, since, pl.tried
		}
	}
	return best
}

// choose gives the set that a pool's next write is for, and since when there has
// been a reason to write. Pending bans are bound to no set, they ride along with
// whatever goes out first:
//
//  1. the set with the oldest unban, or with an expiry that has waited for longer
//     than every set's turn takes;
//  2. for pending bans the set with the oldest expiry, among those that have room
//     for all of them; without any expiry the emptiest;
//  3. where none has room for all, the one with most room;
//  4. with no ban pending, the set with the oldest expiry past its grace;
//  5. a set that people changed, so that its description proves again what is
//     ours: a restart would otherwise have to take bans for theirs, and keep them
//     for ever. The last round before a stop does this, too.
func (p *plan) choose(pl *pool, now time.Time) (*set, int64) {
	ms := now.UnixMilli()
	turns := time.Duration(len(p.sets)) * p.writes.interval(now)
	var urgent, riding, lapsed, unsigned *set
	over := ms - p.grace.Milliseconds()
	var since int64 // of the most urgent
	for _, s := range pl.sets {
		if !p.usable(s, now) {
			continue
		}
		at := s.urgent
		if s.lapsed != 0 && s.lapsed+(p.grace+turns).Milliseconds() <= ms {
			at = earliest(at, s.lapsed+p.grace.Milliseconds())
		}
		if at != 0 && (urgent == nil || at < since) {
			urgent, since = s, at
		}
		if pl.pending > 0 && s.room(p.capacity) > 0 && (riding == nil || p.rides(s, riding, pl.pending)) {
			riding = s
		}
		if s.lapsed != 0 && (lapsed == nil || s.lapsed < lapsed.lapsed) {
			lapsed = s
		}
		if s.unproven() && (s.unsigned <= over || p.drain) {
			unsigned = s
		}
	}
	switch {
	case urgent != nil && riding != nil:
		return urgent, min(since, pl.oldest)
	case urgent != nil:
		return urgent, since
	case riding != nil:
		return riding, pl.oldest
	case lapsed != nil && lapsed.lapsed <= over && !p.drain:
		return lapsed, lapsed.lapsed + p.grace.Milliseconds()
	case unsigned != nil:
		return unsigned, unsigned.unsigned
	}
	return nil, 0
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
	return s.known && !now.Before(s.hold) && (!p.doubted(s, now) || !now.Before(s.readAfter))
}

// doubted reports whether a set must be read right before it is written, since
// somebody else is writing it as well. Right before, because in a second's time
// what was read would be old again.
func (p *plan) doubted(s *set, now time.Time) bool {
	return s.refused || now.Sub(s.contested) < contestedFor && now.Sub(s.readAt) > trustRead+2*p.took
}

// compose puts the write for a set together. The allowlist is asked once more:
// this is the last gate.
func (p *plan) compose(s *set, now time.Time) *write {
	w := &write{set: s, start: now, desc: description{gen: s.gen + 1}}
	held := make([]netip.Prefix, 0, min(len(s.members)+p.pool(s).pending, p.capacity))
	stay := func(e *entry) {
		held = append(held, e.prefix)
		if e.hand {
			w.desc.marks = append(w.desc.marks, mark(e.prefix))
			return
		}
		w.desc.exp = max(w.desc.exp, e.until/1000)
	}
	for _, e := range s.members {
		if e.hand || (p.wanted(e) || e.orphan) && !p.allowed(e.prefix) {
			stay(e)
			continue
		}
		w.drops = append(w.drops, e)
	}
	for c, keep := range s.copies {
		if keep {
			held = append(held, c)
			w.desc.marks = append(w.desc.marks, mark(c))
		}
	}
	for _, e := range p.adds(p.pool(s), p.capacity-len(held)-len(s.opaque), now) {
		if !p.allowed(e.prefix) {
			stay(e)
			w.adds = append(w.adds, e)
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

// adds gives the pending entries that a write with room for n takes along.
//
// When there is room for all of them somewhere, the oldest go first. When there
// is not, those that last longest, and among them the most recent: they are worth
// most. What is enforced already does not give way. The rest stays wanted, and
// goes in when room comes.
func (p *plan) adds(pl *pool, n int, now time.Time) []*entry {
	if pl.most > 0 {
		n = min(n, pl.most)
	}
	list := make([]*entry, 0, pl.pending)
	for _, e := range pl.loose {
		if e.home == nil && p.wanted(e) && e.until > now.UnixMilli() {
			list = append(list, e)
		}
	}
	if n >= len(list) {
		return list
	}
	if pl.unplaced() == 0 {
		slices.SortStableFunc(list, func(a, b *entry) int { return cmp.Compare(a.since, b.since) })
	} else {
		slices.SortStableFunc(list, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(b.until, a.until), cmp.Compare(b.created, a.created))
		})
	}
	return list[:max(0, n)]
}

// wrote takes the answer to a write that AWS accepted, and gives the entries that
// are enforced from now on.
func (p *plan) wrote(w *write, now time.Time, token string) []*entry {
	s, pl := w.set, p.pool(w.set)
	p.tried(w)
	for _, e := range w.drops {
		p.release(e, now.UnixMilli())
	}
	for c, keep := range s.copies {
		if !keep {
			delete(s.copies, c)
		}
	}
	for _, e := range w.adds {
		s.join(e)
	}
	s.supersede(s.token)
	s.token, s.desc, s.gen = token, w.text, w.desc.gen
	s.tried = nil // what came with the old token can land no more
	s.written, s.conflicts, s.refused, s.unsigned = now, 0, false, 0
	if token == "" {
		s.known, s.readAfter = false, now
	}
	p.writing = trouble{}
	if pl.most > 0 {
		if pl.most *= 2; pl.most > len(pl.loose) {
			pl.most = 0
		}
	}
	return w.adds
}

// tried notes that a write was attempted, whatever came of it.
func (p *plan) tried(w *write) {
	p.pool(w.set).tried = w.start.UnixMilli()
	p.dirty = true
}

// failed takes the error of a write. Nothing is lost by it: what was to be added
// is still homeless and wanted, what was to be dropped is still there. It gives
// the entry that is quarantined from now on, if any.
func (p *plan) failed(w *write, now time.Time, how outcome, err error) *entry {
	s := w.set
	p.tried(w)
	p.writing.note(now, how, err)
	switch how {
	case throttled:
		p.writes.throttled(now)
	case conflict:
		s.supersede(s.token)
		s.refused, s.contested = true, now
		s.conflicts++
	case ambiguous:
		s.known, s.readAfter = false, now
		if s.tried == nil {
			s.tried = make(map[netip.Prefix]bool, len(w.adds))
		}
		for _, e := range w.adds {
			s.tried[e.prefix] = true
		}
		p.writes.unsure(now)
	case invalid:
		return p.refuse(w, now, err)
	case missing:
		s.known, s.readAfter = false, now // GetIPSet settles whether it is gone
	case denied:
		p.writes.hold(now.Add(backoff(p.writing.denied)))
	default:
		s.hold = now.Add(time.Minute)
	}
	return nil
}

// refuse finds the entry because of which AWS called a write invalid. AWS names
// it; where it does not, halving the adds finds it in a few writes.
func (p *plan) refuse(w *write, now time.Time, err error) *entry {
	pl := p.pool(w.set)
	var bad *types.WAFInvalidParameterException
	if errors.As(err, &bad) && bad.Parameter != nil {
		if e := pl.named(*bad.Parameter); e != nil && !e.hand {
			e.poison = true
			return e
		}
	}
	switch len(w.adds) {
	case 0: // what it held was good enough for AWS before
		w.set.hold = now.Add(time.Minute)
	case 1:
		w.adds[0].poison = true
		return w.adds[0]
	default:
		pl.most = len(w.adds) / 2
	}
	return nil
}

// named finds the entry that AWS names in an error, in whatever spelling.
func (pl *pool) named(text string) *entry {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	return pl.entries.get(prefix.Masked())
}
