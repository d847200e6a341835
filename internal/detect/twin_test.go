package detect

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// A twin does what an Engine does, in the plainest way: maps, slices, exact sets,
// a token bucket as the textbook has it, one record after the other.
type twin struct {
	plan     *plan
	matcher  matcher
	banned   func(netip.Prefix, int64) bool
	alert    func(Alert)
	requests map[string]bool
	buckets  map[twinKey]*twinBucket
	alerted  map[twinKey]int64
	shields  map[twinKey]int64 // until when
	members  map[twinMember]int64
	marked   map[twinKey]bool // of whose buckets something may be taken out; without the group, but for values
	counts   map[string]int   // records by outcome

	// Whether an Engine remembers a request that only takes out, of what nothing is in, is open
	// where a banned client's pour may have left a mark, or one of another scenario looks like it.
	doubtful map[twinKey]bool
	owners   map[netip.Prefix]bool // that are marked for some scenario
	passed   map[string]bool       // such requests
	open     int                   // records that are duplicates or unmatched, as that is
	vague    bool                  // whether one took something out may hang on it

	apartLowers bool // whether something may be taken out of the bucket of a network or a value is not known
}

type twinKey struct {
	owner    netip.Prefix // not valid: of a value
	group    uint32
	scenario uint16
}

type twinMember struct {
	bucket twinKey
	client netip.Prefix
}

type twinBucket struct {
	tokens      time.Duration // each event costs a leak
	first, last int64
	events      int
	seen        map[uint32]bool
	samples     []Sample
}

func newTwin(p *plan, b *bans) *twin {
	return &twin{
		plan: p, matcher: p.matcher(), banned: b.banned, alert: b.alert,
		requests: map[string]bool{}, buckets: map[twinKey]*twinBucket{}, alerted: map[twinKey]int64{},
		shields: map[twinKey]int64{}, members: map[twinMember]int64{}, marked: map[twinKey]bool{}, counts: map[string]int{},
		doubtful: map[twinKey]bool{}, owners: map[netip.Prefix]bool{}, passed: map[string]bool{},
	}
}

func (w *twin) process(records []cloudfront.Record) {
	for i := range records {
		w.counts[w.record(&records[i])]++
	}
}

func (w *twin) record(r *cloudfront.Record) string {
	var hits []scenario.Hit
	var keys []twinKey
	var marks []twinKey
	pours, lowers, doubt, counts := false, false, false, r.Status >= 400
	all, _ := w.matcher.MatchGist(r, nil)
	for _, hit := range all {
		counts = counts || hit.Effect == scenario.Pour
		k, ok := w.key(r, hit)
		if !ok {
			continue
		}
		owner := twinKey{owner: k.owner, scenario: k.scenario}
		if !k.owner.IsValid() {
			owner = k
		}
		switch hit.Effect {
		case scenario.Pour:
			pours = true
			if w.plan.drains[hit.Scenario] {
				marks = append(marks, owner)
			}
		case scenario.Drain, scenario.Cancel:
			apart := w.plan.scenarios[hit.Scenario].Group.By != scenario.ByClient
			lowers = lowers || w.marked[owner] || apart && w.apartLowers
			doubt = doubt || w.doubtful[owner] || owner.owner.IsValid() && w.owners[owner.owner]
		}
		hits, keys = append(hits, hit), append(keys, k)
	}
	if w.banned(r.Client(), r.Time) {
		for _, owner := range marks {
			w.doubtful[owner] = true
		}
		if counts {
			return "blocked"
		}
		return "unmatched"
	}
	for _, owner := range marks {
		w.marked[owner], w.owners[owner.owner] = true, true
	}
	id := string(r.Raw(cloudfront.FieldXEdgeRequestID)) + string(r.Raw(cloudfront.FieldCSURIStem)) + r.Client().String()
	if pours || lowers { // what does nothing is not remembered
		if w.requests[id] {
			if counts {
				return "duplicate"
			}
			return "unmatched"
		}
		w.requests[id] = true
		w.vague = w.vague || w.passed[id]
	} else if doubt {
		if counts && w.passed[id] {
			w.open++
		}
		w.passed[id] = true
	}
	outcomes := []string{"poured", "repeated", "late", "unmatched"}
	best := 3
	for _, apart := range []bool{false, true} { // what is the client's comes first
		for i, hit := range hits {
			if apart == (w.plan.scenarios[hit.Scenario].Group.By != scenario.ByClient) {
				best = min(best, slices.Index(outcomes, w.effect(r, keys[i], hit)))
			}
		}
	}
	return outcomes[best]
}

// key returns whose bucket a hit is on, false if the client has no such network.
func (w *twin) key(r *cloudfront.Record, hit scenario.Hit) (twinKey, bool) {
	g := w.plan.scenarios[hit.Scenario].Group
	k := twinKey{r.Client(), hit.Group, hit.Scenario}
	switch g.By {
	case scenario.ByRange:
		bits := min(int(g.V4), 32)
		if r.Addr.Is6() {
			bits = min(int(g.V6), r.Client().Bits())
		}
		k.owner, _ = r.Addr.Prefix(bits)
		return k, bits > 0
	case scenario.ByValue:
		k.owner = netip.Prefix{}
	}
	return k, true
}

// numbers returns those of a scenario's bucket.
func (w *twin) numbers(k twinKey) (full, leak time.Duration, life int64) {
	switch s := w.plan.scenarios[k.scenario]; s.Kind {
	case scenario.Leaky:
		full = s.Leak * time.Duration(s.Capacity)
		return full, s.Leak, (full + s.Leak).Milliseconds()
	case scenario.Conditional:
		return 0, 0, s.Leak.Milliseconds()
	default:
		return 0, time.Millisecond, 0
	}
}

// cost returns what a weight costs. What no bucket holds is as good as any more.
func (w *twin) cost(k twinKey, leak time.Duration, weight uint32) time.Duration {
	most := (max(0, w.plan.scenarios[k.scenario].Capacity) + 2) * scenario.WholeEvent
	return leak * time.Duration(min(int(weight), most)) / scenario.WholeEvent
}

func (w *twin) effect(r *cloudfront.Record, k twinKey, hit scenario.Hit) string {
	full, leak, life := w.numbers(k)
	b := w.buckets[k]
	holds := b != nil && r.Time >= b.first && r.Time <= b.last+life && r.Time >= b.last-life
	switch hit.Effect {
	case scenario.Shield:
		next := time.UnixMilli(r.Time).Truncate(time.Minute).Add(time.Minute)
		until := next.Add(w.plan.scenarios[k.scenario].Shield).UnixMilli()
		k.scenario = w.plan.shields[k.scenario]
		w.shields[k] = max(w.shields[k], until)
	case scenario.Cancel:
		if holds {
			delete(w.buckets, k)
		}
	case scenario.Drain:
		if holds {
			in := max(0, full-b.tokens-time.Duration(max(0, r.Time-b.last))*time.Millisecond)
			b.tokens += min(in, w.cost(k, leak, hit.Weight))
		}
	default:
		return w.pour(r, k, hit)
	}
	return "unmatched"
}

func (w *twin) pour(r *cloudfront.Record, k twinKey, hit scenario.Hit) string {
	full, leak, life := w.numbers(k)
	s := w.plan.scenarios[k.scenario]
	b := w.buckets[k]
	if b != nil && r.Time < b.last-life && b.events > s.Sampling() {
		return "late"
	}
	if b == nil || r.Time > b.last+life || r.Time < b.last-life {
		b = &twinBucket{tokens: full, first: r.Time, last: r.Time, seen: map[uint32]bool{}}
		w.buckets[k] = b
	} else if max(r.Time, b.last)-b.last < s.Spacing.Milliseconds() {
		return "repeated"
	}
	if hit.Distinct != 0 && b.seen[hit.Distinct] {
		return "repeated"
	}
	b.seen[hit.Distinct] = true
	at := max(r.Time, b.last)
	b.tokens = min(full, b.tokens+time.Duration(at-b.last)*time.Millisecond)
	b.last = at
	b.events += max(1, int(hit.Sample))
	b.samples = append(b.samples, sampleOf(r))
	cost := w.cost(k, leak, hit.Weight)
	switch {
	case s.Kind == scenario.Conditional:
		if s.Queue && w.plan.judge(int(k.scenario), tail(b.samples, 256)) {
			w.overflow(k, s, r, b)
		}
	case b.tokens < cost:
		w.overflow(k, s, r, b)
	default:
		b.tokens -= cost
	}
	return "poured"
}

func (w *twin) overflow(k twinKey, s *scenario.Scenario, r *cloudfront.Record, b *twinBucket) {
	most := s.CacheSize
	if most == 0 {
		most = 20
	}
	queue := most
	if s.CacheSize == 0 { // all that a full bucket holds
		queue = min(max(most, s.Capacity+1), 256)
	}
	shielded := r.Time < w.shields[twinKey{k.owner, k.group, w.plan.shields[k.scenario]}]
	last, ok := w.alerted[k]
	hushed := ok && max(r.Time-last, last-r.Time) < s.Blackhole.Milliseconds()
	if s.Group.Members && shielded {
		return
	}
	good := !s.Queue || s.Kind == scenario.Conditional || !hushed && !shielded && !s.Group.Members && w.plan.judge(int(k.scenario), tail(b.samples, queue)) ||
		s.Group.Members && w.plan.judge(int(k.scenario), tail(b.samples, queue))
	a := Alert{
		Scenario: s, Client: k.owner, Addr: r.Addr, At: r.Time, First: b.first, Events: b.events, Arrived: r.Arrived,
		Samples: tail(b.samples, most),
	}
	if !s.Group.Members || !good {
		delete(w.buckets, k)
		if !hushed && !shielded && good {
			w.alerted[k] = r.Time
			if s.Group.By == scenario.ByValue {
				a.Client = r.Client()
			}
			w.alert(a)
		}
		return
	}
	clients := []netip.Prefix{r.Client()}
	w.raiseMember(k, s, a, r.Client())
	if hushed {
		return
	}
	w.alerted[k] = r.Time
	for _, sample := range a.Samples {
		client := sample.client()
		if !slices.Contains(clients, client) {
			clients = append(clients, client)
			a.Addr = sample.Addr
			if !w.banned(client, r.Time) {
				w.raiseMember(k, s, a, client)
			}
		}
	}
}

// raiseMember raises an alert about a member, unless it got one within the blackhole.
func (w *twin) raiseMember(k twinKey, s *scenario.Scenario, a Alert, client netip.Prefix) {
	m := twinMember{k, client}
	if t, ok := w.members[m]; ok && max(a.At-t, t-a.At) < s.Blackhole.Milliseconds() {
		return
	}
	w.members[m] = a.At
	a.Client = client
	w.alert(a)
}

func tail(samples []Sample, n int) []Sample { return samples[max(0, len(samples)-n):] }

func sampleOf(r *cloudfront.Record) Sample {
	text := func(b []byte) string { return string(cloudfront.Unescape(nil, b)) }
	return Sample{
		Time: r.Time, Addr: r.Addr, Status: r.Status, bits: uint8(r.Client().Bits()),
		Version: text(r.Raw(cloudfront.FieldCSProtocolVersion)), Method: text(r.Raw(cloudfront.FieldCSMethod)), Host: text(r.Raw(cloudfront.FieldCSHost)),
		Path: text(r.Path()), Query: text(r.Query()), UserAgent: text(r.Raw(cloudfront.FieldCSUserAgent)), Referer: text(r.Raw(cloudfront.FieldCSReferer)),
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
	for p, windows := range b.until {
		if p.Contains(client.Addr()) && slices.ContainsFunc(windows, func(w [2]int64) bool { return w[0] <= at && at < w[1] }) {
			return true
		}
	}
	return false
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
			s.Kind, s.Capacity, s.Leak, s.Spacing = scenario.Trigger, 0, 0, 0
			if rapid.IntRange(0, 4).Draw(t, "kind") > 0 {
				s.Kind = scenario.Leaky
				s.Capacity = rapid.SampledFrom([]int{1, 2, 3, 5, 30}).Draw(t, "capacity")
				s.Leak = rapid.SampledFrom([]time.Duration{time.Millisecond, 1500 * time.Microsecond, 100 * time.Millisecond, time.Second, 7 * time.Second}).Draw(t, "leak")
				s.Spacing = rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 4 * time.Second}).Draw(t, "spacing")
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
			at:      time.Duration(clock-rapid.IntRange(0, disorder).Draw(t, "late")) * time.Millisecond,
			client:  rapid.SampledFrom([]string{"198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"}).Draw(t, "client"),
			status:  rapid.SampledFrom([]int{200, 404, 401, 404}).Draw(t, "status"),
			method:  rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"),
			referer: rapid.SampledFrom([]string{"-", "https://example.com/%2520"}).Draw(t, "referer"),
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
			Shards: rapid.IntRange(1, 8).Draw(rt, "shards"), Memory: 32 << 20, Alert: got.alert, Banned: got.banned, Seed: drawSeed(rt),
		})
		want := &bans{last: last}
		// A set learns from what it sees, so the twin has one of its own.
		own := compile(rt, list)
		p := *e.plan
		p.matcher = func() matcher { return own.NewMatcher() }
		slow := newTwin(&p, want)
		slow.process(records)

		for left := records; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(rt, "cut")
			e.Process(left[:n])
			left = left[n:]
		}

		compareWithTwin(rt, slow, got, want, reg)
	})
}

// drawRules draws scenarios of every kind, and what records hit of them.
func drawRules(t *rapid.T) (fake, hits) {
	rules := make(fake, rapid.IntRange(1, 5).Draw(t, "scenarios"))
	for i := range rules {
		s := &rules[i]
		s.Name = fmt.Sprint("s", i)
		s.Kind = rapid.SampledFrom([]scenario.Kind{scenario.Leaky, scenario.Leaky, scenario.Leaky, scenario.Trigger, scenario.Conditional}).Draw(t, "kind")
		s.Group.By = rapid.SampledFrom([]scenario.By{scenario.ByClient, scenario.ByRange, scenario.ByValue}).Draw(t, "by")
		switch s.Group.By {
		case scenario.ByRange:
			s.Group.V4, s.Group.V6 = rapid.SampledFrom([]uint8{0, 16, 24, 33}).Draw(t, "v4"), rapid.SampledFrom([]uint8{0, 48, 63, 128}).Draw(t, "v6")
		case scenario.ByValue:
			s.Group.Members = rapid.Bool().Draw(t, "members")
		}
		switch s.Kind {
		case scenario.Leaky:
			s.Capacity = rapid.SampledFrom([]int{1, 2, 3, 5, 30}).Draw(t, "capacity")
			s.Spacing = rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 4 * time.Second}).Draw(t, "spacing")
			if rapid.IntRange(0, 3).Draw(t, "samples") == 0 {
				s.Capacity, s.Sample = 400, 4
			}
			s.Leak = rapid.SampledFrom([]time.Duration{time.Millisecond, 1500 * time.Microsecond, 100 * time.Millisecond, time.Second, 7 * time.Second}).Draw(t, "leak")
		case scenario.Conditional:
			s.Capacity, s.Leak = -1, rapid.SampledFrom([]time.Duration{10 * time.Millisecond, time.Second, 10 * time.Second}).Draw(t, "leak")
		}
		s.Blackhole = time.Duration(rapid.IntRange(0, 8000).Draw(t, "blackhole")) * time.Millisecond
		s.Shield = time.Duration(rapid.IntRange(1, 3).Draw(t, "shield")) * time.Minute
		if s.Group.By != scenario.ByValue && rapid.Bool().Draw(t, "shares its shield") {
			s.Name += fmt.Sprint("/", s.Shield, s.Group.By)
		}
		s.CacheSize = rapid.SampledFrom([]int{0, 0, 1, 3, 25}).Draw(t, "cache")
		s.Queue = rapid.IntRange(0, 2).Draw(t, "queue") == 0 || s.Kind == scenario.Conditional
	}
	weights := make([]uint32, len(rules))
	for i := range weights {
		weights[i] = rapid.SampledFrom([]uint32{1000, 1000, 250, 1700, 3000, 1 << 31}).Draw(t, "weight")
		if rules[i].Sampling() > 1 { // more than it would be, so that the bucket is full within the test
			weights[i] = rapid.SampledFrom([]uint32{4000, 50_000, 150_000}).Draw(t, "weight of a sample")
		}
	}
	recipes := hits{"none": nil}
	effects := rapid.SampledFrom([][]scenario.Effect{
		{scenario.Pour},
		{scenario.Pour, scenario.Pour, scenario.Pour, scenario.Drain},
		{scenario.Pour, scenario.Pour, scenario.Pour, scenario.Pour, scenario.Drain, scenario.Cancel, scenario.Shield},
	}).Draw(t, "effects")
	for n := range rapid.IntRange(1, 8).Draw(t, "recipes") {
		list := make([]scenario.Hit, rapid.IntRange(1, 4).Draw(t, "hits"))
		for i := range list {
			which := rapid.IntRange(0, len(rules)-1).Draw(t, "scenario")
			list[i] = scenario.Hit{
				Scenario: uint16(which), Effect: rapid.SampledFrom(effects).Draw(t, "effect"), Weight: weights[which],
				Distinct: rapid.SampledFrom([]uint32{0, 0, 7, 8, 9}).Draw(t, "distinct"), Group: rapid.SampledFrom([]uint32{0, 0, 1, 1 << 31}).Draw(t, "group"),
			}
			if n := rules[which].Sampling(); n > 1 && list[i].Effect == scenario.Pour {
				list[i].Sample = uint8(n)
			}
			if list[i].Effect == scenario.Drain {
				list[i].Weight = rapid.SampledFrom([]uint32{0, 500, 1000, 5000, 1<<32 - 1}).Draw(t, "drain")
			}
		}
		slices.SortStableFunc(list, func(a, b scenario.Hit) int { return int(a.Effect) - int(b.Effect) })
		recipes[fmt.Sprint("r", n)] = list
	}
	return rules, recipes
}

// drawSeed draws what chooses the places of buckets, so that a case stays what it was when it
// is run again.
func drawSeed(t *rapid.T) (seed seeded.Seed) {
	words := rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)
	for at := 0; at < len(seed); at += 8 {
		binary.LittleEndian.PutUint64(seed[at:], words.Uint64())
	}
	return seed
}

// wantRoom ends a case in which buckets gave way: a key that a seed puts beside another one
// may leave it no room for all that it has, and then less is counted than a twin counts.
func wantRoom(t *rapid.T, reg *prometheus.Registry) {
	t.Helper()
	if n := counted(t, reg, "detect_evictions_total")["bucket"]; n > 0 {
		t.Skip(n, "buckets gave way")
	}
}

// judgeByIDs decides about a queue by the request ids in it: whoever sees another queue
// decides differently. Of every other scenario it seldom holds, so that queues grow.
func judgeByIDs(i int, queue []Sample) bool {
	h := fnv.New32a()
	for _, s := range queue {
		fmt.Fprint(h, i, s.RequestID, s.Time, s.Path)
	}
	return h.Sum32()%[]uint32{3, 60}[i%2] == 0
}

func TestEngineDecidesLikeItsTwinWhateverIsHit(t *testing.T) {
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

		got := &bans{last: last}
		e, reg := rules.startWith(t, recipes, judgeByIDs, Config{
			Shards: rapid.IntRange(1, 8).Draw(rt, "shards"), Memory: 32 << 20, Alert: got.alert, Banned: got.banned, Seed: drawSeed(rt),
		})
		defer e.Close()
		want := &bans{last: last}
		slow := newTwin(e.plan, want)
		slow.process(records)

		for left := records; len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(rt, "cut")
			e.Process(left[:n])
			left = left[n:]
		}
		compareWithTwin(rt, slow, got, want, reg)
	})
}

// compareWithTwin compares alerts and counts, where both are the same whatever the seed.
func compareWithTwin(t *rapid.T, slow *twin, got, want *bans, reg *prometheus.Registry) {
	wantRoom(t, reg)
	slow.wantClear(t)
	compareAlerts(t, got.alerts, want.alerts)
	counts := counted(t, reg, "detect_records_total")
	const either, other = "duplicate", "unmatched"
	if more := counts[either] - slow.counts[either]; more > 0 && more <= slow.open {
		counts[either], counts[other] = counts[either]-more, counts[other]+more
	}
	for outcome, n := range counts {
		if n != slow.counts[outcome] {
			t.Errorf("%d records %s, want %d", n, outcome, slow.counts[outcome])
		}
	}
}

// wantClear ends a case in which the twin cannot know what is remembered.
func (w *twin) wantClear(t *rapid.T) {
	if w.vague {
		t.Skip("a request that seemed to do nothing came again, and does something")
	}
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
