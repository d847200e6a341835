package pipeline

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/watchdog"
)

// A store that takes no decisions for hours keeps a batch waiting, and nothing is
// stuck; a batch that does not get ahead by itself is.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blocked atomic.Bool
		blocked.Store(true)
		h := newHouse(t, func(ctx context.Context) error {
			if !blocked.Load() {
				return nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Minute):
			}
			return errors.New("the disk is full")
		}, nil)
		watch := new(watchdog.Monitor)
		h.cfg.Watch = watch
		watching, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		wg.Go(func() { watch.Run(watching, func(error) {}) })

		var calls sync.WaitGroup
		for _, client := range []string{"45.9.0.1", "45.9.0.2"} {
			calls.Go(func() {
				if err := h.Handle(t.Context(), attack(client), nil); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Hour)
		if err := watch.Err(); err != nil {
			t.Errorf("the store is blocked, and it is said that %v", err)
		}
		blocked.Store(false)
		calls.Wait()

		hold := make(chan struct{})
		h.cfg.Allowed = func(netip.Addr) bool { <-hold; return false }
		calls.Go(func() { _ = h.Handle(t.Context(), attack("45.9.0.3"), nil) })
		time.Sleep(time.Minute)
		if err := watch.Err(); err != nil {
			t.Errorf("after a minute: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := watch.Err(); err == nil || !strings.HasPrefix(err.Error(), "a batch of records has not got ahead for ") {
			t.Errorf("a batch is stuck, and it is said: %v", err)
		}
		close(hold)
		calls.Wait()
		if err := watch.Err(); err != nil {
			t.Errorf("it got ahead, and it is said that %v", err)
		}

		// A batch that panicked is not waited for.
		h.cfg.Allowed = func(netip.Addr) bool { panic("not ever") }
		func() {
			defer func() { recover() }()
			_ = h.Handle(t.Context(), attack("45.9.0.4"), nil)
		}()
		time.Sleep(10 * time.Minute)
		if err := watch.Err(); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}
