package detect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
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

// A heldBucket is all that is known of a bucket, without where it is kept.
type heldBucket struct {
	bucket  bucket
	values  []uint32
	samples []Sample
}

// A held is all that an Engine knows, without where it keeps that.
type held struct {
	buckets  map[ident]heldBucket
	requests []uint64
	notices  []notice
}

// holdings returns what an Engine knows.
func holdings(e *Engine) held {
	all := held{buckets: map[ident]heldBucket{}}
	for _, s := range e.shards {
		type value struct {
			fingerprint uint32
			set         int
		}
		values := map[uint32][]value{} // by birth number
		for i, set := range s.values.sets {
			for _, v := range set {
				if v != 0 {
					born := uint32(v>>untilBits) & bornMask
					values[born] = append(values[born], value{uint32(v >> 32), i})
				}
			}
		}
		for _, b := range flat(s.buckets.buckets) {
			if b.count == 0 && b.alerted == 0 && b.shield == 0 {
				continue
			}
			h := heldBucket{bucket: b}
			if b.count == 0 {
				h.bucket.last, h.bucket.first = 0, 0
			} else {
				l := &s.limits[b.ident.scenario()]
				h.samples = s.samples.chain(b.sample, b.ident, max(l.samples, l.queue))
				for _, v := range values[b.born] {
					if s.values.index(distinctHash(e.plan.hasher.hash(b.ident.key()), b.ident, v.fingerprint)) == v.set {
						h.values = append(h.values, v.fingerprint)
					}
				}
				slices.Sort(h.values)
			}
			h.bucket.sample, h.bucket.born = 0, 0
			all.buckets[b.ident] = h
		}
		for _, set := range s.requests.sets {
			for _, v := range set {
				if v != 0 {
					all.requests = append(all.requests, v)
				}
			}
		}
		for _, set := range s.members.sets {
			for way := 0; way < ways; way += 2 {
				if set[way+1] != 0 {
					all.notices = append(all.notices, notice{set[way], set[way+1]})
				}
			}
		}
	}
	slices.Sort(all.requests)
	slices.SortFunc(all.notices, func(a, b notice) int { return bytes.Compare(fmt.Append(nil, a), fmt.Append(nil, b)) })
	return all
}

func compareHoldings(t tb, got, want held) {
	t.Helper()
	for id, w := range want.buckets {
		if g := got.buckets[id]; !reflect.DeepEqual(g, w) {
			t.Fatalf("bucket %x: %+v\nwant %+v", id, g, w)
		}
	}
	if len(got.buckets) != len(want.buckets) {
		t.Fatalf("%d buckets, want %d", len(got.buckets), len(want.buckets))
	}
	if !slices.Equal(got.requests, want.requests) {
		t.Fatalf("requests %x, want %x", got.requests, want.requests)
	}
	if !slices.Equal(got.notices, want.notices) {
		t.Fatalf("notices %x, want %x", got.notices, want.notices)
	}
}

// A meddler does something each time that something is written.
type meddler struct {
	bytes.Buffer
	meddle func()
}

func (m *meddler) Write(b []byte) (int, error) {
	m.meddle()
	return m.Buffer.Write(b)
}

// snapshotOf returns a snapshot of what an Engine knows now. It is written piece by piece,
// and before each piece meddle is called.
func snapshotOf(t tb, e *Engine, meddle func()) []byte {
	t.Helper()
	c := e.Cut()
	defer c.Close()
	c.stretch, c.frame = 32, 1
	to := &meddler{meddle: meddle}
	n, err := c.WriteTo(to)
	if err != nil {
		t.Fatalf("write a cut: %v", err)
	}
	if int(n) != to.Len() {
		t.Fatalf("%d bytes are said to be written, of %d", n, to.Len())
	}
	return to.Bytes()
}

func restoreAll(t tb, e *Engine, snapshot []byte) Restored {
	t.Helper()
	done, err := e.Restore(bytes.NewReader(snapshot), nil)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return done
}

// TestRestoredEngineDecidesAlike stops somewhere, and goes on with another Engine that was
// given a snapshot, while the old one goes on, too, as the snapshot is written.
func TestRestoredEngineDecidesAlike(t *testing.T) {
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
		seed := drawSeed(rt)
		got := &bans{last: last}
		build := func(b *bans) (*Engine, *prometheus.Registry) {
			shards := rapid.IntRange(1, 3).Draw(rt, "shards")
			return rules.startWith(t, recipes, judgeByIDs, Config{
				Shards: shards, Memory: int64(shards*rapid.IntRange(4, 6).Draw(rt, "MiB")) << 20,
				Alert: func(a Alert) { b.alert(a) }, Banned: func(p netip.Prefix, at int64) bool { return b.banned(p, at) }, Seed: seed,
			})
		}
		e, reg := build(got)
		want := &bans{last: last}
		slow := newTwin(e.plan, want)
		slow.process(records)
		for left := records; ; {
			n := rapid.IntRange(0, len(left)).Draw(rt, "before the cut")
			e.Process(left[:n])
			wantRoom(rt, reg)
			if left = left[n:]; len(left) == 0 {
				e.Close()
				break
			}
			at := holdings(e)
			// What the old one still decides is of no account.
			alerts, until := got.alerts, got.until
			got.alerts, got.until = slices.Clone(alerts), cloneUntil(until)
			beside, pieces, each := left, 0, rapid.IntRange(1, 8).Draw(rt, "pieces")
			snapshot := snapshotOf(rt, e, func() {
				if pieces++; pieces%each != 0 {
					return
				}
				n := min(3, len(beside))
				e.Process(beside[:n])
				beside = beside[n:]
			})
			e.Close()
			got.alerts, got.until = alerts, until

			e, reg = build(got)
			done := restoreAll(rt, e, snapshot)
			if done.Evicted > 0 { // other tables put other keys side by side: see wantRoom
				rt.Skip(done.Evicted, "buckets gave way")
			}
			compareHoldings(rt, holdings(e), at)
			if done.Dropped+done.Left+done.Older > 0 || done.Buckets != len(at.buckets) {
				rt.Fatalf("restored %+v of %d buckets", done, len(at.buckets))
			}
		}
		slow.wantClear(rt)
		compareAlerts(rt, got.alerts, want.alerts)
	})
}

func cloneUntil(m map[netip.Prefix][][2]int64) map[netip.Prefix][][2]int64 {
	c := make(map[netip.Prefix][][2]int64, len(m))
	for p, w := range m {
		c[p] = slices.Clone(w)
	}
	return c
}

// TestCutOfARingIsAsItWas overwrites all samples while they are written.
func TestCutOfARingIsAsItWas(t *testing.T) {
	rules := fake{{Name: "s", Capacity: 30, Leak: time.Hour}}
	recipes := hits{"r": {{Weight: scenario.WholeEvent}}}
	seed := seeded.New()
	e, _ := rules.startWith(t, recipes, nil, Config{Shards: 1, Memory: 1 << 20, Seed: seed})
	visitsOf := func(client, n int) []visit {
		visits := make([]visit, n)
		for i := range visits {
			visits[i] = visit{client: fmt.Sprintf("198.51.%d.%d", client>>8, client&255), url: "/" + strings.Repeat("x", i%400), id: fmt.Sprintf("r#%d-%d", client, i)}
		}
		return visits
	}
	for client := range 14 {
		e.Process(parse(t, visitsOf(client, 25)...))
	}
	want := holdings(e)
	other := 256
	snapshot := snapshotOf(t, e, func() {
		e.Process(parse(t, visitsOf(other, 20)...))
		other++
	})
	again, _ := rules.startWith(t, recipes, nil, Config{Shards: 1, Memory: 1 << 20, Seed: seed})
	done := restoreAll(t, again, snapshot)
	compareHoldings(t, holdings(again), want)
	if done.Samples < 150 || other < 300 {
		t.Errorf("only %d samples are restored, or only %d clients came meanwhile", done.Samples, other-256)
	}
}

// TestCutBesideProcess writes cuts while several goroutines pour.
func TestCutBesideProcess(t *testing.T) {
	rules := fake{
		{Name: "a", Capacity: 1000, Leak: time.Hour},
		{Name: "b", Capacity: 1000, Leak: time.Hour, Group: scenario.Group{By: scenario.ByValue, Members: true}},
	}
	recipes := hits{"r": {{Weight: scenario.WholeEvent, Distinct: 7}, {Scenario: 1, Weight: scenario.WholeEvent, Group: 3}, {Effect: scenario.Drain, Weight: 100}}}
	seed := seeded.New()
	e, _ := rules.startWith(t, recipes, nil, Config{Shards: 3, Memory: 4 << 20, Seed: seed})
	batch := func(n int) []cloudfront.Record {
		visits := make([]visit, 50)
		for i := range visits {
			visits[i] = visit{client: fmt.Sprintf("198.51.%d.%d", n%7, i), id: fmt.Sprintf("r#%d-%d", n, i)}
		}
		return parse(t, visits...)
	}
	for n := range 20 {
		e.Process(batch(n))
	}
	for round := range 4 {
		want := holdings(e)
		c := e.Cut()
		var pouring sync.WaitGroup
		for g := range 3 {
			pouring.Go(func() {
				for n := range 10 {
					e.Process(batch(1000 + 100*round + 10*g + n))
				}
			})
		}
		var snapshot bytes.Buffer
		c.stretch = 64
		_, err := c.WriteTo(&snapshot)
		pouring.Wait()
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		again, _ := rules.startWith(t, recipes, nil, Config{Shards: 2, Memory: 6 << 20, Seed: seed})
		restoreAll(t, again, snapshot.Bytes())
		compareHoldings(t, holdings(again), want)
		if s := e.shards[0]; s.buckets.cut != nil || s.values.cut != nil || s.requests.cut != nil || s.members.cut != nil || s.samples.cut != nil {
			t.Error("something is still kept for a cut that was closed")
		}
	}
}

// snapshotted returns an Engine of some rules that knows something of each kind, what
// starts another one with the same rules, and a snapshot.
func snapshotted(t testing.TB, records int) (e *Engine, start func(t testing.TB, shards int) *Engine, snapshot []byte) {
	t.Helper()
	rules := fake{
		{Name: "leaky", Capacity: 3, Leak: time.Minute, Blackhole: time.Hour, Shield: time.Minute},
		{Name: "members", Capacity: 1, Leak: time.Minute, Blackhole: time.Hour, Group: scenario.Group{By: scenario.ByValue, Members: true}},
		{Name: "range", Capacity: 5, Leak: time.Minute, Group: scenario.Group{By: scenario.ByRange, V4: 24, V6: 48}, Shield: time.Hour},
	}
	one := func(index uint16, distinct, group uint32) scenario.Hit {
		return scenario.Hit{Scenario: index, Weight: 1000, Distinct: distinct, Group: group}
	}
	recipes := hits{
		"a": {one(0, 0, 0), one(2, 5, 0)}, "b": {one(0, 9, 1), one(1, 0, 77)}, "c": {one(1, 3, 5)},
		"s": {{Scenario: 0, Effect: scenario.Drain, Weight: 500}, {Scenario: 2, Effect: scenario.Shield}},
	}
	seed := seeded.New()
	start = func(t testing.TB, shards int) *Engine {
		e, _ := rules.startWith(t, recipes, nil, Config{Shards: shards, Memory: int64(shards) << 20, Seed: seed})
		return e
	}
	e = start(t, 2)
	var visits []visit
	for i := range records {
		client := fmt.Sprintf("198.51.%d.%d", i%3, i*i%23)
		if i%4 == 0 {
			client = fmt.Sprintf("2001:db8:%d:%d::1", i%3, i*i%23)
		}
		visits = append(visits, visit{at: time.Duration(i) * time.Second, client: client, id: fmt.Sprintf("%c#%d", "aabcs"[i%5], i), url: fmt.Sprint("/", i)})
	}
	e.Process(parse(t, visits...))
	return e, start, snapshotOf(t, e, func() {})
}

// TestRestoreInParts: what partitions several Engines keep, one knows that is given what
// all of them knew.
func TestRestoreInParts(t *testing.T) {
	e, start, snapshot := snapshotted(t, 300)
	want := holdings(e)
	if len(want.buckets) < 50 || len(want.notices) < 10 || len(want.requests) < 200 {
		t.Fatalf("too little is known: %d buckets, %d notices, %d requests", len(want.buckets), len(want.notices), len(want.requests))
	}
	whole := start(t, 3)
	left := 0
	for part := range uint64(3) {
		a := start(t, 1)
		done, err := a.Restore(bytes.NewReader(snapshot), func(partition uint64) bool { return partition>>55%3 == part })
		if err != nil {
			t.Fatal(err)
		}
		if done.Buckets+done.Left != len(want.buckets) || done.Buckets == 0 || done.Requests == 0 {
			t.Errorf("restored %+v, of %d buckets", done, len(want.buckets))
		}
		left += done.Left
		restoreAll(t, whole, snapshotOf(t, a, func() {}))
	}
	if left != 2*len(want.buckets) {
		t.Errorf("of %d buckets each is left out %d times in sum", len(want.buckets), left)
	}
	compareHoldings(t, holdings(whole), want)
	if done := restoreAll(t, whole, snapshot); done.Older == 0 || done.Samples+done.Values > 0 {
		t.Errorf("restored once more: %+v", done)
	}
	compareHoldings(t, holdings(whole), want)
}

// TestRestoreIntoOtherScenarios: scenarios that changed their places keep what they
// counted, shields and members; those that changed themselves lose it.
func TestRestoreIntoOtherScenarios(t *testing.T) {
	seed := seeded.New()
	leaky := scenario.Scenario{Name: "leaky/1", Capacity: 3, Leak: time.Hour, Shield: time.Minute}
	twin := scenario.Scenario{Name: "twin/1", Capacity: 3, Leak: time.Hour, Shield: time.Minute}
	members := scenario.Scenario{Name: "members", Capacity: 1, Leak: time.Hour, Blackhole: time.Hour, Group: scenario.Group{By: scenario.ByValue, Members: true}}
	changed := scenario.Scenario{Name: "changed", Capacity: 3, Leak: time.Hour}
	build := func(rules fake, alerts *[]string) *Engine {
		index := func(name string) uint16 {
			return uint16(slices.IndexFunc(rules, func(s scenario.Scenario) bool { return s.Name == name }))
		}
		recipes := hits{}
		for _, s := range rules {
			recipes[s.Name] = []scenario.Hit{{Scenario: index(s.Name), Weight: 1000, Group: 4}}
		}
		recipes["drain"] = []scenario.Hit{{Scenario: index("twin/1"), Effect: scenario.Drain, Weight: 3000, Group: 4}}
		recipes["shield"] = []scenario.Hit{{Scenario: index("twin/1"), Effect: scenario.Shield, Group: 6}}
		recipes["shielded"] = []scenario.Hit{{Scenario: index("twin/1"), Weight: 4000, Group: 6}}
		e, _ := rules.startWith(t, recipes, nil, Config{
			Shards: 2, Memory: 4 << 20, Seed: seed, Alert: func(a Alert) { *alerts = append(*alerts, a.Scenario.Name) },
		})
		return e
	}
	pour := func(e *Engine, what, client string, n int) {
		var visits []visit
		for i := range n {
			visits = append(visits, visit{client: client, id: fmt.Sprintf("%s#%d%v", what, i, time.Now()), at: time.Second})
		}
		e.Process(parse(t, visits...))
	}
	var before, alerts []string
	old := build(fake{changed, leaky, members, twin}, &before)
	const me, you = "198.51.100.1", "198.51.100.2"
	pour(old, "leaky/1", me, 3)
	pour(old, "twin/1", me, 3)
	pour(old, "changed", me, 3)
	pour(old, "members", me, 3) // alerts about me
	pour(old, "shield", me, 1)
	if !slices.Equal(before, []string{"members"}) {
		t.Fatalf("alerts of %v, want one of members", before)
	}
	changed.Leak = time.Minute
	again := build(fake{members, twin, changed}, &alerts) // leaky, for which shields were remembered, is gone
	done := restoreAll(t, again, snapshotOf(t, old, func() {}))
	if done.Dropped != 2 || done.Buckets != 3 {
		t.Errorf("restored %+v, want 2 buckets dropped and 3 restored", done)
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(alerts, want) {
			t.Errorf("%s: alerts of %v, want %v", what, alerts, want)
		}
		alerts = nil
	}
	pour(again, "members", me, 1)
	expect("a member who was told of")
	pour(again, "members", you, 1)
	expect("another member", "members")
	pour(again, "changed", me, 3)
	expect("a scenario that counts otherwise")
	pour(again, "drain", me, 1)
	pour(again, "twin/1", me, 3)
	expect("as much as was drained")
	pour(again, "twin/1", me, 1)
	expect("one more", "twin/1")
	pour(again, "shielded", me, 1)
	expect("a client who is shielded")
}

// TestRestoreUntold: whoever was alerted about is alerted about again, when a bucket runs over
// again; what buckets hold remains.
func TestRestoreUntold(t *testing.T) {
	e, start, snapshot := snapshotted(t, 300)
	want := holdings(e)
	alerts := len(want.notices)
	want.notices = nil
	for id, h := range want.buckets {
		if h.bucket.alerted != 0 {
			alerts++
			h.bucket.alerted = 0
			if want.buckets[id] = h; h.bucket.count == 0 && h.bucket.shield == 0 {
				delete(want.buckets, id)
			}
		}
	}
	again := start(t, 3)
	done, err := again.RestoreUntold(bytes.NewReader(snapshot), nil)
	if err != nil || done.Untold != alerts || alerts < 20 || done.Buckets != len(want.buckets) || done.Notices != 0 {
		t.Errorf("restored %+v, error %v; want %d alerts left out and %d buckets", done, err, alerts, len(want.buckets))
	}
	compareHoldings(t, holdings(again), want)
}

// TestMarksAreRestored: a record that only drains is remembered wherever the Engine that
// was snapshotted would have remembered it.
func TestMarksAreRestored(t *testing.T) {
	e, start, snapshot := snapshotted(t, 300)
	again := start(t, 1)
	restoreAll(t, again, snapshot)
	marked := 0
	for i := range e.marks.lines {
		a, b := &e.marks.lines[i], &again.marks.lines[i]
		for g := range 2 {
			if a.keys[g].Load() != b.keys[g].Load() || a.scenarios[g].Load() != b.scenarios[g].Load() {
				t.Fatalf("line %d of marks is %x and %x, was %x and %x", i, b.keys[g].Load(), b.scenarios[g].Load(), a.keys[g].Load(), a.scenarios[g].Load())
			}
			if a.keys[g].Load() != 0 {
				marked++
			}
		}
	}
	if marked < 10 || again.marks.made.Load() != e.marks.made.Load() {
		t.Errorf("%d lines are marked; %d marks were made, want %d", marked, again.marks.made.Load(), e.marks.made.Load())
	}
}

func TestRestoreOfHalfASnapshot(t *testing.T) {
	_, start, snapshot := snapshotted(t, 300)
	for _, n := range []int{0, 5, len(snapshotMagic), len(snapshotMagic) + 3, len(snapshot) / 2, len(snapshot) - 50, len(snapshot) - 1} {
		if _, err := start(t, 1).Restore(bytes.NewReader(snapshot[:n]), nil); !errors.Is(err, ErrNotRestored) {
			t.Errorf("restored %d of %d bytes: %v", n, len(snapshot), err)
		}
	}
	// Whole frames are missing.
	gap := slices.Concat(snapshot[:bytes.LastIndex(snapshot, []byte{frameRequests, 8, 0, 0, 0})], snapshot[bytes.LastIndex(snapshot, []byte{frameEnd, 40, 0, 0, 0}):])
	if _, err := start(t, 1).Restore(bytes.NewReader(gap), nil); !errors.Is(err, ErrNotRestored) || !strings.Contains(err.Error(), "fewer") {
		t.Errorf("restored without a frame: %v", err)
	}
	behind := bytes.NewReader(append(slices.Clip(snapshot), "and more"...))
	if _, err := start(t, 1).Restore(behind, nil); err != nil || behind.Len() != len("and more") {
		t.Errorf("of what follows a snapshot %d bytes are left, error %v", behind.Len(), err)
	}
}

func TestCutsThatEnd(t *testing.T) {
	e, start, snapshot := snapshotted(t, 300)
	write := func(c *Cut) error {
		_, err := c.WriteTo(io.Discard)
		return err
	}
	a, b := e.Cut(), e.Cut()
	a.Close()
	if err := write(a); !errors.Is(err, ErrCutEnded) {
		t.Errorf("a cut before another one is written: %v", err)
	}
	if err := write(b); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := write(b); !errors.Is(err, ErrCutEnded) {
		t.Errorf("it is written twice: %v", err)
	}
	b.Close()
	c := e.Cut()
	broken := errors.New("the disk is full")
	if _, err := c.WriteTo(writeFunc(func([]byte) (int, error) { return 0, broken })); !errors.Is(err, broken) {
		t.Errorf("written to what cannot be written to: %v", err)
	}
	c.Close()
	d := e.Cut()
	d.room.Store(1000)
	e.Process(parse(t, visit{client: "198.51.1.1", id: "a#new"}))
	if err := write(d); !errors.Is(err, ErrCutOutgrown) {
		t.Errorf("more changed than there is room for: %v", err)
	}
	d.Close()
	if again := start(t, 1); len(holdings(e).requests) != restoreAll(t, again, snapshot).Requests+1 {
		t.Error("the Engine did not go on")
	}
}

// TestCutIsLostForGood: a cut that once had no room for what it had to keep is not written
// as if it were whole, though what it kept before is given back.
func TestCutIsLostForGood(t *testing.T) {
	lost := 0
	for room := int64(4 << 10); room <= 256<<10; room += 4 << 10 {
		e, start, _ := snapshotted(t, 300)
		want := holdings(e)
		c := e.Cut()
		c.stretch, c.frame = 32, 1
		c.room.Store(room)
		n, refused := 0, false
		to := &meddler{meddle: func() {
			if refused || n == 2000 {
				return
			}
			n++
			e.Process(parse(t, visit{client: fmt.Sprintf("198.52.%d.%d", n>>8, n&255), id: fmt.Sprintf("a#new%d", n), url: "/" + strings.Repeat("x", 400)}))
			refused = c.room.Load() < 0
		}}
		_, err := c.WriteTo(to)
		c.Close()
		switch {
		case err == nil:
			again := start(t, 1)
			restoreAll(t, again, to.Bytes())
			compareHoldings(t, holdings(again), want)
			if refused {
				t.Errorf("a cut without room for all that changed was written, with room for %d bytes", room)
			}
		case !errors.Is(err, ErrCutOutgrown):
			t.Error(err)
		default:
			lost++
		}
		e.Close()
	}
	if lost == 0 {
		t.Error("there was room for all of it")
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(b []byte) (int, error) { return f(b) }

// TestStaleBucketsAreNotWritten: what expired long ago does not fill snapshots.
func TestStaleBucketsAreNotWritten(t *testing.T) {
	rules := fake{{Name: "s", Capacity: 30, Leak: time.Second}}
	seed := seeded.Seed{1} // under some a new bucket takes the place of a stale one at once, which is as well
	e, _ := rules.startWith(t, hits{"r": {{Weight: scenario.WholeEvent}}}, nil, Config{Shards: 1, Memory: 256 << 10, Seed: seed})
	pour := func(at time.Duration, client string, n int) {
		for i := range n {
			e.Process(parse(t, visit{at: at, client: client, id: fmt.Sprintf("r#%v-%d", at, i)}))
		}
	}
	written := func() int {
		again, _ := rules.startWith(t, hits{}, nil, Config{Shards: 1, Memory: 256 << 10})
		return restoreAll(t, again, snapshotOf(t, e, func() {})).Buckets
	}
	pour(0, "198.51.100.1", 1)
	pour(50*time.Minute, "198.51.100.2", 300) // often enough for a sweep
	if n := written(); n != 2 {
		t.Errorf("%d buckets are written within the hour, want 2", n)
	}
	pour(999*time.Hour, "198.51.100.3", 1)
	if n := written(); n != 2 {
		t.Errorf("%d buckets are written after a record of another time, want 2: the one that sweep had counted out is gone", n)
	}
	pour(999*time.Hour, "198.51.100.3", 300)
	if n := written(); n != 1 {
		t.Errorf("%d buckets are written at a time at which all records are, want 1", n)
	}
}

// FuzzRestore restores anything, and then pours.
func FuzzRestore(f *testing.F) {
	_, start, snapshot := snapshotted(f, 12)
	f.Add(snapshot)
	f.Add(snapshot[:len(snapshot)/3])
	f.Add([]byte(snapshotMagic))
	records := parse(f, visit{client: "198.51.1.1", id: "a#1"}, visit{client: "198.51.1.1", id: "b#1", at: time.Hour}, visit{client: "2001:db8:1:4::1", id: "c#1"}, visit{client: "198.51.2.3", id: "s#"})
	f.Fuzz(func(t *testing.T, data []byte) {
		e := start(t, 2)
		if _, err := e.Restore(bytes.NewReader(data), nil); err != nil && !errors.Is(err, ErrNotRestored) {
			t.Error(err)
		}
		e.Process(records)
		c := e.Cut()
		defer c.Close()
		var again bytes.Buffer
		if _, err := c.WriteTo(&again); err != nil {
			t.Error(err)
		}
		restoreAll(t, start(t, 1), again.Bytes())
	})
}
