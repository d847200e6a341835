package awslocal

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// stream is one data stream. Lock order: stream.mu, then shards' mutexes; only
// who has stream.mu may hold more than one of the latter.
type stream struct {
	name      string
	arn       string
	id        uint64 // tells it from an earlier stream of the same name
	createdAt int64  // Unix milliseconds
	mode      string // "PROVISIONED" or "ON_DEMAND"
	maxRecord int    // bytes of data and key of one record
	limited   bool   // limits are enforced

	retention atomic.Int64 // milliseconds that records are kept
	sweepAt   atomic.Int64 // Unix milliseconds of the next sweep
	layout    atomic.Pointer[layout]

	mu        sync.Mutex  // held while the layout or the consumers are changed
	nextShard uint64      // index; guarded by mu
	consumers []*consumer // by name; guarded by mu
}

// layout is a stream's shards at one moment. It does not change: resharding
// puts another one in its place.
type layout struct {
	all  []*shard // open and closed ones that may still hold records, by index
	open []*shard // by range; together they cover the hash space
}

// at returns the open shard that a hash key belongs to.
func (l *layout) at(h hashKey) *shard {
	return l.open[sort.Search(len(l.open), func(i int) bool { return !l.open[i].keys.end.less(h) })]
}

// find returns the shard with that id, or nil.
func (l *layout) find(id string) *shard {
	index, ok := parseShardID(id)
	if !ok {
		return nil
	}
	return l.get(index)
}

// get returns the shard with that index, or nil.
func (l *layout) get(index uint64) *shard {
	i, found := slices.BinarySearchFunc(l.all, index, func(s *shard, index uint64) int {
		return cmp.Compare(s.index, index)
	})
	if !found {
		return nil
	}
	return l.all[i]
}

// put appends a record to the shard it belongs to.
func (s *stream) put(e *putEntry, now time.Time) (*shard, sequence, bool) {
	for {
		sh := s.layout.Load().at(e.hash)
		q, outcome := sh.put(e, now)
		if outcome != putClosed {
			return sh, q, outcome == putDone
		}
		// A shard is closed after its children are in the layout: look again.
	}
}

// replace closes neighbouring shards and opens others over the same keys. The
// caller holds s.mu. A producer sees either all parents open or all children.
func (s *stream) replace(now time.Time, parents []*shard, ranges ...hashRange) {
	at := millis(now)
	for _, p := range parents {
		p.mu.Lock()
		defer p.mu.Unlock()
		at = max(at, p.last)
	}
	adjacent := ""
	if len(parents) > 1 {
		adjacent = parents[1].id
	}
	children := make([]*shard, len(ranges))
	for i, keys := range ranges {
		children[i] = s.openShard(keys, at, parents[0].id, adjacent)
	}
	old := s.layout.Load()
	next := &layout{
		all:  slices.Concat(old.all, children),
		open: slices.DeleteFunc(slices.Concat(old.open, children), func(sh *shard) bool { return slices.Contains(parents, sh) }),
	}
	slices.SortFunc(next.open, byRange)
	s.layout.Store(next)
	for _, p := range parents {
		p.closedAt, p.children = at, children
	}
}

// byRange orders shards whose ranges do not overlap.
func byRange(a, b *shard) int {
	switch {
	case a.keys.start.less(b.keys.start):
		return -1
	case b.keys.start.less(a.keys.start):
		return 1
	}
	return 0
}

// sweep forgets, now and then, what is older than the retention in shards that
// nobody touches, and closed shards that have nothing left.
func (s *stream) sweep(now time.Time) {
	ms, due := millis(now), s.sweepAt.Load()
	retention := s.retention.Load()
	if ms < due || !s.sweepAt.CompareAndSwap(due, ms+max(1000, retention/16)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.layout.Load()
	var gone []*shard
	for _, sh := range old.all {
		sh.mu.Lock()
		sh.log.trim(ms - retention)
		if sh.closedAt != 0 && sh.closedAt < ms-retention {
			gone = append(gone, sh)
		}
		sh.mu.Unlock()
	}
	if len(gone) > 0 {
		keep := func(sh *shard) bool { return !slices.Contains(gone, sh) }
		s.layout.Store(&layout{all: filtered(old.all, keep), open: old.open})
	}
}

func filtered(shards []*shard, keep func(*shard) bool) []*shard {
	var out []*shard
	for _, sh := range shards {
		if keep(sh) {
			out = append(out, sh)
		}
	}
	return out
}
