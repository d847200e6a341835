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
	irrelevant                   // it has ended, or is not for this target
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
	prefix, pl, why := p.judge(w, now)
	if pl == nil && why != irrelevant {
		p.excluded[why]++
	}
	return prefix, pl, pl != nil
}

// judge gives the one form of an entry's prefix and its pool; without a pool, why it
// is not to be written.
func (p *plan) judge(w *Entry, now int64) (prefix netip.Prefix, pl *pool, why exclusion) {
	if w.Until.UnixMilli() <= now || p.filter != nil && !p.filter(w) {
		return prefix, nil, irrelevant
	}
	prefix, ok := canonical(w.Prefix)
	if !ok {
		return prefix, nil, malformed
	}
	act, ok := actionOf(w.Action)
	if !ok {
		return prefix, nil, unserved
	}
	pl, ok = p.poolFor(act, w.List, familyOf(prefix))
	switch {
	case !ok:
		return prefix, nil, unserved
	case prefix.Bits() < widest[pl.key.family] && !w.Wide:
		return prefix, nil, tooWide
	case reserved.Overlaps(prefix):
		return prefix, nil, special
	case p.allowed(prefix):
		return prefix, nil, allowlisted
	}
	return prefix, pl, 0
}

// exclusions is what was excluded at the latest full pass and since.
func (p *plan) exclusions() [exclusions]int {
	list := p.excluded
	for i := range p.pools {
		list[quarantined] += len(p.pools[i].poison)
	}
	return list
}
