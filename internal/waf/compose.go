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
	for _, e := range s.members {
		if e.hand || !e.class.leaves() && !p.allowed(e.prefix) {
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
	for _, e := range p.adds(pl, p.share(pl, len(held)+len(s.opaque)), now) {
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

// share is how many entries a set that holds some is to take at most. A backlog is
// spread, so that every set keeps room for bans to ride along with its removals.
func (p *plan) share(pl *pool, held int) int {
	const few = 500
	room := p.capacity - held
	if len(pl.pending) <= few {
		return room
	}
	total := len(pl.pending)
	for _, s := range pl.sets {
		total += s.held() - s.leaving()
	}
	level := max(p.capacity*85/100, (total+len(pl.sets)-1)/len(pl.sets))
	return min(room, max(level-held, few))
}

// adds gives the pending entries that a write with room for n takes along: those of
// people first, then the oldest.
func (p *plan) adds(pl *pool, n int, now time.Time) []*entry {
	if pl.most > 0 {
		n = min(n, pl.most)
	}
	list := make([]*entry, 0, len(pl.pending))
	for _, e := range pl.pending {
		if e.until > now.UnixMilli() {
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
