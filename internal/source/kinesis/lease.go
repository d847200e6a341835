package kinesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Why a shard is not, or no longer, read here.
var (
	errTaken   = errors.New("another worker has the lease")
	errEmptied = errors.New("the lease table was emptied or made anew")
	errClaimed = errors.New("another worker asks for the lease")
	errYielded = errors.New("another worker reads the stream")
	errDropped = errors.New("the state that is kept has gone on without this worker's")
	errExpired = errors.New("the lease table did not answer for longer than the lease grace")
	errGiven   = errors.New("the lease was given back")
)

// A lease is the right to read one shard, and its row in the lease table. The
// goroutine in keep is the only one that writes the row, so renewals and
// checkpoints cannot overtake each other; everybody else leaves notes in memory.
//
// A worker that was paused does not know what it missed. So once the lease's
// time is over nothing is handled before the table was asked again (confirm).
// An answer decides. No answer means that nobody else gets one either, and the
// lease is held on to for the grace.
type lease struct {
	table *table
	shard string
	terms terms
	log   *zap.Logger
	quiet *seldom // shared by all leases, whose table it is
	m     *metrics

	// taking ends when no more records are to be taken up: the service stops,
	// another worker asks for the lease or has it. doing ends when what was taken
	// up is to be left alone, too: the lease is lost, or the stop takes too long.
	taking, doing         context.Context
	stopTaking, stopDoing context.CancelCauseFunc

	ask      chan struct{}      // one slot: write now
	quit     context.CancelFunc // ends keep
	kept     chan struct{}      // closed when keep has ended
	lost     bool               // another has it, or may have; owned by keep, by release once kept is closed
	revision int64              // owned by keep; by release once kept is closed

	hold bool // the table is told only what is covered

	mu         sync.Mutex
	handled    string        // how far the shard is handled; never moves back once it is read
	covered    string        // how far a state is kept that knows what was handled
	written    string        // how far the table knows; never moves back
	confirmed  time.Time     // when the latest write that succeeded was begun
	unanswered time.Time     // when the latest write that got no answer was begun
	answer     chan struct{} // closed and replaced when a write has ended
}

// terms are the times that leases go by. They follow from the failover time: in
// it, who holds a lease has several tries to renew it, and who waits for one
// looks at it several times.
type terms struct {
	failover time.Duration // after which others take a lease that was not renewed
	grace    time.Duration // Config.LeaseGrace
}

func (t terms) tick() time.Duration    { return min(time.Second, t.failover/10) } // checkpoints are hardly older
func (t terms) look() time.Duration    { return t.tick() }                        // how often a board looks
func (t terms) polite() time.Duration  { return 3 * t.look() }                    // how long what was given up is left to who asked for it
func (t terms) blind() time.Duration   { return t.failover / 2 }                  // a gap between looks that counts
func (t terms) renew() time.Duration   { return t.failover / 4 }
func (t terms) timeout() time.Duration { return min(3*time.Second, t.failover*3/10) } // of one write
func (t terms) valid() time.Duration   { return t.failover * 9 / 10 }                 // how long a holder relies on a write
func (t terms) trust() time.Duration   { return t.failover * 3 / 4 }                  // how long silence counts as an outage

// hold starts to keep a lease that was taken by a write begun at the given
// time, which left the row like that. handled is how far this process knows the
// shard to be handled, which may be further than the row.
func hold(l *lease, r row, begun time.Time, taking, doing context.Context) *lease {
	l.taking, l.stopTaking = context.WithCancelCause(taking)
	l.doing, l.stopDoing = context.WithCancelCause(doing)
	l.ask, l.kept, l.answer = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	l.revision, l.written, l.confirmed = r.revision, r.checkpoint, begun
	if compareSequence(l.handled, r.checkpoint) < 0 {
		l.handled = r.checkpoint
	}
	var ctx context.Context
	ctx, l.quit = context.WithCancel(context.WithoutCancel(doing))
	go l.keep(ctx)
	return l
}

// keep renews the lease and writes its checkpoint until it is lost or ctx ends.
func (l *lease) keep(ctx context.Context) {
	defer close(l.kept)
	tick := time.NewTicker(l.terms.tick())
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-l.ask:
			l.renew(ctx)
		case <-tick.C:
			if l.due() {
				l.renew(ctx)
			}
		}
		if l.lost {
			return
		}
	}
}

// renew writes the row and ends everything that is done under the lease if it
// turns out to be lost.
func (l *lease) renew(ctx context.Context) {
	err := l.write(ctx, false)
	if err == nil {
		return
	}
	l.mu.Lock()
	silent := time.Since(l.confirmed)
	l.mu.Unlock()
	switch {
	case errors.Is(err, errNoRow):
		err = errEmptied
	case errors.Is(err, errRefused):
		err = errTaken
	case silent > l.terms.failover+l.terms.grace:
		err = errExpired
	default:
		if skipped, ok := l.quiet.ok(); ok && ctx.Err() == nil {
			l.log.Warn("lease could not be renewed, and the shard is read on", zap.String("shard", l.shard),
				zap.Duration("since", silent), zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		return
	}
	l.lost = true
	l.stopTaking(err)
	l.stopDoing(err)
}

// due tells whether there is something to write.
func (l *lease) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checkpoint() != l.written || time.Since(l.confirmed) >= l.terms.renew()
}

// checkpoint returns what the table should say. The caller holds mu.
func (l *lease) checkpoint() string {
	to := l.handled
	if l.hold && compareSequence(l.covered, to) < 0 {
		to = l.covered
	}
	if compareSequence(to, l.written) < 0 {
		return l.written // a state from before it, or another worker's, is read on from
	}
	return to
}

// write renews the lease, or gives it back, and moves the checkpoint to what is
// handled by now.
func (l *lease) write(ctx context.Context, release bool) error {
	l.mu.Lock()
	c := change{shard: l.shard, release: release}
	if to := l.checkpoint(); to != l.written {
		c.checkpoint = to
	}
	l.mu.Unlock()
	l.revision++
	c.revision = l.revision

	ctx, cancel := context.WithTimeout(ctx, l.terms.timeout())
	defer cancel()
	begun := time.Now()
	r, err := l.table.write(ctx, c)
	l.m.wrote(c, err)
	l.note(begun, c, err)
	if err == nil && r.claim != "" && r.claim != l.table.worker {
		l.stopTaking(errClaimed)
	}
	return err
}

// note remembers how a write has ended and tells those who wait for it.
func (l *lease) note(begun time.Time, c change, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.confirmed = begun
		if c.checkpoint != "" {
			l.written = c.checkpoint
		}
	case !errors.Is(err, errRefused):
		l.unanswered = begun
	}
	close(l.answer)
	l.answer = make(chan struct{})
}

// confirm returns nil when the lease is in force, or an error when nothing more
// is to be handled under it. If need be it waits for the table.
func (l *lease) confirm() error {
	for {
		ok, answer := l.inForce()
		switch {
		case l.taking.Err() != nil:
			return context.Cause(l.taking)
		case ok:
			return nil
		}
		select {
		case l.ask <- struct{}{}:
		default:
		}
		select {
		case <-answer:
		case <-l.taking.Done():
		}
	}
}

// inForce tells whether the lease is good now, and if not, what to wait for.
func (l *lease) inForce() (ok bool, answer <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	silent := time.Since(l.confirmed)
	outage := time.Since(l.unanswered) < l.terms.trust() && silent < l.terms.failover+l.terms.grace
	return silent < l.terms.valid() || outage, l.answer
}

// advance notes that all records up to a sequence number were handled.
func (l *lease) advance(sequence string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if compareSequence(sequence, l.handled) <= 0 {
		return
	}
	l.handled = sequence
}

// resume sets how far the shard is handled, before it is read. That may be
// behind the table.
func (l *lease) resume(position string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handled = position
}

// cover notes how far a state is kept.
func (l *lease) cover(position string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if compareSequence(position, l.covered) > 0 {
		l.covered = position
	}
}

// sure tells whether the table has confirmed the lease lately. An outage is no excuse.
func (l *lease) sure() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doing.Err() == nil && time.Since(l.confirmed) < l.terms.valid()
}

// progress returns how far the shard is handled.
func (l *lease) progress() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handled
}

// giveBackTime bounds release.
const giveBackTime = 5 * time.Second

// release writes the last checkpoint and gives the lease back, unless it is
// lost. It returns within giveBackTime. The error says why the table still has
// this worker as the owner, or an older checkpoint.
func (l *lease) release() error {
	l.stopTaking(errGiven)
	l.quit()
	<-l.kept
	defer l.stopDoing(errGiven)
	if l.lost {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.doing), giveBackTime)
	defer cancel()
	for n := 0; ; n++ {
		err := l.write(ctx, true)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errRefused):
			l.lost = true
			return nil
		case !sleep(ctx, backoff(n, time.Second)):
			return fmt.Errorf("give back the lease: %w", err)
		}
	}
}

// ending says why a lease ended.
type ending struct {
	label string // one of endings
	lost  bool   // not given back
}

// endings are the values of a metric's label.
var endings = []string{"finished", "stopped", "claimed", "yielded", "abandoned", "taken", "emptied", "expired", "consumer"}

// end returns why a lease ended that was released.
func (l *lease) end() ending {
	cause := context.Cause(l.taking)
	switch {
	case errors.Is(cause, errExpired):
		return ending{"expired", true}
	case errors.Is(cause, errEmptied):
		return ending{"emptied", true}
	case l.lost:
		return ending{"taken", true}
	case l.progress() == shardEnd:
		return ending{"finished", false}
	case errors.Is(cause, errClaimed):
		return ending{"claimed", false}
	case errors.Is(cause, errYielded):
		return ending{"yielded", false}
	case errors.Is(cause, errDropped):
		return ending{"abandoned", false}
	case errors.Is(cause, errGiven): // the library's consumer ended for reasons of its own
		return ending{"consumer", false}
	}
	return ending{"stopped", false}
}
