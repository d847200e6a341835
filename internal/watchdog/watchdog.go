// Package watchdog tells a loop that is stuck from one that waits for others.
//
// A loop says when it does something of its own and when it waits: for work, for
// AWS, for storage. Only one that works and does not get ahead is stuck, which
// nothing but a restart cures; however long others keep a loop waiting, it is well.
//
// Time is counted in looks of the [Monitor], which stops when the process is paused
// and is slow where the machine is.
package watchdog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	lookEvery = 5 * time.Second
	// stuckAfter is how many looks a loop may work without getting ahead: two
	// minutes. All that is watched takes milliseconds.
	stuckAfter = 24
)

// Loop is one loop, or one long call. Its methods are for its own goroutine.
type Loop struct {
	beats atomic.Uint64 // changes with each call of Works and Waits; odd while it works

	// Owned by the monitor, while the loop is watched.
	name  string
	seen  uint64 // beats at the latest look
	looks int    // since it worked without getting ahead
}

// Works notes that the loop does something of its own from now on, or has got ahead
// with that.
func (l *Loop) Works() { l.beats.Store(l.beats.Load()&^1 + 3) }

// Waits notes that the loop waits for others from now on, for as long as it takes.
func (l *Loop) Waits() { l.beats.Store(l.beats.Load()&^1 + 2) }

// Monitor watches loops. Its zero value is ready; a nil one watches none.
type Monitor struct {
	mu    sync.Mutex
	loops map[*Loop]struct{}
}

// Enter has a loop watched, until Leave. It counts as waiting at first. The name is
// for people.
func (m *Monitor) Enter(l *Loop, name string) {
	if m == nil {
		return
	}
	l.Waits()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loops == nil {
		m.loops = make(map[*Loop]struct{})
	}
	l.name, l.looks = name, 0
	m.loops[l] = struct{}{}
}

// Leave ends the watch of a loop.
func (m *Monitor) Leave(l *Loop) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.loops, l)
}

// Run looks at the loops until ctx ends. When one is found to be stuck, stuck is
// called, once for each that is.
func (m *Monitor) Run(ctx context.Context, stuck func(error)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, err := range m.look() {
			stuck(err)
		}
	}
}

// look gives the loops that are stuck since this look.
func (m *Monitor) look() (news []error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.loops {
		beats := l.beats.Load()
		if beats != l.seen || beats%2 == 0 {
			l.seen, l.looks = beats, 0
			continue
		}
		if l.looks++; l.looks == stuckAfter {
			news = append(news, l.err())
		}
	}
	return news
}

// Err says which loop is stuck, and for how long; nil: none is.
func (m *Monitor) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var worst *Loop
	for l := range m.loops {
		if l.looks >= stuckAfter && l.beats.Load() == l.seen && (worst == nil || l.looks > worst.looks) {
			worst = l
		}
	}
	if worst == nil {
		return nil
	}
	return worst.err()
}

func (l *Loop) err() error {
	return fmt.Errorf("%s has not got ahead for %v", l.name, time.Duration(l.looks)*lookEvery)
}
