package kinesis

import (
	"context"
	"fmt"
	"sync"
)

// gate lets any number in, until it is closed for a moment. A sync.RWMutex would
// do, if waiting for it could be given up: who waits to close keeps others out.
type gate struct {
	closing sync.Mutex // one at a time

	mu     sync.Mutex
	inside int
	reopen chan struct{} // closed when who is kept out may try again; nil = the gate is open
	empty  chan struct{} // closed when nobody is left inside; nil = nobody waits for that
}

// enter waits while the gate is closed.
func (g *gate) enter() {
	for {
		g.mu.Lock()
		reopen := g.reopen
		if reopen == nil {
			g.inside++
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		<-reopen
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close calls f when everybody is out and nobody can get in, unless ctx ends before.
func (g *gate) close(ctx context.Context, f func()) error {
	g.closing.Lock()
	defer g.closing.Unlock()
	empty := make(chan struct{})
	g.mu.Lock()
	g.reopen = make(chan struct{})
	if g.inside == 0 {
		close(empty)
	} else {
		g.empty = empty
	}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.reopen)
		g.reopen, g.empty = nil, nil
	}()
	select {
	case <-empty:
		f()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait until the batches in hand are done: %w", context.Cause(ctx))
	}
}
