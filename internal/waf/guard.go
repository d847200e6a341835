package waf

import "net/netip"

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

// specials are addresses that no client of the internet can have, of IANA's
// registries of special-purpose addresses: in an IP set they could only hit what is
// the owner's. The ranges for documentation are left out, since tests and demos
// use them.
var specials = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this network
	netip.MustParsePrefix("10.0.0.0/8"),     // private
	netip.MustParsePrefix("100.64.0.0/10"),  // shared, behind a carrier's NAT
	netip.MustParsePrefix("127.0.0.0/8"),    // loopback
	netip.MustParsePrefix("169.254.0.0/16"), // link-local
	netip.MustParsePrefix("172.16.0.0/12"),  // private
	netip.MustParsePrefix("192.168.0.0/16"), // private
	netip.MustParsePrefix("224.0.0.0/3"),    // multicast, reserved, broadcast
	netip.MustParsePrefix("::/127"),         // unspecified, loopback
	netip.MustParsePrefix("fc00::/7"),       // private
	netip.MustParsePrefix("fe80::/10"),      // link-local
	netip.MustParsePrefix("ff00::/8"),       // multicast
}

// suspects are the first bytes of addresses in specials, by family.
var suspects = func() (first [families][256]bool) {
	for _, s := range specials {
		from := s.Addr().AsSlice()[0]
		for i := range 1 << max(0, 8-s.Bits()) {
			first[familyOf(s)][int(from)+i] = true
		}
	}
	return first
}()

// isSpecial reports whether p overlaps a special range. Most addresses are told by
// their first byte.
func isSpecial(p netip.Prefix) bool {
	a := p.Addr()
	first := a.As16()[0]
	if a.Is4() {
		first = a.As4()[0]
	}
	if p.Bits() >= 8 && !suspects[familyOf(p)][first] {
		return false
	}
	for _, s := range specials {
		if s.Overlaps(p) {
			return true
		}
	}
	return false
}

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
	case isSpecial(prefix):
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
