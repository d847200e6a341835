package cloudfront

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// trickyCase is a line of testdata/tricky.jsonl: a log line that is easily read wrong,
// and some of what it says.
type trickyCase struct {
	ID      string
	Format  string // "rt" real-time, "std" standard
	Fields  []string
	Columns int `json:"columns_in_line"`
	Line    string
	Expect  map[string]any
}

func trickyCases(t *testing.T) (cases []trickyCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/tricky.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var c trickyCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// A blockLook is what a request that the WAF answered looks like in a log. It is no
// proof, but none of it may be missing.
type blockLook struct{ status, detail, firstByte, contentType, contentLength string }

var wafBlock = blockLook{"403", "Error", "", "text/html", "919"}

// TestTrickyRealTime parses the real-time cases. Each key that a case expects is
// looked at: one that this test does not know fails it.
func TestTrickyRealTime(t *testing.T) {
	tested := 0
	for _, c := range trickyCases(t) {
		if c.Format != "rt" {
			continue
		}
		tested++
		t.Run(c.ID, func(t *testing.T) {
			format := mustFormat(t, strings.Join(c.Fields, " "))
			// What is empty is no line: a caller skips it.
			lines := slices.DeleteFunc(bytes.Split([]byte(c.Line), []byte{'\n'}), func(b []byte) bool { return len(b) == 0 })
			switch {
			case c.Expect["skip"] == true:
				if len(lines) != 0 {
					t.Errorf("%d lines in a blank record", len(lines))
				}
				return
			case c.Expect["records"] != nil:
				if want := c.Expect["records"].(float64); float64(len(lines)) != want {
					t.Errorf("%d lines, want %v", len(lines), want)
				}
			case len(lines) != 1 || bytes.Count(lines[0], []byte{'\t'}) != c.Columns-1:
				t.Fatalf("%d lines, or not %d columns", len(lines), c.Columns)
			}
			for _, line := range lines {
				var r Record
				if err := format.Parse(&r, line); err != nil {
					t.Fatal(err)
				}
				for key, want := range c.Expect {
					checkExpected(t, &r, key, want)
				}
				checkTwin(t, format, line)
			}
		})
	}
	if tested != 18 {
		t.Errorf("%d real-time cases, want 18", tested)
	}
}

func checkExpected(t *testing.T, r *Record, key string, want any) {
	t.Helper()
	text := func(f Field) string { return string(r.Raw(f)) }
	wire := func(b []byte) string { return string(Unescape(nil, b)) }
	look := blockLook{text(FieldSCStatus), text(FieldXEdgeDetailedResultType), text(FieldOriginFBL), text(FieldSCContentType), text(FieldSCContentLen)}

	var got any
	switch key {
	case "path":
		got = string(r.Path())
	case "query":
		got = string(r.Query())
	case "viewer_host":
		got = text(FieldCSHost)
	case "ua":
		got = wire(r.Raw(FieldCSUserAgent))
	case "wire":
		got = wire(r.Raw(FieldCSURIStem))
	case "decoded":
		got = string(Decode(nil, r.Path(), false))
	case "decoded_query":
		got = string(Decode(nil, r.Query(), true))
	case "decoded_bytes_hex":
		got = hex.EncodeToString(Decode(nil, r.Raw(FieldCSURIStem), false))
	case "status":
		got = float64(r.Status)
	case "headers_count":
		// The names are complete here, and count what the record says it has.
		names := slices.Collect(HeaderEntries(r.Raw(FieldCSHeaderNames)))
		if count := text(FieldCSHeadersCount); count != strconv.Itoa(len(names)) {
			t.Errorf("cs-headers-count %s, but %d names", count, len(names))
		}
		got = float64(len(names))
	case "has_cookie_header":
		got = hasCookie(r.Raw(FieldCSHeaderNames))
		if r.Raw(FieldCSCookie) != nil || bytes.Contains(r.Raw(FieldCSHeaders), []byte("cookie")) {
			t.Error("the cookie is not only in cs-header-names, which makes this case no test")
		}
	case "headers_complete":
		entries := slices.Collect(HeaderEntries(r.Raw(FieldCSHeaders)))
		got = text(FieldCSHeadersCount) == strconv.Itoa(len(entries))
	case "waf_block_likely":
		got = look == wafBlock && text(FieldXEdgeResultType) == "Error" && text(FieldXEdgeResponseResultType) == "Error"
	case "not_evidence": // a block by country says so
		got = text(FieldXEdgeDetailedResultType) == "ClientGeoBlocked" && look != wafBlock
	case "client_abort":
		got = text(FieldXEdgeResultType) == "Error" && r.Status == 200 && text(FieldXEdgeResponseResultType) != "Error"
	case "records":
		return // counted by the caller
	default:
		t.Fatalf("a key that no test knows: %q", key)
	}
	if got != want {
		t.Errorf("%s: got %v, want %v", key, got, want)
	}
}

// TestTrickyStandard parses the standard cases, with the header that each had.
func TestTrickyStandard(t *testing.T) {
	tested := 0
	for _, c := range trickyCases(t) {
		if c.Format != "std" {
			continue
		}
		tested++
		t.Run(c.ID, func(t *testing.T) {
			s := Sniffer{}
			if f, err := s.Format([]byte("#Fields: " + strings.Join(c.Fields, " "))); f != nil || err != nil {
				t.Fatalf("header: %v, %v", f, err)
			}
			line := []byte(c.Line)
			if Sniff(line) != KindStandard {
				t.Error("not known for a standard line")
			}
			format, err := s.Format(line)
			if err != nil {
				t.Fatal(err)
			}
			var r Record
			if err := format.Parse(&r, line); err != nil {
				t.Fatal(err)
			}
			if short := c.Columns < len(c.Fields); r.Short() != short {
				t.Errorf("short: %v, want %v", r.Short(), short)
			}
			for key, want := range c.Expect {
				checkStandard(t, &r, key, want)
			}
			checkStandardTwin(t, c.Fields, format, line)
		})
	}
	if tested != 13 {
		t.Errorf("%d standard cases, want 13", tested)
	}
}

func checkStandard(t *testing.T, r *Record, key string, want any) {
	t.Helper()
	column := r.Raw
	text := func(f Field) string { return string(r.Raw(f)) }
	var got any
	switch key {
	case "status":
		got = float64(r.Status)
	case "client_ip":
		got = r.Addr.String()
	case "net64":
		got = r.Client().String()
	case "ua":
		// Of old logs the user agent is escaped once more than CloudFront says.
		wire := Unescape(nil, column(FieldCSUserAgent))
		got = string(Unescape(nil, wire))
		if decoded := Decode(nil, column(FieldCSUserAgent), false); string(decoded) != strings.ToLower(want.(string)) {
			t.Errorf("decoded user agent %q", decoded)
		}
	case "viewer_host":
		got = text(FieldCSHost)
	case "cf_host":
		got = text(FieldXHostHeader)
	case "result":
		got = text(FieldXEdgeResultType)
	case "detail":
		got = text(FieldXEdgeDetailedResultType)
	case "xff":
		var list []any
		for part := range strings.SplitSeq(string(Decode(nil, column(FieldXForwardedFor), false)), ",") {
			list = append(list, netip.MustParseAddr(strings.TrimSpace(part)).String())
		}
		got, want = fmt.Sprint(list), fmt.Sprint(want)
	case "not_waf": // S3 answers 403 for what does not exist, in XML
		look := wafBlock
		look.contentType, look.contentLength = text(FieldSCContentType), text(FieldSCContentLen)
		got = look != wafBlock && r.Status == 403
	case "usable":
		// The columns up to the cut are there, and those behind it are not.
		got = text(FieldXEdgeDetailedResultType) == "Error" && r.Has(FieldSCRangeEnd) && r.Raw(FieldSCRangeEnd) == nil
	default:
		t.Fatalf("a key that no test knows: %q", key)
	}
	if got != want {
		t.Errorf("%s: got %v, want %v", key, got, want)
	}
}
