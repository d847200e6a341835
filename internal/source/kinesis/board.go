package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"weir/internal/watchdog"
)

const (
	boardGap    = 100 * time.Millisecond // the least time between two looks
	callTimeout = 5 * time.Second        // of one call that lists
	goneAfter   = time.Minute            // how long a shard is not listed before it counts as gone
	dropAfter   = 10 * time.Minute       // and before its row is deleted
)

// A board knows which shards the stream has and what the lease table says about
// them, and so which shard this worker may take. It belongs to KCL's event loop:
// that goroutine alone calls its methods.
//
// Other workers' clocks are not trusted. A lease has run out when its row was
// looked at for as long as a lease lasts, without a gap, and did not change.
type board struct {
	stream stream
	table  *table
	ledger *ledger
	terms  terms
	share  bool
	hold   bool
	stop   context.Context
	end    context.CancelCauseFunc // ends stop for good
	log    *zap.Logger
	m      *metrics
	report func(boardReport)
	loop   *watchdog.Loop // KCL's event loop, which waits here and works elsewhere

	shards   map[string]listed    // as last listed
	missing  map[string]time.Time // rows whose shard is not listed, since when
	rows     map[string]row       // as last scanned, and as changed by this worker since
	seen     map[string]sighting
	tried    time.Time       // when the latest look was begun
	lastLook time.Time       // when the latest look that succeeded was begun
	looked   time.Time       // the same, but zero when the table cannot be relied on until the next look
	refused  map[string]bool // shards that could not be taken since
	reserved string          // the other worker to whom all shards belong; "" = none, always so when sharing
	quiet    seldom
}

// A sighting says since when a row looks as it does.
type sighting struct {
	row   row
	since time.Time
}

// boardReport is what others may know of a board.
type boardReport struct {
	at      time.Time         // of the look; zero if none succeeded yet
	shards  map[string]listed // as last listed; not written to
	open    int               // shards that still take records
	unowned int               // shards with something to read that nobody holds, or whose holder looks dead
	err     error             // of the latest look
}

// wait returns when there is a shard to take, or when the library should see to
// the balance between workers. The error says that the service stops.
func (b *board) wait() error {
	b.loop.Waits()
	defer b.loop.Works()
	for {
		if b.stop.Err() != nil {
			return fmt.Errorf("wait for a shard: %w", context.Cause(b.stop))
		}
		if time.Since(b.tried) < b.terms.look() && b.anyTakeable() {
			return nil
		}
		b.sleep()
		if b.stop.Err() == nil && b.look() && b.share {
			return nil
		}
	}
}

// sleep waits until it is time to look again.
func (b *board) sleep() {
	t := time.NewTimer(time.Until(b.tried.Add(b.terms.look())))
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.ledger.wake:
		sleep(b.stop, time.Until(b.tried.Add(boardGap)))
	case <-b.stop.Done():
	}
}

// look lists the shards and scans the table. It tells whether both succeeded.
func (b *board) look() bool {
	begun := time.Now()
	b.tried = begun
	err := b.refresh()
	if err != nil {
		b.looked = time.Time{}
		b.m.looksFailed.Inc()
		if skipped, ok := b.quiet.ok(); ok && b.stop.Err() == nil {
			b.log.Warn("shards or leases could not be listed", zap.Error(err), zap.Int("times_before", skipped))
		}
	} else {
		b.observe(begun)
		b.looked, b.lastLook = begun, begun
		b.refused = make(map[string]bool)
		b.settle()
		b.tidy(begun)
	}
	b.publish(err)
	return err == nil
}

func (b *board) refresh() error {
	ctx, cancel := context.WithTimeout(b.stop, callTimeout)
	defer cancel()
	shards, err := b.stream.list(ctx)
	if err != nil {
		return err
	}
	if !sameShards(b.shards, shards) {
		b.end(ErrAnew) // positions, here and in the table, mean nothing any more
		return ErrAnew
	}
	rows, err := b.table.scan(ctx)
	if err != nil {
		return err
	}
	b.shards, b.rows = shards, rows
	return nil
}

// tidy deletes the rows of shards that the stream has not had for long. No
// shard needs its parent's row: where reading begins has a row of its own.
func (b *board) tidy(now time.Time) {
	for id, since := range b.missing {
		if now.Sub(since) < dropAfter || b.ledger.get(id) != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(b.stop, callTimeout)
		err := b.table.drop(ctx, b.rows[id])
		cancel()
		if err != nil && !errors.Is(err, errRefused) {
			return // the table has other worries; it keeps until the next look
		}
		delete(b.missing, id)
		b.ledger.forget(id)
		b.log.Info("row of a shard that the stream no longer has deleted", zap.String("shard", id))
	}
}

func (b *board) publish(err error) {
	r := boardReport{at: b.lastLook, err: err, shards: b.shards}
	for id, s := range b.shards {
		if s.open {
			r.open++
		}
		row := b.rows[id]
		if row.checkpoint == shardEnd || b.ledger.get(id) != nil || !b.parentsDone(s) {
			continue
		}
		if row.owner == "" || row.owner == b.table.worker || b.stale(id) {
			r.unowned++
		}
	}
	b.report(r)
}
