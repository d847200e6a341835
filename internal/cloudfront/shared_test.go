package cloudfront

import (
	"bufio"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// log is lines and what they hold.
type log struct {
	format *Format
	lines  [][]byte
}

// sharedDir finds the folder with the labelled traffic: where WEIR_SHARED says, or
// beside the repository. Where there is none, the test is skipped, but in CI it fails.
func sharedDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			parent := filepath.Dir(root)
			if parent == root {
				t.Fatal("no go.mod above the package")
			}
			root = parent
		}
		dir = filepath.Join(root, "..", "shared")
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

func labelledLog(t testing.TB) log {
	t.Helper()
	dir := filepath.Join(sharedDir(t), "labelled")
	list, err := os.ReadFile(filepath.Join(dir, "fields.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return log{format: mustFormat(t, string(list)), lines: readLines(t, filepath.Join(dir, "realtime.tsv.gz"))}
}

// readLines reads the lines of a file, plain or gzip by its name.
func readLines(t testing.TB, name string) (lines [][]byte) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var plain io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if plain, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	scanner := bufio.NewScanner(plain)
	scanner.Buffer(nil, 2*MaxLine)
	for scanner.Scan() {
		lines = append(lines, []byte(scanner.Text()))
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestStandardLogs: every line of the standard logs is a record, without being told what
// kind of log it is in.
func TestStandardLogs(t *testing.T) {
	dir := filepath.Join(sharedDir(t), "oracle")
	names, err := filepath.Glob(filepath.Join(dir, "*", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, filepath.Join(dir, "hubconf.log"), filepath.Join(dir, "mixed.log.gz"))
	if len(names) < 15 {
		t.Errorf("only %d logs", len(names))
	}
	columns := StandardColumns(standardDefault)
	sniffer := Sniffer{RealTime: mustFormat(t, "all")}
	records := 0
	for _, name := range names {
		sniffer.Reset()
		for i, line := range readLines(t, name) {
			format, err := sniffer.Format(line)
			if err != nil || format == nil {
				t.Fatalf("%s line %d: %v, %v", name, i+1, format, err)
			}
			var r Record
			if err := format.Parse(&r, line); err != nil || r.Short() {
				t.Errorf("%s line %d: %v, short: %v", name, i+1, err, r.Short())
			}
			if host := string(r.Raw(FieldCSHost)); host != "www.example.com" {
				t.Errorf("%s line %d: the viewer's host is %q", name, i+1, host)
			}
			records++
			if i%20 == 0 {
				checkStandardTwin(t, columns, format, line)
			}
		}
	}
	t.Logf("%d logs, %d records", len(names), records)
}

// TestLabelledLog: of the labelled traffic only what was torn on purpose is rejected.
func TestLabelledLog(t *testing.T) {
	l := labelledLog(t)
	counts := map[RejectReason]int{}
	records := 0
	var r Record
	for i, line := range l.lines {
		switch err := l.format.Parse(&r, line).(type) {
		case nil:
			records++
		case RejectReason:
			counts[err]++
			t.Logf("line %d: %v: %.60q...", i+1, err, line)
		default:
			t.Fatalf("line %d: %T", i+1, err)
		}
		if i%100 == 0 {
			checkTwin(t, l.format, line)
		}
	}
	t.Logf("%d lines, %d records, rejected: %v", len(l.lines), records, counts)
	if len(l.lines) != 74212 || records != 74209 || counts[RejectColumns] != 3 {
		t.Errorf("want 74212 lines, 74209 records and 3 rejected for their columns")
	}
}

// madeLines makes lines like those of a busy site: 43 columns, a third of the clients
// on IPv6, one request in twenty an attack.
func madeLines(t testing.TB, n int) log {
	t.Helper()
	var fields []Field
	for f := range Field(NumFields) {
		switch {
		case f >= FieldCMCDEncodedBitrate && f <= FieldCMCDVersion, f == FieldCSHeaders, f == FieldCSCookie,
			f >= FieldSRReason && f <= FieldConnectionID, f == FieldPrimaryDistributionID, f == FieldPrimaryDistributionDNSName,
			f == FieldViewerResponseLogData:
		default:
			fields = append(fields, f)
		}
	}
	format, err := NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	l := log{format: format}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range n {
		var columns []string
		request := madeRequest(rnd)
		for _, f := range fields {
			value, found := request[f]
			if !found {
				value = "-"
			}
			columns = append(columns, value)
		}
		l.lines = append(l.lines, []byte(strings.Join(columns, "\t")))
	}
	return l
}

func madeRequest(rnd *rand.Rand) map[Field]string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	number := func(n int) string { return strconv.Itoa(rnd.IntN(n)) }
	seconds := func() string { return strconv.FormatFloat(rnd.Float64(), 'f', 3, 64) }

	addr, family := number(256)+"."+number(256)+"."+number(256)+"."+number(256), "IPv4"
	if rnd.IntN(10) < 3 {
		hex := func() string { return strconv.FormatInt(rnd.Int64N(1<<16), 16) }
		addr, family = "2001:db8:"+hex()+":"+hex()+":"+hex()+":"+hex()+":"+hex()+":"+hex(), "IPv6"
	}
	path := "/" + pick("products", "articles", "assets/js", "api/v1/items") + "/" + number(1_000_000) + pick("", ".html", ".js", ".webp")
	query := pick("-", "-", "page="+number(50), "q=red%2520shoes&sort=price&page="+number(9))
	agent := pick(
		"Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)%20AppleWebKit/537.36%20(KHTML,%20like%20Gecko)%20Chrome/145.0.0.0%20Safari/537.36",
		"Mozilla/5.0%20(iPhone;%20CPU%20iPhone%20OS%2018_5%20like%20Mac%20OS%20X)%20AppleWebKit/605.1.15%20(KHTML,%20like%20Gecko)%20Version/18.5%20Mobile/15E148%20Safari/604.1",
		"okhttp/4.12.0", "python-requests/2.32.3")
	status, result := pick("200", "200", "200", "304"), pick("Hit", "Miss", "RefreshHit")
	if rnd.IntN(20) == 0 {
		path = pick("/static/%252e%252e%252fetc%252fpasswd", "/.env", "/wp-login.php", "/cgi-bin/.%2532%2565/bin/sh")
		query, agent, status, result = "id=1%2527%2520or%25201=1--", "sqlmap/1.8", "404", "Error"
	}
	stem := path
	if query != "-" {
		stem += "?" + query
	}
	id := make([]byte, 54)
	for i := range id {
		id[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[rnd.IntN(64)]
	}
	return map[Field]string{
		FieldTimestamp: strconv.FormatFloat(1_791_187_200+3600*rnd.Float64(), 'f', 3, 64), FieldCIP: addr, FieldSIP: "13.32.1." + number(256),
		FieldTimeToFirstByte: seconds(), FieldSCStatus: status, FieldSCBytes: number(100_000), FieldCSMethod: pick("GET", "GET", "GET", "POST"),
		FieldCSProtocol: "https", FieldCSHost: "www.example.com", FieldCSURIStem: stem, FieldCSBytes: number(900),
		FieldXEdgeLocation: pick("FRA60-P10", "DFW3", "SEA19-C2"), FieldXEdgeRequestID: string(id) + "==",
		FieldXHostHeader: "d111111abcdef8.cloudfront.net", FieldTimeTaken: seconds(), FieldCSProtocolVersion: pick("HTTP/2.0", "HTTP/1.1", "HTTP/3.0"),
		FieldCIPVersion: family, FieldCSUserAgent: agent, FieldCSReferer: pick("-", "https://www.example.com/products/"+number(100_000)),
		FieldCSURIQuery: query, FieldXEdgeResponseResultType: result, FieldSSLProtocol: "TLSv1.3", FieldSSLCipher: "TLS_AES_128_GCM_SHA256",
		FieldXEdgeResultType: result, FieldSCContentType: pick("text/html;%20charset=utf-8", "application/json"), FieldSCContentLen: number(90_000),
		FieldCPort: number(65_536), FieldXEdgeDetailedResultType: result, FieldCCountry: pick("DE", "US", "FR"),
		FieldCSAcceptEncoding: "gzip,%20deflate,%20br,%20zstd", FieldCSAccept: pick("*/*", "text/html,application/xhtml+xml,application/xml;q=0.9"),
		FieldCacheBehaviorPathPattern: pick("*", "/api/*"), FieldCSHeaderNames: "host%0Auser-agent%0Aaccept%0Aaccept-encoding%0Acookie%0A",
		FieldCSHeadersCount: "5", FieldOriginFBL: seconds(), FieldOriginLBL: seconds(), FieldASN: number(60_000), FieldRHost: "origin.example.com",
	}
}
