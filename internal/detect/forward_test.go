package detect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// A hop is a Front and Engines behind it, each of which has a part of the partitions.
type hop struct {
	t       *rapid.T
	front   *Front
	engines []*Engine
	split   []int // engine i has the partitions from split[i] on
}

func (h *hop) process(records []cloudfront.Record) {
	h.front.Match(records, func(_ int, m *Match, partition int) {
		if m.Apart {
			h.t.Fatal("what a Front says comes by itself")
		}
		h.pour(m, partition)
		if r, ok := m.Receipt(); ok {
			h.front.Sent(r)
		}
	})
}

// pour pours a Match where it belongs, and then what that one sends away.
func (h *hop) pour(m *Match, partition int) {
	owner := 0
	for owner+1 < len(h.engines) && h.split[owner+1] <= partition {
		owner++
	}
	e := h.engines[owner]
	if got, ok := e.Partition(m); !ok || got != partition {
		h.t.Fatalf("%+v has partition %d, %v, and was sent to %d", m, got, ok, partition)
	}
	type sent struct {
		m         Match
		partition int
	}
	var away []sent
	e.Pour([]Match{copyOf(m)}, func(i, nth int, m *Match, partition int) {
		if i != 0 || nth < len(away) || m.Apart == false {
			h.t.Fatalf("%d, %d, %+v", i, nth, m)
		}
		away = append(away, sent{copyOf(m), partition})
	})
	for i := range away {
		h.pour(&away[i].m, away[i].partition)
	}
}

func copyOf(m *Match) Match {
	c := *m
	c.Hits, c.Columns = slices.Clone(m.Hits), slices.Clone(m.Columns)
	return c
}

// TestPourDecidesAsProcess: whatever is hit, a Front and several Engines raise the alerts, with
// the samples, that one Engine raises which sees all records.
func TestPourDecidesAsProcess(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules, recipes := drawRules(rt)
		names := slices.Sorted(maps.Keys(recipes))
		visits := drawVisits(rt)
		for i := range visits {
			if !strings.Contains(visits[i].id, "#") {
				visits[i].id = rapid.SampledFrom(names).Draw(rt, "recipe") + "#" + visits[i].id
			}
		}
		last := rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Hour}).Draw(rt, "ban")
		records := parseAs(rt, rapid.SampledFrom([]int{64, 64, 48, 128}).Draw(rt, "client"), visits...)
		want := &bans{last: last}
		slow := newTwin(rules.plan(recipes, judgeByIDs), want)
		slow.apartLowers = true
		slow.process(records)

		seed, got := drawSeed(rt), &bans{last: last}
		h := &hop{t: rt, split: []int{0}}
		var regs []*prometheus.Registry
		for range rapid.IntRange(0, 3).Draw(rt, "splits") {
			h.split = append(h.split, rapid.IntRange(0, Partitions).Draw(rt, "split"))
		}
		slices.Sort(h.split)
		for range h.split {
			e, reg := rules.startWith(t, recipes, judgeByIDs, Config{
				Shards: 1, Memory: 8 << 20, Alert: got.alert, Banned: got.banned, Seed: seed,
			})
			defer e.Close()
			h.engines, regs = append(h.engines, e), append(regs, reg)
		}
		var err error
		h.front, err = newFront(rules.plan(recipes, judgeByIDs), FrontConfig{Seed: seed, Banned: got.banned, Registerer: prometheus.NewRegistry()})
		if err != nil {
			rt.Fatal(err)
		}
		for left := records; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(rt, "cut")
			h.process(left[:n])
			left = left[n:]
		}
		for _, reg := range regs {
			wantRoom(rt, reg)
		}
		slow.wantClear(rt)
		compareAlerts(rt, got.alerts, want.alerts)
	})
}

// TestPourAllAtOnce: many Matches in one call.
func TestPourAllAtOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules, recipes := drawRules(rt)
		for i := range rules {
			rules[i].Group = scenario.Group{}
		}
		names := slices.Sorted(maps.Keys(recipes))
		visits := drawVisits(rt)
		for i := range visits {
			if !strings.Contains(visits[i].id, "#") {
				visits[i].id = rapid.SampledFrom(names).Draw(rt, "recipe") + "#" + visits[i].id
			}
		}
		last := rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Hour}).Draw(rt, "ban")
		records := parse(rt, visits...)
		want := &bans{last: last}
		slow := newTwin(rules.plan(recipes, judgeByIDs), want)
		slow.process(records)

		got := &bans{last: last}
		cfg := Config{Shards: 3, Memory: 8 << 20, Alert: got.alert, Banned: got.banned, Seed: drawSeed(rt)}
		e, reg := rules.startWith(t, recipes, judgeByIDs, cfg)
		defer e.Close()
		f, err := newFront(rules.plan(recipes, judgeByIDs), FrontConfig{Seed: cfg.Seed, Registerer: prometheus.NewRegistry()})
		if err != nil {
			rt.Fatal(err)
		}
		var matches []Match
		f.Match(records, func(_ int, m *Match, _ int) { matches = append(matches, copyOf(m)) })
		e.Pour(matches, func(int, int, *Match, int) { rt.Fatal("none of these scenarios counts networks or values") })
		wantRoom(rt, reg)
		slow.wantClear(rt)
		compareAlerts(rt, got.alerts, want.alerts)
	})
}

// TestPourForeign: what no Front has made does no harm.
func TestPourForeign(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules, recipes := drawRules(rt)
		e, _ := rules.startWith(t, recipes, judgeByIDs, Config{Shards: 2, Memory: 8 << 20})
		defer e.Close()
		var matches []Match
		for range rapid.IntRange(1, 20).Draw(rt, "matches") {
			m := Match{
				Bits: rapid.Uint8().Draw(rt, "bits"), Status: rapid.Uint16().Draw(rt, "status"), Apart: rapid.Bool().Draw(rt, "apart"),
				Time: rapid.Int64Range(0, 1<<41).Draw(rt, "time"), Request: rapid.Uint64Range(0, 3).Draw(rt, "request"),
				Columns: rapid.SliceOfN(rapid.SampledFrom([]byte("a\t\x00%")), 0, 30).Draw(rt, "columns"),
			}
			if b := rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(rt, "addr"); len(b) >= 4 {
				m.Addr = parseAs(rt, 64, visit{client: fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3])})[0].Addr
			}
			m.Hits = slices.Clone(rapid.SampledFrom(slices.Collect(maps.Values(recipes))).Draw(rt, "hits"))
			matches = append(matches, m)
		}
		e.Pour(matches, func(i, _ int, m *Match, partition int) {
			if got, ok := e.Partition(m); !ok || got != partition {
				rt.Fatalf("%+v of %d is for partition %d, %v, not %d", m, i, got, ok, partition)
			}
		})
	})
}

func TestFrontAllocatesNothing(t *testing.T) {
	records := parse(t, visit{url: "/.env", status: 404}, visit{url: "/", status: 200}, visit{url: "/login", method: "POST", status: 401})
	seed := seeded.New()
	f, err := NewFront(compile(t, scenario.Catalogue()), FrontConfig{Seed: seed, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := start(t, scenario.Catalogue(), Config{Shards: 1, Seed: seed})
	matches, away := make([]Match, 0, len(records)), 0
	work := func() {
		matches = matches[:0]
		f.Match(records, func(_ int, m *Match, _ int) {
			matches = append(matches, *m) // whose hits and columns will be those of the last one, which is all the same here
			if r, ok := m.Receipt(); ok {
				f.Sent(r)
			}
		})
		for i := range matches {
			matches[i].Request = 0
		}
		e.Pour(matches[len(matches)-1:], func(int, int, *Match, int) { away++ })
	}
	work()
	if n := testing.AllocsPerRun(100, work); n > 0.5 {
		t.Errorf("%v allocations", n)
	}
}
