package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"weir/internal/rekey"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/snapshot"
)

// shelf keeps the states of the re-keyed stream's shards as snapshots, a series for each.
type shelf struct {
	store  *snapshot.Store
	stream string
	seed   seeded.Seed
}

// sectionShard is the section that has the state of a shard.
const sectionShard = "shard"

func (s *shelf) series(shard string) *snapshot.Series { return s.store.Series(s.stream + "." + shard) }

func (s *shelf) Save(ctx context.Context, shard string, after int64, position string, write func(io.Writer) error) (int64, error) {
	number, _, err := s.series(shard).Put(ctx, after, snapshot.Header{
		Written: time.Now(), Version: version(), Stream: s.stream, Positions: map[string]string{shard: position}, Seed: s.seed[:],
	}, snapshot.Section{Name: sectionShard, Write: write})
	if errors.Is(err, snapshot.ErrConflict) {
		err = fmt.Errorf("%w: %w", rekey.ErrConflict, err)
	}
	return number, err
}

func (s *shelf) Load(ctx context.Context, shard string, use func(position string, state io.Reader) error) (int64, error) {
	var number int64
	last, ok, err := s.series(shard).Latest(ctx, func(h snapshot.Header, next func() (string, io.Reader, error)) error {
		number = h.Generation
		state, err := section(h, next, sectionShard, s.seed)
		if err != nil {
			return err
		}
		return use(h.Positions[shard], state)
	})
	switch {
	case err != nil:
		return number, err
	case !ok:
		return last, rekey.ErrNoState
	}
	return last, nil
}

// section returns a section of a snapshot that was written under a seed.
func section(h snapshot.Header, next func() (string, io.Reader, error), name string, seed seeded.Seed) (io.Reader, error) {
	if !bytes.Equal(h.Seed, seed[:]) {
		return nil, fmt.Errorf("%w: it was written under another seed, as by tasks with another WEIR_BAN_TABLE", snapshot.ErrUnreadable)
	}
	for {
		switch got, r, err := next(); {
		case err != nil:
			return nil, err
		case got == name:
			return r, nil
		case got == "":
			return nil, fmt.Errorf("%w: there is no section %q", snapshot.ErrUnreadable, name)
		}
	}
}

// commonKnowledge is what tasks that ingest have learnt of the sites: each adds what it knows
// to what is kept, and takes what others know.
type commonKnowledge struct {
	set    *scenario.Set
	series *snapshot.Series
	seed   seeded.Seed
	log    *zap.Logger
}

// share does so at once and at an interval, until ctx ends.
func (c *commonKnowledge) share(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := false
	for {
		err := c.exchange(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			c.log.Warn("what was learnt of the sites could not be shared with the other tasks, and is tried again", zap.Error(err))
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// exchangeTime bounds an exchange.
const exchangeTime = 10 * time.Second

func (c *commonKnowledge) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	last, _, err := c.series.Latest(ctx, func(h snapshot.Header, next func() (string, io.Reader, error)) error {
		r, err := section(h, next, sectionLearnt, c.seed)
		if err != nil {
			return err
		}
		if err := c.set.ReadLearnt(r); err != nil {
			return fmt.Errorf("%w: %w", snapshot.ErrUnreadable, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, _, err = c.series.Put(ctx, last, snapshot.Header{Written: time.Now(), Version: version(), Seed: c.seed[:]},
		snapshot.Section{Name: sectionLearnt, Write: c.set.WriteLearnt})
	if errors.Is(err, snapshot.ErrConflict) {
		return nil // another task was quicker, and this one adds what it knows the next time
	}
	return err
}
