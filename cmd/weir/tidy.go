package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	// tidyEvery is how often it is looked for states of shards that are gone.
	tidyEvery = 10 * time.Minute
	// goneFor is how long a shard is not in the stream before its states go.
	goneFor = time.Hour
	// tidyTime bounds a look.
	tidyTime = time.Minute
)

// tidy removes states of shards that the stream has no more, every now and then until ctx
// ends. listed are those that it has, with their parents; nil = it is not known.
func (s *shelf) tidy(ctx context.Context, listed func() map[string][]string, log *zap.Logger) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	gone := make(map[string]time.Time) // since when a shard is not listed
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, tidyTime)
		removed, err := s.removeGone(limited, listed(), gone)
		cancel()
		if len(removed) > 0 {
			log.Info("states of shards that the stream has no more removed", zap.Strings("shards", removed))
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("states of shards that the stream has no more are not removed yet", zap.Error(err))
		}
	}
}

// removeGone removes the states of shards that are not listed and were not for long. A shard
// leaves the stream when its last record is too old. A child that has no state of its own yet,
// as no record came, may still have to go on from its parents'.
func (s *shelf) removeGone(ctx context.Context, listed map[string][]string, gone map[string]time.Time) (removed []string, err error) {
	if len(listed) == 0 {
		return nil, nil
	}
	kept, err := s.store.Below(ctx, seriesOf(s.stream(), s.table))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	maps.DeleteFunc(gone, func(id string, _ time.Time) bool { return !slices.Contains(kept, id) })
	for _, id := range kept {
		if _, ok := listed[id]; ok {
			delete(gone, id)
			continue
		}
		if _, ok := gone[id]; !ok {
			gone[id] = now
		}
		if now.Sub(gone[id]) < goneFor {
			continue
		}
		switch needed, err := s.needed(ctx, id, listed); {
		case err != nil:
			return removed, err
		case needed:
			continue
		}
		if err := s.of(id).series.Remove(ctx); err != nil {
			return removed, err
		}
		removed = append(removed, id)
		s.mu.Lock()
		delete(s.shelf, id)
		s.mu.Unlock()
		delete(gone, id)
	}
	return removed, nil
}

// needed reports whether a child of a shard has no state of its own.
func (s *shelf) needed(ctx context.Context, shard string, listed map[string][]string) (bool, error) {
	for id, parents := range listed {
		if !slices.Contains(parents, shard) {
			continue
		}
		if kept, err := s.of(id).series.Kept(ctx); err != nil || !kept {
			return true, err
		}
	}
	return false, nil
}
