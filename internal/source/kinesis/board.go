package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
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
	stop   context.Context
	log    *zap.Logger
	m      *metrics
	report func(boardReport)

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
	at      time.Time // of the look; zero if none succeeded yet
	open    int       // shards that still take records
	unowned int       // shards with something to read that nobody holds, or whose holder looks dead
	err     error     // of the latest look
}

// wait returns when there is a shard to take, or when the library should see to
// the balance between workers. The error says that the service stops.
func (b *board) wait() error {
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
	rows, err := b.table.scan(ctx)
	if err != nil {
		return err
	}
	b.shards, b.rows = shards, rows
	return nil
}

// observe notes which rows have changed since the look before.
func (b *board) observe(now time.Time) {
	// What happened in a gap is not known: nobody's silence counts across it.
	blind := now.Sub(b.lastLook) > b.terms.blind()
	seen := make(map[string]sighting, len(b.rows))
	for id, r := range b.rows {
		s, ok := b.seen[id]
		if !ok || blind || s.row != r {
			s = sighting{r, now}
		}
		seen[id] = s
	}
	b.seen = seen
	b.count(now)
}

// count notes since when shards that have a row are not listed.
func (b *board) count(now time.Time) {
	for id := range b.missing {
		if _, ok := b.rows[id]; !ok {
			delete(b.missing, id)
		}
	}
	for id := range b.rows {
		since, missing := b.missing[id]
		if _, ok := b.shards[id]; ok {
			delete(b.missing, id)
			continue
		}
		if !missing {
			b.missing[id] = now
		}
		if s := b.ledger.get(id); s != nil && missing && now.Sub(since) >= goneAfter {
			s.gone.Store(true)
		}
	}
}

// stale tells whether whoever the row belongs to looks dead.
func (b *board) stale(id string) bool {
	s, ok := b.seen[id]
	return ok && b.looked.Sub(s.since) >= b.terms.failover
}

// settle sees to it that one worker reads the whole stream, unless shards are
// shared: of those that hold any, the one with the most. The others give
// theirs up, as they must when workers were started at the same time.
func (b *board) settle() {
	b.reserved = ""
	if b.share {
		return
	}
	held := make(map[string]int)
	for id, r := range b.rows {
		if r.owner != "" && r.checkpoint != shardEnd && (r.owner == b.table.worker || !b.stale(id)) {
			held[r.owner]++
		}
	}
	first := b.table.worker
	for worker, n := range held {
		if most := held[first]; n > most || n == most && worker < first {
			first = worker
		}
	}
	if first == b.table.worker {
		return
	}
	b.reserved = first
	for _, s := range b.ledger.all() {
		s.lease.stopTaking(errYielded)
	}
}

func (b *board) anyTakeable() bool {
	for id := range b.shards {
		if b.takeable(id) {
			return true
		}
	}
	return false
}

// takeable tells whether this worker may take a shard's lease now.
func (b *board) takeable(id string) bool {
	s, ok := b.shards[id]
	if !ok || b.looked.IsZero() || b.reserved != "" || b.refused[id] || b.ledger.get(id) != nil {
		return false
	}
	// The table was scanned before a lease ended that ended a moment ago.
	if _, freed := b.ledger.past(id); !b.looked.After(freed) {
		return false
	}
	r := b.rows[id]
	if r.checkpoint == shardEnd || !b.parentsDone(s) {
		return false
	}
	if r.claim != "" && r.claim != b.table.worker || r.owner != "" && r.owner != b.table.worker {
		return b.stale(id)
	}
	return true
}

// parentsDone tells whether all that came before a shard was read: a client's
// records are handled in the order in which they arrived.
func (b *board) parentsDone(s listed) bool {
	for _, p := range s.parents {
		r, known := b.rows[p]
		_, there := b.shards[p]
		since, missing := b.missing[p]
		gone := !there && (!known || missing && b.looked.Sub(since) >= goneAfter)
		if r.checkpoint != shardEnd && !gone {
			return false
		}
	}
	return true
}

// take takes a shard's lease. It tells how the shard was come by.
func (b *board) take(id string) (r row, begun time.Time, how string, err error) {
	seen := b.rows[id]
	seen.shard = id // in case there is no row yet
	parent := ""
	if p := b.shards[id].parents; len(p) > 0 {
		parent = p[0]
	}
	// Not cut short by a stop: what is taken is given back then, what may have been
	// taken keeps others waiting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.stop), b.terms.timeout())
	defer cancel()
	begun = time.Now()
	r, err = b.table.take(ctx, seen, parent)
	switch {
	case err == nil:
		b.rows[id] = r
	case errors.Is(err, errRefused):
		b.refused[id] = true
	default:
		b.looked = time.Time{} // it may have been taken all the same
	}
	return r, begun, takenFrom(seen, b.table.worker), err
}

// claim asks for a shard that another worker holds.
func (b *board) claim(id string) error {
	ctx, cancel := context.WithTimeout(b.stop, b.terms.timeout())
	defer cancel()
	r := b.rows[id]
	if err := b.table.claim(ctx, r); err != nil {
		return err
	}
	r.claim = b.table.worker
	b.rows[id] = r
	return nil
}

// How a shard is come by; the values of a metric's label.
const (
	takenFree    = "free"    // nobody had it
	takenOwn     = "own"     // this worker had it, by a write whose answer got lost
	takenClaimed = "claimed" // its owner gave it up for this worker
	takenExpired = "expired" // its owner looked dead
)

func takenFrom(seen row, me string) string {
	switch {
	case seen.owner == me:
		return takenOwn
	case seen.owner != "":
		return takenExpired
	case seen.claim == me:
		return takenClaimed
	}
	return takenFree
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
	r := boardReport{at: b.lastLook, err: err}
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
