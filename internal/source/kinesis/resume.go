package kinesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"
)

// Shard is a shard that this worker has taken, as [Config].Resume is told of it.
type Shard struct {
	ID               string
	Parents          []string // none, one, or the two that were merged
	HashFrom, HashTo string   // the hash keys that it owns, in decimal; both belong to it

	Checkpoint string // what the table says: a sequence number, or "" = nothing
	// Handled is how far this process has handled it before, in this tenure; "" = it
	// has not.
	Handled string
	// Tenure grows by one each time that this worker takes a shard while it holds
	// none. What it knew of the stream before may be old then: others may have read on.
	Tenure int64
}

// resumeBackoff is the longest wait before Resume is called again.
const resumeBackoff = 5 * time.Second

// settle finds out where a shard is to be read from. Its consumer waits here.
func (c *checkpointer) settle(s *shard) error {
	for fails := 0; !s.resumed.Load(); fails++ {
		taking := s.lease.taking
		if taking.Err() != nil {
			return fmt.Errorf("resume shard %s: %w", s.id, context.Cause(taking))
		}
		position, err := c.resume(taking, s.about)
		if err == nil {
			s.whence = "the lease table"
			if position == "" {
				position = s.about.Checkpoint
			} else if c.whence != nil {
				s.whence = c.whence(s.id)
			}
			s.lease.resume(position)
			s.stats.waits.Store(nil)
			s.resumed.Store(true)
			c.log.Info("shard resumed", zap.String("shard", s.id), zap.String("position", position), zap.String("position_of", s.whence), zap.String("checkpoint", s.about.Checkpoint))
			return nil
		}
		if taking.Err() != nil {
			continue
		}
		c.m.resumeErrors.Inc()
		s.stats.waits.Store(aws.String(err.Error()))
		if skipped, ok := c.quietResume.ok(); ok {
			c.log.Error("shard waits: it is not known how far the kept state has it", zap.String("shard", s.id),
				zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		sleep(taking, backoff(fails, resumeBackoff))
	}
	return nil
}

// Cut is what a state knows that is copied at one moment.
type Cut struct {
	Tenure    int64             // see Shard; a state from another one knows something else
	Positions map[string]string // how far each shard was handled that this worker has had in the tenure
}

// Cut calls f at a moment at which no batch is between being handled and being
// noted as handled. Shards of which nothing is known are left out. New batches wait
// meanwhile; they do so, too, until those in hand are done, and no longer than ctx
// allows, whose error is the only one.
//
// A batch that failed may be partly in the state: it comes again.
func (s *Source) Cut(ctx context.Context, f func(Cut)) error {
	return s.gate.close(ctx, func() { f(s.ledger.cut()) })
}

// CutShard is Cut for one shard and its batches alone, others go on. The position
// is "" when nothing was handled. It is an error if the shard is not held.
func (s *Source) CutShard(ctx context.Context, id string, f func(position string)) error {
	sh := s.ledger.get(id)
	if sh == nil || !sh.resumed.Load() {
		return fmt.Errorf("cut shard %s: %w", id, errNotHeld)
	}
	select {
	case sh.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("cut shard %s: %w", id, context.Cause(ctx))
	}
	defer func() { <-sh.turn }()
	f(sh.lease.progress())
	return nil
}

// Covered says that a state is kept which knows each of the shards up to a
// position: with Config.Hold their checkpoints follow, within about a second and
// before a lease is given back.
func (s *Source) Covered(positions map[string]string) {
	for id, at := range positions {
		if sh := s.ledger.get(id); sh != nil {
			sh.lease.cover(at)
		}
	}
}

// Abandon gives shards back, or all if none is named, at once, without Leave and with
// the checkpoints where they are: somebody else has kept a state in which this worker's
// part is missing. None is taken before all of them are back, so that who held no
// other then begins a new tenure.
func (s *Source) Abandon(ids ...string) {
	for _, sh := range s.ledger.all() {
		if len(ids) == 0 || slices.Contains(ids, sh.id) {
			sh.abandoned.Store(true)
			sh.lease.stopTaking(errDropped)
			sh.lease.stopDoing(errDropped)
		}
	}
}

// ErrUnsure means that the table has not confirmed lately that this worker holds
// what it believes to hold.
var ErrUnsure = errors.New("the leases are not confirmed")

// Sure returns nil when this worker holds the shards, and the table has confirmed
// of each within the time in which nobody else can have it. Without names it is
// asked about all that the worker holds, which must be some. A worker that was
// stopped for long, or that the table does not answer, is not sure.
func (s *Source) Sure(ids ...string) error {
	if len(ids) == 0 {
		for _, sh := range s.ledger.all() {
			ids = append(ids, sh.id)
		}
	}
	if len(ids) == 0 {
		return fmt.Errorf("no shard is held: %w", ErrUnsure)
	}
	for _, id := range ids {
		if sh := s.ledger.get(id); sh == nil || !sh.lease.sure() {
			return fmt.Errorf("shard %s: %w", id, ErrUnsure)
		}
	}
	return nil
}

// Lists tells whether the stream had a shard when it was last looked at. Before the
// first look it is said to have any.
func (s *Source) Lists(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.report.shards[id]
	return ok || s.report.at.IsZero()
}

// Listed returns the shards that the stream had when it was last looked at, each with its
// parents, whether it has those or not. It is nil before the first look.
func (s *Source) Listed() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.report.at.IsZero() {
		return nil
	}
	all := make(map[string][]string, len(s.report.shards))
	for id, sh := range s.report.shards {
		all[id] = slices.Clone(sh.parents)
	}
	return all
}
