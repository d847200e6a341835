package waf

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// one is a plan with one IPv4 set that holds what is in force, as read.
func one(t *testing.T, allowed func(netip.Prefix) bool, bans ...Entry) (p *plan, now time.Time) {
	t.Helper()
	now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := load{rate: 1, sets: 1, grace: 30 * time.Second}
	cfg := l.settings()
	if allowed != nil {
		cfg.allowed = allowed
	}
	cfg.removals = true
	p = newPlan(cfg, now)
	p.look(now, slices.Values(bans))
	p.listed([]summary{{"weir-0", "weir-0", "arn", "t0", ""}}, "", now)
	p.got(p.sets[0], reading{token: "t0"}, now)
	p.look(now, slices.Values(bans))
	return p, now.Add(10 * time.Second)
}

func forAnHour(now time.Time, list ...netip.Prefix) []Entry {
	var bans []Entry
	for _, p := range list {
		bans = append(bans, Entry{Prefix: p, Created: now, Until: now.Add(time.Hour)})
	}
	return bans
}

// put looks and writes, as AWS would accept it.
func put(t *testing.T, p *plan, now time.Time, token string, bans ...Entry) *write {
	t.Helper()
	p.look(now, slices.Values(bans))
	w := p.compose(p.sets[0], now)
	p.wrote(w, now, token)
	return w
}

// A read may be older than our own write; by it, all that was just written would
// look taken out by hand.
func TestAnOldReadIsNotBelieved(t *testing.T) {
	p, now := one(t, nil)
	s := p.sets[0]
	bans := forAnHour(now, v4(1), v4(2))
	put(t, p, now, "t1", bans[:1]...)
	put(t, p, now, "t2", bans...)
	for i := range 5 {
		m := p.got(s, reading{token: "t0"}, now)
		if len(m.removed) > 0 || s.token != "t2" || len(s.members) != 2 || !s.readAfter.After(now) {
			t.Fatalf("old read %d: %+v, token %s, %d entries", i, m, s.token, len(s.members))
		}
	}
	// AWS insists: somebody did put the set back.
	p.got(s, reading{token: "t0"}, now)
	if s.token != "t0" || len(s.members) != 0 {
		t.Errorf("token %s, %d entries", s.token, len(s.members))
	}
}

func TestAReadWithTheRefusedTokenIsOld(t *testing.T) {
	p, now := one(t, nil)
	s := p.sets[0]
	w := put(t, p, now, "t1", forAnHour(now, v4(1))...)
	p.failed(w, now, conflict, nil)
	p.got(s, reading{token: "t1"}, now)
	if !s.refused || !p.doubted(s, now) {
		t.Error("the token that AWS had refused was taken again")
	}
	p.got(s, reading{token: "t2", held: []netip.Prefix{v4(1)}, desc: w.text}, now)
	if s.refused || p.doubted(s, now) || s.token != "t2" {
		t.Error("the new token was not taken")
	}
}

// The last gate: allowlisted after the look, and before the call.
func TestTheLastGate(t *testing.T) {
	var listed netip.Prefix
	p, now := one(t, func(q netip.Prefix) bool { return q == listed })
	bans := forAnHour(now, v4(1), v4(2), v4(3))
	put(t, p, now, "t1", bans[:2]...)
	p.look(now, slices.Values(bans))
	for _, listed = range []netip.Prefix{v4(1), v4(3)} { // held, pending
		w := p.compose(p.sets[0], now)
		if slices.Contains(w.addresses, listed.String()) || len(w.addresses) != 2 {
			t.Errorf("%s is allowlisted, written are %v", listed, w.addresses)
		}
	}
}

// What ended between look and call is not written.
func TestAnEndedBanIsNotWritten(t *testing.T) {
	p, now := one(t, nil)
	bans := forAnHour(now, v4(1))
	p.look(now, slices.Values(bans))
	if st := p.next(bans[0].Until); st.do == doWrite {
		t.Errorf("wrote %v", st.write.addresses)
	}
}

func TestRemovalsByHand(t *testing.T) {
	many := numbered(v4, 0, handful+2)
	for name, c := range map[string]struct {
		left   int // of all
		desc   bool
		unbans int
	}{
		"one":                {left: len(many) - 1, desc: true, unbans: 1},
		"a handful":          {left: 2, desc: true, unbans: handful},
		"too many":           {left: 1, desc: true},
		"all":                {left: 0, desc: true},
		"another's writing":  {left: len(many) - 1},
		"none, other writer": {left: len(many)},
	} {
		p, now := one(t, nil)
		w := put(t, p, now, "t1", forAnHour(now, many...)...)
		r := reading{token: "t2", held: many[:c.left], desc: "managed elsewhere"}
		if c.desc {
			r.desc = w.text
		}
		if m := p.got(p.sets[0], r, now); len(m.removed) != c.unbans {
			t.Errorf("%s: %d unbans, want %d", name, len(m.removed), c.unbans)
		}
		// Wanted still: all come back.
		if w := put(t, p, now, "t3", forAnHour(now, many...)...); len(w.addresses) != len(many) {
			t.Errorf("%s: %d entries written, want %d", name, len(w.addresses), len(many))
		}
	}
}

// What cannot be read goes back as it came.
func TestUnreadableEntriesStay(t *testing.T) {
	p, now := one(t, nil)
	r := reading{token: "t1", opaque: []string{"198.51.100.0-198.51.100.9"}, desc: "x"}
	p.got(p.sets[0], r, now)
	w := put(t, p, now, "t2", forAnHour(now, v4(1))...)
	if !slices.Equal(w.addresses, []string{"1.0.0.1/32", "198.51.100.0-198.51.100.9"}) {
		t.Errorf("wrote %q", w.addresses)
	}
	if d, ok := parseDescription(w.text); !ok || d.hand != 1 || d.marks != nil || d.n != 2 {
		t.Errorf("described as %q", w.text)
	}
}

// A write that was applied without an answer costs a read, and no second write.
func TestAnUnansweredWriteIsLookedAt(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		pass(10 * time.Second)
		once := true
		f.breaks(func(call string) fault {
			if call == "UpdateIPSet" && once {
				once = false
				return failAfter
			}
			return fine
		})
		begin := time.Now()
		s.ban(time.Hour, v4(1))
		pass(time.Minute)
		if late := s.accepted[v4(1)].Sub(begin); len(f.attempts) != 1 || late > time.Second {
			t.Errorf("%d writes, accepted after %s", len(f.attempts), late)
		}
	})
}

func TestPaceAfterStartAndTimeout(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		s.ban(time.Hour, v4(1))
		f.breaks(func(call string) fault {
			if call == "UpdateIPSet" {
				return lostBefore
			}
			return fine
		})
		begin := time.Now()
		w := start(t, s.config(f))
		pass(time.Minute)
		w.halt()
		if first := f.attempts[0].Sub(begin); first < 2*time.Second {
			t.Errorf("the first write came %s after the start: the process before may have written just then", first)
		}
		for i, at := range f.attempts[1:] {
			// AWS may have counted the attempt at its very end.
			if gap := at.Sub(f.attempts[i]); gap < 7*time.Second {
				t.Errorf("attempt %d came %s after one that timed out after 5s", i+1, gap)
			}
		}
	})
}

// Entries that Weir and a person have both put into a set are the person's, and
// duplicates of ours are dropped.
func TestDuplicatesOverSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(t, 3, 0), newStore()
		sign := func(name string, list ...netip.Prefix) {
			d := description{n: len(list), sum: checksum(list, nil)}
			text := d.String()
			f.edit(name, list, nil, &text)
			clear(f.find(name).hand)
		}
		sign("weir-block-v4-0", v4(1), v4(2), v4(3))
		sign("weir-block-v4-1", v4(2), v4(3), v4(4))
		sign("weir-block-v4-2", v4(5))
		f.edit("weir-block-v4-2", []netip.Prefix{v4(3)}, nil, nil)
		s.ban(time.Hour, v4(1), v4(2), v4(3), v4(4), v4(5))
		w := start(t, s.config(f))
		defer w.halt()
		pass(2 * time.Minute)
		expectHeld(t, f, v4(1), v4(2), v4(3), v4(4), v4(5))
		if !f.find("weir-block-v4-2").held[v4(3)] {
			t.Error("the person's copy was dropped, not ours")
		}
	})
}

func TestTheRefusedEntryIsFoundInAnySpelling(t *testing.T) {
	pl := &pool{entries: newIndex()}
	for _, p := range []netip.Prefix{pfx("192.0.2.1/32"), pfx("2001:db8:0:1::/64"), pfx("2001:db8::7/128")} {
		pl.entries.put(&entry{prefix: p})
	}
	f := func(text, want string) {
		t.Helper()
		got := ""
		if e := pl.named(text); e != nil {
			got = e.prefix.String()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	f("192.0.2.1/32", "192.0.2.1/32")
	f("192.0.2.1", "192.0.2.1/32")
	f("2001:0DB8:0000:0001:0000:0000:0000:0000/64", "2001:db8:0:1::/64")
	f("2001:db8::7", "2001:db8::7/128")
	f("192.0.2.2/32", "")
	f("IP_ADDRESS", "")
	f("", "")
}

// Without anybody to take them, orphans stay.
func TestOrphansStayWhenNobodyTakesThem(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		s.ban(time.Hour, v4(1), v4(2))
		w := start(t, s.config(f))
		pass(10 * time.Second)
		w.halt()
		cfg := newStore().config(f)
		cfg.Orphans = nil
		w = start(t, cfg)
		pass(24 * time.Hour)
		w.halt()
		expectHeld(t, f, v4(1), v4(2))
	})
}

// Orphans that are banned before anybody could take them are none any more.
func TestOrphansThatAreBannedMeanwhile(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		s.ban(time.Hour, v4(1), v4(2))
		w := start(t, s.config(f))
		pass(10 * time.Second)
		w.halt()
		next := newStore()
		cfg := next.config(f)
		cfg.Orphans = func(context.Context, []Entry) error { return errors.New("disk full") }
		w = start(t, cfg)
		defer w.halt()
		pass(10 * time.Second)
		if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Error(err)
		}
		next.ban(time.Hour, v4(1), v4(2))
		pass(2 * time.Minute)
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// An orphan that is banned for another pool before anybody could take it stays until
// that pool's set holds it.
func TestOrphansThatAreBannedForAnotherPool(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.add("weir-list-v4-0", types.IPAddressVersionIpv4)
		s.ban(time.Hour, v4(1), v4(2))
		w := start(t, s.config(f))
		pass(10 * time.Second)
		w.halt()
		next := newStore()
		cfg := next.config(f)
		var full atomic.Bool
		full.Store(true)
		cfg.Orphans = func(context.Context, []Entry) error {
			if full.Load() {
				return errors.New("disk full")
			}
			return nil
		}
		w = start(t, cfg)
		defer w.halt()
		f.check = func(_ *fakeSet, _ map[netip.Prefix]bool, _ time.Time) {
			if !f.find("weir-block-v4-0").held[v4(1)] && !f.find("weir-list-v4-0").held[v4(1)] {
				t.Errorf("%v: held nowhere", time.Now())
			}
		}
		for i := range 100 { // others are banned all the time, for whom lists wait
			next.ban(time.Hour, v4(100+i))
			pass(500 * time.Millisecond)
			if i != 20 {
				continue
			}
			next.mu.Lock()
			next.bans[v4(1)] = Entry{Prefix: v4(1), Action: "block", List: true, Created: time.Now(), Until: time.Now().Add(time.Hour)}
			next.mu.Unlock()
			full.Store(false)
		}
		pass(2 * time.Minute)
		if !f.find("weir-list-v4-0").held[v4(1)] || f.find("weir-block-v4-0").held[v4(1)] || f.find("weir-block-v4-0").held[v4(2)] {
			t.Error("in the end it is not where it belongs")
		}
	})
}

// As long as nobody can take them, orphans stay, and Ready says why.
func TestOrphansStayUntilTheyAreTaken(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		s.ban(time.Hour, v4(1), v4(2))
		w := start(t, s.config(f))
		pass(10 * time.Second)
		w.halt()
		next := newStore()
		cfg := next.config(f)
		var full atomic.Bool
		full.Store(true)
		taken := cfg.Orphans
		cfg.Orphans = func(ctx context.Context, held []Entry) error {
			if full.Load() {
				return errors.New("disk full")
			}
			return taken(ctx, held)
		}
		w = start(t, cfg)
		defer w.halt()
		next.ban(time.Hour, v4(3)) // is not held up
		pass(10 * time.Minute)
		expectHeld(t, f, v4(1), v4(2), v4(3))
		if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Error(err)
		}
		full.Store(false)
		pass(10 * time.Minute)
		expectHeld(t, f, v4(1), v4(2), v4(3))
		if err := w.Ready(); err != nil || len(next.orphans) != 2 {
			t.Errorf("ready: %v, %d orphans", err, len(next.orphans))
		}
		pass(time.Hour)
		expectHeld(t, f)
	})
}

// A rolling deploy: for a while two Writers with the same bans write the same sets.
// Nothing is lost, nothing flaps, and neither takes the other's writes for a person's.
func TestTwoWritersOverlap(t *testing.T) {
	bubble(t, 2, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.latency = func() time.Duration { return 50 * time.Millisecond }
		f.check = func(set *fakeSet, before map[netip.Prefix]bool, _ time.Time) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for p := range before {
				elsewhere := slices.ContainsFunc(f.sets, func(o *fakeSet) bool { return o.held[p] })
				if e, known := s.bans[p]; known && !elsewhere && e.Until.After(time.Now()) {
					t.Errorf("%v: %s was dropped from %s", time.Now(), p, set.name)
				}
			}
		}
		signals := [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
		var both []*running
		for i := range signals {
			cfg := s.config(f)
			cfg.Changed = signals[i]
			both = append(both, start(t, cfg))
			pass(3300 * time.Millisecond)
		}
		for i := range 200 {
			s.ban(time.Duration(1+i%7)*time.Minute, v4(i), v6(i))
			for _, c := range signals {
				select {
				case c <- struct{}{}:
				default:
				}
			}
			pass(700 * time.Millisecond)
		}
		both[0].halt()
		pass(time.Minute)
		want := s.wanted(time.Now())
		all, twice := f.held()
		for e := range want {
			if !all[e.Prefix] {
				t.Errorf("%s is in force and not held", e.Prefix)
			}
		}
		if st := both[1].Status(); len(twice) > 0 || poolOf(st, v4(0)).Foreign+poolOf(st, v6(0)).Foreign > 0 || len(s.removed) > 0 {
			t.Errorf("held twice %v, %d taken out, %+v", twice, len(s.removed), st.Pools)
		}
		// What one wrote and the other first read when its ban was over is an orphan,
		// and orphans live for an hour.
		pass(2 * time.Hour)
		expectHeld(t, f)
		both[1].halt()
	})
}

// Of two processes whose lists have more pages than may be read at once, each gets
// to the end of its own.
func TestListsThatThrottleEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(t, 9, 0), newStore()
		f.page = 1
		var asked []time.Time
		f.fault = func(call string) fault {
			asked = slices.DeleteFunc(asked, func(at time.Time) bool { return time.Since(at) >= time.Second })
			if asked = append(asked, time.Now()); call == "ListIPSets" && len(asked) > 5 {
				asked = asked[:5]
				return throttle
			}
			return fine
		}
		for range 2 {
			w := start(t, s.config(f))
			defer w.halt()
			defer func() {
				if err := w.Ready(); err != nil {
					t.Error(err)
				}
			}()
		}
		pass(time.Minute)
	})
}

// A list of many pages gets to its end though every other call fails.
func TestAListGoesOnAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(t, 9, 0), newStore()
		f.page = 1
		calls := 0
		f.fault = func(string) fault {
			if calls++; calls%2 == 0 {
				return lostBefore
			}
			return fine
		}
		w := start(t, s.config(f))
		defer w.halt()
		pass(2 * time.Minute)
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// It starts over when AWS does not take its marker.
func TestAListStartsOverWhereItsMarkerIsRefused(t *testing.T) {
	p, now := one(t, nil)
	failed := errors.New("failed")
	begin := func() {
		p.listed([]summary{{p.sets[0].name, p.sets[0].id, p.sets[0].arn, p.sets[0].token, ""}}, "next", now)
	}
	for _, tt := range []struct {
		how   outcome
		times int // for so long it goes on where it was
	}{{ambiguous, 4}, {refused, 0}, {missing, 0}, {throttled, 20}} {
		begin()
		for range tt.times {
			if p.unlisted(now, tt.how, failed); p.listing.marker != "next" {
				t.Fatalf("%s: it starts over", tt.how)
			}
		}
		if tt.how == throttled {
			continue
		}
		if p.unlisted(now, tt.how, failed); p.listing.marker != "" || p.listing.seen != nil {
			t.Errorf("%s: it goes on at %q after %d failures", tt.how, p.listing.marker, tt.times+1)
		}
	}
}
