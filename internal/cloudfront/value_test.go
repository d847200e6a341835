package cloudfront

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func checkAddr(t interface{ Errorf(string, ...any) }, s string) {
	got, ok := parseAddr([]byte(s))
	want, wantOK := addrTwin(s)
	if got != want || ok != wantOK {
		t.Errorf("%q: got %v %v, want %v %v", s, got, ok, want, wantOK)
	}
}

// addrSeeds are spellings, right and wrong, of every kind.
var addrSeeds = []string{
	"", ".", "...", "1", "1.2.3", "1.2.3.", ".1.2.3", "1.2.3.4", "1.2.3.4.", "1.2.3.4.5", "1..3.4", "12.34.567",
	"255.255.255.255", "256.1.1.1", "1.1.1.256", "999.999.999.999", "0.0.0.0", "00.0.0.0", "0.0.0.00", "01.2.3.4", "1.2.3.04",
	"1.2.3.4 ", " 1.2.3.4", "1,2.3.4", "1.2.3.a", "a.2.3.4", "1.2.3.4\x00", "1\x002\x003\x004", "192.0.2.183", "10.0.0.1", "100.20.3.4",
	"1234.1.1.1", "1.2.3.4%eth0", "127.1", "0x7f.1.1.1", "１.2.3.4", "\x11.2.3.4", "1.2.3.\x94", "...........", "................",
	":", "::", ":::", "::1", "1::", "1:::2", "::1::", "1::2::3", ":1", "1:", "::1:", ":1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8",
	"1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
	"2001:0db8:85a3::8a2e:0370:7334", "2001:0DB8:85A3:0000:0000:8A2E:0370:7334", "2001:db8::12345", "2001:db8::g", "12345::",
	"::ffff:1.2.3.4", "::FFFF:192.0.2.183", "0:0:0:0:0:ffff:1.2.3.4", "0:0:0:0:0:0:ffff:1.2.3.4", "::1.2.3.4", "::1.2.3.4:5",
	"1::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5::1.2.3.4", "1:2:3:4:5:6::1.2.3.4", "1::2:3:4:5:6:7:1.2.3.4", "1::2:3:4:5:6:1.2.3.4",
	"1::2:3:4:5:1.2.3.4", "::1.2.3", "::1.2.3.256",
	"::1.2.3.04", "::a.2.3.4", "1.2.3.4::", "::ffff:0:1.2.3.4", "fe80::1%eth0", "fe80::1%", "[::1]", "::1/64", "::1 ", "-", "localhost",
}

func TestParseAddr(t *testing.T) {
	for _, s := range addrSeeds {
		checkAddr(t, s)
	}
	// The three spellings of the specification.
	for _, s := range []string{"192.0.2.183", "2001:0db8:85a3::8a2e:0370:7334", "2a02:cf40:add:4002:91f2:a9b2:e09a:6fc6"} {
		if got, ok := parseAddr([]byte(s)); !ok || got != netip.MustParseAddr(s) {
			t.Errorf("%s: got %v %v", s, got, ok)
		}
	}
}

func TestParseAddrTwin(t *testing.T) {
	spellings := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}`),
		rapid.StringMatching(`[0-9.]{5,16}`),
		rapid.StringMatching(`([0-9a-fA-F]{0,4}:){2,8}[0-9a-fA-F]{0,4}`),
		rapid.StringMatching(`([0-9a-f]{1,4}:){0,7}:([0-9a-f]{1,4}:){0,6}[0-9a-f]{1,4}`),
		rapid.StringMatching(`([0-9a-f]{1,4}:){0,6}:?([0-9]{1,3}\.){3}[0-9]{1,3}`),
		rapid.Custom(func(t *rapid.T) string {
			ip := [16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0, 1, 0xff}), 16, 16).Draw(t, "ip"))
			if rapid.Bool().Draw(t, "expanded") {
				return netip.AddrFrom16(ip).StringExpanded()
			}
			return netip.AddrFrom16(ip).String()
		}),
	)
	rapid.Check(t, func(t *rapid.T) { checkAddr(t, spellings.Draw(t, "address")) })
}

// Every length of every number, at every place.
func TestParseIPv4Numbers(t *testing.T) {
	for place := range 4 {
		for n := range 1002 {
			numbers := []string{"1", "22", "133", "44"}
			for _, layout := range []string{"%d", "%02d", "%03d", "%d."} {
				numbers[place] = fmt.Sprintf(layout, n)
				checkAddr(t, strings.Join(numbers, "."))
			}
		}
	}
}

// Every byte, in the place of every byte of an address.
func TestParseAddrBytes(t *testing.T) {
	for _, s := range []string{"1.2.3.4", "255.10.0.128", "2001:db8::8a2e:370", "::ffff:10.20.30.40"} {
		for i := range s {
			for c := range 256 {
				b := []byte(s)
				b[i] = byte(c)
				checkAddr(t, string(b))
			}
		}
	}
}

func FuzzAddr(f *testing.F) {
	for _, s := range addrSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "%") {
			// netip forgives anything in a zone; here each of them is a reject.
			if a, ok := parseAddr([]byte(s)); ok {
				t.Errorf("%q: got %v", s, a)
			}
			return
		}
		checkAddr(t, s)
	})
}

func checkTime(t interface{ Errorf(string, ...any) }, s string) {
	got, ok := parseTime([]byte(s))
	want, wantOK := timeTwin(s)
	if ok != wantOK || ok && got != want {
		t.Errorf("%q: got %v %v, want %v %v", s, got, ok, want, wantOK)
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]int64{
		"1684226820.937":                   1684226820937,
		"1684226820":                       1684226820000,
		"1684226820.9":                     1684226820900,
		"1684226820.93":                    1684226820930,
		"1684226820.9379":                  1684226820937,
		"1684226820.99999999999999999999":  1684226820999,
		"0001684226820.937":                1684226820937,
		"946684800":                        946684800000,
		"946684800.000":                    946684800000,
		"4102444799.999":                   4102444799999,
		"00000000000000000000001684226820": 1684226820000,
	} {
		if got, ok := parseTime([]byte(s)); !ok || got != want {
			t.Errorf("%q: got %v %v, want %v", s, got, ok, want)
		}
		checkTime(t, s)
	}
	// Every byte, in the place of every byte.
	for _, s := range []string{"1684226820.937", "1684226820.93", "1684226820"} {
		for i := range s {
			for c := range 256 {
				b := []byte(s)
				b[i] = byte(c)
				checkTime(t, string(b))
			}
		}
	}
}

func TestParseTimeTwin(t *testing.T) {
	spellings := rapid.OneOf(
		rapid.StringMatching(`[0-9]{10}\.[0-9]{3}`),
		rapid.StringMatching(`[0-9]{1,22}(\.[0-9]{0,5})?`),
		rapid.StringMatching(`[0-9.:/ +-]{14}`),
	)
	rapid.Check(t, func(t *rapid.T) { checkTime(t, spellings.Draw(t, "time")) })
}

func TestParseStatus(t *testing.T) {
	for n := range 1000 {
		if got, ok := parseStatus(fmt.Appendf(nil, "%03d", n)); !ok || int(got) != n {
			t.Errorf("%03d: got %v %v", n, got, ok)
		}
	}
	for _, s := range []string{"", "-", "20", "2000", "2 0", "/00", "00:", "\xff00"} {
		if got, ok := parseStatus([]byte(s)); ok {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

// An address is read alike wherever it lies in a line, and whatever is around it.
func TestAddrWithinLine(t *testing.T) {
	addr := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))).String()
		}),
		rapid.StringMatching(`[0-9]{1,3}(\.[0-9]{1,4}){2,4}`),
		rapid.StringMatching(`([0-9]{1,3}[.]){3}([0-9]{1,3}|[/:>\t ][0-9])`),
		rapid.StringMatching(`([0-2]?[0-9]{1,2}[./>n]){3}[0-9]{1,2}`),
		rapid.Custom(func(t *rapid.T) string {
			a := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x00\x01\x20\xab\xff")), 16, 16).Draw(t, "v6")))
			return rapid.SampledFrom([]string{a.String(), a.StringExpanded(), strings.ToUpper(a.String())}).Draw(t, "spelling")
		}),
		rapid.StringMatching(`2[0-9a-gA-G`+"`@"+`]{3}(:[0-9a-gA-G`+"`@"+`]{1,5}){2,8}`),
		rapid.StringMatching(`2[0-9a-f]{3}(:[0-9a-f]{0,4}){2,8}`),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("0123456789.........")), 0, 18), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 18), func(b []byte) string { return string(b) }),
	)
	around := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]byte("\t0129.:af")), rapid.Byte()), 0, 30)
	padding := bytes.Repeat([]byte{'1'}, 70)
	rapid.Check(t, func(t *rapid.T) {
		before, text, after := around.Draw(t, "before"), addr.Draw(t, "address"), around.Draw(t, "after")
		after = append(after, padding[:rapid.IntRange(0, len(padding)).Draw(t, "padding")]...)
		line := slices.Concat(before, []byte(text), after)
		got, ok := parseAddrAt(line, uint(len(before)), uint(len(before)+len(text)))
		want, wantOK := addrTwin(text)
		if got != want || ok != wantOK {
			t.Fatalf("%q within %q: %v, %v; want %v, %v", text, line, got, ok, want, wantOK)
		}
	})
}
