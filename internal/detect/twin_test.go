package detect

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// A twin does what an Engine does, in the plainest way: maps, slices, exact sets,
// a token bucket as the textbook has it, one record after the other.
type twin struct {
	set      *scenario.Set
	matcher  *scenario.Matcher
	banned   func(netip.Prefix, int64) bool
	alert    func(Alert)
	requests map[string]bool
	buckets  map[twinKey]*twinBucket
	alerted  map[twinKey]int64
	counts   map[string]int // records by outcome
}

type twinKey struct {
	client   netip.Prefix
	scenario uint16
}

type twinBucket struct {
	tokens      time.Duration // each costs a leak
	first, last int64
	events      int
	seen        map[uint32]bool
	samples     []Sample
}

func newTwin(set *scenario.Set, b *bans) *twin {
	return &twin{
		set: set, matcher: set.NewMatcher(), banned: b.banned, alert: b.alert,
		requests: map[string]bool{}, buckets: map[twinKey]*twinBucket{}, alerted: map[twinKey]int64{}, counts: map[string]int{},
	}
}

func (w *twin) process(records []cloudfront.Record) {
	for i := range records {
		w.counts[w.record(&records[i])]++
	}
}

func (w *twin) record(r *cloudfront.Record) string {
	hits := w.matcher.Match(r, nil)
	if len(hits) == 0 && r.Status < 400 {
		return "unmatched"
	}
	id := string(r.Raw(cloudfront.FieldXEdgeRequestID)) + r.Client().String()
	if w.requests[id] {
		return "duplicate"
	}
	w.requests[id] = true
	if w.banned(r.Client(), r.Time) {
		return "blocked"
	}
	if len(hits) == 0 {
		return "unmatched"
	}
	outcome := "late"
	for _, hit := range hits {
		switch did := w.pour(r, hit); {
		case did == "poured", did == "repeated" && outcome == "late":
			outcome = did
		}
	}
	return outcome
}

func (w *twin) pour(r *cloudfront.Record, hit scenario.Hit) string {
	s := w.set.At(int(hit.Scenario))
	k := twinKey{r.Client(), hit.Scenario}
	if s.Kind == scenario.Trigger {
		w.raise(k, s, r, &twinBucket{first: r.Time, events: 1, samples: []Sample{sampleOf(r)}})
		return "poured"
	}
	full := s.Leak * time.Duration(s.Capacity)
	life := (full + s.Leak).Milliseconds()
	b := w.buckets[k]
	if b != nil && r.Time < b.last-life && b.events > 1 {
		return "late"
	}
	if b == nil || r.Time > b.last+life || r.Time < b.last-life {
		b = &twinBucket{tokens: full, first: r.Time, last: r.Time, seen: map[uint32]bool{}}
		w.buckets[k] = b
	}
	if hit.Distinct != 0 && b.seen[hit.Distinct] {
		return "repeated"
	}
	b.seen[hit.Distinct] = true
	at := max(r.Time, b.last)
	b.tokens = min(full, b.tokens+time.Duration(at-b.last)*time.Millisecond)
	b.last = at
	b.events++
	b.samples = append(b.samples, sampleOf(r))
	if b.tokens < s.Leak {
		delete(w.buckets, k)
		w.raise(k, s, r, b)
	}
	b.tokens -= s.Leak
	return "poured"
}

func (w *twin) raise(k twinKey, s *scenario.Scenario, r *cloudfront.Record, b *twinBucket) {
	if t, ok := w.alerted[k]; ok && max(r.Time-t, t-r.Time) < s.Blackhole.Milliseconds() {
		return
	}
	w.alerted[k] = r.Time
	w.alert(Alert{
		Scenario: s, Client: k.client, Addr: r.Addr, At: r.Time, First: b.first, Events: b.events, Arrived: r.Arrived,
		Samples: b.samples[max(0, len(b.samples)-maxSamples):],
	})
}

func sampleOf(r *cloudfront.Record) Sample {
	text := func(b []byte) string { return string(cloudfront.Unescape(nil, b)) }
	return Sample{
		Time: r.Time, Addr: r.Addr, Status: r.Status,
		Method: text(r.Raw(cloudfront.FieldCSMethod)), Host: text(r.Raw(cloudfront.FieldCSHost)),
		Path: text(r.Path()), Query: text(r.Query()), UserAgent: text(r.Raw(cloudfront.FieldCSUserAgent)),
		Country: text(r.Raw(cloudfront.FieldCCountry)), ASN: text(r.Raw(cloudfront.FieldASN)),
		RequestID: text(r.Raw(cloudfront.FieldXEdgeRequestID)),
	}
}

// bans decides on alerts as a store of decisions does, and keeps them.
type bans struct {
	last time.Duration // of a ban; 0 = nobody is banned

	mu     sync.Mutex
	alerts []Alert
	until  map[netip.Prefix][][2]int64
}

func (b *bans) alert(a Alert) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alerts = append(b.alerts, a)
	if b.last > 0 {
		if b.until == nil {
			b.until = map[netip.Prefix][][2]int64{}
		}
		b.until[a.Client] = append(b.until[a.Client], [2]int64{a.At, a.At + b.last.Milliseconds()})
	}
}

func (b *bans) banned(client netip.Prefix, at int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.until[client], func(w [2]int64) bool { return w[0] <= at && at < w[1] })
}

// byClient returns the alerts in the order of clients, and for each client as they came.
func (b *bans) byClient() []Alert {
	sorted := slices.Clone(b.alerts)
	slices.SortStableFunc(sorted, func(x, y Alert) int { return cmp.Compare(x.Client.String(), y.Client.String()) })
	return sorted
}

// drawScenarios picks scenarios of the catalogue and gives them small numbers, so
// that buckets fill, leak, expire and fall silent within few records.
func drawScenarios(t *rapid.T) []scenario.Scenario {
	var list []scenario.Scenario
	for _, name := range []string{"http-probing", "http-login-bruteforce", "http-flood-any", "http-sensitive-files", "http-bad-user-agent", "http-exploit-path"} {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		list = append(list, only(name, func(s *scenario.Scenario) {
			s.Blackhole = time.Duration(rapid.IntRange(0, 8000).Draw(t, "blackhole")) * time.Millisecond
			s.Mode = rapid.SampledFrom([]scenario.Mode{scenario.Enforce, scenario.Enforce, scenario.Simulate, scenario.Off}).Draw(t, "mode")
			s.Kind, s.Capacity, s.Leak = scenario.Trigger, 0, 0
			if rapid.IntRange(0, 4).Draw(t, "kind") > 0 {
				s.Kind = scenario.Leaky
				s.Capacity = rapid.SampledFrom([]int{1, 2, 3, 5, 30}).Draw(t, "capacity")
				s.Leak = rapid.SampledFrom([]time.Duration{time.Millisecond, 1500 * time.Microsecond, 100 * time.Millisecond, time.Second, 7 * time.Second}).Draw(t, "leak")
			}
		})...)
	}
	return list
}

func drawVisits(t *rapid.T) []visit {
	step := rapid.SampledFrom([]int{0, 1, 50, 500, 2000}).Draw(t, "step") // milliseconds, about
	disorder := rapid.SampledFrom([]int{0, 0, 500, 20_000}).Draw(t, "disorder")
	visits := make([]visit, rapid.IntRange(1, 300).Draw(t, "visits"))
	clock := 0
	for i := range visits {
		clock += rapid.IntRange(0, 2*step).Draw(t, "pause")
		v := visit{
			at:     time.Duration(clock-rapid.IntRange(0, disorder).Draw(t, "late")) * time.Millisecond,
			client: rapid.SampledFrom([]string{"198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"}).Draw(t, "client"),
			status: rapid.SampledFrom([]int{200, 404, 401, 404}).Draw(t, "status"),
			method: rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"),
			url: rapid.SampledFrom([]string{
				"/a", "/b", "/c%2520d", "/e/f", "/g/17", "/g/18", "/login", "/.env", "/.git/config", "/.npmrc", "/HNAP1/", "/x.css", "/s?q=%27a",
			}).Draw(t, "url"),
			agent: rapid.SampledFrom([]string{"Mozilla/5.0", "Mozilla/5.0", "sqlmap/1.8"}).Draw(t, "agent"),
		}
		if i > 0 && rapid.IntRange(0, 9).Draw(t, "duplicate") == 0 {
			v = visits[rapid.IntRange(0, i-1).Draw(t, "of")]
		} else {
			v.id = fmt.Sprint("request-", i)
		}
		visits[i] = v
	}
	return visits
}

func TestEngineDecidesLikeItsTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		list := drawScenarios(rt)
		last := rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Hour}).Draw(rt, "ban")
		records := parse(rt, drawVisits(rt)...)

		got := &bans{last: last}
		e, reg := start(t, list, Config{
			Shards: rapid.IntRange(1, 8).Draw(rt, "shards"), Memory: 64 << 20, Alert: got.alert, Banned: got.banned,
		})
		want := &bans{last: last}
		slow := newTwin(e.set, want)
		slow.process(records)

		for left := records; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(rt, "cut")
			e.Process(left[:n])
			left = left[n:]
		}

		compareAlerts(rt, got.byClient(), want.byClient())
		for outcome, n := range counted(rt, reg, "detect_records_total") {
			if n != slow.counts[outcome] {
				rt.Errorf("%d records %s, want %d", n, outcome, slow.counts[outcome])
			}
		}
	})
}

func compareAlerts(t *rapid.T, got, want []Alert) {
	if len(got) != len(want) {
		t.Fatalf("%d alerts, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.Scenario.Name != w.Scenario.Name {
			t.Fatalf("alert %d of %s, want %s", i, g.Scenario.Name, w.Scenario.Name)
		}
		g.Scenario, w.Scenario = nil, nil
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("alert %d: %+v\nwant %+v", i, g, w)
		}
	}
}
