package waf

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// yard is a plan with AWS played by the test: writes are accepted, and reads give
// what was written. now is virtual.
type yard struct {
	t    *rapid.T
	p    *plan
	now  time.Time
	bans map[netip.Prefix]Entry
	held map[string][]string // addresses by set
	// changed since the latest look.
	changed []netip.Prefix
	writes  int
	after   func(w *write) // each accepted write
}

// newYard makes a plan with sets of a capacity, by name.
func newYard(t *rapid.T, capacity int, names ...string) *yard {
	y := &yard{
		t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		bans: make(map[netip.Prefix]Entry), held: make(map[string][]string),
	}
	y.p = newPlan(settings{
		selection: Selection{Prefixes: []SetPrefix{{Prefix: "weir-"}}}, capacity: capacity, budget: NewBudgets(), rate: 1,
		grace: 5 * time.Second, period: time.Hour, allowed: func(netip.Prefix) bool { return false },
		lookup: func(q netip.Prefix, now time.Time) (Entry, bool) {
			b, ok := y.bans[q]
			return b, ok && b.Until.After(now)
		},
	}, y.now)
	var page []summary
	for _, name := range names {
		page = append(page, summary{name, name, "arn:" + name, "t0", ""})
	}
	y.look()
	y.p.listed(page, "", y.now)
	for _, s := range y.p.sets {
		f := ipv4
		if strings.Contains(s.name, "v6") {
			f = ipv6
		}
		y.p.got(s, reading{token: "t0", family: f}, y.now)
	}
	y.look()
	return y
}

// look passes over everything.
func (y *yard) look() {
	list := slices.SortedFunc(maps.Values(y.bans), func(a, b Entry) int { return a.Prefix.Compare(b.Prefix) })
	y.p.look(y.now, slices.Values(list))
	y.changed = nil
}

// ban puts an entry in force; the zero Until ends it.
func (y *yard) ban(e Entry) {
	if y.bans[e.Prefix] = e; e.Until.IsZero() {
		delete(y.bans, e.Prefix)
	}
	y.changed = append(y.changed, e.Prefix)
	y.p.changed()
}

// pass lets time pass, and the plan work.
func (y *yard) pass(d time.Duration) {
	for end, steps := y.now.Add(d), 0; ; steps++ {
		if steps > 10_000 {
			y.t.Fatal("the plan is spinning")
		}
		switch st := y.p.next(y.now); st.do {
		case doWait:
			if !st.until.Before(end) {
				y.now = end
				return
			}
			y.now = st.until
		case doLook:
			if y.p.whole(y.now) {
				y.look()
			} else {
				y.p.apply(y.now, y.changed)
				y.changed = nil
			}
		case doWrite:
			y.p.writes.take(y.now)
			y.writes++
			y.held[st.write.set.name] = st.write.addresses
			if len(st.write.addresses) > y.p.capacity {
				y.t.Fatalf("%d entries in %s", len(st.write.addresses), st.write.set.name)
			}
			y.p.wrote(st.write, y.now, fmt.Sprint("t", y.writes))
			if y.after != nil {
				y.after(st.write)
			}
		default:
			y.t.Fatalf("step %d", st.do)
		}
	}
}

// sums are everything that the plan keeps up as entries change.
func (y *yard) sums() string {
	var b strings.Builder
	for i := range y.p.pools {
		pl := &y.p.pools[i]
		if pl.entries.size() == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s: wanted %d enforced %d pending %d spilled %d classes %v\n", pl.key, pl.wanted, pl.enforced, len(pl.pending), len(pl.spilled.list), pl.count)
	}
	return b.String()
}

// counted are the sums as they follow from the entries alone.
func (y *yard) counted() string {
	var b strings.Builder
	for i := range y.p.pools {
		pl := &y.p.pools[i]
		if pl.entries.size() == 0 {
			continue
		}
		var count [classes]int
		wanted, enforced := 0, 0
		for e := range pl.entries.all() {
			count[e.classify()]++
			if e.wanted && !e.made && !e.poison {
				wanted++
				if e.enforced() {
					enforced++
				}
			}
		}
		fmt.Fprintf(&b, "%s: wanted %d enforced %d pending %d spilled %d classes %v\n", pl.key, wanted, enforced, count[pending], count[spilled], count)
	}
	return b.String()
}

// covered gives the addresses that the sets of a pool, or of all ("") hold, wider
// entries taken apart.
func (y *yard) covered(word string) map[netip.Addr]bool {
	all := make(map[netip.Addr]bool)
	for name, list := range y.held {
		if word != "" && !strings.HasPrefix(name, "weir-"+word+"-") {
			continue
		}
		for _, text := range list {
			p := netip.MustParsePrefix(text)
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				all[a] = true
			}
		}
	}
	return all
}

// The incremental view is equal to a full pass: whatever changes, what the sets
// hold in the end follows from what is in force, and every sum from the entries.
func TestChangesLeadWhereAPassLeads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := newYard(t, rapid.SampledFrom([]int{4, 9, 100}).Draw(t, "capacity"),
			"weir-block-v4-0", "weir-block-v4-1", "weir-captcha-v4-0", "weir-list-v4-0")
		words := []string{"block", "captcha", "challenge", "count"}
		for range rapid.IntRange(1, 40).Draw(t, "acts") {
			e := Entry{Prefix: v4(rapid.IntRange(0, 15).Draw(t, "address")), Action: rapid.SampledFrom(words).Draw(t, "action")}
			if rapid.IntRange(0, 3).Draw(t, "ends") > 0 {
				e.Created, e.List = y.now, rapid.IntRange(0, 4).Draw(t, "list") == 0
				e.Until = y.now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "seconds")) * time.Second)
				e.Severity = uint8(rapid.IntRange(0, 4).Draw(t, "severity"))
			}
			y.ban(e)
			y.pass(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			if got, want := y.sums(), y.counted(); got != want {
				t.Fatalf("kept up:\n%scounted:\n%s", got, want)
			}
		}
		y.pass(40 * time.Second) // and no full pass
		y.p.advance(y.now)
		before, passes := y.sums(), y.p.round
		y.look()
		if after := y.sums(); before != after {
			t.Fatalf("by changes (%d passes):\n%sby a full pass:\n%s", passes, before, after)
		}
		y.pass(2 * time.Minute)
		y.expectRight()
	})
}

// expectRight checks that every ban in force is covered in its pool, if none is
// evicted, and nothing else is.
func (y *yard) expectRight() {
	want := map[string]map[netip.Addr]bool{"block": {}, "captcha": {}, "list": {}}
	for p, b := range y.bans {
		word := b.Action
		switch {
		case b.Action == "count" || !b.Until.After(y.now):
			continue
		case b.List:
			word = "list" // of blocks; for other actions there is no list, and they fall back
		case b.Action == "challenge":
			word = "block"
		}
		want[word][p.Addr()] = true
	}
	for word, addrs := range want {
		got := y.covered(word)
		st := y.p.status(y.now)
		for a := range got {
			if ended := y.bans[netip.PrefixFrom(a, 32)].Until; !addrs[a] && y.now.Sub(ended) > y.p.grace+5*time.Second {
				y.t.Fatalf("%s is covered in %s, and not banned there", a, word)
			}
		}
		missing := 0
		for a := range addrs {
			if !got[a] {
				missing++
			}
		}
		if missing != st.Pool(word, "ipv4").Evicted {
			y.t.Fatalf("%s: %d bans are not covered, %d evicted by the status", word, missing, st.Pool(word, "ipv4").Evicted)
		}
	}
}

// dump says what the plan knows of every entry.
func (y *yard) dump() string {
	var b strings.Builder
	for i := range y.p.pools {
		for e := range y.p.pools[i].entries.all() {
			fmt.Fprintf(&b, "%s class %d until %s", e.prefix, e.class, time.UnixMilli(e.until).Sub(y.now))
			if e.home != nil {
				fmt.Fprintf(&b, " in %s", e.home.name)
			}
			if e.over != nil {
				fmt.Fprintf(&b, " over %s", e.over.prefix)
			}
			fmt.Fprintf(&b, " under %v rest %v made %v wanted %v\n", prefixes(e.under), prefixes(e.rest), e.made, e.wanted)
		}
	}
	return b.String()
}
