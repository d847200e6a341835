package detect

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

func TestNewErrors(t *testing.T) {
	set := compile(t, scenario.Catalogue())
	good := Config{Shards: 1, Alert: func(Alert) {}, Registerer: prometheus.NewRegistry()}
	for _, tt := range []struct {
		name   string
		set    *scenario.Set
		change func(*Config)
		want   string
	}{
		{"set", nil, func(*Config) {}, "no scenario set"},
		{"negative shards", set, func(c *Config) { c.Shards = -1 }, "-1 shards: allowed are 1 to 256"},
		{"many shards", set, func(c *Config) { c.Shards = 257 }, "257 shards: allowed are 1 to 256"},
		{"little memory", set, func(c *Config) { c.Shards, c.Memory = 4, 1<<20-1 }, "4 shards need 1048576 or more"},
		{"alert", set, func(c *Config) { c.Alert = nil }, "nobody takes the alerts"},
		{"registerer", set, func(c *Config) { c.Registerer = nil }, "no registerer"},
	} {
		cfg := good
		tt.change(&cfg)
		if _, err := New(tt.set, cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.want)
		}
	}
	if _, err := New(set, Config{Shards: 1, Memory: 1 << 60, Alert: good.Alert, Registerer: good.Registerer}); err == nil {
		t.Error("no error though there is no such memory")
	}
}

func TestDefaults(t *testing.T) {
	e, err := New(compile(t, nil), Config{Alert: func(Alert) {}, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if len(e.shards) != runtime.GOMAXPROCS(0) {
		t.Errorf("%d shards, want one for each of %d processors", len(e.shards), runtime.GOMAXPROCS(0))
	}
	e.Process(nil)
	e.Process(parse(t, visit{}))
}

func TestMetricNames(t *testing.T) {
	_, reg := start(t, scenario.Catalogue(), Config{})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
}

// TestKeyIsThePrefix: two networks have one key only if they are the same.
func TestKeyIsThePrefix(t *testing.T) {
	h := newHasher(seeded.New())
	rapid.Check(t, func(t *rapid.T) {
		draw := func() netip.Prefix {
			b := rapid.SliceOfN(rapid.ByteMax(1), 16, 16).Draw(t, "addr")
			if rapid.Bool().Draw(t, "IPv4") {
				return netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
			}
			return netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
		}
		p, q := draw(), draw()
		if (h.key(p) == h.key(q)) != (p == q) {
			t.Fatalf("%v has the key %v, and %v has %v", p, h.key(p), q, h.key(q))
		}
	})
}

func TestNetworkOf(t *testing.T) {
	group := scenario.Group{V4: 24, V6: 48}
	for _, tt := range []struct {
		client string
		group  scenario.Group
		want   string
	}{
		{"198.51.100.7/32", group, "198.51.100.0/24"},
		{"2001:db8:1:2::/64", group, "2001:db8:1::/48"},
		{"2001:db8:1:2::/64", scenario.Group{V6: 96}, "2001:db8:1:2::/64"},
		{"2001:db8::1:2:3/128", scenario.Group{V6: 96}, "2001:db8::1:0:0/96"},
		{"198.51.100.7/32", scenario.Group{V6: 96}, ""},
		{"2001:db8::/64", scenario.Group{V4: 24}, ""},
	} {
		got, ok := networkOf(prefix(tt.client), &tt.group)
		if ok != (tt.want != "") || ok && got != prefix(tt.want) {
			t.Errorf("network of %s: %v, %v; want %q", tt.client, got, ok, tt.want)
		}
	}
}

// TestManyProcessesAtOnce: every record is counted once, and each client gets the
// alerts that it would have got alone.
func TestManyProcessesAtOnce(t *testing.T) {
	const callers, rounds, perRound = 8, 10, 60
	var alerts atomic.Int64
	var wrong atomic.Value
	e, reg := start(t, only("http-login-bruteforce", func(s *scenario.Scenario) {
		s.Capacity, s.Leak, s.Blackhole = 29, time.Hour, 0
	}), Config{Shards: 3, Alert: func(a Alert) {
		alerts.Add(1)
		if a.Events != 30 || len(a.Samples) != maxSamples {
			wrong.Store(fmt.Sprintf("%d events, %d samples", a.Events, len(a.Samples)))
		}
		for _, s := range a.Samples {
			if netip.PrefixFrom(s.Addr, 32) != a.Client {
				wrong.Store(fmt.Sprintf("a sample of %v in an alert of %v", s.Addr, a.Client))
			}
		}
	}})
	var wg sync.WaitGroup
	for c := range callers {
		// Callers share clients: 4 clients each, each client with 2 callers.
		batches := make([][]cloudfront.Record, rounds)
		for round := range batches {
			var visits []visit
			for i := range perRound {
				visits = append(visits, visit{
					at: time.Duration(round) * time.Second, client: fmt.Sprintf("198.51.100.%d", (c/2)*4+i%4), url: "/login",
					method: "POST", status: 401, id: fmt.Sprint(c, round, i),
				})
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
	if got := counted(t, reg, "detect_records_total")["poured"]; got != callers*rounds*perRound {
		t.Errorf("%d records poured, want %d", got, callers*rounds*perRound)
	}
	if got := alerts.Load(); got != callers*rounds*perRound/30 {
		t.Errorf("%d alerts, want %d", got, callers*rounds*perRound/30)
	}
	if text := wrong.Load(); text != nil {
		t.Error(text)
	}
}

func TestBanOfTheSameBatchHolds(t *testing.T) {
	b := &bans{last: time.Hour}
	e, reg := start(t, probing(), Config{Shards: 1, Alert: b.alert, Banned: b.banned})
	e.Process(parse(t, append(series(12, 0, time.Second, "a"), series(20, 12*time.Second, time.Second, "b")...)...))
	if got := counted(t, reg, "detect_records_total"); got["poured"] != 12 || got["blocked"] != 20 {
		t.Errorf("records %v, want 12 poured and 20 blocked", got)
	}
}

func TestAlertOfAnIPv6Network(t *testing.T) {
	var visits []visit
	for i, v := range series(11, 0, 0, "a") {
		v.client = fmt.Sprintf("2001:db8::%x", i+1)
		visits = append(visits, v)
	}
	alerts := alertsOf(t, probing(), visits...)
	if len(alerts) != 1 {
		t.Fatalf("%d alerts, want 1", len(alerts))
	}
	a := alerts[0]
	if a.Client != prefix("2001:db8::/64") || a.Addr != netip.MustParseAddr("2001:db8::b") || a.Arrived != a.At+250 {
		t.Errorf("alert of %v by %v, arrived at %d", a.Client, a.Addr, a.Arrived-a.At)
	}
	if a.Samples[0].Addr != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("first sample by %v", a.Samples[0].Addr)
	}
}

func TestProcessDoesNotAllocate(t *testing.T) {
	e, _ := start(t, scenario.Catalogue(), Config{Shards: 2})
	var visits []visit
	for i := range 2000 {
		visits = append(visits, visit{
			at: time.Duration(i) * time.Second, client: fmt.Sprintf("198.51.%d.%d", i%7, i%251), url: fmt.Sprintf("/p/%d?q=a%%20b", i), id: " ",
		})
	}
	records := parse(t, visits...)
	ids := make([][]byte, len(records))
	for i := range records {
		ids[i] = records[i].Raw(cloudfront.FieldXEdgeRequestID)
	}
	n := byte(' ')
	run := func() {
		n++ // other requests each time, but of a length that does not allocate either
		for i := range ids {
			ids[i][0] = n
		}
		e.Process(records)
	}
	run()
	run()
	if allocs := testing.AllocsPerRun(10, run); allocs != 0 {
		t.Errorf("%v allocations in a Process of %d records", allocs, len(records))
	}
}

// TestFloodOfClients: clients that are seen once, far more than there is room for,
// must not push out the few that keep coming.
func TestFloodOfClients(t *testing.T) {
	const attackers, crowd, rounds = 50, 4000, 20
	found := map[netip.Prefix]bool{}
	list := append(probing(), only("http-flood-any")...)
	e, reg := start(t, list, Config{Shards: 1, Memory: 1 << 20, Alert: func(a Alert) { found[a.Client] = true }})
	places := len(e.shards[0].buckets.heads) * ways
	for round := range rounds {
		var visits []visit
		at := time.Duration(round) * time.Second
		for i := range attackers {
			visits = append(visits, visit{at: at, client: fmt.Sprintf("203.0.113.%d", i), url: fmt.Sprintf("/x/%c", 'a'+round)})
		}
		for i := range crowd {
			n := round*crowd + i
			visits = append(visits, visit{at: at, client: fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), url: "/gone"})
		}
		e.Process(parse(t, visits...))
	}
	if 2*(attackers+crowd*rounds) < 4*places {
		t.Fatalf("%d places are too many to try anything", places)
	}
	if len(found) < attackers {
		t.Errorf("%d of %d attackers found", len(found), attackers)
	}
	if got := counted(t, reg, "detect_evictions_total")["bucket"]; got < crowd {
		t.Errorf("%d buckets gave way, want most of those of %d clients", got, crowd*rounds)
	}
	if got := counted(t, reg, "detect_buckets")[""]; got > places || got < places/2 {
		t.Errorf("%d buckets live, of %d places", got, places)
	}
}

// TestForgottenValuesAreCounted gives one bucket more distinct values than there
// is room for.
func TestForgottenValuesAreCounted(t *testing.T) {
	list := only("http-probing", func(s *scenario.Scenario) { s.Capacity, s.Leak = 100_000, time.Second })
	e, reg := start(t, list, Config{Shards: 1, Memory: 256 << 10})
	places := len(e.shards[0].values.sets) * ways
	visits := make([]visit, 2*places)
	for i := range visits {
		visits[i].url = fmt.Sprintf("/x%dx", i)
	}
	e.Process(parse(t, visits...))
	if got := counted(t, reg, "detect_evictions_total")["distinct"]; got < places*9/10 || got > places*11/10 {
		t.Errorf("%d values forgotten of %d, with room for %d", got, len(visits), places)
	}
	// A fingerprint has 32 bits, so two of the values may look the same.
	if got := counted(t, reg, "detect_records_total")["poured"]; got < len(visits)-2 {
		t.Errorf("%d records poured, want %d: a value that was pushed out is no repetition", got, len(visits))
	}
}

func TestBucketsAreCountedOutWhenTheyExpire(t *testing.T) {
	e, reg := start(t, probing(), Config{Shards: 1, Memory: 1 << 20})
	for i := range 100 {
		e.Process(parse(t, visit{client: fmt.Sprintf("198.51.100.%d", i)}))
	}
	if got := counted(t, reg, "detect_buckets")[""]; got != 100 {
		t.Errorf("%d buckets, want 100", got)
	}
	for i := range 2 * len(e.shards[0].buckets.heads) {
		e.Process(parse(t, visit{at: time.Hour, client: "203.0.113.1", id: fmt.Sprint(i)}))
	}
	if got := counted(t, reg, "detect_buckets")[""]; got != 1 {
		t.Errorf("%d buckets an hour later, want 1", got)
	}
}
