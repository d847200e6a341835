package detect

import (
	"errors"
	"sync/atomic"
	"unsafe"
)

// Errors of Cut.WriteTo.
var (
	// ErrCutOutgrown says that records changed more of the state while the cut was written
	// than there is memory to keep it as it was. What was written is of no use.
	ErrCutOutgrown = errors.New("detect: the state changed faster than the cut of it was written")

	// ErrCutEnded says that the cut was closed, or written before, or that another one was made.
	ErrCutEnded = errors.New("detect: the cut has ended")
)

// A Cut is the state of an Engine as it was at one moment, until it is closed. Nothing is
// copied to make it: who is about to change a line of the state, which is 64 bytes, keeps
// it for the cut first, unless it was written already.
//
// What is kept takes up to a quarter of the engine's memory, and goes as it is written.
// Beside that WriteTo takes some 30 bytes for each bucket of a shard, and an eighth of the
// shard's memory of samples.
type Cut struct {
	engine *Engine
	shards []cutShard
	marks  *markedCut
	room   atomic.Int64 // bytes that may still be kept
	lost   atomic.Bool  // something was not kept for want of room
	begun  atomic.Bool
	ended  atomic.Bool

	stretch int // lines that are read while a shard is held
	frame   int // bytes after which a frame is written
}

// A cutShard is what is kept of a shard for a cut.
type cutShard struct {
	clock, live               int64
	buckets                   frozen[bucket]
	values, requests, members frozen[[ways]uint64]
	samples                   frozenRing
}

const (
	// cutShare is the part of the engine's memory that may be kept, and cutLeast the bytes
	// that may be in any case.
	cutShare = 4
	cutLeast = 1 << 20

	// cutStretch lines are read in some 20 microseconds.
	cutStretch = 2048

	cutFrame = 64 << 10
)

// Cut returns the state as it is. No Process and no Restore may run until Cut has
// returned, which takes about a millisecond; then they may. There is one cut at a time:
// another one ends the one before. Whoever has no more need of it calls Close.
func (e *Engine) Cut() *Cut {
	c := &Cut{engine: e, shards: make([]cutShard, len(e.shards)), marks: e.marks.cut(), stretch: cutStretch, frame: cutFrame}
	c.room.Store(max(e.memory/cutShare, cutLeast))
	if old := e.cut.Swap(c); old != nil {
		old.ended.Store(true)
	}
	for i, s := range e.shards {
		f := &c.shards[i]
		f.buckets.begin(c, flat(s.buckets.buckets))
		f.values.begin(c, s.values.sets)
		f.requests.begin(c, s.requests.sets)
		f.members.begin(c, s.members.sets)
		f.samples.begin(c, &s.samples)
		f.clock, f.live = s.clock, s.buckets.live
		s.mu.Lock()
		s.keepFor(f)
		s.mu.Unlock()
	}
	return c
}

// Close ends the cut, so that nothing is kept for it any more. No WriteTo may run.
func (c *Cut) Close() {
	c.ended.Store(true)
	c.engine.cut.CompareAndSwap(c, nil)
	for i, s := range c.engine.shards {
		s.mu.Lock()
		if s.buckets.cut == &c.shards[i].buckets {
			s.keepFor(new(cutShard))
		}
		c.shards[i] = cutShard{}
		s.mu.Unlock()
	}
	c.marks = nil
}

// keepFor has the shard keep what it is about to change for a cut; an empty one means
// for none.
func (s *shard) keepFor(f *cutShard) {
	s.buckets.cut, s.values.cut, s.requests.cut, s.members.cut, s.samples.cut = nil, nil, nil, nil, nil
	if f.buckets.cut == nil {
		return
	}
	s.buckets.cut, s.values.cut, s.requests.cut, s.members.cut, s.samples.cut = &f.buckets, &f.values, &f.requests, &f.members, &f.samples
}

// state returns why the cut cannot be written any more, or nil.
func (c *Cut) state() error {
	switch {
	case c.ended.Load():
		return ErrCutEnded
	case c.lost.Load():
		return ErrCutOutgrown
	}
	return nil
}

// takes reports whether so many bytes more may be kept. If not the cut is lost for good,
// though there be room again when some of what was kept is written.
func (c *Cut) takes(bytes int) bool {
	if !c.lost.Load() && c.room.Add(-int64(bytes)) < 0 {
		c.lost.Store(true)
	}
	return !c.lost.Load()
}

// A frozen is a region of memory at a cut. Its lines are seen one after the other; one that
// changes before is kept as it was. The shard is held by whoever uses it.
type frozen[T any] struct {
	cut   *Cut
	lines []T
	kept  []uint64 // a bit for each line: it is kept, or was seen when it was
	seen  int      // lines, from the first one on, that are seen
	log   [][]keptLine[T]
}

type keptLine[T any] struct {
	line T
	at   int // its number
}

// logChunk is how many lines are given room at once.
const logChunk = 256

func (f *frozen[T]) begin(c *Cut, lines []T) {
	f.cut, f.lines, f.kept = c, lines, make([]uint64, (len(lines)+63)/64)
}

// save keeps a line that is about to be changed.
func (f *frozen[T]) save(i int) {
	if i >= f.seen && f.kept[i>>6]>>(i&63)&1 == 0 {
		f.keep(i)
	}
}

func (f *frozen[T]) keep(i int) {
	last := len(f.log) - 1
	if last < 0 || len(f.log[last]) == logChunk {
		if !f.cut.takes(f.chunkBytes()) {
			return
		}
		f.log = append(f.log, make([]keptLine[T], 0, logChunk))
		last++
	}
	f.kept[i>>6] |= 1 << (i & 63)
	f.log[last] = append(f.log[last], keptLine[T]{f.lines[i], i})
}

func (f *frozen[T]) chunkBytes() int { return logChunk * int(unsafe.Sizeof(keptLine[T]{})) }

// see calls each for every line of a shard's region as it was at the cut, in any order.
// Lines of which isUsed does not hold may be left out; that one is called with the shard
// in hand, and may look at what it is now.
func (f *frozen[T]) see(s *shard, isUsed func(i int) bool, each func(i int, line *T)) error {
	var stretch []keptLine[T]
	for more := len(f.lines) > 0; more; {
		stretch = stretch[:0]
		s.mu.Lock()
		if err := f.cut.state(); err != nil {
			s.mu.Unlock()
			return err
		}
		to := min(f.seen+f.cut.stretch, len(f.lines))
		for i := f.seen; i < to; i++ {
			if f.kept[i>>6]>>(i&63)&1 == 0 && isUsed(i) {
				stretch = append(stretch, keptLine[T]{f.lines[i], i})
			}
		}
		f.seen = to
		more = to < len(f.lines)
		log := f.log
		f.log = nil
		s.mu.Unlock()

		for i := range stretch {
			each(stretch[i].at, &stretch[i].line)
		}
		for _, chunk := range log {
			for i := range chunk {
				each(chunk[i].at, &chunk[i].line)
			}
			f.cut.room.Add(int64(f.chunkBytes()))
		}
	}
	return nil
}

// flat returns all buckets of sets.
func flat(sets [][ways]bucket) []bucket {
	return unsafe.Slice(&sets[0][0], len(sets)*ways)
}
