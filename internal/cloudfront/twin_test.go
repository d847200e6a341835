package cloudfront

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// twin is what a line means, found out in the plainest way.
type twin struct {
	time    int64
	addr    netip.Addr
	status  uint16
	columns map[Field]string
}

// parseTwin is Format.Parse as one would write it without a clock to beat.
func parseTwin(fields []Field, line string) (twin, error) {
	if len(line) > MaxLine {
		return twin{}, RejectLength
	}
	columns := strings.Split(line, "\t")
	if len(columns) == len(fields)+1 && columns[len(fields)] == "" {
		columns = columns[:len(fields)]
	}
	if len(columns) != len(fields) {
		return twin{}, RejectColumns
	}
	if strings.Contains(line, "\x00") {
		return twin{}, RejectControl
	}
	t := twin{columns: map[Field]string{}}
	for i, f := range fields {
		t.columns[f] = columns[i]
	}
	var ok bool
	if t.time, ok = timeTwin(t.columns[FieldTimestamp]); !ok {
		return twin{}, RejectTime
	}
	if t.addr, ok = addrTwin(t.columns[FieldCIP]); !ok {
		return twin{}, RejectClient
	}
	status := t.columns[FieldSCStatus]
	n, err := strconv.ParseUint(status, 10, 16)
	if err != nil || len(status) != 3 {
		return twin{}, RejectStatus
	}
	t.status = uint16(n)
	version, ok := strings.CutPrefix(t.columns[FieldCSProtocolVersion], "HTTP/")
	if !ok || version == "" {
		return twin{}, RejectProtocol
	}
	return t, nil
}

func timeTwin(s string) (int64, bool) {
	whole, decimals, dot := strings.Cut(s, ".")
	sec, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || sec < 946684800 || sec > 4102444799 || dot && decimals == "" {
		return 0, false
	}
	if strings.Trim(decimals, "0123456789") != "" {
		return 0, false
	}
	milli, err := strconv.Atoi((decimals + "000")[:3])
	return int64(sec)*1000 + int64(milli), err == nil
}

func addrTwin(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func (t twin) raw(f Field) (string, bool) {
	s, found := t.columns[f]
	if !found || s == "-" {
		return "", false
	}
	return s, true
}

func (t twin) path() string {
	stem, _ := t.raw(FieldCSURIStem)
	path, _, _ := strings.Cut(stem, "?")
	return path
}

func (t twin) query() string {
	stem, _ := t.raw(FieldCSURIStem)
	if _, query, found := strings.Cut(stem, "?"); found {
		return query
	}
	query, _ := t.raw(FieldCSURIQuery)
	return query
}

func (t twin) client() netip.Prefix {
	if t.addr.Is4() {
		return netip.PrefixFrom(t.addr, 32)
	}
	return netip.PrefixFrom(t.addr, 64).Masked()
}

// checkTwin compares a real-time format with the twin. It writes over line.
func checkTwin(t interface{ Fatalf(string, ...any) }, f *Format, line []byte) {
	want, wantErr := parseTwin(f.fields, string(line))
	checkAgainst(t, f, line, want, wantErr)
}

// checkAgainst parses line and compares everything a Record says with what is wanted. It
// writes over line.
func checkAgainst(t interface{ Fatalf(string, ...any) }, f *Format, line []byte, want twin, wantErr error) {
	var r Record
	text := string(line)
	err := f.Parse(&r, line)
	if string(line) != text {
		t.Fatalf("Parse(%.600q) changed the line", text)
	}
	if err != wantErr {
		t.Fatalf("Parse(%.600q) = %v, want %v", text, err, wantErr)
	}
	if err != nil {
		for f := range Field(NumFields) {
			if raw := r.Raw(f); raw != nil {
				t.Fatalf("Raw(%v) = %q after Parse(%.600q) = %v", f, raw, text, err)
			}
		}
		return
	}
	if r.Time != want.time || r.Addr != want.addr || r.Status != want.status || r.Client() != want.client() {
		t.Fatalf("Parse(%.600q) = %v %v %v %v, want %v %v %v %v", text,
			r.Time, r.Addr, r.Status, r.Client(), want.time, want.addr, want.status, want.client())
	}
	if string(r.Path()) != want.path() || string(r.Query()) != want.query() {
		t.Fatalf("Parse(%.600q): path %q, query %q, want %q, %q", text, r.Path(), r.Query(), want.path(), want.query())
	}
	var all [][]byte
	for f := range Field(NumFields) {
		raw, found := want.raw(f)
		got := r.Raw(f)
		if string(got) != raw || (got != nil) != found {
			t.Fatalf("Parse(%.600q): Raw(%v) = %q, want %q, %v", text, f, got, raw, found)
		}
		if cap(got) != len(got) {
			t.Fatalf("Parse(%.600q): Raw(%v) can be appended to", text, f)
		}
		all = append(all, got)
	}
	all = append(all, r.Path(), r.Query())

	// What lies within the line changes with it.
	for i := range line {
		line[i] = '~'
	}
	for _, b := range all {
		if len(bytes.Trim(b, "~")) != 0 {
			t.Fatalf("Parse(%.600q): %q does not lie within the line", text, b)
		}
	}
}

// formats are the shapes that the tests go through.
func formats(t testing.TB) map[string]*Format {
	lists := map[string]string{
		"all":      "all",
		"required": "timestamp c-ip sc-status cs-method cs-uri-stem cs-protocol-version x-edge-request-id cs-host cs-user-agent",
		"usual": "timestamp c-ip sc-status sc-bytes cs-method cs-protocol cs-host cs-uri-stem x-edge-location x-edge-request-id" +
			" x-host-header time-taken cs-protocol-version cs-user-agent cs-referer cs-uri-query x-edge-response-result-type" +
			" ssl-protocol ssl-cipher x-edge-result-type sc-content-type sc-content-len c-port x-edge-detailed-result-type" +
			" c-country cache-behavior-path-pattern cs-header-names cs-headers-count origin-fbl asn viewer-request-log-data",
	}
	formats := map[string]*Format{}
	for name, list := range lists {
		formats[name] = mustFormat(t, list)
	}
	return formats
}

func mustFormat(t testing.TB, list string) *Format {
	t.Helper()
	fields, err := ParseFields(list)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// goodColumn returns a value for a column of a line that is a record.
func goodColumn(f Field) string {
	switch f {
	case FieldTimestamp:
		return "1791187500.123"
	case FieldCIP:
		return "203.0.113.9"
	case FieldSCStatus:
		return "200"
	case FieldCSProtocolVersion:
		return "HTTP/2.0"
	case FieldCSURIStem:
		return "/a/b?c=d"
	case FieldCSURIQuery:
		return "c=d"
	}
	return fmt.Sprintf("v%d", f)
}

func goodColumns(f *Format) []string {
	columns := make([]string, len(f.fields))
	for i, field := range f.fields {
		columns[i] = goodColumn(field)
	}
	return columns
}

// drawLine makes lines that are nearly records: each column may be odd, and the
// whole may be torn.
func drawLine(t *rapid.T, f *Format) []byte {
	columns := goodColumns(f)
	addr := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4"))).String()
		}),
		rapid.Custom(func(t *rapid.T) string {
			return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))).String()
		}),
		rapid.StringMatching(`[0-9a-f:.]{0,20}`),
	)
	stamp := rapid.OneOf(
		rapid.StringMatching(`1[0-9]{9}\.[0-9]{3}`),
		rapid.StringMatching(`[0-9]{8,11}(\.[0-9]{0,6})?`),
		rapid.StringMatching(`[0-9.eE+-]{14}`),
	)
	odd := rapid.OneOf(
		rapid.SampledFrom([]string{"", "-", "--", "?", "/x?", "/x?a=b?c", " ", "a b"}),
		rapid.StringMatching(`[ -~]{0,200}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
		rapid.StringMatching(`[\x00-\x20\x7e-\xa1\xff]{0,6}`),
	)
	for i, field := range f.fields {
		strange := rapid.IntRange(0, 9).Draw(t, "strange") == 9
		switch {
		case field == FieldTimestamp:
			columns[i] = stamp.Draw(t, "time")
		case field == FieldCIP:
			columns[i] = addr.Draw(t, "addr")
		case field == FieldSCStatus && strange:
			columns[i] = rapid.StringMatching(`[0-9]{2,4}|[0-9/:]{3}`).Draw(t, "status")
		case slices.Contains([]Field{FieldSCStatus, FieldCSProtocolVersion}, field) && !strange:
		case strange || field == FieldCSURIStem:
			columns[i] = odd.Draw(t, "odd")
		}
	}
	line := []byte(strings.Join(columns, "\t"))
	switch rapid.IntRange(0, 9).Draw(t, "tear") {
	case 7:
		line = append(line, '\t')
	case 8:
		line = line[:rapid.IntRange(0, len(line)).Draw(t, "cut")]
	case 9:
		line = append(line, "\tmore"...)
	}
	return line
}
