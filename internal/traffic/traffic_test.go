package traffic

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func collect(cfg Config, d time.Duration) (*Mix, []string) {
	var lines []string
	m := New(cfg)
	m.Until(cfg.Start.Add(d), func(line []byte) { lines = append(lines, string(line)) })
	return m, lines
}

func TestSameSeedMakesTheSameLog(t *testing.T) {
	cfg := Config{Seed: 7, Start: start, Rate: 200, Spread: 5 * time.Second}
	_, a := collect(cfg, 10*time.Second)
	_, b := collect(cfg, 10*time.Second)
	if !slices.Equal(a, b) {
		t.Fatal("two mixes of one seed differ")
	}
	cfg.Seed = 8
	if _, c := collect(cfg, 10*time.Second); slices.Equal(a, c) {
		t.Fatal("another seed makes the same log")
	}
}

func TestLines(t *testing.T) {
	_, lines := collect(Config{Seed: 1, Start: start, Rate: 300, Spread: 4 * time.Second}, 20*time.Second)
	if perSecond := len(lines) / 20; perSecond < 250 || perSecond > 900 {
		t.Errorf("%d records a second from visitors of 300 a second and one wave of attackers", perSecond)
	}
	ids := map[string]bool{}
	last := ""
	for _, line := range lines {
		cols := strings.Split(line, "\t")
		if len(cols) != len(Fields) {
			t.Fatalf("%d columns, want %d: %q", len(cols), len(Fields), line)
		}
		if slices.Contains(cols, "") {
			t.Fatalf("an empty column: %q", line)
		}
		if cols[0] < last {
			t.Fatalf("time goes back from %s: %q", last, line)
		}
		last = cols[0]
		if _, err := netip.ParseAddr(cols[1]); err != nil {
			t.Fatal(err)
		}
		id := cols[slices.Index(Fields, "x-edge-request-id")]
		if len(id) != 56 || ids[id] {
			t.Fatalf("request id %q is not one of its own", id)
		}
		ids[id] = true
	}
}

func TestEveryKindTakesPart(t *testing.T) {
	m, _ := collect(Config{Seed: 3, Start: start, Rate: 400, Spread: 10 * time.Second}, 15*time.Second)
	seen := map[string]int{}
	for _, c := range m.Clients() {
		seen[c.Kind]++
		if c.Requests == 0 || c.Started.IsZero() {
			t.Errorf("%s took part without a request", c.Kind)
		}
	}
	for _, kind := range append(Kinds(), "browser", "mobile client", "broken gallery", "crawler", "NAT users", "health check") {
		if seen[kind] == 0 {
			t.Errorf("no %s", kind)
		}
	}
}

func TestWaves(t *testing.T) {
	m, _ := collect(Config{Seed: 3, Start: start, Rate: 10, Spread: 5 * time.Second, Waves: true}, 14*time.Second)
	n := 0
	for _, c := range m.Clients() {
		if c.Kind == "scanner" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d scanners after three waves, want 3", n)
	}
}

// A blocked client is answered by the web ACL: its status, no origin, no cache.
func TestVerdictShowsInTheRecord(t *testing.T) {
	blocked := netip.Addr{}
	m, lines := collect(Config{
		Seed: 5, Start: start, Rate: 5, Spread: time.Second,
		Verdict: func(a netip.Addr, at time.Time) int {
			if !blocked.IsValid() {
				blocked = a
			}
			if a == blocked && at.After(start.Add(5*time.Second)) {
				return 429
			}
			return 0
		},
	}, 10*time.Second)
	status, origin, result := slices.Index(Fields, "sc-status"), slices.Index(Fields, "origin-fbl"), slices.Index(Fields, "x-edge-result-type")
	n := 0
	for _, line := range lines {
		cols := strings.Split(line, "\t")
		if cols[status] != "429" {
			continue
		}
		n++
		if cols[1] != blocked.String() || cols[origin] != "-" || cols[result] != "Error" {
			t.Fatalf("not a block response: %q", line)
		}
	}
	total := 0
	for _, c := range m.Clients() {
		total += c.Blocked
	}
	if n == 0 || n != total {
		t.Errorf("%d blocked records, %d counted", n, total)
	}
}

// The IPv6 rotation changes its address but not its /64, which is the client.
func TestRotationStaysInItsNetwork(t *testing.T) {
	m, lines := collect(Config{Seed: 9, Start: start, Rate: 1, Spread: time.Second}, 6*time.Second)
	i := slices.IndexFunc(m.Clients(), func(c *Client) bool { return c.Kind == "IPv6 rotation" })
	network := m.Clients()[i].Prefix()
	seen := map[string]bool{}
	for _, line := range lines {
		a := netip.MustParseAddr(strings.Split(line, "\t")[1])
		if network.Contains(a) {
			seen[a.String()] = true
		}
	}
	if len(seen) < 20 {
		t.Errorf("%d addresses seen in %s, want at least 20", len(seen), network)
	}
}

func TestEscaping(t *testing.T) {
	for in, want := range map[string]string{
		"/a b":              "/a%20b",
		"%22":               "%2522",
		"tab\there":         "tab%09here",
		"é":                 "%C3%A9",
		"a=b&c=d;e,f(1)*+$": "a=b&c=d;e,f(1)*+$",
		"<'\">":             "%3C%27%22%3E",
	} {
		got := string(appendEscaped(nil, in))
		if got != want {
			t.Errorf("%q is logged as %q, want %q", in, got, want)
		}
		if back, err := url.PathUnescape(got); err != nil || back != in {
			t.Errorf("%q does not come back from %q", in, got)
		}
	}
}
