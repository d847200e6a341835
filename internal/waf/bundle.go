package waf

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Where a pool is short of room, wider entries stand for narrow ones, without
// loss: an address is covered by what is written if and only if it is banned.
//
//   - A ban that another one covers needs no entry of its own.
//   - Two halves of a prefix become that prefix, and so on, up to the widest that
//     is written at all. Such an entry is made: nobody banned it.
//
// An entry that stands for others is held before they leave, or comes with the
// same write; and when it has to go, because one of them ended, it stays until the
// rest is held without it. It stays merged when there is room again, since to take
// it apart would cost writes; where there always was room, nothing is merged, and
// the end of a ban costs one write.

// bundleEvery is how often a pool that is short of room is searched for what can
// be merged.
const bundleEvery = 30 * time.Second

// bundle merges what it can, and reports whether there was anything.
func (p *plan) bundle(pl *pool, now int64) bool {
	if pl.bundled != 0 && now < pl.bundled+bundleEvery.Milliseconds() {
		pl.again = earliest(pl.again, pl.bundled+bundleEvery.Milliseconds())
		return false
	}
	pl.bundled = now
	return p.merge(pl, pl.single(), now)
}

// single gives the bans of a pool for which nothing stands, by address, wide ones
// first.
func (pl *pool) single() []*entry {
	var list []*entry
	for e := range pl.entries.all() {
		if e.wanted && !e.poison && !e.hand && !e.made && !e.displaced && e.over == nil {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, byAddress)
	return list
}

func byAddress(a, b *entry) int {
	return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
}

// cluster is a prefix and the bans that make it up, as indices of a sorted list.
type cluster struct {
	prefix   netip.Prefix
	from, to int
}

// clusters gives the fewest prefixes that cover exactly what bans do, which are
// sorted by address.
func clusters(bans []*entry, widest int) []cluster {
	var stack []cluster
	for i, e := range bans {
		if n := len(stack); n > 0 && stack[n-1].prefix.Bits() <= e.prefix.Bits() && stack[n-1].prefix.Contains(e.prefix.Addr()) {
			stack[n-1].to = i + 1
			continue
		}
		stack = append(stack, cluster{e.prefix, i, i + 1})
		for n := len(stack); n > 1; n = len(stack) {
			both, ok := union(stack[n-2].prefix, stack[n-1].prefix)
			if !ok || both.Bits() < widest {
				break
			}
			stack[n-2] = cluster{both, stack[n-2].from, stack[n-1].to}
			stack = stack[:n-1]
		}
	}
	return stack
}

// union gives the prefix that two are the halves of.
func union(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a == b {
		return netip.Prefix{}, false
	}
	both := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return both, both.Contains(b.Addr())
}

// merge has wider entries stand for bans, which are sorted by address.
func (p *plan) merge(pl *pool, bans []*entry, now int64) bool {
	some := false
	for _, c := range clusters(bans, widest[pl.key.family]) {
		if c.to-c.from < 2 {
			continue
		}
		members := bans[c.from:c.to]
		if wide := members[0]; wide.prefix == c.prefix { // a ban itself
			if wide.spilled { // it is worth as much as all of them now
				p.evict(wide, false)
			}
			p.stand(wide, members[1:])
			some = true
			continue
		}
		e := pl.entries.get(c.prefix)
		switch {
		case e == nil:
			e = &entry{prefix: c.prefix, pool: pl}
			pl.entries.put(e)
			p.in(e)
		case e.wanted || e.hand || e.poison:
			continue
		}
		p.make(e, members, now)
		some = true
	}
	return some
}

// make has e, which is no ban, stand for members.
func (p *plan) make(e *entry, members []*entry, now int64) {
	p.out(e)
	e.made, e.wanted, e.split, e.orphan, e.heir, e.gone, e.rest = true, true, false, false, nil, 0, nil
	e.since, e.created, e.severity, e.manual, e.hit, e.until = now, now, 0, false, 0, 0
	for _, m := range members {
		e.since, e.created = min(e.since, m.since), min(e.created, m.created)
		e.severity, e.hit, e.until = max(e.severity, m.severity), max(e.hit, m.hit), max(e.until, m.until)
		e.manual = e.manual || m.manual
	}
	if e.since == 0 { // a member is held
		e.since = now
	}
	p.in(e)
	p.stand(e, members)
}

// stand has e stand for members.
func (p *plan) stand(e *entry, members []*entry) {
	e.under = append(e.under, members...)
	for _, m := range members {
		p.out(m)
		m.over, m.spilled, m.displaced = e, false, false
		p.in(m)
		p.arrived(m)
		p.retell(m)
	}
}

// shelter tells those that e stands for, and the one that waits for it, that it is
// held now, or no more.
func (p *plan) shelter(e *entry, now int64) {
	p.retell(e)
	if e.inherits && e.home != nil {
		p.bequeath(e, nil, now)
	}
}

// retell has the classes of all that e stands for, and of what that stands for,
// follow from how things are now.
func (p *plan) retell(e *entry) {
	for _, u := range e.under {
		p.out(u)
		p.in(u)
		p.arrived(u)
		p.retell(u)
	}
}

// arrived ends the waiting for an heir for which an entry stands that is held.
func (p *plan) arrived(heir *entry) {
	if heir.inherits && heir.enforced() {
		p.bequeath(heir, nil, p.looked.UnixMilli())
	}
}

// expose ends what e stood for, and has what stood for e do without it. It is told
// that e is wanted no more, or has no place.
func (p *plan) expose(e *entry, now int64) {
	over, freed := e.over, e.under
	if e.under = nil; over == nil {
		if len(freed) > 0 {
			p.part(e, freed)
		}
		return
	}
	p.stand(over, freed)
	p.out(e)
	e.over = nil
	p.in(e)
	over.under = slices.DeleteFunc(over.under, func(u *entry) bool { return u == e })
	if !over.made {
		return
	}
	rest := over.under
	urgent := e.until > now
	p.unmake(over, urgent, now)
	slices.SortFunc(rest, byAddress)
	p.merge(over.pool, rest, now)
	p.forget(over)
}

// part has bans stand for themselves again, of which e, if it is held, must
// not leave before they are held.
func (p *plan) part(e *entry, rest []*entry) {
	for _, u := range rest {
		p.out(u)
		u.over = nil
		p.in(u)
		p.retell(u)
	}
	holder := e
	if e.rest = nil; e.home == nil {
		holder = e.owed // it waits for what e was to stand for
	}
	if holder == nil || holder.home == nil {
		return
	}
	for _, u := range rest {
		u.owed = holder
	}
	holder.rest = append(slices.Clone(holder.rest), rest...)
}

// awaits has e, which stood for a ban that goes on in another pool as heir, stay
// until that is held; unless e stands for others still.
func (e *entry) awaits(heir *entry) {
	if e != nil && e.home == nil {
		e = e.owed
	}
	if e != nil && heir != nil && e.home != nil && !e.wanted && heir.home == nil {
		e.rest = append(slices.Clone(e.rest), heir)
		heir.owed = e
	}
}

// revive has e, which was about to leave, stand again for what it stood for.
func (p *plan) revive(e *entry) {
	rest := e.rest
	e.rest = nil
	p.stand(e, slices.DeleteFunc(slices.Clone(rest), func(u *entry) bool {
		return u.pool != e.pool || !u.wanted || u.poison || u.hand || u.over != nil || u.pool.entries.get(u.prefix) != u
	}))
}

// unmake ends a made entry. urgent: it covers an address that was unbanned.
func (p *plan) unmake(e *entry, urgent bool, now int64) {
	rest := e.under
	e.under = nil
	p.out(e)
	e.made, e.wanted, e.manual, e.spilled, e.displaced = false, false, false, false, false
	e.split = e.home != nil
	e.until = min(e.until, now)
	if urgent {
		e.gone = now
	}
	p.in(e)
	p.part(e, rest)
}

// dissolve has the bans that a made entry stands for judged one by one.
func (p *plan) dissolve(e *entry, now int64) {
	p.unmake(e, false, now)
	p.forget(e)
}

// covered reports whether what a leaving entry stood for is held without it, or
// evicted. adds are what comes with the same write.
func (e *entry) covered(adds map[*entry]bool) bool {
	for _, u := range e.rest {
		if u.waits(adds) {
			return false
		}
	}
	return true
}

// waits reports whether u would be in no IP set, though there is room for it.
func (u *entry) waits(adds map[*entry]bool) bool {
	return (u.comes() || u.class == sheltered && !u.shielded()) && !adds[u.top()]
}

// reclaim finds among the orphans entries that were made before a restart: those
// that bans in force make up exactly.
func (p *plan) reclaim(now int64) {
	bans := make(map[*pool][]*entry)
	for _, o := range p.orphans {
		if !o.orphan || o.home == nil || o.wanted {
			continue
		}
		list, sorted := bans[o.pool]
		if !sorted {
			list = o.pool.single()
			bans[o.pool] = list
		}
		from, _ := slices.BinarySearchFunc(list, o, byAddress)
		to := from
		for to < len(list) && o.prefix.Contains(list[to].prefix.Addr()) {
			to++
		}
		members := slices.DeleteFunc(slices.Clone(list[from:to]), func(e *entry) bool { return e.over != nil })
		if c := clusters(members, o.prefix.Bits()); len(c) == 1 && c[0].prefix == o.prefix {
			p.make(o, members, now)
		}
	}
}

// bans gives the prefixes of the bans that e is, or stands for.
func (e *entry) bans() []netip.Prefix {
	if !e.made {
		return []netip.Prefix{e.prefix}
	}
	return prefixes(e.under)
}
