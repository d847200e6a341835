package kinesis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"
)

// A shard is one whose lease this worker holds, from when the lease was taken
// until it was given back or lost.
type shard struct {
	id     string
	taken  time.Time
	lease  *lease
	feed   feed
	reader *reader // of KCL's consumer, which alone uses it; nil with enhanced fan-out
	stats  stats

	about     Shard
	whence    string        // what the position is of that it is read from; "" = the lease table; set before it is resumed
	resumed   atomic.Bool   // where the shard is read from is settled
	abandoned atomic.Bool   // what was handled is not to be kept
	turn      chan struct{} // one slot: who handles a batch, or cuts the shard

	// gone is set when the stream does not list the shard any more: what it held
	// has reached the end of its retention.
	gone atomic.Bool
}

// stats is what is known about the reading of one shard.
type stats struct {
	behind   atomic.Int64 // milliseconds behind the newest record of the shard
	read     atomic.Int64 // Unix milliseconds of the latest read that succeeded; 0 = none yet
	arrived  atomic.Int64 // Unix milliseconds at which the latest record arrived in the stream; 0 = none yet
	retrying atomic.Bool  // handle has returned an error for the batch in hand

	trouble atomic.Pointer[string] // what reading fails by, again and again; nil = it does not
	refused atomic.Pointer[string] // from which position Kinesis refuses to have it read; nil = it does not
	waits   atomic.Pointer[string] // why Config.Resume failed the last time; nil = it has not
}

// lag returns how far reading is behind the newest record, as far as is known:
// while nothing can be read, or a batch is in hand for long, it grows.
func (s *shard) lag() time.Duration {
	last := s.taken
	if read := s.stats.read.Load(); read != 0 {
		last = time.UnixMilli(read)
	}
	lag := time.Duration(s.stats.behind.Load()) * time.Millisecond
	if silent := time.Since(last); silent > maxPoll {
		lag += silent
	}
	return lag
}

// sawPage notes what a read has brought.
func (s *stats) sawPage(records []types.Record, behind int64) {
	s.behind.Store(behind)
	s.read.Store(time.Now().UnixMilli())
	s.trouble.Store(nil)
	s.refused.Store(nil)
	if n := len(records); n > 0 && records[n-1].ApproximateArrivalTimestamp != nil {
		s.arrived.Store(records[n-1].ApproximateArrivalTimestamp.UnixMilli())
	}
}

// failed notes that a read has failed, as so many have before it in a row. One that
// got no answer took its time.
func (s *stats) failed(kind string, before int) {
	if before >= oftenFailed || kind == readTimedOut {
		s.trouble.Store(&kind)
	}
}

// refuse notes that Kinesis refuses a read from a position on. It returns log fields that
// say where that is from, as other records have been there if it is not of this stream.
func (s *shard) refuse(from *types.StartingPosition) []zap.Field {
	if from.SequenceNumber == nil {
		return nil
	}
	whence := cmp.Or(s.whence, "the lease table")
	if s.stats.read.Load() != 0 {
		whence = "what was read last"
	}
	s.stats.refused.Store(aws.String(fmt.Sprintf("position %s of %s", *from.SequenceNumber, whence)))
	return []zap.Field{zap.String("position", *from.SequenceNumber), zap.String("position_of", whence)}
}

// ledger is the list of shards that this worker holds.
type ledger struct {
	wake chan struct{} // one slot: a lease was given back

	// resumes is set when the state that is kept says where shards are read from. It
	// is found anew in each tenure, so nothing is remembered from the one before.
	resumes bool

	mu      sync.Mutex
	held    map[string]*shard
	tenure  int64
	freed   map[string]time.Time // when the lease was given back or lost
	handled map[string]string    // how far this process has handled a shard that it does not hold now
}

func newLedger() *ledger {
	return &ledger{
		wake: make(chan struct{}, 1), held: make(map[string]*shard),
		freed: make(map[string]time.Time), handled: make(map[string]string),
	}
}

func (g *ledger) add(s *shard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) == 0 {
		g.tenure++
		if g.resumes {
			clear(g.handled)
		}
	}
	s.about.Tenure, s.about.Handled = g.tenure, g.handled[s.id]
	g.held[s.id] = s
}

// remove takes a shard off the list and remembers how far it was handled: should
// the lease come back before its checkpoint reached the table, nothing is
// handled a second time.
func (g *ledger) remove(s *shard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, s.id)
	g.freed[s.id] = time.Now()
	if at := s.lease.progress(); at != "" && s.resumed.Load() {
		g.handled[s.id] = at
	}
	g.poke()
}

// poke has the board look soon.
func (g *ledger) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// abandoning tells whether shards that are abandoned are still held.
func (g *ledger) abandoning() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.held {
		if s.abandoned.Load() {
			return true
		}
	}
	return false
}

// finished tells whether this process has handled a shard to its end.
func (g *ledger) finished(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.held[id]; s != nil {
		return s.resumed.Load() && s.lease.progress() == shardEnd
	}
	return g.handled[id] == shardEnd
}

// cut returns how far this process has handled each shard that it has had in the
// tenure.
func (g *ledger) cut() Cut {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := maps.Clone(g.handled)
	for id, s := range g.held {
		if !s.resumed.Load() {
			continue
		}
		if at := s.lease.progress(); at != "" {
			all[id] = at
		}
	}
	return Cut{Tenure: g.tenure, Positions: all}
}

// forget drops what is remembered of a shard that the stream no longer has.
func (g *ledger) forget(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.freed, id)
	delete(g.handled, id)
}

// get returns a held shard, or nil.
func (g *ledger) get(id string) *shard {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[id]
}

// any tells whether the worker holds a shard.
func (g *ledger) any() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.held) > 0
}

// past tells how far a shard was handled by this process before, and when its
// lease ended; zero values if it never had it.
func (g *ledger) past(id string) (handled string, freed time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.handled[id], g.freed[id]
}

// all returns the held shards by id.
func (g *ledger) all() []*shard {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*shard, 0, len(g.held))
	for _, s := range g.held {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *shard) int { return cmp.Compare(a.id, b.id) })
	return list
}
