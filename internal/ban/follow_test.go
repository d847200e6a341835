package ban

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/awslocal"
	"weir/internal/detect"
)

// task is one process that shares a table.
type task struct {
	*Store
	stop func()
}

// open starts a task.
func (w *cloud) open(t testing.TB, cfg Config) *task {
	t.Helper()
	cfg.Table, cfg.DynamoDB = testTable, w.client
	if cfg.Duration == 0 {
		cfg.Duration = 4 * time.Hour
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return &task{s, func() { cancel(); <-done }}
}

// pass lets so much time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// view is what a task knows, but for what only it has seen.
func view(s *Store) string {
	var b strings.Builder
	for d := range s.InForce(time.Now()) {
		d.Hit = time.Time{}
		fmt.Fprintln(&b, d)
	}
	for _, e := range s.Allowlist() {
		fmt.Fprintln(&b, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, at := range s.unbans.AllSorted() {
		fmt.Fprintln(&b, "unban", p, at)
	}
	return b.String()
}

// What one task decides, the others know within a second and a bit: bans, unbans, the
// allowlist, what is released.
func TestTasksFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		a, b := w.open(t, Config{}), w.open(t, Config{PerMinute: 1})
		defer a.stop()
		defer b.stop()
		if !a.Shared() {
			t.Error("a table is not shared")
		}
		one := netip.MustParsePrefix("192.0.2.1/32")
		wantBoth := func(what, prefixes string) {
			t.Helper()
			pass(followEvery + 10*time.Millisecond)
			for name, s := range map[string]*task{"a": a, "b": b} {
				if got := fmt.Sprint(inForceOf(s.Store, time.Now())); got != prefixes {
					t.Errorf("%s: task %s has %s in force, want %s", what, name, got, prefixes)
				}
				if err := s.Ready(); err != nil {
					t.Errorf("%s: task %s is not ready: %v", what, name, err)
				}
			}
			if view(a.Store) != view(b.Store) {
				t.Errorf("%s: a knows\n%s\nb knows\n%s", what, view(a.Store), view(b.Store))
			}
		}
		news := b.Subscribe()
		a.Alert(alert("192.0.2.1/32", time.Now()))
		mustCommit(t, a.Store)
		wantBoth("an alert", "[192.0.2.1]")
		if !isNotified(news) {
			t.Error("who enforces at the other task is not told")
		}
		if !b.Banned(one, time.Now().UnixMilli()) || !b.Banned(one, time.Now().Add(-time.Second).UnixMilli()) {
			t.Error("the other task still judges the client")
		}
		if n, err := b.Remove(t.Context(), one); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		wantBoth("an unban by the other task", "[]")
		a.Alert(alert("192.0.2.1/32", time.Now().Add(-10*time.Second)))
		mustCommit(t, a.Store)
		wantBoth("an alert of before the unban", "[]")
		for _, p := range []string{"198.51.100.1/32", "198.51.100.2/32", "198.51.100.3/32"} {
			b.Alert(alert(p, time.Now())) // all but one held
		}
		mustCommit(t, b.Store)
		wantBoth("a breaker", "[198.51.100.1]")
		if n, err := a.Release(t.Context(), "", false); n != 2 || err != nil {
			t.Errorf("released %d, %v", n, err)
		}
		wantBoth("a release at the other task", "[198.51.100.1 198.51.100.2 198.51.100.3]")
		if b.Breakers()[0].Open || b.Breakers()[1].Open {
			t.Error("the breaker that was released elsewhere is open")
		}
		if _, n, err := a.Allow(t.Context(), AllowEntry{Prefix: netip.MustParsePrefix("198.51.100.2/31"), Comment: "x"}, false); n != 2 || err != nil {
			t.Errorf("allowed, %d ended, %v", n, err)
		}
		wantBoth("the allowlist", "[198.51.100.1]")
		if ok, err := b.Disallow(t.Context(), netip.MustParsePrefix("198.51.100.2/31")); !ok || err != nil {
			t.Errorf("%t, %v", ok, err)
		}
		wantBoth("a removal", "[198.51.100.1]")
		if a.Allowed(netip.MustParseAddr("198.51.100.2")) {
			t.Error("what the other task removed is still allowed")
		}
		c := w.open(t, Config{})
		defer c.stop()
		if view(c.Store) != view(a.Store) {
			t.Errorf("a third task loads\n%s\nwant\n%s", view(c.Store), view(a.Store))
		}
	})
}

// Who takes over asks, and knows at once what was stored before; one question does for all
// that ask at a time. While the table does not answer, whoever asks gets an error in time.
func TestCatchUp(t *testing.T) {
	one := netip.MustParsePrefix("192.0.2.1/32")
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		a, b := w.open(t, Config{}), w.open(t, Config{})
		defer a.stop()
		defer b.stop()
		pass(followEvery / 2)
		a.Alert(alert("192.0.2.1/32", time.Now()))
		mustCommit(t, a.Store)
		now := time.Now().UnixMilli()
		if b.Banned(one, now) {
			t.Fatal("the other task knows before it asks")
		}
		if err := b.CatchUp(t.Context()); err != nil || !b.Banned(one, now) {
			t.Errorf("after the question: %v, banned %t", err, b.Banned(one, now))
		}
		w.server.Faults().Add(awslocal.Fault{Service: "dynamodb", Do: awslocal.FaultHang})
		pass(2 * followEvery) // who follows anyway hangs, too
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := b.CatchUp(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		w.server.Faults().Clear()
		alone, err := Open(t.Context(), Config{Duration: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer alone.Close()
		if err := alone.CatchUp(t.Context()); err != nil {
			t.Errorf("a store that nobody shares: %v", err)
		}
	})
}

// An unban by a task that did not know of the ban yet ends it all the same, stored or
// not.
func TestUnbanOfWhatIsNotKnownYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		a, b := w.open(t, Config{}), w.open(t, Config{})
		defer a.stop()
		defer b.stop()
		for _, p := range []string{"192.0.2.1/32", "192.0.2.2/32"} { // something to unban
			if _, err := b.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix(p)}); err != nil {
				t.Fatal(err)
			}
		}
		pass(2 * followEvery)
		now := time.Now()
		a.Alert(alert("192.0.2.1/32", now))
		mustCommit(t, a.Store)
		a.Alert(alert("192.0.2.2/32", now)) // not stored
		pass(time.Millisecond)
		for _, p := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
			if n, err := b.Remove(t.Context(), netip.MustParsePrefix(p)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		pass(2 * followEvery)
		mustCommit(t, a.Store)
		pass(3 * followEvery)
		for name, s := range map[string]*task{"a": a, "b": b} {
			if got := inForceOf(s.Store, time.Now()); len(got) != 0 {
				t.Errorf("task %s: in force after the unban: %v", name, got)
			}
		}
		c := w.open(t, Config{})
		defer c.stop()
		if got := inForceOf(c.Store, time.Now()); len(got) != 0 {
			t.Errorf("stored as in force: %v", got)
		}
	})
}

// A breaker can be closed at a task that never heard of its scenario, which then has
// nothing to show of it.
func TestReleaseAtAnyTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		a := w.open(t, Config{PerMinute: 1, Duration: time.Minute})
		defer a.stop()
		for _, p := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
			a.Alert(alert(p, time.Now()))
		}
		mustCommit(t, a.Store)
		pass(2 * time.Minute) // what it held is over, and it is open
		b := w.open(t, Config{})
		defer b.stop()
		if list := a.Breakers(); len(list) != 2 || !list[1].Open || len(b.Breakers()) != 1 {
			t.Fatalf("breakers: %+v and %+v", list, b.Breakers())
		}
		if n, err := b.Release(t.Context(), probing.Name, false); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		pass(2 * followEvery)
		if list := a.Breakers(); list[1].Open || len(b.Breakers()) != 1 {
			t.Errorf("after the release: %+v and %+v", list, b.Breakers())
		}
		var refused *RefusedError
		if _, err := b.Release(t.Context(), "a\x1b[2J", false); !errors.As(err, &refused) {
			t.Errorf("a name that clears screens: %v", err)
		}
	})
}

// Who was stopped for so long that the feed was trimmed meanwhile tells others all the
// same, and takes no number that was there before.
func TestToldAfterALongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		paused, other := w.storage(), w.storage()
		put(t, paused, stored("before", "192.0.2.1/32", noon))
		for i := range 3 {
			put(t, other, stored(fmt.Sprint(i), "192.0.2.1/32", noon))
		}
		time.Sleep(feedLife + time.Minute)
		if _, err := other.load(t.Context(), noon, noon); err != nil {
			t.Fatal(err)
		}
		if _, err := other.purge(t.Context(), purge{told: time.Now().Add(-feedLife)}, 100); err != nil {
			t.Fatal(err)
		}
		last := other.feed.position()
		put(t, paused, stored("after", "192.0.2.2/32", noon))
		if n := paused.feed.head; last != 4 || n != last+1 {
			t.Errorf("told as number %d after number %d", n, last)
		}
		if got, _, err := other.follow(t.Context(), noon, noon); err != nil || !slices.Equal(idsOf(got.put), []string{"after"}) {
			t.Errorf("the other is told of %q, %v", idsOf(got.put), err)
		}
	})
}

// Whatever several tasks do, while calls fail and others are carried out unheard, in
// the end all know the same, and so does a task that starts then.
func TestTasksAgree(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { agree(t, seed) })
		})
	}
}

func agree(t *testing.T, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 0))
	w := newCloud(t, awslocal.Config{Faults: awslocal.NewFaults(seed), DynamoDB: awslocal.DynamoDBConfig{BatchLimit: 3}})
	tasks := []*task{w.open(t, Config{}), w.open(t, Config{PerMinute: 3}), w.open(t, Config{})}
	for _, s := range tasks {
		defer s.stop()
	}
	for _, do := range []awslocal.FaultKind{awslocal.FaultThrottle, awslocal.FaultErrorAfter, awslocal.FaultResetAfter} {
		w.server.Faults().Add(awslocal.Fault{Service: "dynamodb", Probability: 0.2, Do: do})
	}
	for range 30 {
		s := tasks[dice.IntN(len(tasks))]
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(dice.IntN(6))}), 32)
		// What is asked of a table in trouble may fail, and may be done in part.
		switch dice.IntN(8) {
		case 0, 1, 2:
			s.Alert(alert(p.String(), time.Now().Add(-time.Duration(dice.IntN(4))*time.Second)))
			s.CommitSoon(t.Context())
		case 3:
			s.Remove(t.Context(), p)
		case 4:
			s.Allow(t.Context(), AllowEntry{Prefix: p}, false)
		case 5:
			s.Disallow(t.Context(), p)
		case 6:
			s.Release(t.Context(), "", dice.IntN(2) == 0)
		case 7:
			s.Add(t.Context(), Decision{Prefix: p})
		}
		pass(time.Duration(dice.IntN(1500)) * time.Millisecond)
	}
	w.server.Faults().Clear()
	pass(15 * time.Second)
	late := w.open(t, Config{})
	defer late.stop()
	want := view(late.Store)
	for i, s := range tasks {
		if n := s.Pending(); n != 0 {
			t.Errorf("task %d: %d alerts are not stored", i, n)
		}
		if got := view(s.Store); got != want {
			t.Errorf("task %d knows\n%s\na new one\n%s", i, got, want)
		}
		if err := s.Ready(); err != nil {
			t.Errorf("task %d: %v", i, err)
		}
	}
}

// A table that does not answer is waited for, and one that is none of ours is not.
func TestOpenWaitsForItsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		first := w.open(t, Config{})
		if _, err := first.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("192.0.2.1/32")}); err != nil {
			t.Fatal(err)
		}
		first.stop()
		w.server.Faults().Add(awslocal.Fault{Service: "dynamodb", Do: awslocal.FaultError})
		s := w.open(t, Config{})
		defer s.stop()
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Await(short); !errors.Is(err, context.DeadlineExceeded) || s.Ready() == nil {
			t.Errorf("waited: %v, ready: %v", err, s.Ready())
		}
		if _, err := s.List(t.Context(), Query{Limit: 1}); err == nil {
			t.Error("lists what it has not loaded")
		}
		w.server.Faults().Clear()
		if err := s.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(2 * followEvery)
		if got := fmt.Sprint(inForceOf(s.Store, time.Now())); got != "[192.0.2.1]" || s.Ready() != nil {
			t.Errorf("in force: %s; ready: %v", got, s.Ready())
		}
		if _, err := Open(t.Context(), Config{Duration: time.Hour, Table: "nobody", DynamoDB: w.client}); !errors.Is(err, errTable) || !strings.Contains(err.Error(), "bootstrap") {
			t.Errorf("a table that is not there: %v", err)
		}
		for name, keys := range map[string]map[string]types.ScalarAttributeType{
			"of-leases": {"ShardID": "S"},
			"one-key":   {attrPK: "S"},
			"numbers":   {attrPK: "S", attrSK: "N"},
		} {
			in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				role := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}[len(in.KeySchema)]
				in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &key, AttributeType: keys[key]})
				in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &key, KeyType: role})
			}
			if _, err := w.client.CreateTable(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), Config{Duration: time.Hour, Table: name, DynamoDB: w.client})
			if !errors.Is(err, errTable) || !strings.Contains(err.Error(), "WEIR_BAN_TABLE") || !strings.Contains(err.Error(), name) {
				t.Errorf("a table with other keys (%s): %v", name, err)
			}
		}
	})
}

// While the table does not answer, decisions are made and enforced; afterwards they are
// stored, and told.
func TestTableOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		var told []string
		a := w.open(t, Config{OnAlert: func(_ detect.Alert, d *Decision) { told = append(told, d.ID) }})
		b := w.open(t, Config{})
		defer a.stop()
		defer b.stop()
		w.server.Faults().Add(awslocal.Fault{Service: "dynamodb", Do: awslocal.FaultHang})
		begun := time.Now()
		for i := range 300 {
			a.Alert(alert(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255), time.Now()))
			if err := a.CommitSoon(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if waited := time.Since(begun) - 300*time.Second; waited > 2*batchTimeout {
			t.Errorf("whoever decides was held up for %s", waited)
		}
		if n := len(inForceOf(a.Store, time.Now())); n != 300 || a.Ready() == nil || len(told) != 0 {
			t.Errorf("%d enforced, ready: %v, told of %d", n, a.Ready(), len(told))
		}
		w.server.Faults().Clear()
		pass(2 * followTimeout)
		if n := len(inForceOf(b.Store, time.Now())); n != 300 || a.Ready() != nil || b.Ready() != nil || len(told) != 300 || a.Pending() != 0 {
			t.Errorf("afterwards the other enforces %d; ready: %v, %v; told of %d; %d pending", n, a.Ready(), b.Ready(), len(told), a.Pending())
		}
	})
}

// Who was away for longer than the feed goes back reads everything; idle tasks ask
// little.
func TestFeedIsTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCloud(t, awslocal.Config{})
		a := w.open(t, Config{Duration: 24 * time.Hour})
		defer a.stop()
		away := w.storage()
		if _, err := away.load(t.Context(), time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if _, err := a.Add(t.Context(), Decision{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)}); err != nil {
				t.Fatal(err)
			}
		}
		pass(feedLife + 2*purgeEvery)
		left := 0
		for range away.query(t.Context(), stretch{pk: "feed"}) {
			left++
		}
		if left != 1 {
			t.Errorf("%d entries of the feed are left, want the last", left)
		}
		away.feed.reloaded = time.Now() // it was stopped, and does not know
		got, _, err := away.follow(t.Context(), time.Now(), time.Now())
		if err != nil || len(got.put) != 5 {
			t.Errorf("followed %d decisions, %v", len(got.put), err)
		}
		if _, err := a.Add(t.Context(), Decision{Prefix: netip.MustParsePrefix("192.0.2.9/32")}); err != nil {
			t.Fatal(err)
		}
		if got, _, err = away.follow(t.Context(), time.Now(), time.Now()); err != nil || len(got.put) != 1 {
			t.Errorf("then %d decisions, %v", len(got.put), err)
		}
		before := len(w.server.Calls())
		pass(time.Minute)
		asked := 0
		for _, c := range w.server.Calls()[before:] {
			if c.Action == "Query" {
				asked++
			}
		}
		if asked > 61 {
			t.Errorf("%d queries in an idle minute", asked)
		}
	})
}

// Many changes at once are told in parts.
func TestTellings(t *testing.T) {
	var b batch
	for i := range maxTold + 1 {
		b.put = append(b.put, stored(fmt.Sprint(i), "192.0.2.1/32", noon))
		b.free = append(b.free, fmt.Sprint(i))
		b.end = append(b.end, ending{fmt.Sprint(i), noon})
	}
	b.unban = []unban{{netip.MustParsePrefix("192.0.2.1/32"), noon}}
	b.allow = []AllowEntry{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Created: noon, version: 1}}
	b.closed = []string{"x"}
	var heard batch
	n := 0
	for _, e := range tellings(&b) {
		if e.size() > maxTold {
			t.Errorf("an entry of %d changes", e.size())
		}
		e.addTo(&heard)
		n++
	}
	for i := range b.put {
		b.put[i].Context = nil
	}
	if n != 4 || len(heard.put) != len(b.put) || !slices.Equal(heard.free, b.free) || !slices.Equal(heard.end, b.end) || !slices.Equal(heard.unban, b.unban) ||
		!slices.Equal(heard.allow, b.allow) || !slices.Equal(heard.closed, b.closed) || heard.put[0] != b.put[0] {
		t.Errorf("%d entries: %+v", n, heard)
	}
}
