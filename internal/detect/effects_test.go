package detect

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// one is the hit of one event on the first scenario.
func one(change func(*scenario.Hit)) []scenario.Hit {
	h := scenario.Hit{Weight: scenario.WholeEvent}
	if change != nil {
		change(&h)
	}
	return []scenario.Hit{h}
}

// alertsOfHits returns whom the alerts are about, in their order, when records hit what
// is named in the ids of the visits.
func alertsOfHits(t *testing.T, s scenario.Scenario, h hits, visits ...visit) []string {
	t.Helper()
	s.Name = "s"
	for i := range visits {
		visits[i].id = fmt.Sprint(visits[i].id, "#", i)
	}
	var clients []string
	e, _ := fake{s}.startWith(t, h, nil, Config{Shards: 3, Alert: func(a Alert) {
		clients = append(clients, fmt.Sprint(a.Client, " ", (a.At-ms(0))/1000, "s"))
	}})
	e.Process(parse(t, visits...))
	return clients
}

func TestEffects(t *testing.T) {
	h := hits{
		"pour":   one(nil),
		"drain":  one(func(h *scenario.Hit) { h.Effect = scenario.Drain }),
		"cancel": one(func(h *scenario.Hit) { h.Effect = scenario.Cancel }),
		"shield": one(func(h *scenario.Hit) { h.Effect = scenario.Shield }),
		"half":   one(func(h *scenario.Hit) { h.Weight = 500 }),
		"heavy":  one(func(h *scenario.Hit) { h.Weight = 2500 }),
		"a":      one(func(h *scenario.Hit) { h.Group = 1 }),
		"b":      one(func(h *scenario.Hit) { h.Group = 2 }),
	}
	leaky := scenario.Scenario{Capacity: 2, Leak: time.Minute, Shield: time.Minute}
	byRange, byValue, members := leaky, leaky, leaky
	byRange.Group = scenario.Group{By: scenario.ByRange, V4: 24}
	byValue.Group = scenario.Group{By: scenario.ByValue}
	members.Group = scenario.Group{By: scenario.ByValue, Members: true}
	members.Blackhole = time.Hour
	// do visits as the listed clients, 198.51.100.n or as given, a second apart.
	do := func(what string, clients ...string) (visits []visit) {
		for _, c := range clients {
			visits = append(visits, visit{client: c, id: what})
		}
		return visits
	}
	const me, near, far, v6 = "198.51.100.1", "198.51.100.2", "203.0.113.1", "2001:db8::1"
	for _, tt := range []struct {
		name     string
		scenario scenario.Scenario
		visits   [][]visit
		want     []string
	}{
		{"three", leaky, [][]visit{do("pour", me, me, me)}, []string{me + "/32 2s"}},
		{"one is drained", leaky, [][]visit{do("pour", me, me), do("drain", me), do("pour", me), do("pour", me)}, []string{me + "/32 4s"}},
		{"nothing is there to drain", leaky, [][]visit{do("drain", me, me), do("pour", me, me, me)}, []string{me + "/32 4s"}},
		{"cancelled", leaky, [][]visit{do("pour", me, me), do("cancel", me), do("pour", me, me)}, nil},
		{"shielded", leaky, [][]visit{do("shield", me), do("pour", me, me, me, me)}, nil},
		{"another is shielded", leaky, [][]visit{do("shield", near), do("pour", me, me, me)}, []string{me + "/32 3s"}},
		{"halves", leaky, [][]visit{do("half", me, me, me, me), do("half", me)}, []string{me + "/32 4s"}},
		{"one that is too much", leaky, [][]visit{do("heavy", me)}, []string{me + "/32 0s"}},
		{"values of a client", leaky, [][]visit{do("a", me, me), do("b", me, me, me)}, []string{me + "/32 4s"}},
		{"a network", byRange, [][]visit{do("pour", me, near, far, v6, v6, v6, "198.51.100.3")}, []string{"198.51.100.0/24 6s"}},
		{"a shield for a network", byRange, [][]visit{do("shield", near), do("pour", me, me, me, me)}, nil},
		{"a value", byValue, [][]visit{do("a", me, near), do("b", me, far), do("a", far, me)}, []string{far + "/32 4s"}},
		{
			"members: who fills it is found when it overflows, and each who comes later", members,
			[][]visit{do("a", me, near), do("a", v6), do("a", far), do("a", me, far, v6)},
			[]string{"2001:db8::/64 2s", me + "/32 2s", near + "/32 2s", far + "/32 3s"},
		},
	} {
		visits := slices.Concat(tt.visits...)
		for i := range visits {
			visits[i].at = time.Duration(i) * time.Second
		}
		if got := alertsOfHits(t, tt.scenario, h, visits...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: alerts %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestShieldEnds: at the whole minute, and an older one does not shorten it.
func TestShieldEnds(t *testing.T) {
	h := hits{"pour": one(nil), "shield": one(func(h *scenario.Hit) { h.Effect = scenario.Shield })}
	s := scenario.Scenario{Kind: scenario.Trigger, Shield: 2 * time.Minute}
	got := alertsOfHits(t, s, h,
		visit{at: 59 * time.Second, id: "shield"}, visit{at: 10 * time.Second, id: "shield"}, visit{at: -time.Minute, id: "shield"},
		visit{at: 179 * time.Second, id: "pour"}, visit{at: 180 * time.Second, id: "pour"},
	)
	if want := []string{"198.51.100.7/32 180s"}; !slices.Equal(got, want) {
		t.Errorf("alerts %q, want %q", got, want)
	}
}

// TestSharedShields: the hit of one scenario shields from the alerts of all that have the
// same shield, and whose buckets are for the same network; whoever observes hears of each.
func TestSharedShields(t *testing.T) {
	one := scenario.Scenario{Kind: scenario.Trigger, Shield: time.Hour, Group: scenario.Group{By: scenario.ByRange, V4: 24, V6: 56}}
	rules := fake{one, one, one, one}
	for i, name := range []string{"a/s", "b/s", "wide/s", "other"} {
		rules[i].Name = name
	}
	rules[2].Group.V6 = 48
	hit := func(i uint16, e scenario.Effect) scenario.Hit {
		return scenario.Hit{Scenario: i, Effect: e, Weight: scenario.WholeEvent}
	}
	h := hits{"pour": {hit(0, scenario.Pour), hit(1, scenario.Pour), hit(2, scenario.Pour), hit(3, scenario.Pour)}, "shield": {hit(0, scenario.Shield)}}
	for client, want := range map[string]string{"198.51.100.": "other", "2001:db8::": "wide/s other"} {
		for _, watched := range []bool{false, true} {
			var alerts, shielding []string
			cfg := Config{Shards: 2, Alert: func(a Alert) { alerts = append(alerts, a.Scenario.Name) }}
			if watched {
				cfg.Observe = func(o Observation) {
					if o.Fate == Shielding {
						shielding = append(shielding, rules[o.Scenario].Name)
					}
				}
			}
			e, _ := rules.startWith(t, h, nil, cfg)
			e.Process(parse(t, visit{client: client + "1", id: "shield#1"}, visit{client: client + "2", id: "pour#2"}))
			if got := strings.Join(alerts, " "); got != want {
				t.Errorf("%s, watched %v: alerts of %s, want %s", client, watched, got, want)
			}
			if told := strings.Join(append(shielding, alerts...), " "); watched && told != "a/s b/s "+map[string]string{"198.51.100.": "wide/s "}[client]+want {
				t.Errorf("%s: told of shields and alerts %s", client, told)
			}
		}
	}
}

// TestManyProcessesShareNetworks: with callers side by side every record is counted once
// in its network and in its value, and a duplicate in neither.
func TestManyProcessesShareNetworks(t *testing.T) {
	const callers, rounds, perRound = 6, 10, 120
	var networks, values atomic.Int64
	rules := fake{
		{Name: "network", Capacity: 29, Leak: time.Hour, Group: scenario.Group{By: scenario.ByRange, V4: 16}},
		{Name: "value", Capacity: 29, Leak: time.Hour, Group: scenario.Group{By: scenario.ByValue}},
	}
	h := hits{"r": {{Weight: scenario.WholeEvent}, {Scenario: 1, Weight: scenario.WholeEvent, Group: 5}}}
	e, reg := rules.startWith(t, h, nil, Config{Shards: 4, Alert: func(a Alert) {
		if a.Scenario.Name == "network" {
			networks.Add(1)
		} else {
			values.Add(1)
		}
	}})
	var wg sync.WaitGroup
	for c := range callers {
		batches := make([][]cloudfront.Record, rounds)
		for round := range batches {
			var visits []visit
			for i := range perRound {
				v := visit{client: fmt.Sprintf("198.51.%d.%d", c, i), id: fmt.Sprint("r#", c, "-", round, "-", i)}
				visits = append(visits, v, v)
			}
			batches[round] = parse(t, visits...)
		}
		wg.Go(func() {
			for _, records := range batches {
				e.Process(records)
			}
		})
	}
	wg.Wait()
	const all = callers * rounds * perRound
	if got := counted(t, reg, "detect_records_total"); got["poured"] != all || got["duplicate"] != all {
		t.Errorf("records %v, want %d poured and as many duplicates", got, all)
	}
	if networks.Load() != all/30 || values.Load() != all/30 {
		t.Errorf("%d alerts of the network and %d of the value, want %d of each", networks.Load(), values.Load(), all/30)
	}
}

// TestIdleDrainsDoNotReturn: a drain that was delivered when there was nothing to take
// out takes nothing out when it is delivered again.
func TestIdleDrainsDoNotReturn(t *testing.T) {
	h := hits{"pour": one(nil), "drain": one(func(h *scenario.Hit) { h.Effect = scenario.Drain })}
	s := fake{{Name: "s", Capacity: 2, Leak: time.Hour, Blackhole: time.Hour}}
	var visits []visit
	for i, id := range []string{"drain#1", "drain#2", "pour#3", "pour#4", "drain#5", "pour#6", "pour#7"} {
		visits = append(visits, visit{at: time.Duration(i) * time.Second, id: id, status: 200})
	}
	for again := range len(visits) {
		alerts := 0
		e, reg := s.startWith(t, h, nil, Config{Shards: 2, Alert: func(Alert) { alerts++ }})
		records := parse(t, visits...)
		for i := range records {
			e.Process(records[max(0, i-again) : i+1])
		}
		if alerts != 1 {
			t.Errorf("%d alerts when each record is delivered %d times, want 1", alerts, again+1)
		}
		if n := counted(t, reg, "detect_records_total")["poured"]; n != 4 {
			t.Errorf("%d records poured, want 4", n)
		}
	}
}

// TestMarksOutliveFloods: a key keeps its mark until more than markedKeys others got one.
func TestMarksOutliveFloods(t *testing.T) {
	m, h := new(marks), newHasher(seeded.New())
	hash := func(i int) uint64 { return h.hash(key{addr: uint64(i), bits: 32, family: familyIPv4}) }
	scenario := func(hash uint64) uint16 { return uint16(hash>>20) % 100 }
	has := func(hash uint64) bool { return m.line(hash).has(hash) && m.line(hash).hasIn(hash, scenario(hash)) }
	for i := range 4 * markedKeys {
		m.add(hash(i), scenario(hash(i)))
		if old := i - markedKeys/2; old >= 0 && !has(hash(old)) {
			t.Fatalf("the mark of key %d is gone after that of key %d", old, i)
		}
	}
	unmarked := 0
	for i := range markedKeys {
		if !has(hash(-1 - i)) {
			unmarked++
		}
	}
	if unmarked < markedKeys/2 {
		t.Errorf("%d of %d keys that have no mark are known to have none", unmarked, markedKeys)
	}
}
