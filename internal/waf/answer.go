package waf

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// wrote takes the answer to a write that AWS accepted, and gives the entries that
// are enforced from now on.
func (p *plan) wrote(w *write, now time.Time, token string) []*entry {
	s, pl := w.set, p.pool(w.set)
	p.tried(w)
	var landed []*entry
	for _, e := range w.adds {
		if e.home == nil {
			landed = e.newly(landed)
		}
	}
	for _, e := range w.drops {
		if e.home == s {
			p.release(e, now.UnixMilli())
		}
	}
	p.fasten(s, now.UnixMilli())
	for c, keep := range s.copies {
		if !keep {
			s.uncopy(c)
		}
	}
	for _, e := range w.adds {
		if e.home != nil {
			continue
		}
		e.moved = now.UnixMilli()
		p.join(s, e, e.moved)
	}
	s.supersede(s.token)
	s.token, s.desc, s.gen, s.epoch = token, w.text, w.desc.gen, p.epoch
	s.fruitless, pl.awaited = false, 0
	s.tried = nil // what came with the old token can land no more
	s.written, s.conflicts, s.refused, s.unsigned = now, 0, false, 0
	if token == "" {
		s.known, s.readAfter = false, now
	}
	p.writing = trouble{}
	if pl.most > 0 {
		if pl.most *= 2; pl.most > len(pl.pending) {
			pl.most = 0
		}
	}
	return landed
}

// newly appends the bans that are enforced once e is held, and were not before.
func (e *entry) newly(list []*entry) []*entry {
	if !e.made {
		list = append(list, e)
	}
	for _, u := range e.under {
		if !u.met {
			list = append(list, u)
		}
	}
	return list
}

// tried notes that a write was attempted, whatever came of it.
func (p *plan) tried(w *write) {
	pl := p.pool(w.set)
	pl.tried = w.start.UnixMilli()
	if p.listTurn++; pl.key.list || !p.wantLists() {
		p.listTurn = 0
	}
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
		p.throttles++
		p.writes.throttled(now)
		p.suspect()
	case conflict:
		s.supersede(s.token)
		s.refused, s.contested = true, now
		s.conflicts++
		p.conflicts++
		p.suspect()
	case ambiguous:
		s.known, s.readAfter = false, now
		if s.tried == nil {
			s.tried = make(map[netip.Prefix]bool, len(w.adds))
		}
		for _, e := range w.adds {
			s.tried[e.prefix] = true
		}
		s.doubt = now
		p.bind(s, w.adds)
		p.loosen(s, w.drops, now.UnixMilli())
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
			p.shun(e, now.UnixMilli())
			return e
		}
	}
	switch len(w.adds) {
	case 0: // what it held was good enough for AWS before
		w.set.hold = now.Add(time.Minute)
	case 1:
		p.shun(w.adds[0], now.UnixMilli())
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

// suspect has the sets listed soon, as somebody else may be writing them: it may be
// a later leader.
func (p *plan) suspect() {
	if soon := p.listing.ended.Add(listGap); soon.Before(p.listing.at) {
		p.listing.at = soon
	}
}

// shun leaves out an entry that the API refuses.
func (p *plan) shun(e *entry, now int64) {
	if e.made {
		p.dissolve(e, now)
		return
	}
	p.out(e)
	e.poison = true
	p.in(e)
	p.expose(e, now)
}

// pardon tries again what AWS refused long ago: it need not have been this entry's
// fault, where AWS named none.
func (p *plan) pardon(now time.Time) {
	before := now.Add(-shutFor).UnixMilli()
	for i := range p.pools {
		var again []*entry
		for e, since := range p.pools[i].poison {
			if since <= before {
				again = append(again, e)
			}
		}
		slices.SortFunc(again, func(a, b *entry) int { return a.prefix.Compare(b.prefix) })
		for _, e := range again {
			p.out(e)
			e.poison, e.since = false, now.UnixMilli()
			p.in(e)
			p.revive(e)
		}
	}
}

// wantLists reports whether a list waits for a slot.
func (p *plan) wantLists() bool {
	for i := poolCount / 2; i < poolCount; i++ {
		if pl := &p.pools[i]; len(pl.sets) > 0 && (len(pl.pending) > 0 || pl.count[lapsed]+pl.count[lifted] > 0) {
			return true
		}
	}
	return false
}
