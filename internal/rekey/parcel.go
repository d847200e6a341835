package rekey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"weir/internal/detect"
)

// A Parcel is what one caller adds and waits for. It belongs to one goroutine.
type Parcel struct {
	sender *Sender

	pending int           // frames that are not put; the sender's lock guards it
	closed  bool          // nothing more is added; so, too
	arrived chan struct{} // closed when all frames are put
}

// NewParcel returns an empty Parcel.
func (s *Sender) NewParcel() *Parcel { return &Parcel{sender: s, arrived: make(chan struct{})} }

// Add adds an event for a partition, and waits while there is no room. It keeps nothing of it.
// What is added of one source must come in the order of its Positions. The error is that of
// ctx.
func (p *Parcel) Add(ctx context.Context, source string, at Position, m *detect.Match, partition int) error {
	s := p.sender
	s.mu.Lock()
	for {
		l := s.of[partition]
		if l != nil && !s.stale && l.add(p, source, at, m, partition, s) {
			s.mu.Unlock()
			return nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("put events into stream %s: %w", s.stream.id, context.Cause(ctx))
		}
		s.mu.Lock()
	}
}

// add reports whether there is room.
func (l *lane) add(p *Parcel, source string, at Position, m *detect.Match, partition int, s *Sender) bool {
	if len(l.frames) >= maxQueue {
		return false
	}
	if !l.writer.Add(source, at, m) {
		l.full()
		s.awake()
		if len(l.frames) >= maxQueue {
			return false
		}
		l.writer.Add(source, at, m)
	}
	if l.writer.Events() == 1 {
		l.since = time.Now()
		s.awake()
	}
	l.to.add(partition)
	if n := len(l.parcels); n == 0 || l.parcels[n-1] != p && !slices.Contains(l.parcels, p) {
		l.parcels = append(l.parcels, p)
		p.pending++
	}
	return true
}

// landed notes that a frame is put.
func (p *Parcel) landed() {
	if p.pending--; p.pending == 0 && p.closed {
		close(p.arrived)
	}
}

// Wait waits until all that was added is put. Nothing can be added any more. The error is that
// of ctx; then some of it may be put, and more of it later.
func (p *Parcel) Wait(ctx context.Context) error {
	p.sender.mu.Lock()
	if !p.closed {
		p.closed = true
		if p.pending == 0 {
			close(p.arrived)
		}
	}
	p.sender.mu.Unlock()
	select {
	case <-p.arrived:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("put events into stream %s: %w", p.sender.stream.id, context.Cause(ctx))
	}
}
