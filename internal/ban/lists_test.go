package ban

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"
)

func packedOf(list uint8, ps ...netip.Prefix) *listed {
	l := new(listed)
	for _, p := range ps {
		l.add(p, list)
	}
	l.settle()
	return l
}

// What is packed answers as a plain slice does.
func TestListedTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefixes := rapid.SliceOfN(rapid.SampledFrom(world), 0, 12)
		first, second := prefixes.Draw(t, "first"), prefixes.Draw(t, "second")
		l := join([]*listed{packedOf(0, first...), packedOf(1, second...)})
		twin := make(map[netip.Prefix]uint8)
		for _, p := range second {
			twin[p] = 1
		}
		for _, p := range first {
			twin[p] = 0
		}

		got := maps.Collect(l.all())
		order := make([]netip.Prefix, 0, len(twin))
		for p := range l.all() {
			order = append(order, p)
		}
		if !maps.Equal(got, twin) || len(order) != len(twin) || l.size() != len(twin) || !slices.IsSortedFunc(order, comparePrefixes) {
			t.Fatalf("all: %v, want %v", order, twin)
		}
		p := rapid.SampledFrom(world).Draw(t, "prefix")
		list, ok := l.get(p)
		if want, is := twin[p]; ok != is || ok && list != want {
			t.Fatalf("get %s: %d, %t", p, list, ok)
		}
		var around []netip.Prefix
		within := false
		for q := range twin {
			if contains(q, p) {
				around = append(around, q)
			}
			within = within || q != p && contains(p, q)
		}
		slices.SortFunc(around, func(a, b netip.Prefix) int { return b.Bits() - a.Bits() })
		var supernets []netip.Prefix
		for q := range l.supernets(p) {
			supernets = append(supernets, q)
		}
		if !slices.Equal(supernets, around) || l.covers(p) != (len(around) > 0) {
			t.Fatalf("around %s: %v, want %v", p, supernets, around)
		}
		if !ok && l.narrower(p) != within {
			t.Fatalf("within %s: %t", p, !within)
		}
		other := packedOf(0, first...)
		var differ []netip.Prefix
		for p, list := range twin {
			if list != 0 {
				differ = append(differ, p)
			}
		}
		got1, most := l.differing(other, 1000), rapid.IntRange(0, 5).Draw(t, "most")
		slices.SortFunc(differ, comparePrefixes)
		slices.SortFunc(got1, comparePrefixes)
		if !slices.Equal(got1, differ) || len(other.differing(l, most)) != min(most, len(differ)) {
			t.Fatalf("differing: %v, want %v", got1, differ)
		}
	})
}

// setLists puts content in force that no file holds.
func setLists(s *Store, contents ...[]netip.Prefix) {
	s.files = nil
	for i, ps := range contents {
		s.files = append(s.files, &listFile{path: fmt.Sprint("list ", i), since: noon, read: listRead{listed: packedOf(uint8(i), ps...)}})
	}
	s.publishLists()
}

// Lists and decisions together are in force as a plain twin has it, and who follows
// the changes sees the same.
func TestListsTwin(t *testing.T) {
	clients := slices.DeleteFunc(slices.Clone(world), func(p netip.Prefix) bool { return p.Bits() < 16 })
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		s := testStore(t, Config{Now: c.Now, Action: rapid.SampledFrom(Actions()).Draw(rt, "of lists")}, newMemory())
		s.journal.size = rapid.SampledFrom([]int{2, 1000}).Draw(rt, "journal")
		w := new(twin)
		lists := make([][]netip.Prefix, 2)
		prefix := func() netip.Prefix { return rapid.SampledFrom(clients).Draw(rt, "prefix") }
		f := new(follower)
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(*rapid.T) {
				until := c.now().Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "lasts")) * time.Minute)
				d, err := s.Add(t.Context(), Decision{Prefix: prefix(), Until: until, Action: rapid.SampledFrom(Actions()).Draw(rt, "action")})
				if err != nil {
					rt.Fatal(err)
				}
				w.decisions = append(w.decisions, &twinDecision{Decision: d, stored: true, tried: true})
			},
			"remove": func(*rapid.T) {
				p := prefix()
				if n, err := s.Remove(t.Context(), p); n != w.remove(p, c.now()) || err != nil {
					rt.Fatal(n, err)
				}
			},
			"list": func(*rapid.T) {
				lists[rapid.IntRange(0, 1).Draw(rt, "which")] = rapid.SliceOfN(rapid.SampledFrom(clients), 0, 6).Draw(rt, "listed")
				setLists(s, lists...)
			},
			"wait": func(*rapid.T) { c.advance(time.Duration(rapid.IntRange(1, 30).Draw(rt, "minutes")) * time.Minute) },
			"": func(rt *rapid.T) {
				now := c.now()
				want := w.inForce(now)
				for _, p := range slices.Concat(lists...) {
					if made, ok := want[p]; !ok || s.cfg.Action.strength() > made.action.strength() {
						want[p] = enforced{s.cfg.Action, noon.Add(MaxDuration)}
					}
				}
				got, order := make(map[netip.Prefix]enforced), []netip.Prefix(nil)
				for d := range s.InForce(now) {
					got[d.Prefix] = enforced{d.Action, d.Until}
					order = append(order, d.Prefix)
				}
				if !maps.Equal(got, want) || len(order) != len(want) || !slices.IsSortedFunc(order, comparePrefixes) {
					rt.Fatalf("in force: %v\nwant %v\nin the order %v", got, want, order)
				}
				if f.look(s, now); !maps.Equal(f.held, want) {
					rt.Fatalf("followed: %v\nwant %v", f.held, want)
				}
				p := rapid.SampledFrom(clients).Draw(rt, "client")
				var around []netip.Prefix
				for q := range want {
					if contains(q, p) {
						around = append(around, q)
					}
				}
				slices.SortFunc(around, func(a, b netip.Prefix) int { return b.Bits() - a.Bits() })
				var covering []netip.Prefix
				for _, d := range s.Covering(p, now) {
					covering = append(covering, d.Prefix)
				}
				if !slices.Equal(covering, around) {
					rt.Fatalf("covering %s: %v, want %v", p, covering, around)
				}
				// Who takes no lists gets what is beside them, and the other way round.
				made := make(map[netip.Prefix]enforced)
				for d := range s.InForceOf(now, func(d *Decision) bool { return d.Origin != OriginList }) {
					made[d.Prefix] = enforced{d.Action, d.Until}
				}
				if want := w.inForce(now); !maps.Equal(made, want) {
					rt.Fatalf("without lists: %v\nwant %v", made, want)
				}
				n := 0
				for d := range s.InForceOf(now, func(d *Decision) bool { return d.Origin == OriginList }) {
					if n++; !slices.Contains(slices.Concat(lists...), d.Prefix) || !strings.HasPrefix(d.Reason, "listed in list ") {
						rt.Fatalf("of a list: %+v", d)
					}
				}
				if all := slices.Concat(lists...); n != len(maps.Collect(packedOf(0, all...).all())) {
					rt.Fatalf("%d of lists that hold %v", n, all)
				}
			},
		})
	})
}

func write(t testing.TB, path, text string, changed time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}

func TestListFiles(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	path := filepath.Join(t.TempDir(), "drop.txt")
	changed := time.Now().Add(-time.Hour)
	write(t, path, strings.Join([]string{
		"# a list", "", "192.0.2.1", "\t198.51.100.0/24 ; SBL1\r", "2001:db8::/64#x", "192.0.2.1",
		"nonsense", "192.0.2.1/24", "10.0.0.1", "0.0.0.0/0", "203.0.113.5", // the last is in the allowlist
		strings.Repeat("9", 100_000), "192.0.2.7 # " + strings.Repeat("x", 200_000), "192.0.2.9",
	}, "\n"), changed)
	c := newClock()
	s := testStore(t, Config{
		Now: c.Now, Public: true, Lists: []string{path}, Logger: zap.New(core),
		Allowlist: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	}, newMemory())
	inForce := func(want ...string) {
		t.Helper()
		if got := inForceOf(s, noon); !slices.Equal(got, want) {
			t.Errorf("in force: %v, want %v", got, want)
		}
	}
	inForce("192.0.2.1", "192.0.2.7", "192.0.2.9", "198.51.100.0/24", "2001:db8::/64")
	said := fmt.Sprint(logs.TakeAll())
	for _, want := range []string{path + ":7: ", path + ":8: ", path + ":9: ", path + ":10: ", path + ":12: ", "bad_lines"} {
		if !strings.Contains(said, want) {
			t.Errorf("the log does not mention %q: %s", want, said)
		}
	}
	d, ok := s.Lookup(netip.MustParsePrefix("198.51.100.0/24"), noon)
	if !ok || d.Origin != OriginList || d.Action != Block || !strings.Contains(d.Reason, path) || !d.InForce(noon.Add(24*time.Hour)) {
		t.Errorf("decision: %+v", d)
	}
	client := netip.MustParsePrefix("198.51.100.77/32")
	if !s.Answered(client, noon.UnixMilli()) || s.Banned(client, noon.UnixMilli()) {
		t.Error("somebody listed: what WAF answers counts, or what gets through does not")
	}
	if ds := s.Covering(client, noon); len(ds) != 1 || ds[0].Origin != OriginList {
		t.Errorf("covering: %+v", ds)
	}
	if ds := s.Listed(client); len(ds) != 1 || ds[0].Prefix.String() != "198.51.100.0/24" {
		t.Errorf("listed: %+v", ds)
	}
	if err := s.Adopt(t.Context(), []netip.Prefix{client, netip.MustParsePrefix("192.0.2.9/32")}, Block, noon.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if ds := listAll(t, s, Query{}); len(ds) != 0 {
		t.Errorf("adopted what is listed: %+v", ds)
	}

	wake := s.Subscribe()
	_, seq, _ := s.Since(0)
	s.readLists()
	if isNotified(wake) {
		t.Error("read again without a change")
	}
	// Whoever writes it may not be done.
	write(t, path, "192.0.2.1\n", time.Now())
	s.readLists()
	inForce("192.0.2.1", "192.0.2.7", "192.0.2.9", "198.51.100.0/24", "2001:db8::/64")
	write(t, path, "192.0.2.1\n192.0.2.2\n192.0.2.7\n", changed.Add(time.Minute))
	s.readLists()
	inForce("192.0.2.1", "192.0.2.2", "192.0.2.7")
	told, _, ok := s.Since(seq)
	slices.SortFunc(told, comparePrefixes)
	if got := fmt.Sprint(told); !ok || !isNotified(wake) || got != "[192.0.2.2/32 192.0.2.9/32 198.51.100.0/24 2001:db8::/64]" {
		t.Errorf("told %s", got)
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.readLists()
	}
	inForce("192.0.2.1", "192.0.2.2", "192.0.2.7")
	if n := logs.Len(); n != 1 || !(*s.listStats.Load())[0].stale {
		t.Errorf("%d warnings about a file that is gone", n)
	}
	write(t, path, "", changed.Add(2*time.Minute))
	s.readLists()
	inForce()
	if (*s.listStats.Load())[0].stale {
		t.Error("stale when it is back")
	}

	cfg, err := Config{Duration: time.Hour, Lists: []string{path, filepath.Join(t.TempDir(), "none")}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newStore(t.Context(), cfg, newMemory()); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a list that is not there: %v", err)
	}
	if _, err := Open(t.Context(), Config{Duration: time.Hour, Lists: []string{path, path}}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a list that is named twice: %v", err)
	}
}

// A list of a million takes little memory, and a change of one entry is told as one.
func TestLongList(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million lines")
	}
	const entries = 1_000_000
	path := filepath.Join(t.TempDir(), "long.txt")
	text := make([]byte, 0, 16*entries)
	for i := range entries {
		text = fmt.Appendf(text, "%d.%d.%d.%d\n", 20+i>>19, i>>11&255, i>>3&255, i&7*32)
	}
	changed := time.Now().Add(-time.Hour)
	write(t, path, string(text), changed)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := testStore(t, Config{Lists: []string{path}}, newMemory())
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := s.lists.Load().listed.size(); got != entries {
		t.Fatalf("%d entries", got)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 12*entries {
		t.Errorf("%d bytes for %d entries", grown, entries)
	}
	_, seq, _ := s.Since(0)
	write(t, path, string(text)+"192.0.2.1\n", changed.Add(time.Minute))
	s.readLists()
	told, seq, ok := s.Since(seq)
	if !ok || len(told) != 1 {
		t.Errorf("%d changes, %t", len(told), ok)
	}
	write(t, path, "192.0.2.1\n", changed.Add(2*time.Minute))
	s.readLists()
	if told, _, ok := s.Since(seq); ok {
		t.Errorf("a million changes are told as %d", len(told))
	}
	if got := inForceOf(s, time.Now()); len(got) != 1 {
		t.Errorf("%d in force", len(got))
	}
}

func TestListsAllocateNothing(t *testing.T) {
	s := testStore(t, Config{}, newMemory())
	setLists(s, world[1:])
	now := time.Now().UnixMilli()
	for _, p := range []string{"192.0.2.1/32", "203.0.113.1/32", "2001:db8::/64", "2001:db9::/64"} {
		client := netip.MustParsePrefix(p)
		if n := testing.AllocsPerRun(100, func() { s.Answered(client, now) }); n != 0 {
			t.Errorf("Answered(%s) allocates %v times", p, n)
		}
		if n := testing.AllocsPerRun(100, func() { s.Seen(client.Addr()) }); n != 0 {
			t.Errorf("Seen(%s) allocates %v times", p, n)
		}
	}
}

func FuzzReadList(f *testing.F) {
	f.Add("192.0.2.1\n# x\n2001:db8::/64 ; y\r\n\x00")
	f.Add(strings.Repeat("1", 70_000) + "\n192.0.2.1/24")
	s := testStore(f, Config{Now: newClock().Now, Public: true, Allowlist: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}, newMemory())
	f.Fuzz(func(t *testing.T, text string) {
		read, err := s.readList(strings.NewReader(text), "fuzz", 3)
		if err != nil {
			t.Fatal(err)
		}
		if read.bad > 1+strings.Count(text, "\n") || len(read.errs) > badLinesShown {
			t.Fatalf("%d bad lines, %d errors", read.bad, len(read.errs))
		}
		for p, list := range read.listed.all() {
			again, err := ParsePrefix(FormatPrefix(p))
			if list != 3 || err != nil || again != p || isWide(p) || s.AllowedAny(p) {
				t.Fatalf("listed %s of %d", p, list)
			}
		}
	})
}
