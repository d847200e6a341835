package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/traffic"
)

func TestJudge(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	client := func(kind string, attacker bool, addr string, after time.Duration) *traffic.Client {
		return &traffic.Client{Kind: kind, Attacker: attacker, Addr: netip.MustParseAddr(addr), Started: start.Add(after), Requests: 1, Blocked: 2}
	}
	banned := map[netip.Prefix]time.Time{
		netip.MustParsePrefix("37.0.0.1/32"):     start.Add(3 * time.Second),
		netip.MustParsePrefix("2a02:1:2:3::/64"): start.Add(4 * time.Second),
	}
	for name, tc := range map[string]struct {
		clients           []*traffic.Client
		missed, innocents int
	}{
		"all is well":              {[]*traffic.Client{client("scanner", true, "37.0.0.1", 0), client("browser", false, "37.0.0.2", 0)}, 0, 0},
		"an IPv6 client is its/64": {[]*traffic.Client{client("IPv6 rotation", true, "2a02:1:2:3::99", 0)}, 0, 0},
		"missed":                   {[]*traffic.Client{client("scanner", true, "37.0.0.3", 0)}, 1, 0},
		"too new to be missed":     {[]*traffic.Client{client("scanner", true, "37.0.0.3", 25*time.Second)}, 0, 0},
		"innocent":                 {[]*traffic.Client{client("browser", false, "37.0.0.1", 0)}, 0, 1},
	} {
		rep := judge(tc.clients, start.Add(30*time.Second), func(p netip.Prefix) (time.Time, bool) {
			at, ok := banned[p]
			return at, ok
		})
		if rep.missed != tc.missed || rep.innocents != tc.innocents {
			t.Errorf("%s: %d missed, %d innocents banned; want %d, %d", name, rep.missed, rep.innocents, tc.missed, tc.innocents)
		}
	}
}

func TestReportTable(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	mix := traffic.New(traffic.Config{Seed: 1, Start: start, Rate: 20, Spread: 5 * time.Second})
	mix.Until(start.Add(20*time.Second), func([]byte) {})
	rep := judge(mix.Clients(), start.Add(20*time.Second), func(netip.Prefix) (time.Time, bool) { return start.Add(6 * time.Second), true })
	var out bytes.Buffer
	rep.write(&out)
	for _, kind := range append(traffic.Kinds(), "browser", "ATTACKERS", "INNOCENTS") {
		if !strings.Contains(out.String(), kind) {
			t.Errorf("the table does not mention %s:\n%s", kind, &out)
		}
	}
}

func TestCutVisible(t *testing.T) {
	for in, want := range map[string]string{
		"hello":                  "hell",
		"\x1b[31mhello\x1b[0m":   "\x1b[31mhell\x1b[0m",
		"\x1b[1mhi\x1b[0m there": "\x1b[1mhi\x1b[0m t",
		"é\x1b[0m":               "é\x1b[0m",
	} {
		if got := cutVisible(in, 4); got != want {
			t.Errorf("%q cut to 4 is %q, want %q", in, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var values []time.Duration
	for i := range 100 {
		values = append(values, time.Duration(100-i))
	}
	if got := percentile(values, 0.5); got != 51 {
		t.Errorf("median %d, want 51", got)
	}
	if got := percentile(values, 0.99); got != 100 {
		t.Errorf("99th percentile %d, want 100", got)
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("median of nothing %d", got)
	}
}

func TestProgressLine(t *testing.T) {
	if got := progressLine(50, 100); !strings.Contains(got, "50 %") || strings.Count(got, "#") != 20 {
		t.Errorf("half way: %q", got)
	}
	if got := progressLine(3<<20, 0); got != "3 MiB read" {
		t.Errorf("unknown length: %q", got)
	}
}
