package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/leader"
	"weir/internal/waf"
)

const (
	// leaderless is how long a process may lead without a shard, as between one that
	// ended and its children, where who leads is who counts.
	leaderless = 30 * time.Second
	// benched is how long a process does not lead again that met a later leader.
	benched = time.Minute
)

// newLease makes the leader lease, in the table of the shards' leases and under the
// name that those are held under.
func (s *service) newLease(cloud aws.Config, reg prometheus.Registerer) (err error) {
	s.lease, err = leader.New(leader.Config{
		AWS: cloud, Table: s.cfg.Kinesis.LeaseTable, Worker: s.source.Status().Worker,
		Failover: s.cfg.Kinesis.Failover, Logger: s.log.Named("leader"), Registerer: reg,
	})
	return err
}

// errBehind is why a process ends whose decisions are not those in force any more.
var errBehind = errors.New("another process has led since and this one knows nothing of what it decided: start again, as a standby")

// write keeps the IP sets right while this process leads. Where all processes
// share their decisions it does so whenever it gets the lease. Else who leads is who
// counts: a standby knows no decision of the other's, and would undo them; and one
// that has led and does so no more is behind in everything, so it ends, to be
// started again as a standby.
func (s *service) write(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	err := s.lease.Run(ctx, func() bool { return s.eligible(fail) }, s.lead)
	if err == nil && errors.Is(context.Cause(ctx), errBehind) {
		err = errBehind
	}
	return err
}

// eligible reports whether this process may lead. The lease asks, about once a
// second.
func (s *service) eligible(fail context.CancelCauseFunc) bool {
	now := time.Now()
	if now.UnixMilli() < s.bench.Load() {
		return false
	}
	if s.shared {
		return true
	}
	is := s.lease.Status()
	if last := s.lastLed.Load(); last != 0 && !is.Leads && is.Epoch > last {
		fail(errBehind)
		return false
	}
	holds := len(s.source.Status().Shards) > 0
	if holds {
		s.held = now
	}
	return holds || is.Leads && now.Sub(s.held) < leaderless
}

// epoch is that of the term in which this process leads.
func (s *service) epoch() uint64 { return s.term.Load().Epoch() }

// confirm is nil when this process leads at this moment.
func (s *service) confirm(ctx context.Context) error { return s.term.Load().Confirm(ctx) }

// lead writes the IP sets for one term.
func (s *service) lead(ctx context.Context, term *leader.Term) error {
	s.lastLed.Store(term.Epoch())
	s.term.Store(term)
	s.leading.Store(true)
	err := s.writeSets(ctx)
	if err == nil {
		s.flush(term)
	}
	s.leading.Store(false)
	if s.told.Load() == 0 {
		for _, t := range s.targets {
			t.writer.Reset() // for the next term
		}
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(err, waf.ErrDeposed) && s.shared:
		s.bench.Store(time.Now().Add(benched).UnixMilli())
		s.log.Error("stood down", zap.Error(explainDeposed(err)))
		return nil
	case errors.Is(err, waf.ErrDeposed):
		return fmt.Errorf("%w: start again, as a standby", explainDeposed(err))
	case err == nil && !s.shared && errors.Is(cause, leader.ErrLost):
		return errBehind
	case err == nil && !s.shared && errors.Is(cause, leader.ErrEmptied):
		return fmt.Errorf("%w while this process led, and another one may lead by now: start again", cause)
	case err == nil && !s.shared && errors.Is(cause, leader.ErrIneligible):
		return errors.New("every shard is read by another worker now: start again, as a standby")
	}
	return err
}

func explainDeposed(err error) error {
	return fmt.Errorf("%w; if that happens again and again, two deployments share IP sets, or a machine's clock is ahead", err)
}

// writeSets has every target's writer run until ctx ends, or one finds that a later
// leader writes: deposed at one target, it leads nowhere.
func (s *service) writeSets(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, len(s.targets))
	for i, t := range s.targets {
		wg.Go(func() {
			if errs[i] = t.writer.Run(ctx); errs[i] != nil {
				stop()
			}
		})
		if t.DryRun {
			wg.Go(func() { s.narrate(ctx, t) })
		}
		if len(s.cfg.Ban.Lists) > 0 {
			wg.Go(func() { s.warnUnlisted(ctx, t) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// giveBack is what the end of a stop needs, after the last round of writes.
const giveBack = 4 * time.Second

// flush gives every target a last write while the lease is held, within a third of
// the time that a stop may take, and what is left of that.
func (s *service) flush(term *leader.Term) {
	deadline := time.Now().Add(s.cfg.StopTimeout / 3)
	if told := s.told.Load(); told != 0 {
		if end := time.UnixMilli(told).Add(s.cfg.StopTimeout - giveBack); end.Before(deadline) {
			deadline = end
		}
	}
	ctx, cancel := context.WithDeadline(term.Held(), deadline)
	defer cancel()
	var wg sync.WaitGroup
	for _, t := range s.targets {
		wg.Go(func() {
			if err := t.writer.Flush(ctx); err != nil {
				// Not a failure of the stop: whoever leads next writes what was left.
				s.log.Warn("some bans are not in an IP set yet", zap.String("target", t.Name), zap.Error(err))
			}
		})
	}
	wg.Wait()
}
