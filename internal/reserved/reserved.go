// Package reserved knows the addresses that no client on the internet has.
package reserved

import "net/netip"

// ranges are those of IANA's registries of special-purpose addresses (RFC 6890) that
// can be nobody's on the internet: a ban of one could only hit what is the owner's.
// What is set aside for documentation is not among them: tests and demos use it, and
// nobody else comes from there.
var ranges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this network
	netip.MustParsePrefix("10.0.0.0/8"),     // private
	netip.MustParsePrefix("100.64.0.0/10"),  // shared by the customers of a carrier
	netip.MustParsePrefix("127.0.0.0/8"),    // loopback
	netip.MustParsePrefix("169.254.0.0/16"), // link-local, with the metadata services of clouds
	netip.MustParsePrefix("172.16.0.0/12"),  // private
	netip.MustParsePrefix("192.168.0.0/16"), // private
	netip.MustParsePrefix("224.0.0.0/3"),    // multicast, for future use, broadcast
	netip.MustParsePrefix("::/127"),         // unspecified, loopback
	netip.MustParsePrefix("fc00::/7"),       // private
	netip.MustParsePrefix("fe80::/10"),      // link-local
	netip.MustParsePrefix("ff00::/8"),       // multicast
}

// first4 and first6 are the first bytes of addresses in ranges.
var first4, first6 = func() (v4, v6 [256]bool) {
	for _, r := range ranges {
		from := int(r.Addr().AsSlice()[0])
		for i := range 1 << max(0, 8-r.Bits()) {
			if r.Addr().Is4() {
				v4[from+i] = true
			} else {
				v6[from+i] = true
			}
		}
	}
	return v4, v6
}()

// Overlaps reports whether p, which is valid, shares an address with those. Most are
// told by their first byte, since it is asked of every ban.
func Overlaps(p netip.Prefix) bool {
	a := p.Addr()
	if p.Bits() >= 8 && (a.Is4() && !first4[a.As4()[0]] || a.Is6() && !first6[a.As16()[0]]) {
		return false
	}
	for _, r := range ranges {
		if r.Overlaps(p) {
			return true
		}
	}
	return false
}
