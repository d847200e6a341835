package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"go.uber.org/zap"

	"weir/internal/rekey"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/snapshot"
	"weir/internal/source/kinesis"
)

// shelf keeps the states of the re-keyed stream's shards as snapshots, a series for each.
type shelf struct {
	store  *snapshot.Store
	stream func() kinesis.Identity // known when a shard was taken
	table  string                  // of its leases
	place  string                  // for people
	seed   seeded.Seed

	mu    sync.Mutex
	shelf map[string]*shelved // by shard
}

// shelved is what a task knows of the snapshots of one shard.
type shelved struct {
	series *snapshot.Series
	loaded int64 // the latest that it has gone on from; 0 = none
}

// seriesOf names the snapshots of those who read a stream with a lease table: whatever else
// is kept in the same place, they do not meet it.
func seriesOf(stream kinesis.Identity, table string) string {
	return path.Join(stream.Folder(), table)
}

// ofStream returns an error if a snapshot is not of a stream.
func ofStream(h snapshot.Header, stream kinesis.Identity) error {
	if of := (kinesis.Identity{ARN: h.Stream, Created: h.Created}); of.ARN != stream.ARN || !of.Created.Equal(stream.Created) {
		return fmt.Errorf("%w: it is of the stream %v, and the one that is read is %v", snapshot.ErrUnreadable, of, stream)
	}
	return nil
}

// sectionShard is the section that has the state of a shard.
const sectionShard = "shard"

// of returns what is known of a shard. Its series remembers what it could not find out, so
// there is one for each.
func (s *shelf) of(shard string) *shelved {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.shelf[shard]
	if k == nil {
		if s.shelf == nil {
			s.shelf = make(map[string]*shelved)
		}
		k = &shelved{series: s.store.Series(path.Join(seriesOf(s.stream(), s.table), shard))}
		s.shelf[shard] = k
	}
	return k
}

// whence names the snapshot of a shard that was gone on from.
func (s *shelf) whence(shard string) string {
	k := s.of(shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.loaded == 0 {
		return ""
	}
	return fmt.Sprintf("snapshot %d of shard %s in %s (WEIR_STATE_SNAPSHOT)", k.loaded, shard, s.place)
}

func (s *shelf) Save(ctx context.Context, shard string, after int64, position string, write func(io.Writer) error) (int64, error) {
	is := s.stream()
	number, _, err := s.of(shard).series.Put(ctx, after, snapshot.Header{
		Written: time.Now(), Version: version(), Stream: is.ARN, Created: is.Created, Positions: map[string]string{shard: position}, Seed: s.seed[:],
	}, snapshot.Section{Name: sectionShard, Write: write})
	if errors.Is(err, snapshot.ErrConflict) {
		err = fmt.Errorf("%w: %w", rekey.ErrConflict, err)
	}
	return number, err
}

func (s *shelf) Load(ctx context.Context, shard string, use func(position string, state io.Reader) error) (int64, error) {
	k, loaded := s.of(shard), int64(0)
	last, ok, err := k.series.Latest(ctx, func(h snapshot.Header, next func() (string, io.Reader, error)) error {
		if err := ofStream(h, s.stream()); err != nil {
			return err
		}
		state, err := section(h, next, sectionShard, s.seed)
		if err != nil {
			return err
		}
		loaded = h.Generation
		return use(h.Positions[shard], state)
	})
	switch {
	case err != nil:
		return loaded, err
	case !ok:
		return last, rekey.ErrNoState
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k.loaded = loaded
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
	series func() *snapshot.Series // nil as long as it is not known which stream is read
	seed   seeded.Seed
	log    *zap.Logger
}

// share does so at once and at an interval, until ctx ends.
func (c *commonKnowledge) share(ctx context.Context, every time.Duration) {
	for c.series() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sharedSoon):
		}
	}
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

const (
	exchangeTime = 10 * time.Second       // bounds an exchange
	sharedSoon   = 200 * time.Millisecond // between two looks whether there can be one
)

func (c *commonKnowledge) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	series := c.series()
	last, _, err := series.Latest(ctx, func(h snapshot.Header, next func() (string, io.Reader, error)) error {
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
	_, _, err = series.Put(ctx, last, snapshot.Header{Written: time.Now(), Version: version(), Seed: c.seed[:]},
		snapshot.Section{Name: sectionLearnt, Write: c.set.WriteLearnt})
	if errors.Is(err, snapshot.ErrConflict) {
		return nil // another task was quicker, and this one adds what it knows the next time
	}
	return err
}
