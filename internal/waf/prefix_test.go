package waf

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonical(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, ok := canonical(netip.MustParsePrefix(in))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s became %s, %v; want %q", in, got, ok, want)
		}
	}
	f("0.0.0.0/0", "")
	f("::/0", "")
	f("::ffff:0.0.0.0/96", "")
	f("::ffff:0:0/90", "")
	f("192.0.2.66/29", "192.0.2.64/29")
	f("192.0.2.66/32", "192.0.2.66/32")
	f("::ffff:192.0.2.66/128", "192.0.2.66/32")
	f("::ffff:192.0.2.66/120", "192.0.2.0/24")
	f("2001:DB8:0:0:1:2:3:4/64", "2001:db8::/64")
	f("2001:db8::7/128", "2001:db8::7/128")
	if _, ok := canonical(netip.Prefix{}); ok {
		t.Error("the zero prefix was taken")
	}
	zoned := netip.PrefixFrom(netip.MustParseAddr("fe80::1%eth0"), 64)
	if got, ok := canonical(zoned); ok && got.Addr().Zone() != "" {
		t.Errorf("%s has a zone", got)
	}
}

// What goes into descriptions must be the same in every version.
func TestHashesAreFixed(t *testing.T) {
	f := func(in string, want uint64) {
		t.Helper()
		if got := hash64(netip.MustParsePrefix(in)); got != want {
			t.Errorf("%s: %#x, want %#x", in, got, want)
		}
	}
	f("192.0.2.1/32", 0x7f1fe832db0b4327)
	f("2001:db8::/64", 0x3c924e16a1c879c8)
}

func TestHashTellsPrefixesApart(t *testing.T) {
	seen := make(map[uint64]netip.Prefix)
	note := func(p netip.Prefix) {
		if q, dup := seen[hash64(p)]; dup && q != p {
			t.Fatalf("%s and %s", p, q)
		}
		seen[hash64(p)] = p
	}
	for i := range 100_000 {
		note(v4(i))
		note(v6(i))
	}
	for bits := 1; bits <= 32; bits++ {
		note(netip.PrefixFrom(netip.MustParseAddr("0.0.0.0"), bits))
	}
	note(netip.MustParsePrefix("::ffff:1.0.0.0/32"))
}

// An entry goes to AWS and comes back, in whatever spelling, as the same prefix.
func TestHeldEntriesCompareAsPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a [16]byte
		copy(a[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr"))
		p, ok := canonical(netip.PrefixFrom(netip.AddrFrom16(a), rapid.IntRange(1, 128).Draw(t, "bits")))
		if !ok {
			t.Skip()
		}
		if got, ok := parseHeld(spell(p)); !ok || got != p {
			t.Fatalf("%s came back as %s", p, got)
		}
	})
}

// The index against a plain map.
func TestIndex(t *testing.T) {
	addrs := []string{"0.0.0.0", "0.0.0.1", "0.0.1.0", "1.0.0.0", "255.255.255.255", "::", "::1", "::ffff:0.0.0.1", "2001:db8::"}
	rapid.Check(t, func(t *rapid.T) {
		x, twin := newIndex(), make(map[netip.Prefix]*entry)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			a := netip.MustParseAddr(rapid.SampledFrom(addrs).Draw(t, "addr"))
			p := netip.PrefixFrom(a, rapid.IntRange(1, a.BitLen()).Draw(t, "bits")).Masked()
			if rapid.Bool().Draw(t, "put") {
				e := &entry{prefix: p}
				x.put(e)
				twin[p] = e
			} else {
				x.drop(p)
				delete(twin, p)
			}
			if len(x.v4)+len(x.others) != len(twin) {
				t.Fatalf("%d and %d entries, not %d", len(x.v4), len(x.others), len(twin))
			}
			for q, e := range twin {
				if x.get(q) != e {
					t.Fatalf("%s is not what was put", q)
				}
			}
		}
	})
}
