package waf

import (
	"iter"
	"net/netip"
	"time"
)

// look compares everything in force with what is known. It heals whatever the
// list of changes may have missed.
func (p *plan) look(now time.Time, inForce iter.Seq[Entry]) {
	ms := now.UnixMilli()
	p.round++
	p.excluded = [exclusions]int{}
	p.looked, p.passed, p.dirty, p.hurry, p.overflow = now, now, false, false, false
	p.seen, p.passing = 0, true
	var one Entry // of all, since it is handed on by address
	for one = range inForce {
		p.want(&one, ms)
	}
	p.passing = false
	if p.seen < p.known() {
		p.sweep(ms)
	}
	for _, e := range p.judged {
		heir := p.elsewhere(e)
		switch {
		case !e.orphan || e.home == nil || e.wanted:
		case heir != nil: // banned since, and for another pool
			p.succeed(e, heir, ms)
		default:
			p.out(e)
			e.orphan = false
			p.in(e)
		}
	}
	p.judged = nil
	p.pardon(now)
	p.settle(now)
}

// apply looks at prefixes about which something changed.
func (p *plan) apply(now time.Time, changed []netip.Prefix) {
	p.looked, p.dirty, p.hurry = now, false, false
	for _, prefix := range changed {
		p.change(prefix, now)
	}
}

// change asks what is in force about a prefix.
func (p *plan) change(asked netip.Prefix, now time.Time) {
	ms := now.UnixMilli()
	var e *entry
	if w, ok := p.lookup(asked, now); ok {
		e = p.want(&w, ms)
	}
	prefix, ok := canonical(asked)
	if !ok || e != nil {
		return
	}
	for pl := range p.poolsOf(familyOf(prefix)) {
		if old := pl.entries.get(prefix); old != nil && old.wanted && !old.made { // what is made goes when its bans do
			p.unwant(old, nil, ms)
		}
	}
}

// advance takes the time: what has ended until then is wanted no more, unless
// something weaker about the same prefix goes on.
func (p *plan) advance(now time.Time) {
	ms := now.UnixMilli()
	for e := p.ends.top(); e != nil && e.until <= ms; e = p.ends.top() {
		p.advanced = now
		if p.lookup != nil {
			p.change(e.prefix, now)
		}
		if e.wanted && e.until <= ms {
			p.unwant(e, nil, ms)
		}
	}
}

// want takes one entry in force and gives it as it is kept; nil = it is not to be
// written.
func (p *plan) want(w *Entry, now int64) *entry {
	prefix, pl, ok := p.admit(w, now)
	if !ok {
		return nil
	}
	until, created := w.Until.UnixMilli(), w.Created.UnixMilli()
	hit := created
	if !w.Hit.IsZero() {
		hit = w.Hit.UnixMilli()
	}
	e := pl.entries.get(prefix)
	switch {
	case e == nil:
		e = &entry{prefix: prefix, pool: pl, since: now}
		pl.entries.put(e)
		p.in(e)
	case p.passing && e.pass == p.round && e.wanted && e.until >= until: // twice in force: the longer one counts
		return e
	case e.wanted && e.until == until && e.hit == hit && e.severity == w.Severity && e.manual == w.Manual && !e.made:
		p.give(e)
		return e
	}
	if !p.prevails(e, now) {
		p.forget(e)
		return nil
	}
	if e.made {
		p.unmake(e, false, now)
	}
	p.out(e)
	if !e.wanted {
		e.since = now
	}
	e.until, e.created, e.hit, e.severity, e.manual = until, created, hit, w.Severity, w.Manual
	e.wanted, e.split, e.orphan, e.displaced, e.heir, e.gone = true, false, false, false, nil, 0
	p.in(e)
	p.revive(e)
	p.ends.add(e)
	p.give(e)
	return e
}

// give notes that the present pass gave e.
func (p *plan) give(e *entry) {
	if e.pass != p.round {
		e.pass = p.round
		p.seen++
	}
}

// prevails makes sure that no other pool wants the prefix of e. Where one pass
// gives it twice, the stronger action counts. What another pool is about to drop, it
// keeps until e is held.
func (p *plan) prevails(e *entry, now int64) bool {
	for pl := range p.poolsOf(e.pool.key.family) {
		old := pl.entries.get(e.prefix)
		if old == nil || old == e || old.made {
			continue
		}
		switch {
		case old.goes() && !e.enforced():
			p.succeed(old, e, now)
		case !old.wanted:
		case p.passing && old.pass == p.round && pl.key.index() < e.pool.key.index():
			return false
		default:
			p.unwant(old, e, now)
		}
	}
	return true
}

// detain has what other pools are about to drop stay until e is held.
func (p *plan) detain(e *entry, now int64) {
	for pl := range p.poolsOf(e.pool.key.family) {
		if old := pl.entries.get(e.prefix); old != nil && old != e && !old.made && old.goes() {
			p.succeed(old, e, now)
		}
	}
}

// poolsOf gives the pools of a family that have entries.
func (p *plan) poolsOf(f family) iter.Seq[*pool] {
	return func(yield func(*pool) bool) {
		for i := int(f); i < poolCount; i += int(families) {
			if pl := &p.pools[i]; pl.entries.size() > 0 && !yield(pl) {
				return
			}
		}
	}
}

// unwant takes it that e is in force no more, or in another pool, as heir.
func (p *plan) unwant(e, heir *entry, now int64) {
	p.ends.remove(e)
	p.out(e)
	e.wanted, e.spilled, e.displaced = false, false, false
	switch {
	case e.home == nil || e.hand:
	case heir != nil:
		e.succeeded(heir, now)
	case e.until > now:
		e.gone = now
	}
	p.in(e)
	over := e.over
	p.expose(e, now)
	over.awaits(heir)
	if e.owed != nil && e.owed != over {
		e.owed.awaits(heir) // it waited for e, and goes on waiting
	}
	p.bequeath(e, heir, now)
	p.forget(e)
}

// succeed leaves what e does to heir, the same prefix in another pool.
func (p *plan) succeed(e, heir *entry, now int64) {
	p.out(e)
	e.orphan = false
	e.succeeded(heir, now)
	p.in(e)
}

// succeeded: e stays until its heir is held, and leaves at once then, unless the
// heir's action is the stronger one, which hides it.
func (e *entry) succeeded(heir *entry, now int64) {
	switch {
	case !heir.enforced():
		e.heir, heir.inherits = heir, true
	case heir.pool.key.action <= e.pool.key.action:
		e.until = min(e.until, now)
	default:
		e.gone = now
	}
}

// bequeath ends the waiting for an heir that is held now, or will not be: then next
// takes its place, a third pool's, or there is nothing to wait for.
func (p *plan) bequeath(heir, next *entry, now int64) {
	if !heir.inherits {
		return
	}
	heir.inherits = false
	for pl := range p.poolsOf(heir.pool.key.family) {
		e := pl.entries.get(heir.prefix)
		if e == nil || e.heir != heir {
			continue
		}
		p.out(e)
		e.heir = nil
		switch {
		case e == next: // the ban is back where it was
		case next != nil:
			e.succeeded(next, now)
		case heir.enforced():
			e.succeeded(heir, now)
		case heir.until > now: // it was lifted
			e.gone = now
		default:
			e.until = min(e.until, now)
		}
		p.in(e)
	}
}

// known is how many bans are wanted.
func (p *plan) known() int { return len(p.ends.list) }

// sweep finds what the present pass did not give.
func (p *plan) sweep(now int64) {
	var stale []*entry
	for _, e := range p.ends.list {
		if e.pass != p.round {
			stale = append(stale, e)
		}
	}
	for _, e := range stale {
		p.unwant(e, nil, now)
	}
}
