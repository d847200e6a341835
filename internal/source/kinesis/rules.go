package kinesis

import (
	"context"
	"errors"
	"slices"
	"time"
)

// observe notes which rows have changed since the look before.
func (b *board) observe(now time.Time) {
	// What happened in a gap is not known: nobody's silence counts across it.
	blind := now.Sub(b.lastLook) > b.terms.blind()
	seen := make(map[string]sighting, len(b.rows))
	for id, r := range b.rows {
		r.claim = "" // others write that: it says nothing of who the row belongs to
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
func (b *board) stale(id string) bool { return b.silent(id) >= b.terms.failover }

// silent returns for how long a row was seen to stay as it is.
func (b *board) silent(id string) time.Duration {
	s, ok := b.seen[id]
	if !ok {
		return 0
	}
	return b.looked.Sub(s.since)
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
		if b.free(id) {
			return true
		}
	}
	return false
}

// takeable tells whether this worker may take a shard's lease now. Unless shards
// are shared, workers that hold none all go for the same one first: who gets it
// gets the rest, and the others see that when they look again.
func (b *board) takeable(id string) bool {
	if !b.free(id) {
		return false
	}
	if b.share || b.ledger.any() {
		return true
	}
	for other := range b.shards {
		if other < id && b.free(other) {
			return false
		}
	}
	return true
}

// free tells whether nothing about a shard keeps this worker from taking it.
func (b *board) free(id string) bool {
	s, ok := b.shards[id]
	if !ok || b.looked.IsZero() || b.reserved != "" || b.refused[id] || b.ledger.get(id) != nil || b.ledger.abandoning() {
		return false
	}
	if !b.share && len(b.refused) > 0 && !b.ledger.any() {
		return false // another worker was quicker: look again first
	}
	// The table was scanned before a lease ended that ended a moment ago.
	if _, freed := b.ledger.past(id); !b.looked.After(freed) {
		return false
	}
	r := b.rows[id]
	if r.checkpoint == shardEnd || !b.parentsDone(s) {
		return false
	}
	switch {
	case r.owner != "" && r.owner != b.table.worker:
		return b.stale(id)
	case r.claim != "" && r.claim != b.table.worker:
		return b.silent(id) >= b.terms.polite()
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
		// Who reads everything and is told where to go on from needs no table to know that it was there.
		done := r.checkpoint == shardEnd || gone || b.hold && !b.share && b.ledger.finished(p)
		if !done {
			return false
		}
	}
	return true
}

// about returns what is known of a shard that was taken.
func (b *board) about(id string) Shard {
	s := b.shards[id]
	return Shard{
		ID: id, Parents: slices.Clone(s.parents), HashFrom: s.hashFrom, HashTo: s.hashTo,
		Checkpoint: b.rows[id].checkpoint,
	}
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
