package waf

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Writer that has led before leads again, under a higher epoch, as a fresh one
// would: what another leader did meanwhile stays done.
func TestLeadingAgain(t *testing.T) {
	bubble(t, 2, 1, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		var epoch uint64 = 1
		cfg := s.config(f)
		cfg.Epoch = func() uint64 { return epoch }
		cfg.Registerer = prometheus.NewRegistry()
		a := start(t, cfg)
		s.ban(time.Hour, v4(1), v4(2))
		pass(10 * time.Second)
		a.halt()
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.Reset()
		if st := a.Status(); st.Epoch != 0 || len(st.Sets) != 0 || a.Ready() == nil {
			t.Errorf("after Reset it still knows %+v", st)
		}

		epoch = 2
		cfg.Registerer = nil
		b := start(t, cfg)
		pass(10 * time.Second)
		s.ban(time.Hour, v4(3))
		s.unban(v4(1))
		pass(30 * time.Second)
		expectHeld(t, f, v4(2), v4(3))
		b.halt()

		epoch = 3
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		s.ban(time.Hour, v4(4))
		pass(30 * time.Second)
		expectHeld(t, f, v4(2), v4(3), v4(4))
		if err := a.Ready(); err != nil || a.Status().Epoch != 3 {
			t.Errorf("ready %v, epoch %d", err, a.Status().Epoch)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(s.removed) > 0 || len(s.orphans) > 0 {
			t.Errorf("taken for removed by hand %v, for orphans %v", s.removed, s.orphans)
		}
	})
}

// Nothing is written while it is not known who leads; what changes meanwhile is in
// the write that follows.
func TestConfirm(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		hold, asked := make(chan struct{}), make(chan struct{}, 1)
		var lost atomic.Bool
		cfg := s.config(f)
		cfg.Confirm = func(ctx context.Context) error {
			select {
			case asked <- struct{}{}:
			default:
			}
			if lost.Load() {
				return errors.New("another leads")
			}
			select {
			case <-hold:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		w := start(t, cfg)
		pass(5 * time.Second)
		s.ban(time.Hour, v4(1), v4(2))
		<-asked
		pass(time.Minute)
		s.unban(v4(1))
		if len(f.attempts) != 0 {
			t.Fatal("it writes before it knows that it leads")
		}
		close(hold)
		pass(time.Second)
		expectHeld(t, f, v4(2))
		if len(f.attempts) != 1 {
			t.Errorf("%d writes", len(f.attempts))
		}
		lost.Store(true)
		s.ban(time.Hour, v4(3))
		pass(time.Minute)
		expectHeld(t, f, v4(2))
		w.halt()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.Flush(ctx); err == nil {
			t.Error("a last round without a lease has written everything")
		}
		expectHeld(t, f, v4(2))
	})
}
