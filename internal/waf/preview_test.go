package waf

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// diffOf gives the difference of one set.
func diffOf(list []SetDiff, name string) SetDiff {
	for _, d := range list {
		if d.Name == name {
			return d
		}
	}
	return SetDiff{}
}

// What Preview foretells is what is written then: sets, sizes, times.
func TestPreviewForetellsTheWrites(t *testing.T) {
	bubble(t, 3, 2, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		cfg := s.config(f)
		cfg.Capacity = 400
		w := start(t, cfg)
		defer w.halt()
		s.ban(10*time.Minute, numbered(apart, 0, 100)...)
		s.ban(time.Hour, numbered(v6, 0, 30)...)
		pass(time.Minute)
		f.edit("weir-block-v4-1", []netip.Prefix{pfx("203.0.113.0/24")}, nil, nil)
		pass(2 * time.Minute)
		if slots := w.Preview().Slots; len(slots) > 0 {
			t.Errorf("with nothing to do: %+v", slots)
		}
		s.ban(time.Hour, v4(100_001))
		pass(time.Second) // the slot is taken
		writes := len(f.accepted)
		s.ban(time.Hour, numbered(apart, 1000, 700)...)
		s.unban(v6(3), v6(4))
		pass(lookGap)
		before, _ := f.held()
		pre := w.Preview()
		if pre.Ready != nil || len(pre.Sets) != 5 {
			t.Fatalf("%+v", pre)
		}
		if got := diffOf(pre.Sets, "weir-block-v4-1").Foreign; !slices.Equal(got, []netip.Prefix{pfx("203.0.113.0/24")}) {
			t.Errorf("foreign: %v", got)
		}
		pass(time.Minute)
		if got := len(f.accepted) - writes; got != len(pre.Slots) {
			t.Fatalf("%d writes, %d were foretold", got, len(pre.Slots))
		}
		for i, slot := range pre.Slots {
			got := f.accepted[writes+i]
			if got.set != slot.Name || got.at.Sub(slot.At).Abs() > 50*time.Millisecond {
				t.Errorf("write %d: foretold for %s at %s, was for %s at %s", i, slot.Name, slot.At, got.set, got.at)
			}
			for _, p := range slot.Adds {
				if !f.find(slot.Name).held[p] || before[p] {
					t.Errorf("%s was to be added to %s", p, slot.Name)
				}
			}
			for _, p := range slot.Drops {
				if f.find(slot.Name).held[p] || !before[p] {
					t.Errorf("%s was to be dropped from %s", p, slot.Name)
				}
			}
		}
	})
}

// A ban that has just ended may stay for its grace: the set is as it should be.
func TestAGraceIsNoDifference(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		w := start(t, s.config(f))
		defer w.halt()
		s.ban(time.Minute, v4(1))
		pass(70 * time.Second)
		if d := w.Preview().Sets[0]; len(d.Drops) != 0 {
			t.Errorf("within the grace: %+v", d)
		}
		s.ban(time.Hour, v4(9))
		pass(lookGap)
		s.ban(time.Hour, v4(10)) // this slot is not there yet
		s.ban(time.Second, v4(9))
		pass(1500 * time.Millisecond)
		if d := w.Preview().Sets[0]; len(d.Adds) != 1 || len(d.Drops) != 1 {
			t.Errorf("what has ended leaves with what comes: %+v", d)
		}
	})
}

// Whoever asks for differences while a write is under way does not disturb it.
func TestPreviewDuringAWrite(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.latency = func() time.Duration { return time.Second }
		w := start(t, s.config(f))
		defer w.halt()
		pass(20 * time.Second)
		s.ban(4*time.Hour, v4(1))
		pass(500 * time.Millisecond)
		s.unban(v4(1))
		w.Preview()
		pass(time.Minute)
		expectHeld(t, f)
	})
}

func TestADryRunWritesNothing(t *testing.T) {
	bubble(t, 2, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.edit("weir-block-v4-1", []netip.Prefix{v4(7)}, nil, proof(v4(7)))
		cfg := s.config(f)
		cfg.DryRun, cfg.Orphans = true, nil
		w := start(t, cfg)
		pass(time.Minute)
		s.ban(time.Hour, v4(1), v4(2), v6(1))
		pass(10 * time.Minute)
		pre := w.Preview()
		if len(f.attempts) != 0 || !w.Status().DryRun {
			t.Errorf("%d writes", len(f.attempts))
		}
		var adds []netip.Prefix
		for _, slot := range pre.Slots {
			adds = append(adds, slot.Adds...)
		}
		slices.SortFunc(adds, netip.Prefix.Compare)
		if len(pre.Slots) != 2 || !slices.Equal(adds, []netip.Prefix{v4(1), v4(2), v6(1)}) {
			t.Errorf("slots: %+v", pre.Slots)
		}
		if gap := pre.Slots[1].At.Sub(pre.Slots[0].At); gap != 2*time.Second {
			t.Errorf("the slots are %s apart", gap)
		}
		w.halt()
		begin := time.Now()
		if err := w.Flush(t.Context()); err != nil || time.Since(begin) > 0 {
			t.Errorf("a last round of nothing: %v after %s", err, time.Since(begin))
		}
	})
}

// proof is the description of a set in which a Weir left these.
func proof(held ...netip.Prefix) *string {
	d := description{gen: 1, n: len(held), sum: checksum(held, nil)}.String()
	return &d
}

// Reconcile reads everything at once, and mends what differs long before the next
// list would be due.
func TestReconcile(t *testing.T) {
	bubble(t, 2, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		cfg := s.config(f)
		cfg.DriftPeriod = time.Hour
		cfg.Removed = nil // restored
		w := start(t, cfg)
		defer w.halt()
		s.ban(3*time.Hour, v4(1), v4(2), v6(1))
		pass(10 * time.Second)
		f.edit("weir-block-v4-0", nil, []netip.Prefix{v4(1)}, nil)
		f.edit("weir-block-v6-0", nil, []netip.Prefix{v6(1)}, nil)
		pass(10 * time.Minute)
		if all, _ := f.held(); len(all) != 1 {
			t.Fatalf("mended without being asked: %v", all)
		}
		reads := len(f.reads)
		w.Reconcile()
		pass(10 * time.Second)
		expectHeld(t, f, v4(1), v4(2), v6(1))
		if n := len(f.reads) - reads; n < 4 { // a list, and three sets
			t.Errorf("%d reads", n)
		}
		if st := w.Status(); st.Repairs != 2 {
			t.Errorf("%d repairs, want 2", st.Repairs)
		}
	})
}
