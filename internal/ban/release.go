package ban

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// writeBatch is how many prefixes lose or free their decisions in one transaction.
// Commits go in between.
const writeBatch = 1000

// Breaker is a circuit breaker that is open, or has something to count.
type Breaker struct {
	Scenario string    // empty: that of all scenarios together
	Open     bool      // what is decided is held
	Since    time.Time // when it opened
	Why      string    // in words for people; empty: it is closed
	Held     int       // decisions in force that it holds
	Minute   int       // decisions of the last minute that were not held
}

// Breakers returns the breaker of all scenarios together and those of scenarios
// that decided something, sorted by their names.
func (s *Store) Breakers() []Breaker {
	now := s.now()
	type holder struct {
		by       Hold
		scenario string
	}
	held := make(map[holder]int)
	for _, h := range s.index.table.Load().All() {
		for _, e := range h.entries {
			switch e.d.Held {
			case HeldByScenario:
				held[holder{HeldByScenario, e.d.Scenario}] += count(e.d.InForce(now))
			case HeldByAll:
				held[holder{by: HeldByAll}] += count(e.d.InForce(now))
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := func(scenario string, b *breaker, held int) Breaker {
		return Breaker{Scenario: scenario, Open: b.open, Since: b.since, Why: b.why, Held: held, Minute: b.minute.sum(now)}
	}
	list := []Breaker{shown("", &s.breakers.all, held[holder{by: HeldByAll}])}
	for name, b := range s.breakers.each {
		list = append(list, shown(name, b, held[holder{HeldByScenario, name}]))
	}
	slices.SortFunc(list, func(a, b Breaker) int { return cmp.Compare(a.Scenario, b.Scenario) })
	return list
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// breakerOpened says so, where people and alarms look. mu is held.
func (s *Store) breakerOpened(scenario, why string) {
	s.metrics.trips.Inc()
	s.log.Error("circuit breaker open: new decisions are held, and those made before stay enforced; look at what is held, then release it or drop it",
		zap.String("scenario", scenario), zap.String("why", why))
}

// Release closes the breaker of a scenario, or all with an empty name, and lets
// what is held of it be enforced; with drop it ends that as an unban does. It
// returns how many decisions that were. Counting begins anew, so a breaker opens
// again if there are as many again. Everything is stored before Release returns;
// after an error the breakers are as they were, and what was not released is held. Where
// decisions are shared the breakers of other processes are closed, too, and scenario may
// be one that only they know. A name that is no plain text is refused with a
// *RefusedError.
func (s *Store) Release(ctx context.Context, scenario string, drop bool) (int, error) {
	if err := checkReason(scenario); err != nil {
		return 0, err
	}
	action := AuditRelease
	if drop {
		action = AuditDrop
	}
	if err := s.record(ctx, s.audited(ctx, action, cmp.Or(scenario, everyScenario), "")); err != nil {
		return 0, fmt.Errorf("release what is held of %s: %w", cmp.Or(scenario, "all scenarios"), err)
	}
	n, err := s.release(ctx, scenario, drop)
	if n > 0 || err == nil {
		s.log.Info("held decisions released", zap.String("scenario", cmp.Or(scenario, everyScenario)), zap.Bool("dropped", drop), zap.Int("decisions", n))
	}
	if err != nil {
		return n, fmt.Errorf("release what is held of %s: %w", cmp.Or(scenario, "all scenarios"), err)
	}
	return n, nil
}

func (s *Store) release(ctx context.Context, scenario string, drop bool) (int, error) {
	which := func(d *Decision) bool { return d.Held != "" && (scenario == "" || d.Scenario == scenario) }
	part := func(prefixes []netip.Prefix) (int, error) {
		if drop {
			return s.removeAbout(ctx, prefixes, s.now(), 0, which)
		}
		return s.freeAbout(ctx, prefixes, s.now(), which)
	}
	n, err := s.inParts(ctx, s.prefixesOf(which), part)
	if err != nil {
		return n, err
	}
	if err := s.beginWriting(ctx); err != nil {
		return n, err
	}
	defer s.endWriting()
	// The breaker was open all the while, so more is held by now: what has come
	// since, which nothing can follow before writing is free again.
	if err := s.commit(ctx); err != nil {
		return n, err
	}
	for prefixes := range slices.Chunk(s.prefixesOf(which), writeBatch) {
		k, err := part(prefixes)
		n += k
		if err != nil {
			return n, err
		}
	}
	if s.Shared() { // each process counts for itself
		if err := s.write(ctx, batch{closed: []string{cmp.Or(scenario, everyScenario)}}); err != nil {
			return n, err
		}
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeBreaker(cmp.Or(scenario, everyScenario))
	// What was decided meanwhile is not stored yet, and will be as it is then.
	for i := range s.queue {
		if e := s.known[s.queue[i].id]; s.queue[i].fresh && e.d.InForce(now) && which(e.d) {
			if drop {
				s.end(e, now)
			} else {
				s.free(e)
			}
			n++
		}
	}
	return n, nil
}

// closeBreaker closes the breaker of a scenario, or all. mu is held.
func (s *Store) closeBreaker(scenario string) {
	if scenario != everyScenario {
		if one := s.breakers.each[scenario]; one != nil {
			one.reset()
		}
		return
	}
	s.breakers.all.reset()
	for _, b := range s.breakers.each {
		b.reset()
	}
}

// freeAbout lets held decisions in force at now about prefixes be enforced, in one
// transaction. writing is held.
func (s *Store) freeAbout(ctx context.Context, prefixes []netip.Prefix, now time.Time, which func(*Decision) bool) (int, error) {
	var ids []string
	for _, p := range prefixes {
		for _, e := range s.index.get(p) {
			if e.d.InForce(now) && which(e.d) {
				ids = append(ids, e.d.ID)
			}
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	if err := s.write(ctx, batch{free: ids}); err != nil {
		return 0, err
	}
	n := 0
	s.mu.Lock()
	for _, id := range ids {
		if e := s.known[id]; e != nil && e.stored && which(e.d) { // others are in the queue, or were ended
			s.free(e)
			n++
		}
	}
	s.mu.Unlock()
	s.journal.wake()
	return n, nil
}

// free lets e be enforced that was held. mu is held.
func (s *Store) free(e *entry) {
	d := *e.d
	d.Held = ""
	freed := e.changed(&d)
	s.known[d.ID] = freed
	s.index.replace(e, freed)
	s.journal.note(d.Prefix)
}
