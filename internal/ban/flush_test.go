package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"weir/internal/scenario"
)

func TestRemoveWhereRefuses(t *testing.T) {
	s := testStore(t, Config{Now: newClock().Now}, newMemory())
	s.Alert(alert("192.0.2.1/32", noon))
	for _, w := range []Where{{}, {All: true, Scenario: "http-probing"}, {All: true, Since: noon}, {Origin: "heaven"}, {Origin: OriginList}} {
		n, err := s.RemoveWhere(t.Context(), w)
		var refused *RefusedError
		if n != 0 || !errors.As(err, &refused) || refused.Code != RefusedQuery {
			t.Errorf("%+v: %d, %v", w, n, err)
		}
		if list, err := s.CountWhere(w); list != nil || !errors.As(err, &refused) {
			t.Errorf("%+v: counts %v, %v", w, list, err)
		}
	}
	mustCommit(t, s)
	if len(inForceOf(s, noon)) != 1 {
		t.Error("what was refused ended a decision")
	}
}

// RemoveWhere ends what fits, no more and no less, for good, whatever the wish; in
// one transaction or in many.
func TestRemoveWhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		st := newMemory()
		s := testStore(t, Config{Now: c.Now}, st)
		changed := s.Subscribe()
		var ids []string
		for i := range rapid.IntRange(1, 12).Draw(rt, "decisions") {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(0, 5).Draw(rt, "client"))}), 32)
			switch rapid.IntRange(0, 2).Draw(rt, "origin") {
			case 0:
				s.Alert(by(alert(p.String(), c.now()), scenario.Scenario{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "scenario")}))
				if rapid.Bool().Draw(rt, "commit") {
					mustCommit(t, s)
				}
			case 1:
				if _, err := s.Add(t.Context(), Decision{Prefix: p, Reason: fmt.Sprint(i)}); err != nil {
					rt.Fatal(err)
				}
			default:
				if err := s.Adopt(t.Context(), []netip.Prefix{p}, Block, c.now().Add(time.Hour)); err != nil {
					rt.Fatal(err)
				}
			}
			c.advance(time.Duration(rapid.IntRange(0, 2).Draw(rt, "minutes")) * time.Minute)
		}
		w := Where{
			Scenario: rapid.SampledFrom([]string{"", "a", "nobody"}).Draw(rt, "of"),
			Origin:   rapid.SampledFrom([]Origin{"", OriginScenario, OriginManual, OriginAdopted}).Draw(rt, "from"),
		}
		if rapid.Bool().Draw(rt, "since") {
			w.Since = noon.Add(time.Duration(rapid.IntRange(0, 10).Draw(rt, "after")) * time.Minute)
		}
		w.All = w == Where{}
		isNotified(changed)
		_, seq, _ := s.Since(0)

		counted := 0
		tallies, err := s.CountWhere(w)
		if err != nil {
			rt.Fatal(err)
		}
		for _, tally := range tallies {
			counted += tally.Decisions
			if w.Scenario != "" && tally.Scenario != w.Scenario || w.Origin != "" && tally.Origin != w.Origin {
				rt.Fatalf("%+v: counted %+v", w, tally)
			}
		}
		n, err := s.RemoveWhere(t.Context(), w)
		if err != nil {
			rt.Fatal(err)
		}
		if n != counted {
			rt.Fatalf("%d ended, and %d were counted before", n, counted)
		}
		for _, d := range listAll(t, s, Query{All: true}) {
			fits := (w.Scenario == "" || d.Scenario == w.Scenario) && (w.Origin == "" || d.Origin == w.Origin) && !d.Created.Before(w.Since)
			if fits == d.InForce(c.now()) || fits == d.Removed.IsZero() {
				rt.Fatalf("%+v: %+v", w, d)
			}
			if fits {
				ids = append(ids, d.ID)
			}
		}
		if n != len(ids) || n > 0 && !isNotified(changed) {
			rt.Fatalf("%d ended, of %d that fit", n, len(ids))
		}
		// Whatever was ended is told, and raised again it makes no decision.
		told, _, ok := s.Since(seq)
		if !ok {
			rt.Fatal("too far behind")
		}
		for _, id := range ids {
			d, _, err := s.Get(t.Context(), id)
			if err != nil || !slices.Contains(told, d.Prefix) {
				rt.Fatalf("%s is not told, %v", d.Prefix, err)
			}
			before := len(listAll(t, s, Query{All: true}))
			s.Alert(by(alert(d.Prefix.String(), c.now().Add(-time.Second)), scenario.Scenario{Name: "c"}))
			mustCommit(t, s)
			if len(listAll(t, s, Query{All: true})) != before {
				rt.Fatalf("%s is banned again for what was before", d.Prefix)
			}
		}
	})
}

// Thousands are ended in parts, and a failure leaves those that it tells.
func TestRemoveWhereInParts(t *testing.T) {
	c := newClock()
	parts := 0
	st := &slow{storage: newMemory(), meanwhile: func(b batch) error {
		if len(b.end) == 0 {
			return nil
		}
		if parts++; parts == 3 {
			return errFlaky
		}
		if len(b.end) > writeBatch {
			t.Errorf("%d decisions in one transaction", len(b.end))
		}
		return nil
	}}
	s := testStore(t, Config{Now: c.Now}, st)
	const all = 2*writeBatch + 500
	for i := range all {
		s.Alert(alert(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32).String(), noon))
	}
	n, err := s.RemoveWhere(t.Context(), Where{All: true})
	if n != 2*writeBatch || !errors.Is(err, errFlaky) {
		t.Fatalf("%d ended, %v", n, err)
	}
	if got := len(inForceOf(s, noon)); got != all-n {
		t.Errorf("%d left", got)
	}
	if n, err := s.RemoveWhere(t.Context(), Where{All: true}); n != 500 || err != nil {
		t.Errorf("the second time: %d, %v", n, err)
	}
}

// Whoever waits to store decisions while thousands are ended or released waits for
// one part of them: the stream would stand still all the while. What a breaker holds
// until it is closed is released with the rest.
func TestManyGiveWayToCommits(t *testing.T) {
	for name, many := range map[string]func(context.Context, *Store) (int, error){
		"unban": func(ctx context.Context, s *Store) (int, error) {
			return s.RemoveWhere(ctx, Where{Scenario: probing.Name})
		},
		"release": func(ctx context.Context, s *Store) (int, error) { return s.Release(ctx, "", false) },
		"drop":    func(ctx context.Context, s *Store) (int, error) { return s.Release(ctx, "", true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				var s *Store
				late := alert("203.0.113.9/32", noon)
				parts, stored := 0, false
				st := &slow{storage: newMemory(), meanwhile: func(b batch) error {
					if len(b.end)+len(b.free) == 0 {
						return nil
					}
					switch parts++; parts {
					case 1:
						s.Alert(late)
						go func() {
							if err := s.Commit(t.Context()); err != nil {
								t.Error(err)
							}
							stored = true
						}()
					case 2:
						synctest.Wait()
						if !stored {
							t.Error("a commit waits for more than one part")
						}
					}
					synctest.Wait()
					return nil
				}}
				s = testStore(t, Config{Now: c.Now, PerMinute: 1}, st)
				const all = 2*writeBatch + 500
				for i := range all {
					s.Alert(alert(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32).String(), noon))
				}
				mustCommit(t, s)
				n, err := many(t.Context(), s)
				if err != nil || n < all-1 {
					t.Fatalf("%d, %v", n, err)
				}
				var held int
				for _, d := range listAll(t, s, Query{}) {
					if d.Held != "" {
						held++
					}
				}
				_, inForce := s.Lookup(late.Client, noon)
				switch {
				case name == "release" && (held != 0 || !inForce):
					t.Errorf("%d are held after the release, the late one in force: %v", held, inForce)
				case name == "drop" && (held != 0 || inForce):
					t.Errorf("%d are held after the drop, the late one in force: %v", held, inForce)
				case name == "unban" && held != 1:
					t.Errorf("%d are held, want the one that came meanwhile", held)
				}
			})
		})
	}
}

// Whoever took an address out of an IP set is not overruled by the client's next
// request, nor does an unban in between cut that short.
func TestLift(t *testing.T) {
	c := newClock()
	s := testStore(t, Config{Now: c.Now}, newMemory())
	client := netip.MustParsePrefix("192.0.2.1/32")
	s.Alert(alert(client.String(), c.now()))
	mustCommit(t, s)
	if n, err := s.Lift(t.Context(), []netip.Prefix{client}, time.Hour); n != 1 || err != nil {
		t.Fatalf("ended %d, %v", n, err)
	}
	c.advance(30 * time.Minute)
	s.Alert(alert(client.String(), c.now()))
	mustCommit(t, s)
	if list := inForceOf(s, c.now()); len(list) != 0 {
		t.Errorf("banned again within the cooldown: %v", list)
	}
	if _, err := s.Add(t.Context(), Decision{Prefix: client}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Remove(t.Context(), client); n != 1 || err != nil {
		t.Fatalf("a person's ban: ended %d, %v", n, err)
	}
	c.advance(20 * time.Minute)
	s.Alert(alert(client.String(), c.now()))
	mustCommit(t, s)
	if list := inForceOf(s, c.now()); len(list) != 0 {
		t.Errorf("an unban in between cut the cooldown short: %v", list)
	}
	c.advance(10*time.Minute + time.Second)
	s.Alert(alert(client.String(), c.now()))
	mustCommit(t, s)
	if list := inForceOf(s, c.now()); len(list) != 1 {
		t.Errorf("after the cooldown: %v", list)
	}
}
