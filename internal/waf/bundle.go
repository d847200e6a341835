package waf

import "net/netip"

// shelter tells those that e stands for, and the one that waits for it, that it is
// held now, or no more.
func (p *plan) shelter(e *entry) {
	for _, u := range e.under {
		p.out(u)
		p.in(u)
	}
	if e.inherits && e.home != nil {
		p.bequeath(e, e.moved)
	}
}

func (p *plan) bundle(pl *pool, now int64) bool { return false }
func (p *plan) dissolve(e *entry, now int64)    {}
func (p *plan) expose(e *entry, now int64)      {}
func (pl *pool) anyMade() bool                  { return false }

// bans gives the prefixes of the bans that e is, or stands for.
func (e *entry) bans() []netip.Prefix {
	if !e.made {
		return []netip.Prefix{e.prefix}
	}
	var list []netip.Prefix
	for _, u := range e.under {
		list = append(list, u.prefix)
	}
	return list
}
