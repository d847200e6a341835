package kinesis

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// sleep waits for d and tells whether it did so to the end: not if ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff is how long to wait after the nth failure in a row (from 0): 100 ms,
// doubled each time up to most, of which a random half is left out so that
// shards which failed together do not come back together.
func backoff(n int, most time.Duration) time.Duration {
	d := most
	if n < 16 { // beyond, the shift would not fit
		d = min(most, 100*time.Millisecond<<n)
	}
	return d/2 + rand.N(d/2+1)
}

// seldom lets through one of many alike log lines a minute.
type seldom struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// ok tells whether to log now, and how many were left out before.
func (s *seldom) ok() (skipped int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.skipped++
		return 0, false
	}
	skipped = s.skipped
	s.next, s.skipped = now.Add(time.Minute), 0
	return skipped, true
}
