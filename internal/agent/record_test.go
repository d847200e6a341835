package agent

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"weir/internal/cloudfront"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sharedDir finds the folder with the labelled traffic: where WEIR_SHARED says, or
// beside the repository. Where there is none, the test is skipped, but in CI it fails.
func sharedDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "labelled")); err != nil {
		const missing = "NOT TESTED: no labelled traffic (%v); set WEIR_SHARED to the folder that holds labelled/"
		if os.Getenv("CI") == "true" {
			t.Fatalf(missing, err)
		}
		t.Skipf(missing, err)
	}
	return dir
}

// A truth is what is known of a client of the labelled traffic.
type truth struct {
	IP    string
	Label string
	Class string
	Trap  string
}

func truths(t testing.TB, dir string) map[netip.Addr]truth {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, "labelled", "ground_truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := map[netip.Addr]truth{}
	for decoder := json.NewDecoder(file); decoder.More(); {
		var one truth
		if err := decoder.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all[netip.MustParseAddr(one.IP)] = one
	}
	return all
}

// eachLabelled calls f for each record of the labelled traffic.
func eachLabelled(t testing.TB, f func(*cloudfront.Record, truth)) {
	t.Helper()
	dir := sharedDir(t)
	clients := truths(t, dir)
	list, err := os.ReadFile(filepath.Join(dir, "labelled", "fields.txt"))
	if err != nil {
		t.Fatal(err)
	}
	format := mustFormat(t, string(list))
	file, err := os.Open(filepath.Join(dir, "labelled", "realtime.tsv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(plain)
	scanner.Buffer(nil, 2*cloudfront.MaxLine)
	var r cloudfront.Record
	for scanner.Scan() {
		if err := format.Parse(&r, scanner.Bytes()); err == nil {
			f(&r, clients[r.Addr])
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
}

func mustFormat(t testing.TB, list string) *cloudfront.Format {
	t.Helper()
	fields, err := cloudfront.ParseFields(list)
	if err != nil {
		t.Fatal(err)
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	return format
}

// escape writes a text as CloudFront logs it.
func escape(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// headerNames writes a list of header names as CloudFront logs it.
func headerNames(list string) string {
	return strings.ReplaceAll(list, " ", "%0A") + "%0A"
}

// A request is what a test says of a record, by the names of fields; what it does not say
// is what a browser's request for a page is like. An empty value is "-".
type request map[string]string

const (
	chromeAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
	chromeNames = "host sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform upgrade-insecure-requests user-agent accept sec-fetch-site sec-fetch-mode sec-fetch-user sec-fetch-dest accept-encoding accept-language priority"
)

var ordinary = request{
	"timestamp": "1791188710.806", "c-ip": "192.0.2.1", "sc-status": "200", "cs-method": "GET", "cs-protocol": "https", "cs-host": "www.example.com",
	"cs-uri-stem": "/", "x-edge-request-id": "abc==", "cs-protocol-version": "HTTP/2.0", "cs-user-agent": chromeAgent,
	"ssl-protocol": "TLSv1.3", "ssl-cipher": "TLS_AES_128_GCM_SHA256", "sc-content-type": "text/html; charset=utf-8",
	"cs-accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "cs-accept-encoding": "gzip, deflate, br, zstd",
	"cs-header-names": chromeNames,
}

// record makes a record of a format with all fields but those in without.
func (q request) record(t testing.TB, without ...string) *cloudfront.Record {
	t.Helper()
	var list []string
	var columns []string
	fields, err := cloudfront.ParseFields("all")
	if err != nil {
		t.Fatal(err)
	}
next:
	for _, f := range fields {
		for _, w := range without {
			if f.String() == w {
				continue next
			}
		}
		value, ok := q[f.String()]
		if !ok {
			value = ordinary[f.String()]
		}
		if value == "" {
			value = "-"
		}
		if f == cloudfront.FieldCSHeaderNames {
			value = headerNames(value)
			if value == "-%0A" {
				value = "-"
			}
		} else {
			value = escape(value)
		}
		list = append(list, f.String())
		columns = append(columns, value)
	}
	r := new(cloudfront.Record)
	if err := mustFormat(t, strings.Join(list, ",")).Parse(r, []byte(strings.Join(columns, "\t"))); err != nil {
		t.Fatal(err)
	}
	return r
}
