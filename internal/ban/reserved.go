package ban

import "net/netip"

// Reserved reports whether p shares an address with those that no client on the
// internet has, as IANA's registries of special-purpose addresses (RFC 6890) list
// them: unspecified, private, shared by carriers, loopback, link-local, multicast
// and future ones. What is set aside for documentation is not among them.
func Reserved(p netip.Prefix) bool {
	for _, r := range reserved() {
		if r.Overlaps(p) {
			return true
		}
	}
	return false
}

func reserved() [13]netip.Prefix {
	v4 := func(a, b byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b}), bits)
	}
	v6 := func(a, b byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b}), bits)
	}
	return [...]netip.Prefix{
		v4(0, 0, 8),      // this network
		v4(10, 0, 8),     // private
		v4(100, 64, 10),  // shared by the customers of a carrier
		v4(127, 0, 8),    // loopback
		v4(169, 254, 16), // link-local, with the metadata services of clouds
		v4(172, 16, 12),  // private
		v4(192, 168, 16), // private
		v4(224, 0, 4),    // multicast
		v4(240, 0, 4),    // for future use, and broadcast
		v6(0, 0, 127),    // unspecified, loopback
		v6(0xfc, 0, 7),   // private
		v6(0xfe, 0x80, 10),
		v6(0xff, 0, 8), // multicast
	}
}
