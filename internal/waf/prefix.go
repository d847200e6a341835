package waf

import (
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// setLimit is how many entries AWS allows in one IP set.
const setLimit = 10_000

// family tells IPv4 from IPv6: an IP set holds one of them.
type family uint8

const (
	ipv4 family = iota
	ipv6
	families // how many there are
)

// String gives the family's name in metrics, logs and the API.
func (f family) String() string {
	if f == ipv4 {
		return "ipv4"
	}
	return "ipv6"
}

func familyOf(p netip.Prefix) family {
	if p.Addr().Is4() {
		return ipv4
	}
	return ipv6
}

func familyFrom(v types.IPAddressVersion) (family, bool) {
	switch v {
	case types.IPAddressVersionIpv4:
		return ipv4, true
	case types.IPAddressVersionIpv6:
		return ipv6, true
	}
	return 0, false
}

// canonical gives the one form in which a prefix is compared and written:
// masked, without zone, an IPv4-mapped prefix as IPv4. It refuses what WAF
// refuses (/0) and mapped prefixes that are wider than all of IPv4.
func canonical(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	addr, bits := p.Addr(), p.Bits()
	if addr.Is4In6() {
		if bits < 96 {
			return p, false
		}
		addr, bits = addr.Unmap(), bits-96
	}
	if bits == 0 {
		return p, false
	}
	return netip.PrefixFrom(addr, bits).Masked(), true
}

// parseHeld reads an entry as WAF returns it. Unlike canonical it keeps an
// IPv4-mapped prefix in IPv6 form: somebody put it into an IPv6 set, and it has
// to go back there as it is.
func parseHeld(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// hash64 is a fixed hash of a prefix: it goes into descriptions, so it must give
// the same on every machine and in every version.
func hash64(p netip.Prefix) uint64 {
	a := p.Addr().As16()
	h := uint64(14695981039346656037)
	for _, b := range a {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h = (h ^ uint64(p.Bits())) * 1099511628211
	if p.Addr().Is4() {
		h = (h ^ 4) * 1099511628211
	}
	return mix64(h)
}

// hashText is hash64 for an entry that could not be read as a prefix.
func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix64(h)
}

// mix64 spreads every input bit over the whole word: sums of plain FNV values of
// neighbouring addresses would collide.
func mix64(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
