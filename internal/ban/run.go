package ban

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	sweepEvery = 10 * time.Second // how often memory forgets
	purgeEvery = 10 * time.Minute // how often the storage forgets
	sweepBatch = 256              // prefixes forgotten while alerts wait
	purgeBatch = 500              // rows deleted in one transaction
)

// Run keeps house until ctx ends: it forgets ended decisions, in memory once the
// records of their time have come, in the storage after Config.Retention; and it
// tries again to store what nobody else's Commit has stored; it reads imported lists
// again that have changed; and it learns what other processes decide. What goes wrong is
// logged when it begins and when it ends. Its error is always nil.
func (s *Store) Run(ctx context.Context) error {
	if from, ok := s.storage.(followable); ok {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { s.followAll(ctx, from) })
	}
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	purge := time.NewTicker(purgeEvery)
	defer purge.Stop()
	lists := time.NewTicker(listsEvery)
	defer lists.Stop()
	allow := time.NewTimer(0)
	defer allow.Stop()
	var committing, purging trouble
	for {
		s.census.turn(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
			s.sweep()
			committing.note(ctx, s.log, "storing decisions", s.Commit(ctx))
		case <-s.allowNews:
			allow.Reset(0)
		case <-allow.C:
			if next, ok := s.expireAllow(); ok {
				allow.Reset(next)
			}
		case <-lists.C:
			s.readLists()
		case <-purge.C:
			purging.note(ctx, s.log, "purging ended decisions", s.purge(ctx))
		}
	}
}

// trouble is whether something that is done again and again fails.
type trouble bool

func (t *trouble) note(ctx context.Context, log *zap.Logger, what string, err error) {
	switch {
	case ctx.Err() != nil: // stopping is no trouble
		return
	case err != nil && !bool(*t):
		log.Error(what+" does not work; it is tried again", zap.Error(err))
	case err == nil && bool(*t):
		log.Info(what + " works again")
	}
	*t = err != nil
}

// sweep forgets, in memory, decisions that ended lateGrace ago and unbans that
// no record can be older than. What is not stored is kept.
func (s *Store) sweep() {
	now := s.now()
	ended := millis(now.Add(-lateGrace))
	var stale []netip.Prefix // found without holding up alerts
	for p, h := range s.index.table.Load().All() {
		if slices.ContainsFunc(h.entries, func(e *entry) bool { return e.until <= ended }) {
			stale = append(stale, p)
		}
	}
	for batch := range slices.Chunk(stale, sweepBatch) {
		s.mu.Lock()
		for _, p := range batch {
			s.forget(p, ended)
		}
		s.mu.Unlock()
	}
	s.forgetUnbans(millis(now.Add(-liftedLife)))
}

// forget drops the stored entries about p that ended by the time ended (Unix
// ms). mu is held.
func (s *Store) forget(p netip.Prefix, ended int64) {
	var keep []*entry
	for _, e := range s.index.get(p) {
		if e.until <= ended && e.stored {
			delete(s.known, e.d.ID)
			if e.d.Held == "" {
				s.ended[p] = max(s.ended[p], e.until)
			}
		} else {
			keep = append(keep, e)
		}
	}
	s.index.set(p, keep)
}

func (s *Store) forgetUnbans(before int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var old []netip.Prefix
	for p, at := range s.unbans.All() {
		if at < before {
			old = append(old, p)
		}
	}
	for _, p := range old {
		s.unbans.Delete(p)
	}
}

// purge forgets what Ended knows no more, and in the storage, in transactions small
// enough for commits to go in between, what is older than it keeps.
func (s *Store) purge(ctx context.Context) error {
	now := s.now()
	s.mu.Lock()
	s.forgetEnded(millis(now.Add(-endedLife)))
	s.mu.Unlock()
	old := purge{ended: s.kept(), lifted: now.Add(-liftedLife), audit: now.Add(-auditLife), told: time.Now().Add(-feedLife)}
	for {
		more, err := s.storage.purge(ctx, old, purgeBatch)
		if err != nil {
			return fmt.Errorf("purge decisions older than %s: %w", s.cfg.Retention, err)
		}
		if !more {
			return nil
		}
	}
}

// kept is the time before which what has ended is forgotten.
func (s *Store) kept() time.Time { return s.now().Add(-s.cfg.Retention) }
