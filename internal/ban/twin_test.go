package ban

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// twin is what a Store does, as plainly as it can be said: every decision in one
// slice, looked through from end to end.
type twin struct {
	decisions []*twinDecision
	unbans    []unban
	allow     []netip.Prefix
}

type twinDecision struct {
	Decision
	stored, tried bool
}

func (w *twin) alert(client netip.Prefix, at, now time.Time, lasts time.Duration) {
	id := alertID("http-probing", client, at)
	switch {
	case slices.ContainsFunc(w.allow, func(p netip.Prefix) bool { return p.Overlaps(client) }),
		slices.ContainsFunc(w.unbans, func(u unban) bool {
			return contains(u.prefix, client) && !at.After(u.at) && !u.at.Before(now.Add(-liftedLife))
		}),
		now.Sub(at) >= lasts,
		slices.ContainsFunc(w.decisions, func(d *twinDecision) bool { return d.ID == id }):
		return
	}
	w.decisions = append(w.decisions, &twinDecision{Decision: Decision{ID: id, Prefix: client, Action: Block, At: at, Created: now, Until: now.Add(lasts)}})
}

func (w *twin) commit(works bool) {
	for _, d := range w.decisions {
		d.tried = true
		d.stored = d.stored || works
	}
}

func (w *twin) remove(p netip.Prefix, now time.Time) (n int) {
	for _, d := range w.decisions {
		if d.Prefix == p && d.Until.After(now) {
			d.Until, d.Removed = now, now
			n++
		}
	}
	if n > 0 {
		w.unbans = append(w.unbans, unban{p, now})
	}
	return n
}

// banned asks only those who are blocked, and leaves open what was forgotten: bans that ended lateGrace ago.
func (w *twin) banned(client netip.Prefix, at, now time.Time) (banned, open bool) {
	for _, d := range w.decisions {
		if d.Action == Block && contains(d.Prefix, client) && !at.Before(earlier(d.At, d.Created)) && at.Before(d.Until) {
			if d.Until.After(now.Add(-lateGrace)) {
				return true, false
			}
			open = true
		}
	}
	return false, open
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// enforced is what matters about a decision in force.
type enforced struct {
	action Action
	until  time.Time
}

func (w *twin) inForce(now time.Time) map[netip.Prefix]enforced {
	m := make(map[netip.Prefix]enforced)
	for _, action := range []Action{Count, Challenge, Captcha, Block} { // the stronger overwrite the weaker
		longest := make(map[netip.Prefix]time.Time)
		for _, d := range w.decisions {
			if d.Action == action && d.tried && d.Until.After(now) && d.Until.After(longest[d.Prefix]) {
				longest[d.Prefix] = d.Until
				m[d.Prefix] = enforced{action, d.Until}
			}
		}
	}
	return m
}

// follower keeps what is in force as a consumer of changes does: it asks about
// what changed, and about what ran out.
type follower struct {
	seq     uint64
	held    map[netip.Prefix]enforced
	fullest int // passes over everything
}

func (f *follower) look(s *Store, now time.Time) {
	changed, next, ok := s.Since(f.seq)
	f.seq = next
	if !ok {
		f.fullest++
		f.held = make(map[netip.Prefix]enforced)
		for d := range s.InForce(now) {
			f.held[d.Prefix] = enforced{d.Action, d.Until}
		}
		return
	}
	for p, e := range f.held {
		if !e.until.After(now) {
			changed = append(changed, p)
		}
	}
	for _, p := range changed {
		if d, ok := s.Lookup(p, now); ok {
			f.held[p] = enforced{d.Action, d.Until}
		} else {
			delete(f.held, p)
		}
	}
}

func (w *twin) listed(client netip.Prefix, all bool, now time.Time) map[string]time.Time {
	m := make(map[string]time.Time)
	for _, d := range w.decisions {
		if d.stored && (all || d.Until.After(now)) && contains(d.Prefix, client) {
			m[d.ID] = d.Until
		}
	}
	return m
}

// A Store agrees with its twin through alerts, failing and working commits,
// bans and unbans by hand, the passing of time, sweeps and restarts.
func TestStoreTwin(t *testing.T) {
	clients := slices.DeleteFunc(slices.Clone(world), func(p netip.Prefix) bool { return p.Bits() < 16 })
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		st := &flaky{storage: newMemory()}
		w := &twin{allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.16/32"), netip.MustParsePrefix("2001:db8:1::/64")}}
		cfg := Config{Now: c.Now, Duration: 30 * time.Minute, Allowlist: w.allow}
		s := testStore(t, cfg, st)
		s.journal.size = 8
		often, seldom := new(follower), new(follower)
		prefix := func() netip.Prefix { return rapid.SampledFrom(clients).Draw(rt, "prefix") }
		drawTime := func() time.Time {
			return c.now().Add(time.Duration(rapid.IntRange(-60, 5).Draw(rt, "minute")) * time.Minute)
		}

		rt.Repeat(map[string]func(*rapid.T){
			"alert": func(*rapid.T) {
				p, at := prefix(), drawTime()
				s.Alert(alert(p.String(), at))
				w.alert(p, at, c.now(), cfg.Duration)
			},
			"commit": func(*rapid.T) {
				works := rapid.Bool().Draw(rt, "works")
				pending := s.untold.Load() > 0
				st.fail.Store(!works)
				err := s.Commit(t.Context())
				st.fail.Store(false)
				if works && err != nil {
					rt.Fatal(err)
				}
				if pending {
					w.commit(works)
				}
			},
			"add": func(*rapid.T) {
				action := rapid.SampledFrom(Actions()).Draw(rt, "action")
				p, until := prefix(), c.now().Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "lasts"))*time.Minute)
				d, err := s.Add(t.Context(), Decision{Prefix: p, Until: until, Action: action})
				if allowed := slices.ContainsFunc(w.allow, p.Overlaps); allowed != (err != nil) {
					rt.Fatalf("add %s: %v", p, err)
				}
				if err == nil {
					w.decisions = append(w.decisions, &twinDecision{Decision: d, stored: true, tried: true})
				}
			},
			"remove": func(*rapid.T) {
				p := prefix()
				n, err := s.Remove(t.Context(), p)
				if s.untold.Load() != 0 {
					rt.Fatal("an unban left alerts pending")
				}
				w.commit(true)
				if want := w.remove(p, c.now()); n != want || err != nil {
					rt.Fatalf("remove %s: %d, %v; want %d", p, n, err, want)
				}
			},
			"wait":  func(*rapid.T) { c.advance(time.Duration(rapid.IntRange(1, 20).Draw(rt, "minutes")) * time.Minute) },
			"sweep": func(*rapid.T) { s.sweep() },
			"restart": func(*rapid.T) {
				// What was not stored is gone, as are the people who might have seen it.
				s = testStore(t, cfg, st)
				s.journal.size = 8
				often, seldom = new(follower), new(follower)
				w.decisions = slices.DeleteFunc(w.decisions, func(d *twinDecision) bool { return !d.stored })
			},
			"follow": func(*rapid.T) { seldom.look(s, c.now()) },
			"": func(rt *rapid.T) {
				p, at, now := prefix(), drawTime(), c.now()
				if want, open := w.banned(p, at, now); s.Banned(p, at.UnixMilli()) != want && !open {
					rt.Fatalf("banned %s at %s: want %t", p, at, want)
				}
				got := make(map[netip.Prefix]enforced)
				for d := range s.InForce(now) {
					got[d.Prefix] = enforced{d.Action, d.Until}
				}
				if want := w.inForce(now); !maps.Equal(got, want) {
					rt.Fatalf("in force: %v\nwant %v", got, want)
				}
				late := &follower{seq: seldom.seq, held: maps.Clone(seldom.held)}
				late.look(s, now)
				often.look(s, now)
				if !maps.Equal(often.held, got) || !maps.Equal(late.held, got) {
					rt.Fatalf("followed: %v and %v\nwant %v", often.held, late.held, got)
				}
				if often.fullest > 1 {
					rt.Fatalf("who looks at every change looked through everything %d times", often.fullest)
				}
				all := rapid.Bool().Draw(rt, "all")
				listed := make(map[string]time.Time)
				for _, d := range listAll(t, s, Query{Client: p, All: all, Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}) {
					listed[d.ID] = d.Until
				}
				if want := w.listed(p, all, now); !maps.Equal(listed, want) {
					rt.Fatalf("listed: %v\nwant %v", listed, want)
				}
			},
		})
	})
}
