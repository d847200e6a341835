package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/scenario"
)

// observed returns what became of the hits of visits on one scenario: fate, what was in
// its bucket and what is.
func observed(t *testing.T, list []scenario.Scenario, cfg Config, visits ...visit) []string {
	t.Helper()
	var seen []string
	cfg.Shards = 1
	cfg.Observe = func(o Observation) {
		seen = append(seen, fmt.Sprintf("%v %.4g->%.4g %d", o.Fate, o.Before, o.Level, o.Events))
	}
	e, _ := start(t, list, cfg)
	for _, v := range visits {
		e.Process(parse(t, v))
	}
	return seen
}

func TestObserve(t *testing.T) {
	sec := time.Second
	miss := func(at time.Duration, path string) visit { return visit{at: at, url: path} }
	small := func(s *scenario.Scenario) { s.Capacity, s.Leak, s.Blackhole = 2, 10*sec, time.Minute }
	healthy := visit{at: sec, client: "198.51.100.9", url: "/", status: 200, referer: "https://www.example.com/"}
	for _, tt := range []struct {
		name   string
		list   []scenario.Scenario
		banned func(netip.Prefix, int64) bool
		visits []visit
		want   string
	}{
		{
			"a burst, and one more in the blackhole", only("http-probing", small), nil,
			[]visit{miss(0, "/a"), miss(0, "/b"), {url: "/a", id: "again"}, miss(0, "/c"), miss(sec, "/d"), miss(sec, "/e"), miss(sec, "/f")},
			"poured 0->1 1, poured 1->2 2, repeated 2->2 2, alerted 2->3 3, poured 0->1 1, poured 1->2 2, silenced 2->3 3",
		},
		{
			"what leaks out meanwhile", only("http-probing", small), nil,
			[]visit{miss(0, "/a"), miss(5*sec, "/b"), miss(20*sec, "/c")},
			"poured 0->1 1, poured 0.5->1.5 2, poured 0->1 3",
		},
		{
			"successes take out", only("http-probing", small), nil,
			[]visit{{url: "/", status: 200}, miss(0, "/a"), {at: sec, url: "/x", status: 200}},
			"poured 0->1 1, drained 0.9->0 1",
		},
		{
			"late", only("http-probing", small), nil,
			[]visit{miss(100*sec, "/a"), miss(101*sec, "/b"), miss(0, "/c")},
			"poured 0->1 1, poured 0.9->1.9 2, late 0->0 2",
		},
		{
			"a trigger", only("http-exploit-path"), nil,
			[]visit{miss(0, "/HNAP1/"), miss(sec, "/HNAP1/")},
			"alerted 0->1 1, silenced 0->1 1",
		},
		{
			"the same request twice", only("http-probing", small), nil,
			[]visit{{url: "/a", id: "1"}, {url: "/a", id: "1"}},
			"poured 0->1 1, duplicate 0->0 0",
		},
		{
			"one id for two requests", only("http-probing", small), nil,
			[]visit{{url: "/a", id: "1"}, {url: "/b", id: "1"}},
			"poured 0->1 1, poured 1->2 2",
		},
		{
			"a client that is banned", only("http-probing", small), func(netip.Prefix, int64) bool { return true },
			[]visit{miss(0, "/a")},
			"banned 0->0 0",
		},
		{
			"a network with a healthy client", only("http-range-attack", func(s *scenario.Scenario) { s.Capacity = 1 }), nil,
			[]visit{healthy, {at: sec, client: "198.51.100.1", url: "/.env"}, {at: sec, client: "198.51.100.2", url: "/.env"}},
			"shielding 0->0 0, poured 0->1 1, protected 1->2 2",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(observed(t, tt.list, Config{Banned: tt.banned}, tt.visits...), ", "); got != tt.want {
				t.Errorf("seen\n  %s, want\n  %s", got, tt.want)
			}
		})
	}
}

// TestObserveChangesNothing: alerts are the same whether somebody looks on or not.
func TestObserveChangesNothing(t *testing.T) {
	var visits []visit
	for i := range 400 {
		visits = append(visits, visit{
			at: time.Duration(i+i*i%7) * time.Second / 4, client: fmt.Sprintf("198.51.100.%d", i%5), url: fmt.Sprintf("/%c%c", 'a'+i%26, 'a'+i/26),
			status: []int{404, 404, 404, 200, 401}[i/5%5],
		})
	}
	var alerts [2][]string
	for i, observe := range []func(Observation){nil, func(Observation) {}} {
		e, _ := start(t, scenario.Catalogue(), Config{Shards: 1, Observe: observe, Alert: func(a Alert) {
			alerts[i] = append(alerts[i], fmt.Sprint(a.Scenario.Name, a.Client, a.At, a.First, a.Events))
		}})
		e.Process(parse(t, visits...))
	}
	if len(alerts[0]) == 0 || !slices.Equal(alerts[0], alerts[1]) {
		t.Errorf("alerts %v, observed %v", alerts[0], alerts[1])
	}
}
