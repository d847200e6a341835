package reserved

import (
	"net/netip"
	"testing"
)

func TestOverlaps(t *testing.T) {
	for p, want := range map[string]bool{
		"0.0.0.0/32": true, "1.0.0.0/32": false, "9.255.255.255/32": false, "10.0.0.0/32": true, "11.0.0.0/32": false,
		"100.63.255.255/32": false, "100.64.0.0/32": true, "100.127.255.255/32": true, "100.128.0.0/32": false,
		"127.0.0.1/32": true, "169.254.169.254/32": true, "172.15.0.0/16": false, "172.16.0.0/24": true, "172.32.0.0/16": false,
		"192.168.1.1/32": true, "192.0.2.1/32": false, "223.255.255.255/32": false, "224.0.0.1/32": true, "255.255.255.255/32": true,
		"192.0.0.0/8": true, "198.51.100.0/24": false,
		"::/128": true, "::1/128": true, "::2/128": false, "fc00::/64": true, "fdff::/64": true, "fe00::/64": false,
		"fe80::/64": true, "febf::/64": true, "fec0::/64": false, "ff02::/64": true, "2001:db8::/64": false, "2000::/3": false, "e000::/3": true,
	} {
		if got := Overlaps(netip.MustParsePrefix(p)); got != want {
			t.Errorf("%s: %t", p, got)
		}
	}
}

// What the first byte tells is what all ranges would.
func TestFirstBytes(t *testing.T) {
	for _, bits := range []int{7, 8, 9, 16, 32} {
		for first := range 256 {
			for _, a := range []netip.Addr{
				netip.AddrFrom4([4]byte{byte(first), 254, 3}), netip.AddrFrom16([16]byte{byte(first), 0x80, 3}),
				netip.AddrFrom4([4]byte{byte(first)}), netip.AddrFrom16([16]byte{byte(first)}),
			} {
				p := netip.PrefixFrom(a, bits).Masked()
				want := false
				for _, r := range ranges {
					want = want || r.Overlaps(p)
				}
				if got := Overlaps(p); got != want {
					t.Errorf("%s: %t", p, got)
				}
			}
		}
	}
}

func TestOverlapsMakesNoGarbage(t *testing.T) {
	p := netip.MustParsePrefix("198.51.100.7/32")
	if n := testing.AllocsPerRun(100, func() { Overlaps(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
