package cloudfront

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExcerptFill(t *testing.T) {
	fields := []Field{FieldCSProtocolVersion, FieldCSMethod, FieldCSURIStem, FieldCSURIQuery}
	addr := netip.MustParseAddr("2001:db8:1:2:3::4")
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfN(rapid.StringMatching(`[a-z/ %0-9]{0,90}`), 0, len(fields)).Draw(t, "columns")
		var r Record
		NewExcerpt(56, fields...).Fill(&r, addr, 1234, 404, []byte(strings.Join(columns, "\t")))
		if r.Addr != addr || r.Time != 1234 || r.Status != 404 || r.Client() != netip.MustParsePrefix("2001:db8:1::/56") {
			t.Fatalf("%+v", r)
		}
		for i, f := range fields {
			want := ""
			if i < len(columns) {
				want = columns[i]
			}
			if got := string(r.Raw(f)); got != want {
				t.Fatalf("column %d is %q, want %q", i, got, want)
			}
			if !r.Has(f) || r.Has(FieldCSHost) || r.Raw(FieldCSHost) != nil {
				t.Fatal("its fields are not those of the excerpt")
			}
		}
	})
}

// Lines that no excerpt has made must do no harm.
func TestExcerptFillForeign(t *testing.T) {
	x := NewExcerpt(64, FieldCSMethod, FieldCSURIStem)
	for _, line := range []string{"a\tb\tc", strings.Repeat("\t", 300), "a\x00b", strings.Repeat("x", 1<<17)} {
		var r Record
		x.Fill(&r, netip.MustParseAddr("192.0.2.1"), 1, 200, []byte(line))
		if m := r.Raw(FieldCSMethod); len(m) != 0 {
			t.Errorf("%.10q: method is %.10q", line, m)
		}
		if r.Client() != netip.MustParsePrefix("192.0.2.1/32") || r.Short() != true {
			t.Errorf("%.10q: client is %v", line, r.Client())
		}
	}
}

func FuzzExcerptFill(f *testing.F) {
	f.Add([]byte("GET\t/x"))
	x := NewExcerpt(64, FieldCSMethod, FieldCSURIStem, FieldCSUserAgent)
	f.Fuzz(func(t *testing.T, line []byte) {
		var r Record
		x.Fill(&r, netip.MustParseAddr("192.0.2.1"), 1, 200, line)
		for _, field := range []Field{FieldCSMethod, FieldCSURIStem, FieldCSUserAgent, FieldCSURIQuery} {
			if bytes.IndexByte(r.Raw(field), '\t') >= 0 {
				t.Fatal("a column holds a tab")
			}
		}
	})
}
