package wafsim

import (
	"container/heap"
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/internal/waf"
)

// store is what is in force: it decides nothing. Several writers may read it.
type store struct {
	mu      sync.Mutex
	bans    map[netip.Prefix]waf.Entry
	over    map[netip.Prefix]waf.Entry // that ended
	ends    ends
	journal []netip.Prefix // what changed, since the start
	wake    []chan struct{}
	orphans int                        // entries that were found in sets and not known
	removed map[netip.Prefix]time.Time // by a person
}

func newStore() *store {
	return &store{
		bans: make(map[netip.Prefix]waf.Entry), over: make(map[netip.Prefix]waf.Entry),
		removed: make(map[netip.Prefix]time.Time),
	}
}

// ends is a heap of bans by their end.
type ends []waf.Entry

func (h ends) Len() int           { return len(h) }
func (h ends) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }
func (h ends) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ends) Push(x any)        { *h = append(*h, x.(waf.Entry)) }
func (h *ends) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// changed wakes the writers. s.mu is held.
func (s *store) changed(p ...netip.Prefix) {
	s.journal = append(s.journal, p...)
	for _, c := range s.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// add puts bans in force.
func (s *store) add(list ...waf.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range list {
		s.bans[e.Prefix] = e
		heap.Push(&s.ends, e)
		s.changed(e.Prefix)
	}
}

// drop ends bans at once.
func (s *store) drop(list ...netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, p := range list {
		if e, ok := s.bans[p]; ok {
			e.Until = now
			s.over[p] = e
			delete(s.bans, p)
		}
		s.changed(p)
	}
}

// tidy forgets what is over. s.mu is held.
func (s *store) tidy(now time.Time) {
	for len(s.ends) > 0 && !s.ends[0].Until.After(now) {
		e := heap.Pop(&s.ends).(waf.Entry)
		if s.bans[e.Prefix].Until.Equal(e.Until) {
			delete(s.bans, e.Prefix)
			s.over[e.Prefix] = e
		}
	}
}

// past gives the latest ban of a prefix, be it over or not.
func (s *store) past(p netip.Prefix) (waf.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.bans[p]; ok {
		return e, true
	}
	e, ok := s.over[p]
	return e, ok
}

func (s *store) wanted(now time.Time) iter.Seq[waf.Entry] {
	return func(yield func(waf.Entry) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tidy(now)
		for _, e := range s.ends { // and not the map: a run can be repeated
			if s.bans[e.Prefix] == e && !yield(e) {
				return
			}
		}
	}
}

// since gives what changed after a position in the journal.
func (s *store) since(at uint64) ([]netip.Prefix, uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal[at:]), uint64(len(s.journal)), true
}

func (s *store) lookup(p netip.Prefix, now time.Time) (waf.Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.bans[p]
	return e, ok && e.Until.After(now)
}

// inForce gives what is in force.
func (s *store) inForce() map[netip.Prefix]waf.Entry {
	all := make(map[netip.Prefix]waf.Entry)
	for e := range s.wanted(time.Now()) {
		all[e.Prefix] = e
	}
	return all
}

// config is that of a writer that takes everything from the store.
func (s *store) config(client waf.API) waf.Config {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	s.wake = append(s.wake, c)
	s.mu.Unlock()
	return waf.Config{
		Client: client, Scope: "CLOUDFRONT", Sets: []string{"weir-"}, Grace: grace,
		Wanted: s.wanted, Changes: s.since, Lookup: s.lookup, Changed: c,
		Orphans: func(_ context.Context, held []waf.Entry) error {
			now := time.Now()
			for _, e := range held {
				s.add(waf.Entry{Prefix: e.Prefix, Action: e.Action, List: e.List, Created: now, Until: now.Add(time.Hour)})
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.orphans += len(held)
			return nil
		},
		Ended: func(p netip.Prefix) (time.Time, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			e, ok := s.over[p]
			return e.Until, ok
		},
		Removed: func(list []netip.Prefix, at time.Time) {
			s.drop(list...)
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, p := range list {
				s.removed[p] = at
			}
		},
	}
}
