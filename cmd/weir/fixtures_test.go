package main

import (
	"bytes"
	"flag"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"weir/internal/config"
	"weir/internal/scenario"
)

// TestBuiltinStories: the built-in tests pass, and every scenario of the catalogue has
// a story in which it alerts and one of innocents in which nothing does.
func TestBuiltinStories(t *testing.T) {
	w := &world{environ: []string{}}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	cfg, err := loadSettings(config.Register(flags), w)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := fixtureRunner{cfg: cfg, out: &out}
	tests := scenario.BuiltinTests()
	if err := r.runAll(t.Context(), tests, "", false); err != nil {
		t.Fatal(err)
	}
	if r.failed > 0 {
		t.Error(out.String())
	}
	read := func(name string) []fixtureAlert {
		text, err := fs.ReadFile(tests, name+".alerts.tsv")
		if err != nil {
			t.Error(err)
			return nil
		}
		alerts, err := parseFixture(text)
		if err != nil {
			t.Error(err)
		}
		return alerts
	}
	for _, s := range scenario.Catalogue() {
		if !slices.ContainsFunc(read(s.Name), func(a fixtureAlert) bool { return a.scenario == s.Name }) {
			t.Errorf("%s: it does not alert in the story of that name", s.Name)
		}
		if alerts := read(s.Name + "-innocent"); len(alerts) > 0 {
			t.Errorf("%s: innocents are taken for attackers: %v", s.Name, alerts)
		}
	}
}

func TestCompareFixture(t *testing.T) {
	a := fixtureAlert{"s", "Ip", "192.0.2.1", "2026-10-05T08:00:00Z", "2026-10-05T08:00:02Z", 3, true}
	b, later := a, a
	b.source = "192.0.2.2"
	later.at = "2026-10-05T08:00:03Z"
	for _, tt := range []struct {
		name      string
		got, want []fixtureAlert
		lines     []string // how each begins
	}{
		{"the same in another order", []fixtureAlert{a, b}, []fixtureAlert{b, a}, nil},
		{"one too few", []fixtureAlert{a}, []fixtureAlert{a, b}, []string{"missing"}},
		{"the same twice, expected once", []fixtureAlert{a, a}, []fixtureAlert{a}, []string{"unexpected"}},
		{"another time", []fixtureAlert{later}, []fixtureAlert{a}, []string{"different", "  expected"}},
		{"another client", []fixtureAlert{b}, []fixtureAlert{a}, []string{"unexpected", "missing"}},
	} {
		lines := compareFixture(tt.got, tt.want)
		ok := len(lines) == len(tt.lines)
		for i := range min(len(lines), len(tt.lines)) {
			ok = ok && strings.HasPrefix(lines[i], tt.lines[i])
		}
		if !ok {
			t.Errorf("%s: %q, want lines that begin with %q", tt.name, lines, tt.lines)
		}
	}
}

func TestFixtureRoundTrip(t *testing.T) {
	alerts := []fixtureAlert{{"s", "Range", "192.0.2.0/24", "2026-10-05T08:00:00Z", "2026-10-05T08:00:02Z", 3, false}}
	got, err := parseFixture(formatFixture(alerts))
	if err != nil || !slices.Equal(got, alerts) {
		t.Errorf("%v, %v; want %v", got, err, alerts)
	}
	for _, broken := range []string{"", "scenario\tsource\n", fixtureHeader + "\na\tb\n", fixtureHeader + "\ns\tIp\tx\tnow\tthen\tmany\tperhaps\n"} {
		if _, err := parseFixture([]byte(broken)); err == nil {
			t.Errorf("%q: no error", broken)
		}
	}
}
