package rekey

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/detect"
	"weir/internal/watchdog"
)

// DetectorConfig is what a Detector is made from. All but the last four are required.
type DetectorConfig struct {
	// Name is the re-keyed stream's, and tells what is sent on from what ingest tasks send.
	Name string

	// Digests are those of the scenarios of the engines, by index: see Digests.
	Digests []uint64

	// Engine makes the engine of one shard of the stream.
	Engine func() (*detect.Engine, error)

	// Sender puts hits on networks and values back into the stream, for who counts those.
	Sender *Sender

	// Commit is called before a batch is done, and sees to it that what was decided is not lost with
	// the process for longer than the states are; Store stores it, before a state is kept that knows of it.
	Commit, Store func(context.Context) error

	// Shelf keeps the states of shards.
	Shelf Shelf

	Watch      *watchdog.Monitor     // nil: nobody watches
	Seen       func(netip.Addr)      // is told of the client of each record; nil: nobody is
	Logger     *zap.Logger           // nil = silent
	Registerer prometheus.Registerer // nil = not registered
}

// A Detector counts what is in the shards of the re-keyed stream that its task owns.
type Detector struct {
	cfg DetectorConfig
	log *zap.Logger
	m   *detectorMetrics

	mu     sync.Mutex
	shards map[string]*owned
	quiet  trouble
}

// A Shard is one of the stream's, as the task takes it.
type Shard struct {
	ID               string
	Parents          []string // none, one, or the two that were merged
	HashFrom, HashTo string   // the hash keys that it owns, in decimal; both belong to it
}

// A Batch is what is read of one shard at once.
type Batch struct {
	Shard     string
	Frames    [][]byte // good until Handle returns
	Sequences []string // of the records that they are
}

// An owned shard is one that this task has. One call at a time uses it: what reads
// the stream sees to that.
type owned struct {
	id     string
	source string // of what is sent on
	span   Span
	engine *detect.Engine
	seen   *seen
	reader *Reader

	loop watchdog.Loop
	turn sync.Mutex // held while a batch is handled

	// half is why the state is of no use any more: a batch got in by half.
	half error

	keeping sync.Mutex // held while the state is kept, or given up
	gone    bool       // it is given up; both guard it
	number  int64      // of the state that is kept; keeping guards it
	kept    string     // up to where that one knows the shard; keeping guards it

	events  []Event
	matches []detect.Match
	origins []Position // of matches
	waits   bool       // at a frame that it cannot read; the Detector's lock guards it
}

// NewDetector makes a Detector.
func NewDetector(cfg DetectorConfig) *Detector {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Seen == nil {
		cfg.Seen = func(netip.Addr) {}
	}
	return &Detector{cfg: cfg, log: cfg.Logger, m: newDetectorMetrics(cfg.Registerer), shards: make(map[string]*owned)}
}

var errNotOwned = errors.New("this task has no state of the shard")

func (d *Detector) owned(id string) (*owned, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.shards[id]
	if o == nil {
		return nil, fmt.Errorf("shard %s: %w", id, errNotOwned)
	}
	return o, nil
}

// Handle counts what a batch holds. It returns nil when all of it is in the state of the
// shard, what others count is in the stream, and what was decided is stored. It is called with
// one batch at a time for each shard.
//
// A frame of a newer version is not passed over: nothing of the batch is counted, and the
// error is ErrVersion, as often as it is called, until a newer Weir takes the shard.
func (d *Detector) Handle(ctx context.Context, b Batch) error {
	o, err := d.owned(b.Shard)
	if err != nil {
		return err
	}
	o.turn.Lock()
	defer o.turn.Unlock()
	if o.gone {
		return fmt.Errorf("shard %s: %w", b.Shard, errNotOwned)
	}
	if o.half != nil {
		return fmt.Errorf("shard %s: its state is of no use: %w", o.id, o.half)
	}
	d.cfg.Watch.Enter(&o.loop, "a batch of events")
	defer d.cfg.Watch.Leave(&o.loop)
	o.loop.Works()
	if err := d.read(o, &b); err != nil {
		return err
	}
	if len(o.matches) == 0 {
		return nil
	}
	o.half = errors.New("a batch was broken off")
	parcel := d.cfg.Sender.NewParcel()
	err = nil
	o.engine.Pour(o.matches, func(i, nth int, m *detect.Match, partition int) {
		if err == nil && nth < awayMost {
			o.loop.Waits() // the stream may have no room
			defer o.loop.Works()
			err = parcel.Add(ctx, o.source, o.origins[i].At(o.origins[i].index*awayMost+uint32(nth)), m, partition)
		}
	})
	o.loop.Waits()
	if err == nil {
		err = d.commit(ctx)
	}
	if err == nil {
		err = parcel.Wait(ctx)
	}
	if err != nil {
		o.half = err
		return err
	}
	o.half = nil
	return nil
}

// awayMost is how many keys of networks and values a record can have: the index of what is
// sent on tells them apart.
const awayMost = 1 << 12

// read makes the matches of a batch.
func (d *Detector) read(o *owned, b *Batch) error {
	var t readTally
	o.events, o.matches, o.origins = o.events[:0], o.matches[:0], o.origins[:0]
	t.unknown = o.reader.Reset()
	ends, at := make([]int, len(b.Frames)), make([]Position, len(b.Frames)) // of the events of each frame
	for i, frame := range b.Frames {
		var err error
		if at[i], err = ParsePosition(b.Sequences[i], 0); err != nil {
			return fmt.Errorf("shard %s: %w", o.id, err)
		}
		o.events, err = o.reader.Read(frame, o.events)
		switch {
		case errors.Is(err, ErrVersion):
			d.refuse(o, err)
			return fmt.Errorf("shard %s: %w: update this task, or give its shards to one that is newer", o.id, err)
		case err != nil:
			t.broken++
			d.skip(o, b.Sequences[i])
		}
		ends[i] = len(o.events)
	}
	from := 0
	for i, end := range ends {
		for n := from; n < end; n++ {
			e := &o.events[n]
			v, ok := o.engine.Partition(&e.Match)
			switch {
			case !ok:
				t.unfit++
			case !o.span.Has(v):
				t.foreign++
			case !o.seen.advance(e, v):
				t.repeated++
			default:
				if !e.Match.Apart {
					d.cfg.Seen(e.Match.Addr)
				}
				o.matches = append(o.matches, e.Match)
				o.origins = append(o.origins, at[i].At(uint32(n-from)))
			}
		}
		from = end
	}
	t.counted = len(o.matches)
	d.m.count(&t)
	return nil
}

// refuse notes that a shard waits at a frame that it cannot read.
func (d *Detector) refuse(o *owned, err error) {
	d.m.refused.Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	o.waits = true
	if skipped, ok := d.quiet.say(time.Now()); ok {
		d.log.Error("a shard waits for a newer version of Weir: it holds what this one cannot read", zap.String("shard", o.id), zap.Error(err), zap.Int("lines_left_out", skipped))
	}
}

// skip notes that a record is no frame. It will not get better.
func (d *Detector) skip(o *owned, sequence string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if skipped, ok := d.quiet.say(time.Now()); ok {
		d.log.Warn("a record of the re-keyed stream is no frame and is left out: who else writes into it?", zap.String("shard", o.id),
			zap.String("sequence", sequence), zap.Int("lines_left_out", skipped))
	}
}

// commit stores the decisions. What was poured cannot be given back, so it tries again here.
func (d *Detector) commit(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := d.cfg.Commit(ctx)
		if err == nil {
			return nil
		}
		d.m.commits.Inc()
		d.mu.Lock()
		skipped, ok := d.quiet.say(time.Now())
		d.mu.Unlock()
		if ok {
			d.log.Error("decisions cannot be stored; reading waits until they can", zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		sleep(ctx, wait/2+rand.N(wait/2))
		if ctx.Err() != nil {
			return fmt.Errorf("store decisions: %w", context.Cause(ctx))
		}
	}
}

// Ready says what keeps events from being counted.
func (d *Detector) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, o := range d.shards {
		if o.waits {
			return fmt.Errorf("shard %s of the re-keyed stream: %w: update this task", id, ErrVersion)
		}
	}
	return nil
}
