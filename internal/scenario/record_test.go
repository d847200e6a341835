package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"weir/internal/cloudfront"
)

// A request is one record of a test, in the words of testdata/cases.txt.
type request struct {
	method, url, status string
	with                map[string]string
}

// browserNames are the headers of a browser that has been here before.
const browserNames = "host,user-agent,accept,sec-fetch-site,sec-fetch-mode,accept-encoding,accept-language,cookie"

const browserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0"

// parseRequest reads a request as it stands in testdata/cases.txt.
func parseRequest(t testing.TB, text string) request {
	t.Helper()
	head, options, _ := strings.Cut(text, "  ")
	words := strings.Fields(head)
	if len(words) != 3 {
		t.Fatalf("%q is not a method, a URL and a status", head)
	}
	r := request{words[0], words[1], words[2], map[string]string{}}
	for option := range strings.SplitSeq(options, "  ") {
		key, value, ok := strings.Cut(strings.TrimSpace(option), "=")
		if !ok && option != "" {
			t.Fatalf("%q is not an option", option)
		}
		r.with[key] = value
	}
	return r
}

func (r request) option(key, otherwise string) string {
	if value, ok := r.with[key]; ok {
		return value
	}
	return otherwise
}

// edges are what CloudFront logs of what it did: the three result types and the
// latency of the origin.
var edges = map[string][4]string{
	"hit":      {"Hit", "Hit", "Hit", "-"},
	"miss":     {"Miss", "Miss", "Miss", "0.041"},
	"error":    {"Error", "Error", "Error", "-"},
	"page":     {"Error", "Error", "Error", "0.033"},
	"redirect": {"Redirect", "Redirect", "Redirect", "-"},
	"waf":      {"Error", "Error", "Error", "-"},
	"geo":      {"Error", "Error", "ClientGeoBlocked", "-"},
	"limit":    {"LimitExceeded", "LimitExceeded", "LimitExceeded", "-"},
	"method":   {"Error", "Error", "InvalidRequestMethod", "-"},
}

// columns returns the record's columns as CloudFront logs them.
func (r request) columns(t testing.TB) map[cloudfront.Field]string {
	t.Helper()
	edge, ok := edges[r.option("edge", "miss")]
	if !ok {
		t.Fatalf("%q is not what an edge does", r.with["edge"])
	}
	if r.status >= "400" && r.with["edge"] == "" {
		edge[0], edge[1], edge[2] = "Error", "Error", "Error"
	}
	var escapedNames strings.Builder
	for name := range strings.SplitSeq(r.option("names", browserNames), ",") {
		escapedNames.WriteString(name + "%0A")
	}
	_, query, _ := strings.Cut(r.url, "?")
	return map[cloudfront.Field]string{
		cloudfront.FieldTimestamp:               "1791187202.323",
		cloudfront.FieldCIP:                     "203.0.113.9",
		cloudfront.FieldSCStatus:                r.status,
		cloudfront.FieldCSMethod:                r.method,
		cloudfront.FieldCSHost:                  r.option("host", "www.example.com"),
		cloudfront.FieldCSURIStem:               escape(r.url),
		cloudfront.FieldCSURIQuery:              orDash(escape(query)),
		cloudfront.FieldXEdgeRequestID:          orDash(r.with["id"]), // without one, scenarios that sample count each
		cloudfront.FieldCSProtocolVersion:       "HTTP/2.0",
		cloudfront.FieldCSUserAgent:             orDash(escape(r.option("ua", browserAgent))),
		cloudfront.FieldCSReferer:               orDash(escape(r.with["ref"])),
		cloudfront.FieldXForwardedFor:           orDash(escape(r.with["xff"])),
		cloudfront.FieldXEdgeResultType:         edge[0],
		cloudfront.FieldXEdgeResponseResultType: edge[1],
		cloudfront.FieldXEdgeDetailedResultType: edge[2],
		cloudfront.FieldOriginFBL:               edge[3],
		cloudfront.FieldSCContentType:           escape(r.option("type", "text/html; charset=utf-8")),
		cloudfront.FieldCSHeaderNames:           escapedNames.String(),
		cloudfront.FieldCSHeaders:               orDash(escapeHeader(r.with["headers"])),
		cloudfront.FieldASN:                     orDash(r.with["asn"]),
		cloudfront.FieldTimeTaken:               r.option("took", "0.050"),
		cloudfront.FieldCSBytes:                 r.option("size", "412"),
		cloudfront.FieldSCBytes:                 r.option("bytes", "5120"),
		cloudfront.FieldSCContentLen:            orDash(r.with["length"]),
		cloudfront.FieldSSLProtocol:             "TLSv1.3",
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// escape is what CloudFront does to a value before it logs it.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 127 || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// escapeHeader is one header as cs-headers holds it.
func escapeHeader(header string) string {
	if header == "" {
		return ""
	}
	return escape(header) + "%0A"
}

// record parses the request from a log of all columns but those left out.
func (r request) record(t testing.TB, without ...cloudfront.Field) *cloudfront.Record {
	t.Helper()
	columns := r.columns(t)
	for _, f := range without {
		delete(columns, f)
	}
	var fields []cloudfront.Field
	var line []string
	for i := range cloudfront.NumFields {
		if value, ok := columns[cloudfront.Field(i)]; ok {
			fields = append(fields, cloudfront.Field(i))
			line = append(line, value)
		}
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	var record cloudfront.Record
	if err := format.Parse(&record, []byte(strings.Join(line, "\t"))); err != nil {
		t.Fatalf("parse %s %s: %v", r.method, r.url, err)
	}
	return &record
}

func get(url string, status int) request {
	return request{"GET", url, strconv.Itoa(status), map[string]string{}}
}

func (r request) but(key, value string) request {
	with := map[string]string{key: value}
	for k, v := range r.with {
		if k != key {
			with[k] = v
		}
	}
	r.with = with
	return r
}

// testSet is the catalogue with a block status of 429.
func testSet(t testing.TB) *Set {
	t.Helper()
	set, err := Compile(Catalogue(), Options{BlockStatuses: []uint16{429}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// hitNames returns the names of the scenarios that a record is poured into.
func hitNames(m *Matcher, r *cloudfront.Record) []string {
	var names []string
	for _, hit := range m.Match(r, nil) {
		if hit.Effect == Pour {
			names = append(names, m.set.At(int(hit.Scenario)).Name)
		}
	}
	return names
}
