package waf

import (
	"net/netip"

	"weir/internal/reserved"
)

// exclusion says why an entry that is in force is not written.
type exclusion uint8

const (
	malformed   exclusion = iota // not a prefix that WAF takes
	allowlisted                  // overlaps the allowlist
	unserved                     // no IP set is for its action
	quarantined                  // the API refused it by name
	tooWide                      // wider than /16 or, of IPv6, /32, and nobody insists on it
	special                      // addresses that are nobody's on the internet
	exclusions                   // how many there are
)

func (x exclusion) String() string {
	return [...]string{"malformed", "allowlisted", "action", "quarantined", "wide", "special"}[x]
}

// widest are the widest prefixes that are written without somebody insisting.
var widest = [families]int{ipv4: 16, ipv6: 32}

// admit is the gate for what is to be written: it gives the one form of the prefix
// and its pool. False: the entry is not to be written, and has been counted under
// the reason, if there is one.
func (p *plan) admit(w *Entry, now int64) (netip.Prefix, *pool, bool) {
	refuse := func(x exclusion) (netip.Prefix, *pool, bool) {
		p.excluded[x]++
		return netip.Prefix{}, nil, false
	}
	if w.Until.UnixMilli() <= now || p.filter != nil && !p.filter(w) {
		return netip.Prefix{}, nil, false
	}
	prefix, ok := canonical(w.Prefix)
	if !ok {
		return refuse(malformed)
	}
	act, ok := actionOf(w.Action)
	if !ok {
		return refuse(unserved)
	}
	pl, ok := p.poolFor(act, w.List, familyOf(prefix))
	switch {
	case !ok:
		return refuse(unserved)
	case prefix.Bits() < widest[pl.key.family] && !w.Wide:
		return refuse(tooWide)
	case reserved.Overlaps(prefix):
		return refuse(special)
	case p.allowed(prefix):
		return refuse(allowlisted)
	}
	return prefix, pl, true
}

// exclusions is what was excluded at the latest full pass and since.
func (p *plan) exclusions() [exclusions]int {
	list := p.excluded
	for i := range p.pools {
		list[quarantined] += len(p.pools[i].poison)
	}
	return list
}
