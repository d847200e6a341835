package ban

import (
	"context"
	"fmt"
	"time"
)

// Commit stores everything that was decided before it was called, together with
// what others decided meanwhile, in one transaction, and then tells
// Config.OnAlert. It returns at once when there is nothing to store. After an
// error everything stays pending for the next call, of whomever.
func (s *Store) Commit(ctx context.Context) error {
	if s.untold.Load() == 0 {
		return nil
	}
	if err := s.beginWriting(ctx); err != nil {
		return fmt.Errorf("wait to store decisions: %w", err)
	}
	defer s.endWriting()
	return s.commit(ctx)
}

func (s *Store) beginWriting(ctx context.Context) error {
	select {
	case s.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) endWriting() { <-s.writing }

// commit does the work of Commit; writing is held.
func (s *Store) commit(ctx context.Context) error {
	queue, b := s.takeQueue()
	if !b.empty() {
		if err := s.write(ctx, b); err != nil {
			s.restoreQueue(queue)
			return err
		}
		s.markStored(b.put)
	}
	if s.cfg.OnAlert != nil {
		s.tell(queue, b.put)
	}
	s.untold.Add(-int64(len(queue)))
	if len(b.put) > 0 {
		s.journal.wake()
	}
	return nil
}

// write stores b and counts how that went.
func (s *Store) write(ctx context.Context, b batch) error {
	start := time.Now()
	err := s.storage.write(ctx, b)
	s.metrics.commitSeconds.Observe(time.Since(start).Seconds())
	s.mu.Lock()
	s.failed = err
	s.mu.Unlock()
	if err != nil {
		s.metrics.commitErrors.Inc()
		return err
	}
	for i := range b.put {
		s.metrics.decisions[b.put[i].Origin].Inc()
	}
	return nil
}

// takeQueue empties the queue and returns it with the decisions to be stored,
// as they are now: an unban may have ended one of them since its alert.
func (s *Store) takeQueue() ([]settled, batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.queue
	s.queue = nil
	var b batch
	for i := range queue {
		if queue[i].fresh {
			d := *s.known[queue[i].id].d
			d.Context = newContext(&queue[i].alert)
			b.put = append(b.put, d)
		}
		if queue[i].keep {
			b.alerts = append(b.alerts, alertOf(&queue[i]))
			if last := &b.alerts[len(b.alerts)-1]; queue[i].fresh {
				last.Until = b.put[len(b.put)-1].Until
			}
		}
	}
	return queue, b
}

// restoreQueue puts back what could not be stored, in front of what has come
// since, and lets it be enforced.
func (s *Store) restoreQueue(queue []settled) {
	s.mu.Lock()
	s.queue = append(queue, s.queue...)
	for i := range queue {
		if queue[i].fresh {
			s.enforce(s.known[queue[i].id])
		}
	}
	s.mu.Unlock()
	s.journal.wake()
}

func (s *Store) markStored(ds []Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ds {
		e := s.known[ds[i].ID]
		e.stored = true
		s.enforce(e)
	}
}

// enforce lets e be enforced. mu is held.
func (s *Store) enforce(e *entry) {
	e.enforce.Store(true)
	s.journal.note(e.d.Prefix)
}

// tell reports settled alerts, in their order. stored holds the decisions of the
// fresh ones, in the same order.
func (s *Store) tell(queue []settled, stored []Decision) {
	for i := range queue {
		q := &queue[i]
		var d *Decision
		switch {
		case q.fresh:
			d, stored = &stored[0], stored[1:]
		case q.id != "":
			d = s.knownDecision(q)
		}
		s.cfg.OnAlert(q.alert, d)
	}
}

// knownDecision returns the decision of an alert that was raised before. It is
// nil if the decision has ended and been forgotten meanwhile.
func (s *Store) knownDecision(q *settled) *Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.known[q.id]
	if e == nil {
		return nil
	}
	d := *e.d
	d.Context = newContext(&q.alert)
	return &d
}
