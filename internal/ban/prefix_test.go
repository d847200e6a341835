package ban

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParsePrefix(t *testing.T) {
	bad := func(in, mentions string) {
		t.Helper()
		p, err := ParsePrefix(in)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Code != RefusedPrefix || !strings.Contains(err.Error(), mentions) {
			t.Errorf("ParsePrefix(%q) = %v, %v; want it refused with a word about %s", in, p, err, mentions)
		}
	}
	bad("", "no address")
	bad("example.com", "no address")
	bad("192.0.2.256", "no address")
	bad("192.0.2.1/33", "no range")
	bad("192.0.2.1/", "no range")
	bad("192.0.2.1/24", "192.0.2.0/24")
	bad("2001:db8::1/64", "2001:db8::/64")
	bad("fe80::1%eth0", "zone")
	bad("fe80::1%eth0/64", "no range")
	bad("::ffff:192.0.2.1", "write 192.0.2.1")
	bad("::ffff:192.0.2.0/120", "write 192.0.2.0/24")
	bad(strings.Repeat("1", 65), "65 bytes")

	good := func(in, want string) {
		t.Helper()
		p, err := ParsePrefix(in)
		if err != nil || p.String() != want {
			t.Errorf("ParsePrefix(%q) = %v, %v; want %s", in, p, err, want)
		}
	}
	good("192.0.2.1", "192.0.2.1/32")
	good("192.0.2.0/24", "192.0.2.0/24")
	good("2001:DB8:0::1", "2001:db8::1/128")
	good("2001:db8::/64", "2001:db8::/64")
	good("0.0.0.0/0", "0.0.0.0/0")
}

func FuzzParsePrefix(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "192.0.2.0/24", "2001:db8::/64", "::ffff:1.2.3.4", "fe80::1%a", "1.2.3.4/0", "::/0", "::ffff:0:0/80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePrefix(s)
		if err != nil {
			if !errors.As(err, new(*RefusedError)) {
				t.Fatalf("%q: an error of type %T", s, err)
			}
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			t.Fatalf("%q: took %v", s, p)
		}
		again, err := ParsePrefix(FormatPrefix(p))
		if err != nil || again != p {
			t.Fatalf("%q: %v written as %q is read as %v, %v", s, p, FormatPrefix(p), again, err)
		}
	})
}

func TestCheckWidth(t *testing.T) {
	for s, ok := range map[string]bool{
		"192.0.0.0/16": true, "192.0.0.0/15": false, "0.0.0.0/0": false,
		"2001:db8::/32": true, "2001:db8::/31": false, "::/0": false,
	} {
		if err := checkWidth(netip.MustParsePrefix(s), false); (err == nil) != ok {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(position{1, "0123456789abcdef01234567"}.cursor())
	f.Add("")
	f.Add("AQ")
	f.Add(strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseCursor(s)
		if err != nil {
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Code != RefusedQuery {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if p.cursor() != s {
			t.Fatalf("%q is read as %v, which is written %q", s, p, p.cursor())
		}
	})
}
