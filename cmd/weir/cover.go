package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"weir/internal/source/kinesis"
)

const (
	// coverEvery is how often checkpoints follow what is stored, where they wait for it.
	coverEvery = time.Second
	// coverAgain is the pause before it is tried again while a shard waits to be left.
	coverAgain = 50 * time.Millisecond
)

// heldBack reports whether checkpoints wait for decisions to be stored: where batches
// do not, as other processes share the table of them, and no state is kept, which
// would see to it. Tasks of the other roles see to it themselves.
func (s *service) heldBack() bool {
	return s.cfg.Role == roleAll && s.store.Shared() && s.keeper == nil
}

// holdBack has checkpoints wait for decisions.
func (s *service) holdBack(reading *kinesis.Config) {
	reading.Hold = true
	reading.Resume = func(_ context.Context, sh kinesis.Shard) (string, error) { return sh.Handled, nil }
	reading.Leave = func(ctx context.Context, _ string) {
		for s.cover(ctx) != nil {
			select {
			case <-ctx.Done():
				return // who reads on does so from where decisions are stored
			case <-time.After(coverAgain):
			}
		}
	}
}

// keepCovered has checkpoints follow what is stored, until ctx ends.
func (s *service) keepCovered(ctx context.Context) {
	tick := time.NewTicker(coverEvery)
	defer tick.Stop()
	waits := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.cover(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !waits:
			s.log.Warn("no checkpoint moves until decisions can be stored", zap.Error(err))
		case err == nil && waits:
			s.log.Info("checkpoints move again")
		}
		waits = err != nil
	}
}

// cover lets checkpoints move to where all that was decided is stored.
func (s *service) cover(ctx context.Context) error {
	handled := make(map[string]string) // before what it led to is stored
	for _, sh := range s.source.Status().Shards {
		if sh.Resumed && sh.Checkpoint != "" {
			handled[sh.ID] = sh.Checkpoint
		}
	}
	if err := s.store.Commit(ctx); err != nil {
		return err
	}
	s.source.Covered(handled)
	return nil
}

// catchUpLimit is how long a shard that was taken waits to learn what its last owner decided.
const catchUpLimit = 10 * time.Second

// catchUpBefore has a shard go on when it is known what its last owner has decided. Where the
// table does not say so in time, the shard goes on without: at worst, a client who is banned
// is banned once more.
func (s *service) catchUpBefore(resume func(context.Context, kinesis.Shard) (string, error)) func(context.Context, kinesis.Shard) (string, error) {
	return func(ctx context.Context, sh kinesis.Shard) (string, error) {
		limited, cancel := context.WithTimeout(ctx, catchUpLimit)
		defer cancel()
		if err := s.store.CatchUp(limited); err != nil {
			s.log.Warn("a shard goes on, though it is not known what its last owner decided at the end", zap.String("shard", sh.ID), zap.Error(err))
		}
		return resume(ctx, sh)
	}
}
