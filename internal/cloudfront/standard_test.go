package cloudfront

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// standardTwinFields is what the columns of a standard log are called here, written down
// once more.
var standardTwinFields = map[string]Field{
	"x-edge-location": FieldXEdgeLocation, "sc-bytes": FieldSCBytes, "c-ip": FieldCIP, "cs-method": FieldCSMethod,
	"cs(Host)": FieldXHostHeader, "cs-uri-stem": FieldCSURIStem, "sc-status": FieldSCStatus, "cs(Referer)": FieldCSReferer,
	"cs(User-Agent)": FieldCSUserAgent, "cs-uri-query": FieldCSURIQuery, "cs(Cookie)": FieldCSCookie,
	"x-edge-result-type": FieldXEdgeResultType, "x-edge-request-id": FieldXEdgeRequestID, "x-host-header": FieldCSHost,
	"cs-protocol": FieldCSProtocol, "cs-bytes": FieldCSBytes, "time-taken": FieldTimeTaken, "x-forwarded-for": FieldXForwardedFor,
	"ssl-protocol": FieldSSLProtocol, "ssl-cipher": FieldSSLCipher, "x-edge-response-result-type": FieldXEdgeResponseResultType,
	"cs-protocol-version": FieldCSProtocolVersion, "fle-status": FieldFLEStatus, "fle-encrypted-fields": FieldFLEEncryptedFields,
	"c-port": FieldCPort, "time-to-first-byte": FieldTimeToFirstByte, "x-edge-detailed-result-type": FieldXEdgeDetailedResultType,
	"sc-content-type": FieldSCContentType, "sc-content-len": FieldSCContentLen, "sc-range-start": FieldSCRangeStart,
	"sc-range-end": FieldSCRangeEnd, "distribution-tenant-id": FieldDistributionTenantID, "connection-id": FieldConnectionID,
	"origin-fbl": FieldOriginFBL, "asn": FieldASN, "c-country": FieldCCountry,
}

// parseStandardTwin is what a line of a standard log means, found out in the plainest way.
func parseStandardTwin(names []string, line string) (twin, error) {
	if len(line) > MaxLine {
		return twin{}, RejectLength
	}
	columns := strings.Split(line, "\t")
	if len(columns) == len(names)+1 && columns[len(names)] == "" {
		columns = columns[:len(names)]
	}
	if len(columns) > len(names) {
		return twin{}, RejectColumns
	}
	named := map[string]string{}
	for i, c := range columns {
		named[names[i]] = c
	}
	for _, need := range []string{
		"date", "time", "c-ip", "cs-method", "cs-uri-stem", "sc-status", "cs(User-Agent)",
		"x-host-header", "cs-protocol-version", "x-edge-request-id",
	} {
		if _, found := named[need]; !found && slices.Contains(names, need) {
			return twin{}, RejectColumns
		}
	}
	if strings.Contains(line, "\x00") {
		return twin{}, RejectControl
	}
	t := twin{columns: map[Field]string{}}
	for name, value := range named {
		if f, found := standardTwinFields[name]; found {
			t.columns[f] = value
		}
	}
	var ok bool
	if t.time, ok = dateTimeTwin(named["date"], named["time"]); !ok {
		return twin{}, RejectTime
	}
	if t.addr, ok = addrTwin(named["c-ip"]); !ok {
		return twin{}, RejectClient
	}
	var digits string
	if _, err := fmt.Sscanf(named["sc-status"], "%3d", &t.status); err == nil {
		digits = fmt.Sprintf("%03d", t.status)
	}
	if digits == "" || digits != named["sc-status"] {
		return twin{}, RejectStatus
	}
	version, ok := strings.CutPrefix(named["cs-protocol-version"], "HTTP/")
	if slices.Contains(names, "cs-protocol-version") && (!ok || version == "") {
		return twin{}, RejectProtocol
	}
	return t, nil
}

func dateTimeTwin(date, clock string) (ms int64, ok bool) {
	at, err := time.Parse(time.DateTime, date+" "+clock)
	ok = err == nil && at.Year() >= 2000 && at.Year() < 2100 &&
		at.Format(time.DateOnly) == date && at.Format(time.TimeOnly) == clock
	return at.UnixMilli(), ok
}

// checkStandardTwin compares a standard format with the twin. It writes over line.
func checkStandardTwin(t interface{ Fatalf(string, ...any) }, names []string, f *Format, line []byte) {
	want, err := parseStandardTwin(names, string(line))
	checkAgainst(t, f, line, want, err)
}

func mustStandard(t interface {
	Fatalf(string, ...any)
}, names []string,
) *Format {
	f, err := NewStandardFormat(names)
	if err != nil {
		t.Fatalf("%v: %v", names, err)
	}
	return f
}

func goodStandardColumns(names []string) []string {
	columns := make([]string, len(names))
	for i, name := range names {
		switch name {
		case "date":
			columns[i] = "2026-02-28"
		case "time":
			columns[i] = "23:59:59"
		case "cs-uri-stem":
			columns[i] = "/a/b"
		default:
			columns[i] = fmt.Sprintf("v%d", i)
			if f, ok := standardTwinFields[name]; ok {
				columns[i] = goodColumn(f)
			}
		}
	}
	return columns
}

// drawStandard makes nearly a record of nearly any set of columns, in any order.
func drawStandard(t *rapid.T) (names []string, line []byte) {
	names = StandardColumns(rapid.SampledFrom([]int{12, 15, 18, 19, 23, 24, 26, 33, 35}).Draw(t, "width"))
	if rapid.Bool().Draw(t, "vended") {
		names = append(names, "origin-fbl", "asn", "c-country", "timestamp(ms)", "what-comes-next")
	}
	if rapid.Bool().Draw(t, "shuffled") {
		names = rapid.Permutation(names).Draw(t, "order")
	}
	columns := goodStandardColumns(names)
	odd := map[string]*rapid.Generator[string]{
		"date":                rapid.StringMatching(`(19|20|21|2[0-9])[0-9]{2}-(0[0-9]|1[0-9])-[0-3][0-9]|[0-9-]{8,11}`),
		"time":                rapid.StringMatching(`[0-2][0-9]:[0-6][0-9]:[0-6][0-9]|[0-9:]{6,9}`),
		"c-ip":                rapid.StringMatching(`[0-9a-f:.]{0,20}`),
		"sc-status":           rapid.StringMatching(`[0-9]{2,4}|[0-9/:]{3}`),
		"cs-protocol-version": rapid.StringMatching(`HTTP/?[0-9]?|-`),
	}
	for i, name := range names {
		if rapid.IntRange(0, 19).Draw(t, "odd") != 0 && name != "date" {
			continue
		}
		g := odd[name]
		if g == nil {
			g = rapid.OneOf(rapid.SampledFrom([]string{"", "-", " -", "/x?y=z"}), rapid.StringMatching(`[\x00-\x08\x0a-\xff]{0,90}`))
		}
		columns[i] = g.Draw(t, name)
	}
	switch rapid.IntRange(0, 4).Draw(t, "tear") {
	case 2:
		columns = append(columns, "")
	case 3:
		columns = columns[:rapid.IntRange(0, len(columns)).Draw(t, "cut")]
	case 4:
		columns = append(columns, "more")
	}
	return names, []byte(strings.Join(columns, "\t"))
}

func TestStandardTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names, line := drawStandard(t)
		checkStandardTwin(t, names, mustStandard(t, names), line)
	})
}

// Every day that these hundred years have, and those that they have not.
func TestParseDate(t *testing.T) {
	for year := 1999; year <= 2100; year++ {
		for month := 0; month <= 13; month++ {
			for day := 0; day <= 32; day++ {
				s := fmt.Sprintf("%d-%02d-%02d", year, month, day)
				want, err := time.Parse(time.DateOnly, s)
				got, ok := parseDate([]byte(s))
				if ok != (err == nil && year >= 2000 && year < 2100) || ok && int64(got)*86400 != want.Unix() {
					t.Fatalf("%s: got %d %v", s, got, ok)
				}
			}
		}
	}
}

// Every byte, in the place of every byte.
func TestParseDateTime(t *testing.T) {
	for i := range "2026-03-12 15:04:05" {
		for c := range 256 {
			s := []byte("2026-03-12 15:04:05")
			s[i] = byte(c)
			if i == 10 {
				continue
			}
			want, valid := dateTimeTwin(string(s[:10]), string(s[11:]))
			if got, ok := parseDateTime(s[:10], s[11:]); ok != valid || ok && got != want {
				t.Errorf("%q: got %d %v, want %d %v", s, got, ok, want, valid)
			}
		}
	}
}

// The columns of a real file, at the places that they have there.
func TestStandardColumns(t *testing.T) {
	const header = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) " +
		"cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for " +
		"ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port " +
		"time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end"
	for _, width := range []int{0, 13, 33, 34, 99} {
		if got := strings.Join(StandardColumns(width), " "); got != header {
			t.Errorf("%d columns: %s", width, got)
		}
	}
	for _, c := range trickyCases(t) {
		if c.Format == "std" && !slices.Equal(StandardColumns(len(c.Fields)), c.Fields) {
			t.Errorf("%s has the columns %v", c.ID, c.Fields)
		}
	}
	for _, width := range []int{12, 15, 18, 19, 23, 24, 26, 33, 35} {
		format := mustStandard(t, StandardColumns(width))
		if format.Columns() != width || len(format.Fields()) != width-2 {
			t.Errorf("%d columns: %d, %v", width, format.Columns(), format.Fields())
		}
	}
	StandardColumns(33)[0] = "changed"
	if StandardColumns(33)[0] != "date" {
		t.Error("the names changed through a copy")
	}
}

// One request is the same Record in either format, but for what a format lacks.
func TestStandardIsRealTime(t *testing.T) {
	realTime := mustFormat(t, "all")
	standard := mustStandard(t, StandardColumns(33))
	for _, c := range []struct{ path, query string }{{"/a/b", "-"}, {"/a", "x=1&y=%2522"}, {"/-", "--"}} {
		stem := c.path
		if c.query != "-" {
			stem += "?" + c.query
		}
		a := parseWith(t, realTime, map[Field]string{
			FieldTimestamp: "1772323199.123", FieldCSURIStem: stem, FieldCSURIQuery: c.query,
			FieldCSHost: "www.example.com", FieldXHostHeader: "d111111abcdef8.cloudfront.net",
		})
		columns := goodStandardColumns(StandardColumns(33))
		for name, value := range map[string]string{
			"cs-uri-stem": c.path, "cs-uri-query": c.query,
			"x-host-header": "www.example.com", "cs(Host)": "d111111abcdef8.cloudfront.net",
		} {
			columns[slices.Index(standardColumns, name)] = value
		}
		b := new(Record)
		if err := standard.Parse(b, []byte(strings.Join(columns, "\t"))); err != nil {
			t.Fatal(err)
		}
		if a.Time/1000 != b.Time/1000 || a.Addr != b.Addr || a.Status != b.Status ||
			!bytes.Equal(a.Path(), b.Path()) || !bytes.Equal(a.Query(), b.Query()) {
			t.Errorf("%v: %d %v %d %s %s, and %d %v %d %s %s", c, a.Time, a.Addr, a.Status, a.Path(), a.Query(),
				b.Time, b.Addr, b.Status, b.Path(), b.Query())
		}
		for _, f := range standard.Fields() {
			if f != FieldCSURIStem && !bytes.Equal(a.Raw(f), b.Raw(f)) {
				t.Errorf("%v: %v is %q, and %q", c, f, a.Raw(f), b.Raw(f))
			}
		}
		if b.Has(FieldTimestamp) || b.Has(FieldASN) || !b.Has(FieldCSHost) {
			t.Error("the standard format has other fields than it should")
		}
	}
}

func TestNewStandardFormatErrors(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"", `required log column "date" is missing
required log column "time" is missing
required log column "c-ip" is missing
required log column "cs-method" is missing
required log column "cs-uri-stem" is missing
required log column "sc-status" is missing
required log column "cs(User-Agent)" is missing`},
		{"date time date c-ip cs-method cs-uri-stem sc-status cs-user-agent x", `log column "date" is given more than once
required log column "cs(User-Agent)" is missing`},
		{strings.Join(StandardColumns(12), " ") + strings.Repeat(" x", 60), `72 log columns are more than the 71 there can be
` + strings.TrimSuffix(strings.Repeat(`log column "x" is given more than once
`, 58), "\n")},
	} {
		if f, err := NewStandardFormat(strings.Fields(c.names)); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, %v", c.names, f, err)
		}
	}
}

func TestStandardAllocatesNothing(t *testing.T) {
	format := mustStandard(t, StandardColumns(33))
	columns := goodStandardColumns(StandardColumns(33))
	lines := [][]byte{
		[]byte(strings.Join(columns, "\t")), []byte(strings.Join(columns[:30], "\t")),
		[]byte(strings.Join(columns[:20], "\t")), []byte("garbage"),
	}
	var r Record
	sniffer := Sniffer{}
	allocs := testing.AllocsPerRun(100, func() {
		for _, line := range lines {
			_ = format.Parse(&r, line)
			if _, err := sniffer.Format(line); err != nil || len(r.Raw(FieldCSHost)) > 9 {
				t.Fatal("not what was logged")
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func FuzzParseStandard(f *testing.F) {
	for _, width := range []int{12, 24, 33} {
		names := StandardColumns(width)
		good := strings.Join(goodStandardColumns(names), "\t")
		f.Add(strings.Join(names, " "), []byte(good))
		f.Add(strings.Join(names, "\t")+" x y", []byte(good+"\t"))
		f.Add(strings.Join(names, " "), []byte(good[:len(good)-20]))
	}
	f.Add("date", []byte("2026-02-30"))
	f.Fuzz(func(t *testing.T, header string, line []byte) {
		names, ok := Header([]byte("#Fields: " + header))
		if !ok {
			t.Fatalf("%q is no header", header)
		}
		format, err := NewStandardFormat(names)
		if err != nil {
			return
		}
		for _, name := range names {
			if f, ok := standardField(name); ok && f != standardTwinFields[name] {
				return // a field that the twin does not know
			}
		}
		checkStandardTwin(t, names, format, line)
	})
}
