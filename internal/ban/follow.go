package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

const (
	// followEvery is how often it is looked what other processes have decided.
	followEvery = time.Second

	// followTimeout is how long a look may take; loadTimeout, the first one of all.
	followTimeout = 2 * batchTimeout
	loadTimeout   = 10 * time.Second

	// maxPending is how many alerts may wait in memory for a storage that does not
	// answer, before who brings more of them has to wait, too. They take less than
	// 500 MB then: see wholeAlerts.
	maxPending = 100_000
)

// followable is a storage that other processes write to as well.
type followable interface {
	// follow returns what was changed since the last call, or since load was called.
	// What is in it may be known. missed are IDs of decisions of this process that
	// another one would have ended with an unban, had it known of them. After an
	// error the next call returns all of it.
	follow(ctx context.Context, ended, lifted time.Time) (b batch, missed []string, err error)
}

// errLoading is what the storage is waited for with.
var errLoading = errors.New("what was decided before has not been read yet")

// Await returns once everything is loaded that was decided before: until then nothing
// must be decided, and no IP set be written. It returns at once unless the storage did
// not answer Open; then Run has to run. Its only error is that of a context which ended
// first.
func (s *Store) Await(ctx context.Context) error {
	select {
	case <-s.loaded:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for decisions to be loaded: %w", ctx.Err())
	}
}

func (s *Store) isLoaded() bool {
	select {
	case <-s.loaded:
		return true
	default:
		return false
	}
}

// CommitSoon is Commit for who has to go on while the storage does not answer: it
// returns nil, too, when what was decided could not be stored, as long as memory has
// room for it. Run stores it as soon as that works, and Pending says how much is left.
func (s *Store) CommitSoon(ctx context.Context) error {
	if s.stuck() && s.untold.Load() < maxPending {
		s.enforceQueue()
		return nil // whether it works again, Run finds out
	}
	err := s.Commit(ctx)
	if err == nil || ctx.Err() != nil || s.untold.Load() >= maxPending {
		return err
	}
	return nil
}

// enforceQueue lets be enforced what waits to be stored.
func (s *Store) enforceQueue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.queue) - 1; i >= 0; i-- {
		if !s.queue[i].fresh {
			continue
		}
		e := s.known[s.queue[i].id]
		if e.enforce.Load() {
			break // and so are those before it
		}
		s.enforce(e)
	}
	s.journal.wake()
}

// Pending is how many alerts are in memory only. While it is 0, everything that was
// decided is stored.
func (s *Store) Pending() int64 { return s.untold.Load() }

// CatchUp learns what other processes had stored by the time of the call. Who goes on
// from where another one has left off calls it before: the records that come again may
// come in another order, and lead to other alerts about clients who are banned already.
// It returns at once where nobody shares the storage. An error says that something may
// have been missed; Run learns of it later.
func (s *Store) CatchUp(ctx context.Context) error {
	from, ok := s.storage.(followable)
	if !ok {
		return nil
	}
	asked := time.Now()
	select {
	case s.following <- struct{}{}:
		defer func() { <-s.following }()
	case <-ctx.Done():
		return fmt.Errorf("learn what other processes have decided: %w", ctx.Err())
	}
	if s.heard.After(asked) {
		return nil // of many shards that are taken at once, the first has asked for all
	}
	return s.followOnce(ctx, from)
}

// followAll learns what other processes decide, until ctx ends.
func (s *Store) followAll(ctx context.Context, from followable) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var following trouble
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.following <- struct{}{}
		err := s.followOnce(ctx, from)
		<-s.following
		following.note(ctx, s.log, "following what other processes decide", err)
		s.mu.Lock()
		s.unheard = err
		s.mu.Unlock()
		if err != nil || !s.stuck() {
			continue
		}
		if s.untold.Load() > 0 {
			s.Commit(ctx) // what is wrong is told by Ready, and by Run
			continue
		}
		s.mu.Lock()
		s.failed = nil // to follow, something was written: that others are to read what failed
		s.mu.Unlock()
	}
}

// followOnce learns what is new. Whoever calls it holds following.
func (s *Store) followOnce(ctx context.Context, from followable) (err error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if !s.isLoaded() {
		return s.loadLate(ctx)
	}
	begun := time.Now()
	defer func() {
		if err == nil {
			s.heard = begun
		}
	}()
	now := s.now()
	b, missed, err := from.follow(ctx, now.Add(-endedLife), now.Add(-liftedLife))
	if err != nil || b.empty() && len(s.overdue) == 0 {
		return err
	}
	if err := s.beginWriting(ctx); err != nil {
		return err
	}
	defer s.endWriting()
	s.absorb(&b)
	return s.endMissed(ctx, missed)
}

// loadLate loads what the storage would not give at first. Meanwhile things may have
// been decided by hand.
func (s *Store) loadLate(ctx context.Context) error {
	now := s.now()
	found, err := s.storage.load(ctx, now.Add(-endedLife), now.Add(-liftedLife))
	if err != nil {
		return err
	}
	if err := s.beginWriting(ctx); err != nil {
		return err
	}
	defer s.endWriting()
	s.absorb(&batch{put: found.decisions, unban: found.unbans, allow: found.allow})
	close(s.loaded)
	s.log.Info("decisions loaded at last", zap.Int("decisions", len(found.decisions)))
	return nil
}

// absorb takes into memory what was decided elsewhere. It may be known, and may be
// older than what is known: until of a decision only becomes earlier, held only
// becomes empty, and of unbans and entries of the allowlist the newest counts. writing
// is held, so that no decision is on its way to the storage.
func (s *Store) absorb(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for i := range b.put {
		s.absorbDecision(&b.put[i], now)
	}
	for _, id := range b.free {
		if e := s.known[id]; e != nil && e.d.Held != "" {
			s.free(e)
		}
	}
	for _, x := range b.end {
		if e := s.known[x.id]; e != nil && x.at.Before(e.d.Until) {
			s.end(e, x.at)
		}
	}
	for _, u := range b.unban {
		s.absorbUnban(u, now)
	}
	for _, e := range b.allow {
		s.takeAllow(e)
	}
	for _, scenario := range b.closed {
		s.closeBreaker(scenario)
	}
	s.journal.wake()
}

// absorbDecision takes in one decision. mu is held.
func (s *Store) absorbDecision(d *Decision, now time.Time) {
	e := s.known[d.ID]
	switch {
	case e == nil && !d.Until.After(now.Add(-lateGrace)):
		if d.Held == "" && d.Until.After(now.Add(-endedLife)) {
			s.ended[d.Prefix] = max(s.ended[d.Prefix], millis(d.Until))
		}
	case e == nil:
		if d.Held != "" && d.InForce(now) {
			s.breakers.reopen(d)
		}
		d := *d // of its own, so that one does not keep all in memory
		e = newEntry(&d)
		e.stored = true
		s.hold(e)
		s.enforce(e)
	default:
		if e.d.Held != "" && d.Held == "" {
			s.free(e)
			e = s.known[d.ID]
		}
		if d.Until.Before(e.d.Until) {
			s.end(e, d.Until)
		}
	}
}

// absorbUnban takes in an unban. Whoever gave it could not know of decisions that are
// not stored yet: they end with it. mu is held.
func (s *Store) absorbUnban(u unban, now time.Time) {
	at := millis(u.at)
	if before, ok := s.unbans.Get(u.prefix); ok && before >= at {
		return
	}
	s.unbans.Insert(u.prefix, at)
	for i := range s.queue {
		q := &s.queue[i]
		if e := s.known[q.id]; q.fresh && e.d.InForce(now) && covers(u.prefix, e.d.Prefix) && millis(e.d.At) <= at {
			s.end(e, now)
		}
	}
}

// covers reports whether all of q is in p.
func covers(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// endMissed ends decisions of this process whose client another one has unbanned
// before it knew of them. writing is held.
func (s *Store) endMissed(ctx context.Context, ids []string) error {
	now := s.now()
	var b batch
	s.mu.Lock()
	b.end, s.overdue = s.overdue, nil
	for _, id := range ids {
		if e := s.known[id]; e != nil && e.d.InForce(now) {
			s.end(e, now)
			b.end = append(b.end, ending{id, now})
		}
	}
	s.mu.Unlock()
	if len(b.end) == 0 {
		return nil
	}
	s.journal.wake()
	err := s.write(ctx, b)
	if err != nil {
		s.mu.Lock()
		s.overdue = b.end
		s.mu.Unlock()
	}
	return err
}
