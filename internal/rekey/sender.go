package rekey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/awshttp"
	"weir/internal/detect"
)

// SenderConfig is what a Sender is made from.
type SenderConfig struct {
	AWS    aws.Config // region, credentials and endpoints, and an HTTP client to start from
	Stream string     // name or ARN of the stream that frames are put into

	// Digests are those of the scenarios that Matches hit, by index: see Digests.
	Digests []uint64

	// Linger is how long a frame waits to become full; default 100 ms.
	Linger time.Duration

	Logger     *zap.Logger           // nil = silent
	Registerer prometheus.Registerer // nil = not registered
}

// A Sender puts events into a stream, those of a partition in the order in which they were
// added. What Kinesis does not take it tries to put again until it does: whoever adds waits
// meanwhile.
type Sender struct {
	cfg    SenderConfig
	stream stream
	log    *zap.Logger
	m      *senderMetrics
	wake   chan struct{} // one slot: there may be something to put

	mu      sync.Mutex
	layout  *layout // nil: not known yet
	lanes   []*lane
	of      [detect.Partitions]*lane
	stale   bool          // the layout has changed: nothing is added until all is put, and then there are new lanes
	changed chan struct{} // closed and made anew when there is room where there was none
	trouble trouble
}

// A lane is the way of the partitions that one shard has, or had. One frame of it is under
// way at a time, so that none is overtaken.
type lane struct {
	writer  *Writer
	to      partitions // of the events in the writer
	parcels []*Parcel  // that have some in the writer
	since   time.Time  // when the first came
	frames  []*frame   // that are full, oldest first
	flying  bool       // the first of them is under way
	fails   int        // how often in a row it was refused
	refused time.Time  // for the first time of these
	code    string     // why
	after   time.Time  // when it may be tried again
}

// A frame is one that is full.
type frame struct {
	data    []byte
	to      partitions // for which it was not taken yet
	parcels []*Parcel
	events  int
}

// A flight is a frame under way.
type flight struct {
	lane  *lane
	frame *frame
	to    int // partition

	shard, code, reason string // which shard took it, or why none did
}

const (
	defaultLinger = 100 * time.Millisecond

	// maxQueue is how many full frames of a lane wait for one that is under way.
	maxQueue = 2

	// maxFlights is how many frames one call puts: Kinesis takes 500, and 5 MiB.
	maxFlights = 200

	// maxCalls is how many calls are made at once.
	maxCalls = 4

	// layoutAge is how old what is known of the shards may get.
	layoutAge = time.Minute
)

// NewSender makes a Sender. It calls nobody.
func NewSender(cfg SenderConfig) (*Sender, error) {
	var errs []error
	if cfg.Stream == "" {
		errs = append(errs, errors.New("no stream is named"))
	}
	if cfg.AWS.Region == "" {
		errs = append(errs, errors.New("no AWS region is set"))
	}
	if cfg.Linger < 0 {
		errs = append(errs, fmt.Errorf("a frame cannot wait for %v", cfg.Linger))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("make the sender of events: %w", err)
	}
	cfg.Linger = cmp.Or(cfg.Linger, defaultLinger)
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	s := &Sender{cfg: cfg, log: cfg.Logger, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	s.stream = stream{id: cfg.Stream, api: kinesis.NewFromConfig(cfg.AWS, func(o *kinesis.Options) {
		o.HTTPClient, o.Retryer = awshttp.New(cfg.AWS.HTTPClient), aws.NopRetryer{} // the lanes try again
	})}
	s.m = newSenderMetrics(cfg.Registerer, s.waiting)
	return s, nil
}

// Run puts what is added until ctx ends. What was not put then is forgotten; its parcels do not
// arrive.
func (s *Sender) Run(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	free := make(chan struct{}, maxCalls)
	s.keepLayout(ctx, &calls)
	for ctx.Err() == nil {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		flights, next := s.take(time.Now())
		if len(flights) > 0 {
			calls.Go(func() {
				s.stream.put(ctx, flights)
				<-free
				s.land(ctx, flights)
			})
			continue
		}
		<-free
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// awake has Run look for what there is to put.
func (s *Sender) awake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take takes frames that are to be put now, and says in which time to look again.
func (s *Sender) take(now time.Time) (flights []*flight, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = time.Hour
	for _, l := range s.lanes {
		if l.flying || len(flights) == maxFlights {
			continue // its landing wakes
		}
		if len(l.frames) == 0 && l.writer.Events() > 0 {
			if left := l.since.Add(s.cfg.Linger).Sub(now); left > 0 && !s.stale {
				next = min(next, left)
				continue
			}
			l.full()
		}
		if len(l.frames) == 0 {
			continue
		}
		if left := l.after.Sub(now); left > 0 {
			next = min(next, left)
			continue
		}
		to, _ := l.frames[0].to.first()
		l.flying = true
		flights = append(flights, &flight{lane: l, frame: l.frames[0], to: to})
	}
	return flights, next
}

// full ends the frame that the lane's writer has.
func (l *lane) full() {
	data := append([]byte(nil), l.writer.Frame()...)
	l.frames = append(l.frames, &frame{data: data, to: l.to, parcels: l.parcels, events: l.writer.Events()})
	l.writer.Reset()
	l.to, l.parcels = partitions{}, nil
}

// land notes what became of flights.
func (s *Sender) land(ctx context.Context, flights []*flight) {
	for _, f := range flights {
		if f.shard != "" {
			s.know(ctx, f.shard)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.awake()
	for _, f := range flights {
		l := f.lane
		l.flying = false
		if f.shard == "" {
			s.refuse(f)
			continue
		}
		l.fails, l.after = 0, time.Time{}
		s.m.frames.Inc()
		s.m.bytes.Add(float64(len(f.frame.data)))
		span, ok := s.layout.spans[f.shard]
		if !ok {
			continue // ctx has ended
		}
		f.frame.to.without(span)
		if _, more := f.frame.to.first(); more {
			// The stream was resharded. Whoever reads that shard leaves alone what is not of its
			// partitions, and the same frame goes to the others, before any that comes after it.
			s.stale = true
			continue
		}
		s.m.events.Add(float64(f.frame.events))
		for _, p := range f.frame.parcels {
			p.landed()
		}
		l.frames[0] = nil
		l.frames = l.frames[1:]
	}
	s.renew()
	close(s.changed)
	s.changed = make(chan struct{})
}

// refuse notes that a frame was not taken.
func (s *Sender) refuse(f *flight) {
	l, now := f.lane, time.Now()
	if l.fails == 0 {
		l.refused = now
	}
	l.fails++
	l.code, l.after = f.code, now.Add(backoff(l.fails))
	s.m.refused[refusalOf(f.code)].Inc()
	if skipped, ok := s.trouble.say(now); ok {
		s.log.Warn("stream does not take events; reading waits until it does", zap.String("stream", s.stream.id),
			zap.String("code", f.code), zap.String("reason", f.reason), zap.Int("lines_left_out", skipped))
	}
}

// know finds out which partitions a shard has.
func (s *Sender) know(ctx context.Context, shard string) {
	for fails := 0; ctx.Err() == nil; fails++ {
		s.mu.Lock()
		_, known := s.layout.spans[shard]
		s.mu.Unlock()
		if known || s.look(ctx) == nil && fails > 10 {
			return
		}
		sleep(ctx, backoff(fails))
	}
}

// look finds out the layout.
func (s *Sender) look(ctx context.Context) error {
	l, err := s.stream.list(ctx)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if skipped, ok := s.trouble.say(time.Now()); ok {
			s.log.Warn("events cannot be sent: the stream's shards are not known", zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = s.stale || s.layout == nil || !sameOpen(s.layout, l)
	s.layout = l
	s.renew()
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func sameOpen(a, b *layout) bool {
	if len(a.open) != len(b.open) {
		return false
	}
	open := make(map[string]bool, len(a.open))
	for _, id := range a.open {
		open[id] = true
	}
	for _, id := range b.open {
		if !open[id] {
			return false
		}
	}
	return true
}

// keepLayout looks at the shards at the start and now and then.
func (s *Sender) keepLayout(ctx context.Context, calls *sync.WaitGroup) {
	calls.Go(func() {
		for fails := 0; ctx.Err() == nil; {
			if s.look(ctx) != nil {
				fails++
				sleep(ctx, backoff(fails))
				continue
			}
			fails = 0
			s.awake()
			sleep(ctx, layoutAge)
		}
	})
}

// renew makes lanes of the layout, if they are no longer right and all that is in them was put.
func (s *Sender) renew() {
	if !s.stale || s.layout == nil {
		return
	}
	for _, l := range s.lanes {
		if l.flying || len(l.frames) > 0 || l.writer.Events() > 0 {
			return
		}
	}
	s.lanes, s.of, s.stale = nil, [detect.Partitions]*lane{}, false
	for _, id := range s.layout.open {
		l := &lane{writer: NewWriter(s.cfg.Digests)}
		span := s.layout.spans[id]
		for v := span.First; v < span.End; v++ {
			s.of[v] = l
		}
		s.lanes = append(s.lanes, l)
	}
}

// backoff returns how long to wait after so many refusals.
func backoff(fails int) time.Duration {
	longest := min(50*time.Millisecond<<min(fails, 7), 5*time.Second)
	return longest/2 + rand.N(longest/2)
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
