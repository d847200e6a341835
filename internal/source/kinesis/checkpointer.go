package kinesis

import (
	"context"
	"errors"
	"time"

	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	par "github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
	"go.uber.org/zap"
)

// renewNever is when the library is to renew a lease: not in our lifetime. It
// would do so once, drop the shard when that fails, and with enhanced fan-out
// only between two batches.
const renewNever = 10 * 365 * 24 * time.Hour

// checkpointer is the library's way to the lease table. Its methods answer from
// memory; only taking, claiming and giving back a lease go to the table.
//
// The library believes that a shard is its own when the owner in its memory is
// this worker, whatever the table says, and then never looks at it again. So
// that owner is set here when a lease is taken and nowhere else, and the library
// clears it when its consumer ends.
type checkpointer struct {
	board  *board  // touched by the event loop only
	ledger *ledger // by consumers, too

	taking, doing context.Context // of leases, see lease
	resume        func(context.Context, Shard) (position string, err error)
	whence        func(shardID string) string
	leave         func(ctx context.Context, shardID string)
	hold          bool
	log           *zap.Logger
	quiet         *seldom // about the table
	quietResume   *seldom
	m             *metrics
}

// Init has nothing to do: the table was looked at before the worker was made.
func (c *checkpointer) Init() error { return nil }

// FetchCheckpoint fills in where a shard is to be read from.
func (c *checkpointer) FetchCheckpoint(status *par.ShardStatus) error {
	if s := c.ledger.get(status.ID); s != nil { // a consumer asks, which holds the lease
		if err := c.settle(s); err != nil {
			return err
		}
		return found(status, s.lease.progress())
	}
	return found(status, c.board.rows[status.ID].checkpoint)
}

// found tells the library, which keeps what it last knew when it is told of none: it would
// read on from where an earlier consumer of its own was, or hold the shard for finished.
func found(status *par.ShardStatus, checkpoint string) error {
	status.SetCheckpoint(checkpoint)
	if checkpoint == "" {
		return chk.ErrSequenceIDNotFound
	}
	return nil
}

// GetLease takes a shard's lease for the event loop, which starts a consumer
// when there is no error. Renewing is none of the library's business.
func (c *checkpointer) GetLease(status *par.ShardStatus, _ string) error {
	id := status.ID
	if !c.board.takeable(id) {
		return chk.ErrLeaseNotAcquired{}
	}
	r, begun, how, err := c.board.take(id)
	if errors.Is(err, errRefused) {
		return chk.ErrLeaseNotAcquired{}
	}
	if err != nil {
		c.m.tableErrors.Inc()
		if skipped, ok := c.quiet.ok(); ok {
			c.log.Warn("shard could not be taken", zap.String("shard", id), zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		return err
	}
	handled, _ := c.ledger.past(id)
	l := &lease{
		table: c.board.table, shard: id, terms: c.board.terms, handled: handled, hold: c.hold,
		log: c.log, quiet: c.quiet, m: c.m,
	}
	s := &shard{id: id, taken: begun, about: c.board.about(id), turn: make(chan struct{}, 1), lease: hold(l, r, begun, c.taking, c.doing)}
	s.resumed.Store(c.resume == nil)
	c.ledger.add(s)
	c.m.taken.WithLabelValues(how).Inc()
	c.log.Info("shard taken", zap.String("shard", id), zap.String("from", how), zap.String("checkpoint", l.progress()))

	status.Mux.Lock()
	defer status.Mux.Unlock()
	status.AssignedTo = c.board.table.worker
	status.LeaseTimeout = begun.Add(renewNever)
	return nil
}

// CheckpointSequence notes how far a shard is handled. Its lease sees to the rest.
func (c *checkpointer) CheckpointSequence(status *par.ShardStatus) error {
	if s := c.ledger.get(status.ID); s != nil {
		at := status.GetCheckpoint()
		s.lease.advance(at)
		if at == shardEnd {
			c.ledger.poke() // its children may be taken
		}
	}
	return nil
}

// RemoveLeaseOwner gives a lease back, with its last checkpoint. It is the last
// thing that a consumer does, however it ends.
func (c *checkpointer) RemoveLeaseOwner(id string) error {
	s := c.ledger.get(id)
	if s == nil {
		return nil
	}
	if c.leave != nil && s.resumed.Load() && s.lease.doing.Err() == nil {
		c.leave(s.lease.doing, id)
	}
	err := s.lease.release()
	c.ledger.remove(s)
	why := s.lease.end()
	c.m.ended.WithLabelValues(why.label).Inc()
	switch {
	case err != nil:
		c.log.Warn("shard left, and another worker will wait for its lease to run out", zap.String("shard", id), zap.Error(err))
	case why.lost:
		c.log.Warn("shard lost", zap.String("shard", id), zap.String("why", why.label))
	default:
		c.log.Info("shard given back", zap.String("shard", id), zap.String("why", why.label), zap.String("checkpoint", s.lease.progress()))
	}
	return err
}

// RemoveLeaseInfo leaves the row alone. The library asks for this when a shard
// is missing in a single answer; the board deletes rows when it is sure.
func (c *checkpointer) RemoveLeaseInfo(string) error { return nil }

// GetLeaseOwner returns this worker for a shard that it holds.
func (c *checkpointer) GetLeaseOwner(id string) (string, error) {
	if c.ledger.get(id) == nil {
		return "", chk.NoLeaseOwnerErr
	}
	return c.board.table.worker, nil
}

// ListActiveWorkers tells the event loop who holds what, for balancing. Who is
// promised a shard counts as its holder, or it would ask for more than its share;
// shards without a living holder are left out, since they get one anyway.
func (c *checkpointer) ListActiveWorkers(shards map[string]*par.ShardStatus) (map[string][]*par.ShardStatus, error) {
	workers := make(map[string][]*par.ShardStatus)
	for id, status := range shards {
		r := c.board.rows[id]
		owner := r.owner
		switch {
		case r.checkpoint == shardEnd:
			continue
		case r.claim != "":
			owner = r.claim
		case c.ledger.get(id) != nil:
			owner = c.board.table.worker
		}
		if owner != "" && (owner == c.board.table.worker || !c.board.stale(id)) {
			workers[owner] = append(workers[owner], status)
		}
	}
	return workers, nil
}

// ClaimShard asks the owner of a shard to give it up for this worker.
func (c *checkpointer) ClaimShard(status *par.ShardStatus, _ string) error {
	return c.board.claim(status.ID)
}
