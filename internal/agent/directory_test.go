package agent

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write ranges.txt from the published ranges")

// published is what the publishers published.
type published struct {
	Name        string   `json:"name"`
	UserAgent   string   `json:"user_agent"`
	PublishedAt string   `json:"published_at"`
	AsOf        string   `json:"as_of"`
	Prefixes    []string `json:"prefixes"`
}

func readPublished(t testing.TB) []published {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sharedDir(t), "crawlers", "ranges.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []published
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSnapshot: what is built in is what was published. With -update it is made so.
func TestSnapshot(t *testing.T) {
	all := readPublished(t)
	if *update {
		var b strings.Builder
		for _, p := range all {
			b.WriteString(p.Name + " " + p.AsOf + "-01 " + p.PublishedAt + "\n")
			width := 0
			for _, prefix := range p.Prefixes {
				if width+len(prefix) > 100 {
					b.WriteByte('\n')
					width = 0
				}
				b.WriteString(" " + prefix)
				width += 1 + len(prefix)
			}
			b.WriteByte('\n')
		}
		if err := os.WriteFile("ranges.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Skip("ranges.txt was written: build and test again")
	}
	built, err := readSnapshot(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		i := publisherOf(p.Name)
		if i < 0 {
			t.Errorf("nobody reads the ranges of %s", p.Name)
			continue
		}
		if built[i].count != len(p.Prefixes) || built[i].origin != p.PublishedAt {
			t.Errorf("%s: %d prefixes of %s, want %d of %s", p.Name, built[i].count, built[i].origin, len(p.Prefixes), p.PublishedAt)
		}
		for word := range strings.SplitSeq(p.UserAgent, "|") {
			claimed := parse(word + "/1.0").Crawler
			if claimed == 0 || !slices.Contains(evidences[claimed-1].tables, i) {
				t.Errorf("%s is %q, which does not use the ranges of %s", word, claimed, p.Name)
			}
		}
		for _, text := range p.Prefixes {
			if prefix := netip.MustParsePrefix(text); !built[i].table.Get(prefix) {
				t.Errorf("%s: %s is missing", p.Name, text)
			}
		}
	}
}

func TestSnapshotErrors(t *testing.T) {
	for _, text := range []string{"googlebot 2026-08-01\n", "nobody 2026-08-01 x\n", "googlebot yesterday x\n", "googlebot 2026-08-01 x\n 1.2.3.4/33\n"} {
		if _, err := readSnapshot(text); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// crawlerNamed returns the crawler of a user agent's word.
func crawlerNamed(t testing.TB, word string) Crawler {
	t.Helper()
	c := parse(word + "/1.0").Crawler
	if c == 0 {
		t.Fatalf("no crawler %s", word)
	}
	return c
}

func TestVerify(t *testing.T) {
	d := New(Config{})
	for _, c := range []struct {
		crawler, addr, asn string
		want               Verdict
	}{
		{"Googlebot", "66.249.66.1", "15169", Genuine},
		{"Googlebot", "66.249.66.1", "", Genuine},
		{"Googlebot", "66.249.66.1", "64500", Genuine}, // the range decides
		{"Googlebot", "2001:4860:4801:10::1", "", Genuine},
		{"Googlebot", "74.125.1.1", "15169", Genuine}, // newer than the list
		{"Googlebot", "192.0.2.1", "", Impostor},
		{"Googlebot", "192.0.2.1", "64500", Impostor},
		{"Googlebot", "34.66.1.1", "396982", Impostor}, // somebody's machine in Google's cloud
		{"Googlebot", "2001:db8::1", "", Impostor},
		{"AdsBot-Google", "192.0.2.1", "15169", Genuine},
		{"AdsBot-Google", "192.0.2.1", "64500", Impostor},
		{"AdsBot-Google", "192.0.2.1", "", Unknown},
		{"FeedFetcher-Google", "192.0.2.1", "64500", Unknown},

		{"bingbot", "40.77.167.1", "8075", Genuine},
		{"bingbot", "192.0.2.1", "8075", Unknown}, // anybody's machine in Azure, or a newer range
		{"bingbot", "192.0.2.1", "64500", Impostor},
		{"bingbot", "2001:db8::1", "", Unknown}, // the list has no IPv6
		{"BingPreview", "192.0.2.1", "8075", Unknown},
		{"BingPreview", "192.0.2.1", "64500", Impostor},

		{"GPTBot", "192.0.2.1", "64500", Unknown}, // the list built in may be old
		{"SeznamBot", "192.0.2.1", "43037", Genuine},
		{"SeznamBot", "192.0.2.1", "64500", Impostor},
		{"YandexBot", "77.88.1.1", "", Genuine},
		{"YandexBot", "192.0.2.1", "", Unknown},
		{"Baiduspider", "192.0.2.1", "4134", Unknown}, // half of China
		{"Baiduspider", "192.0.2.1", "64500", Unknown},
		{"facebookexternalhit", "31.13.24.1", "", Genuine},
		{"facebookexternalhit", "192.0.2.1", "32934", Genuine},
		{"facebookexternalhit", "192.0.2.1", "64500", Impostor},
		{"Slackbot", "192.0.2.1", "64500", Unknown},
		{"UptimeRobot", "192.0.2.1", "64500", Unknown},
		{"MJ12bot", "192.0.2.1", "64500", Unknown},

		{"Googlebot", "192.0.2.1", "x", Impostor},
		{"SeznamBot", "192.0.2.1", "99999999999", Unknown},
		{"SeznamBot", "192.0.2.1", "4294967296", Unknown},
	} {
		var asn []byte
		if c.asn != "" {
			asn = []byte(c.asn)
		}
		if got := d.Verify(crawlerNamed(t, c.crawler), netip.MustParseAddr(c.addr), asn); got != c.want {
			t.Errorf("%s at %s in %q: %v, want %v", c.crawler, c.addr, c.asn, got, c.want)
		}
	}
	for _, none := range []Crawler{0, Crawler(len(crawlers) + 1), 255} {
		if got := d.Verify(none, netip.MustParseAddr("192.0.2.1"), nil); got != Unknown || none.String() != "" || none.Class() != 0 {
			t.Errorf("crawler %d: %v %q", none, got, none)
		}
	}
	if got := d.Verify(crawlerNamed(t, "Googlebot"), netip.Addr{}, nil); got == Genuine {
		t.Error("no address is genuine")
	}
}

// TestVerifyTwin: an address is in a list exactly when one of its prefixes holds it.
func TestVerifyTwin(t *testing.T) {
	d := New(Config{})
	var all []netip.Prefix
	for p := range d.tables.Load()[publisherOf("googlebot")].table.All() {
		all = append(all, p)
	}
	google := crawlerNamed(t, "Googlebot")
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.SampledFrom(all).Draw(t, "near").Addr().AsSlice()
		near[len(near)-1-rapid.IntRange(0, 3).Draw(t, "byte")] ^= rapid.Byte().Draw(t, "change")
		addr, _ := netip.AddrFromSlice(near)
		want := Impostor
		if slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			want = Genuine
		}
		if got := d.Verify(google, addr, nil); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	})
}

// TestTable: what the table of crawlers says holds together.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i, c := range crawlers {
		if seen[c.name] || c.class == 0 || len(c.words) == 0 || c.name != strings.ToLower(c.name) {
			t.Errorf("%q: named twice or incomplete", c.name)
		}
		seen[c.name] = true
		if c.exact && len(c.lists) == 0 || c.steady && !c.exact || (c.bound || c.shared) && len(c.asns) == 0 {
			t.Errorf("%s: a claim without its evidence", c.name)
		}
		for _, w := range c.words {
			if got := parse("Mozilla/5.0 (compatible; " + w + ")").Crawler; got == 0 || got > Crawler(i+1) {
				t.Errorf("%q is %q, not %s", w, got, c.name)
			}
		}
	}
	if len(publishers) > maxPublishers {
		t.Errorf("%d publishers", len(publishers))
	}
	for _, p := range publishers {
		if !slices.ContainsFunc(crawlers, func(c crawler) bool { return slices.Contains(c.lists, p.name) }) {
			t.Errorf("nobody uses the ranges of %s", p.name)
		}
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	d := New(Config{Registerer: reg})
	google := crawlerNamed(t, "Googlebot")
	d.Verify(google, netip.MustParseAddr("192.0.2.1"), nil)
	if n := testutil.ToFloat64(d.metrics.lookups[google-1][Impostor]); n != 1 {
		t.Errorf("%v impostors counted", n)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
