package payload

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/cloudfront"
)

// sharedDir finds the folder with the labelled traffic: where WEIR_SHARED says, or
// beside the repository. Where there is none, the test is skipped, but in CI it fails.
func sharedDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		root, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(filepath.Dir(root), "shared")
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

// A labelled request is a record and who sent it.
type labelled struct {
	record cloudfront.Record
	class  string
	attack bool // of the client, not of the request
}

func labelledRequests(t testing.TB) []labelled {
	t.Helper()
	dir := filepath.Join(sharedDir(t), "labelled")
	type client struct{ IP, Label, Class string }
	clients := make(map[string]client)
	truth, err := os.Open(filepath.Join(dir, "ground_truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer truth.Close()
	for lines := json.NewDecoder(truth); lines.More(); {
		var c client
		if err := lines.Decode(&c); err != nil {
			t.Fatal(err)
		}
		clients[c.IP] = c
	}
	fields, err := os.ReadFile(filepath.Join(dir, "fields.txt"))
	if err != nil {
		t.Fatal(err)
	}
	columns, err := cloudfront.ParseFields(string(fields))
	if err != nil {
		t.Fatal(err)
	}
	format, err := cloudfront.NewFormat(columns)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, "realtime.tsv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var requests []labelled
	scanner := bufio.NewScanner(plain)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var l labelled
		if format.Parse(&l.record, []byte(scanner.Text())) != nil {
			continue
		}
		addr, err := netip.ParseAddr(string(l.record.Raw(cloudfront.FieldCIP)))
		if err != nil {
			t.Fatal(err)
		}
		c, ok := clients[addr.String()]
		if !ok {
			continue
		}
		l.class, l.attack = c.Class, c.Label == "attack"
		requests = append(requests, l)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return requests
}

// TestLabelled: of the labelled traffic no innocent client's request holds anything,
// and of those who probe with payloads nearly every one does.
func TestLabelled(t *testing.T) {
	type score struct{ found, all int }
	scores := make(map[string]*score)
	s := New()
	missed := 0
	for _, l := range labelledRequests(t) {
		path, query := s.Path(l.record.Path()), s.Query(l.record.Query())
		referer, agent := s.Header(l.record.Raw(cloudfront.FieldCSReferer)), s.UserAgent(l.record.Raw(cloudfront.FieldCSUserAgent))
		cookie, forwarded := s.Header(l.record.Raw(cloudfront.FieldCSCookie)), s.Header(l.record.Raw(cloudfront.FieldXForwardedFor))
		found := path | query | referer | agent | cookie | forwarded
		if !l.attack && found != 0 {
			t.Errorf("innocent (%s): %v in %s?%s, %s, %s", l.class, found, l.record.Path(), l.record.Query(), l.record.Raw(cloudfront.FieldCSReferer), l.record.Raw(cloudfront.FieldCSUserAgent))
		}
		var want Finding
		switch l.class {
		case "sqli_probe":
			want = SQL
		case "xss_probe":
			want = Script
		case "lfi_traversal":
			want = Traversal
		default:
			continue
		}
		sc := scores[l.class]
		if sc == nil {
			sc = new(score)
			scores[l.class] = sc
		}
		if len(l.record.Query()) == 0 && (l.class != "lfi_traversal" || !strings.Contains(string(l.record.Path()), "..")) {
			continue // they look around, too
		}
		sc.all++
		if found&want != 0 {
			sc.found++
		} else if missed++; missed <= 60 {
			t.Logf("missed (%s, found %v): %s?%s", l.class, found, l.record.Path(), cloudfront.Unescape(nil, l.record.Query()))
		}
	}
	for class, sc := range scores {
		t.Logf("%s: %d of %d", class, sc.found, sc.all)
		if least := map[string]float64{"sqli_probe": 0.99, "xss_probe": 0.99, "lfi_traversal": 0.85}[class]; float64(sc.found) < least*float64(sc.all) {
			t.Errorf("%s: %d of %d found", class, sc.found, sc.all)
		}
	}
}
