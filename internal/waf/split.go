package waf

import (
	"iter"
	"slices"
	"time"
)

// awaitFor is how long a pool is waited for that writes nothing: it may be that its
// sets cannot be written.
const awaitFor = time.Minute

// needed gives those of a set's leaving entries that have to stay for other pools'
// bans: wider ones that cover what no IP set holds yet. Whoever was banned all the
// time is not let in because what covered him ended, or was merged and is taken
// apart: how he came to be in another pool is unknown after a restart, and so does
// not count. Of the pool's own bans those that came since are added to what the
// entry waits for anyway. Only a network that somebody unbans leaves at once.
func (p *plan) needed(s *set, now int64) map[*entry]bool {
	if s.key.action == actCount { // it stops nobody
		return nil
	}
	leaving, list := newIndex(), []*entry(nil)
	for _, e := range s.members {
		if e.class.leaves() && e.over == nil && !e.prefix.IsSingleIP() && (e.split || e.class != lifted) {
			leaving.put(e)
			list = append(list, e)
		}
	}
	if list == nil {
		return nil
	}
	own, needed := p.pool(s), make(map[*entry]bool)
	for pl := range p.poolsOf(s.key.family) {
		if pl.key.action == actCount || len(pl.sets) == 0 || pl != own && pl.stuck(now) {
			continue
		}
		some := false
		for e, u := range pl.unheldIn(&leaving, list) {
			if pl != own {
				needed[e], some = true, true
			} else if !slices.Contains(e.rest, u) {
				e.rest = append(slices.Clone(e.rest), u)
				u.owed = e
			}
		}
		if some && pl.awaited < max(pl.since(), 1) {
			pl.awaited = now
		}
	}
	return needed
}

// unheldIn gives the pool's bans that are about to be held and have addresses in
// common with entries of a list, each with that entry.
func (pl *pool) unheldIn(entries *index, list []*entry) iter.Seq2[*entry, *entry] {
	return func(yield func(e, u *entry) bool) {
		from, to := 0, 0 // how wide the widest are
		for _, e := range list {
			from = max(from, e.prefix.Addr().BitLen()-e.prefix.Bits())
		}
		for u := range pl.unheld() {
			size := u.prefix.Addr().BitLen()
			to = max(to, size-u.prefix.Bits())
			for bits := u.prefix.Bits(); bits >= size-from; bits-- {
				wide, _ := u.prefix.Addr().Prefix(bits)
				if e := entries.get(wide); e != nil && e != u && !yield(e, u) {
					return
				}
			}
		}
		for _, e := range list {
			for bits := e.prefix.Bits() - 1; bits >= e.prefix.Addr().BitLen()-to; bits-- {
				wide, _ := e.prefix.Addr().Prefix(bits)
				if u := pl.entries.get(wide); u != nil && u.comes() && !yield(e, u) {
					return
				}
			}
		}
	}
}

// unheld gives the bans of a pool that are about to be held.
func (pl *pool) unheld() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, e := range pl.pending {
			if !yield(e) {
				return
			}
		}
		for _, s := range pl.sets {
			for _, e := range s.bound {
				if e.bound == s && e.class == bound && !yield(e) {
					return
				}
			}
			for _, e := range s.loose {
				if e.home == s && e.comes() && !yield(e) {
					return
				}
			}
		}
	}
}

// stuck reports whether what is pending in a pool has been waited for in vain.
func (pl *pool) stuck(now int64) bool {
	return pl.awaited != 0 && pl.awaited >= pl.since() && now-pl.awaited > awaitFor.Milliseconds()
}
