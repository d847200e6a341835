package leader

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Term is the time for which a process holds the lease.
type Term struct {
	lease    *Lease
	epoch    uint64
	revision int64     // owned by keep, by release when that has ended
	tried    time.Time // when the latest write was begun; likewise
	held     context.Context
	lose     context.CancelCauseFunc
	ask      chan struct{} // one slot: write now

	mu       sync.Mutex
	standing standing
	answer   chan struct{} // closed and replaced when a write has ended
}

func newTerm(l *Lease, r row, begun time.Time) *Term {
	return &Term{
		lease: l, epoch: r.epoch, revision: r.revision, ask: make(chan struct{}, 1),
		standing: standing{confirmed: begun, reached: begun}, answer: make(chan struct{}),
	}
}

// Epoch is greater than that of every term before, whoever's, and at least the time
// at which this one began, in Unix milliseconds.
func (t *Term) Epoch() uint64 { return t.epoch }

// Held ends when the lease is lost, and when the term is over: nothing may be done
// under it any more. Until then a last round may be finished.
func (t *Term) Held() context.Context { return t.held }

// Confirm returns nil when this process leads at this moment. It is to be asked
// before everything that only a leader may do, and costs nothing as long as the
// lease was renewed lately. After a pause it waits for the table's answer.
func (t *Term) Confirm(ctx context.Context) error {
	for {
		ok, answer := t.inForce()
		switch {
		case t.held.Err() != nil:
			return context.Cause(t.held)
		case ok:
			return nil
		}
		select {
		case t.ask <- struct{}{}:
		default:
		}
		select {
		case <-answer:
		case <-t.held.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inForce tells whether the lease is good now, and if not, what to wait for.
func (t *Term) inForce() (ok bool, answer <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.standing.inForce(time.Now(), t.lease.terms), t.answer
}

// run leads, and gives the lease back.
func (t *Term) run(ctx context.Context, eligible func() bool, lead func(context.Context, *Term) error) error {
	t.held, t.lose = context.WithCancelCause(context.WithoutCancel(ctx))
	leading, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	stop := context.AfterFunc(t.held, func() { leave(context.Cause(t.held)) })
	defer stop()

	keeping, quit := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		t.keep(keeping, func() {
			if leading.Err() == nil && !eligible() {
				leave(ErrIneligible)
			}
		})
	})
	var err error
	if ctx.Err() == nil {
		err = lead(leading, t)
	}
	quit()
	wg.Wait()
	t.end(context.Cause(leading))
	return err
}

// keep renews the lease until it is lost or ctx ends.
func (t *Term) keep(ctx context.Context, look func()) {
	tick := time.NewTicker(t.lease.terms.tick())
	defer tick.Stop()
	for ctx.Err() == nil && t.held.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.ask:
			// Not again and again where calls fail at once: the next tick tries, too.
			if time.Since(t.tried) >= t.lease.terms.tick()/4 {
				t.renew(ctx)
			}
		case <-tick.C:
			look()
			if t.due() {
				t.renew(ctx)
			}
		}
	}
}

func (t *Term) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.standing.confirmed) >= t.lease.terms.renew()
}

// renew writes the row, and ends the term if it turns out to be lost.
func (t *Term) renew(ctx context.Context) {
	err := t.write(ctx, false)
	t.mu.Lock()
	expired := t.standing.expired(time.Now(), t.lease.terms)
	t.mu.Unlock()
	switch {
	case err == nil:
		return
	case errors.Is(err, errNoRow):
		t.lose(ErrEmptied)
	case errors.Is(err, errRefused):
		t.lose(ErrLost)
	case expired:
		t.lose(ErrSilent)
	default:
		return
	}
	t.lease.ceased()
}

// write renews the lease, or gives it back.
func (t *Term) write(ctx context.Context, release bool) error {
	ctx, cancel := context.WithTimeout(ctx, t.lease.terms.timeout())
	defer cancel()
	t.revision++
	begun := time.Now()
	t.tried = begun
	err := t.lease.table.write(ctx, t.epoch, t.revision, release)
	t.lease.note(ctx, err, func(st *Status) { st.Confirmed = begun })

	t.mu.Lock()
	defer t.mu.Unlock()
	if !errors.Is(err, errRefused) {
		t.standing.note(begun, err == nil, t.lease.terms)
	}
	close(t.answer)
	t.answer = make(chan struct{})
	return err
}

// giveBackTime bounds the tries to give the lease back.
const giveBackTime = 3 * time.Second

// Why a term ends; the values of a metric's label.
const (
	endedLost       = "lost"       // another process took the lease
	endedEmptied    = "emptied"    // the table has no row of the lease any more
	endedSilent     = "silent"     // the table did not answer for too long
	endedIneligible = "ineligible" // as its own process wanted
	endedStopped    = "stopped"
	endedByItself   = "itself" // lead returned without having been told to
)

// end gives the lease back unless it is lost, and tells why the term is over.
func (t *Term) end(cause error) {
	lost := context.Cause(t.held)
	if lost == nil {
		t.lose(errOver)
		lost = t.release()
	}
	why := endedStopped
	switch {
	case errors.Is(lost, ErrLost):
		why = endedLost
	case errors.Is(lost, ErrEmptied):
		why = endedEmptied
	case errors.Is(lost, ErrSilent):
		why = endedSilent
	case cause == nil:
		why = endedByItself
	case errors.Is(cause, ErrIneligible):
		why = endedIneligible
	}
	l := t.lease
	l.m.ended.WithLabelValues(why).Inc()
	l.ceased()
	l.log.Info("this process leads no more", zap.Uint64("epoch", t.epoch), zap.String("why", why), zap.NamedError("not_given_back", lost))
}

// release gives the lease back. The error says why others have to wait until it
// runs out.
func (t *Term) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTime)
	defer cancel()
	for {
		err := t.write(ctx, true)
		if err == nil {
			return nil
		}
		if errors.Is(err, errRefused) { // gone already, perhaps by a try that got no answer
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(t.lease.terms.tick() / 4):
		}
	}
}
