package cloudfront

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// parseWith parses a good line with some columns replaced.
func parseWith(t rapid.TB, format *Format, columns map[Field]string) *Record {
	t.Helper()
	line := goodColumns(format)
	for f, value := range columns {
		line[format.columns[f]] = value
	}
	r := new(Record)
	if err := format.Parse(r, []byte(strings.Join(line, "\t"))); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPathAndQuery(t *testing.T) {
	all := formats(t)
	for _, c := range []struct {
		stem, query          string
		wantPath, wantQuery  string
		pathIsNil, noneAtAll bool
	}{
		{stem: "/a", query: "-", wantPath: "/a", noneAtAll: true},
		{stem: "/a?b=c", query: "b=c", wantPath: "/a", wantQuery: "b=c"},
		{stem: "/a?b=c?d", query: "-", wantPath: "/a", wantQuery: "b=c?d"},
		{stem: "/a?", query: "-", wantPath: "/a", noneAtAll: true},
		{stem: "/a?", query: "x", wantPath: "/a", noneAtAll: true}, // the stem has one, and it is empty
		{stem: "?b", query: "-", wantPath: "", wantQuery: "b"},
		{stem: "/a", query: "b=c", wantPath: "/a", wantQuery: "b=c"}, // as the standard logs have it
		{stem: "/%253F", query: "-", wantPath: "/%253F", noneAtAll: true},
		{stem: "-", query: "-", pathIsNil: true, noneAtAll: true},
		{stem: "/-", query: "--", wantPath: "/-", wantQuery: "--"},
	} {
		r := parseWith(t, all["all"], map[Field]string{FieldCSURIStem: c.stem, FieldCSURIQuery: c.query})
		if got := r.Path(); string(got) != c.wantPath || (got == nil) != c.pathIsNil {
			t.Errorf("%q %q: path %q (nil: %v), want %q", c.stem, c.query, got, got == nil, c.wantPath)
		}
		if got := r.Query(); string(got) != c.wantQuery || (got == nil) != c.noneAtAll {
			t.Errorf("%q %q: query %q (nil: %v), want %q", c.stem, c.query, got, got == nil, c.wantQuery)
		}
	}
	r := parseWith(t, all["required"], map[Field]string{FieldCSURIStem: "/a"})
	if r.Query() != nil {
		t.Errorf("query %q of a format that has no cs-uri-query", r.Query())
	}
}

func TestRaw(t *testing.T) {
	format := formats(t)["usual"]
	r := parseWith(t, format, map[Field]string{FieldCSUserAgent: "-", FieldCSReferer: "", FieldCCountry: "--"})
	if raw := r.Raw(FieldCSUserAgent); raw != nil {
		t.Errorf("'-' is %q, want nil", raw)
	}
	if raw := r.Raw(FieldCSReferer); raw == nil || len(raw) != 0 {
		t.Errorf("an empty column is %q (nil: %v), want empty", raw, raw == nil)
	}
	if raw := r.Raw(FieldCCountry); string(raw) != "--" {
		t.Errorf("'--' is %q", raw)
	}
	if raw := r.Raw(FieldCSCookie); raw != nil {
		t.Errorf("a field outside the format is %q, want nil", raw)
	}
	if raw := r.Raw(255); raw != nil {
		t.Errorf("field 255 is %q, want nil", raw)
	}
}

func TestHas(t *testing.T) {
	format := formats(t)["usual"]
	r := parseWith(t, format, map[Field]string{FieldCSUserAgent: "-"})
	for f := range Field(NumFields) {
		if got, want := r.Has(f), slices.Contains(format.Fields(), f); got != want {
			t.Errorf("%v: %v, want %v", f, got, want)
		}
	}
	if r.Has(255) {
		t.Error("field 255 is in the format")
	}
}

func TestClient(t *testing.T) {
	format := formats(t)["all"]
	for in, want := range map[string]string{
		"192.0.2.183":                   "192.0.2.183/32",
		"::ffff:192.0.2.183":            "192.0.2.183/32",
		"::FFFF:c000:02b7":              "192.0.2.183/32",
		"2001:db8:1:2:3:4:5:6":          "2001:db8:1:2::/64",
		"2001:0db8:85a3::8a2e:0370:733": "2001:db8:85a3::/64",
	} {
		if got := parseWith(t, format, map[Field]string{FieldCIP: in}).Client(); got != netip.MustParsePrefix(want) {
			t.Errorf("%s: client %v, want %s", in, got, want)
		}
	}
}

func TestClientBits(t *testing.T) {
	format := formats(t)["all"]
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(MinClientBits, MaxClientBits).Draw(t, "bits")
		addr := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address"))).Unmap()
		want := netip.PrefixFrom(addr, bits).Masked()
		if addr.Is4() {
			want = netip.PrefixFrom(addr, 32)
		}
		r := parseWith(t, format.WithClientBits(bits), map[Field]string{FieldCIP: addr.String()})
		if got := r.Client(); got != want || r.Addr != addr {
			t.Errorf("%v is client %v at %v, want %v", addr, got, r.Addr, want)
		}
	})
	if r := parseWith(t, format, map[Field]string{FieldCIP: "2001:db8::1"}); r.Client().Bits() != DefaultClientBits {
		t.Errorf("WithClientBits changed the format it was called on: client %v", r.Client())
	}
	for _, bits := range []int{MinClientBits - 1, MaxClientBits + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bits were taken", bits)
				}
			}()
			format.WithClientBits(bits)
		}()
	}
}

// A Record that was never filled, or whose line was rejected, answers with nothing.
func TestRecordWithoutLine(t *testing.T) {
	format := formats(t)["all"]
	r := parseWith(t, format, nil)
	r.Arrived = 42
	if err := format.Parse(r, []byte("garbage")); err != RejectColumns {
		t.Fatal(err)
	}
	if r.Arrived != 42 {
		t.Error("Parse touched Arrived")
	}
	for name, r := range map[string]*Record{"zero": {}, "rejected": r} {
		if r.Raw(FieldCIP) != nil || r.Path() != nil || r.Query() != nil || r.Has(FieldCIP) {
			t.Errorf("%s: has columns", name)
		}
	}
	if client := (&Record{}).Client(); client.IsValid() {
		t.Errorf("client of nothing is %v", client)
	}
}
