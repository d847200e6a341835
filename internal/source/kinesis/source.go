package kinesis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
	"go.uber.org/zap"

	"weir/internal/awshttp"
	"weir/internal/watchdog"
)

// Source reads one stream. It is made by New and run once.
type Source struct {
	cfg    Config
	stream stream
	http   *awshttp.Client
	table  *table
	ledger *ledger
	log    *zap.Logger
	m      *metrics

	gate gate // who handles a batch is inside

	quietRead, quietTable, quietHandle, quietResume seldom
	ran                                             atomic.Bool
	loop                                            watchdog.Loop

	mu       sync.Mutex
	report   boardReport
	identity Identity
}

// New checks the settings, all at once, and makes the clients. It calls nobody.
func New(cfg Config) (*Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg.AWS = awshttp.Renew(cfg.AWS)
	s := &Source{cfg: cfg, http: awshttp.New(cfg.AWS.HTTPClient), ledger: newLedger(), log: cfg.Logger}
	s.ledger.resumes = cfg.Resume != nil
	s.stream = stream{id: cfg.Stream, api: kinesis.NewFromConfig(cfg.AWS, func(o *kinesis.Options) {
		o.HTTPClient, o.Retryer = s.http, aws.NopRetryer{} // every caller has its own way to try again
	})}
	s.table = &table{name: cfg.LeaseTable, worker: unique(cfg.Worker), failover: cfg.Failover}
	s.table.api = dynamodb.NewFromConfig(cfg.AWS, func(o *dynamodb.Options) {
		o.HTTPClient, o.Retryer = s.http, aws.NopRetryer{} // see table
	})
	s.m = newMetrics(cfg.Registerer, s.Status)
	return s, nil
}

// unique tells processes apart that were given the same name, such as one that
// was killed and its successor: neither may write in the other's name.
func unique(name string) string {
	if name == "" {
		name, _ = os.Hostname()
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, see its doc
	return name + "/" + hex.EncodeToString(b[:])
}

// lateStop is how long after StopGrace Run waits for what was told to give up.
const lateStop = 7 * time.Second

var errLate = errors.New("the stop grace is over")

// Run reads the stream and calls handle until ctx ends. It returns once every
// call has returned, the checkpoints are written and the leases given back, and
// nil then. An error says that the source cannot start (there is no such stream
// or table, and what to do about it), that another stream has its name by now
// (ErrAnew), or that handle, though its context has ended, had not returned when the
// time to stop was over.
//
// While AWS does not answer Run waits for it, from the start.
func (s *Source) Run(ctx context.Context, handle Handle) error {
	return s.RunBatches(ctx, func(ctx context.Context, b Batch) error { return handle(ctx, b.Lines, b.Arrived) })
}

// RunBatches is Run for who has to know where records are from.
func (s *Source) RunBatches(ctx context.Context, handle func(context.Context, Batch) error) error {
	if s.ran.Swap(true) {
		return fmt.Errorf("read stream %s: the source was run before", s.cfg.Stream)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	begin, consumer, err := s.prepare(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	s.cfg.Watch.Enter(&s.loop, "the list of shards")
	defer s.cfg.Watch.Leave(&s.loop)
	doing, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	w := s.worker(ctx, doing, handle, s.kclConfig(begin, consumer), end)
	if err := w.Start(); err != nil {
		return fmt.Errorf("read stream %s: %w", s.cfg.Stream, err)
	}
	<-ctx.Done()

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.Shutdown() // once: a second call would close a channel twice
	}()
	for _, wait := range []time.Duration{s.cfg.StopGrace, lateStop} {
		t := time.NewTimer(wait)
		select {
		case <-stopped:
			t.Stop()
			if cause := context.Cause(ctx); errors.Is(cause, ErrAnew) {
				return fmt.Errorf("read stream %s: %w", s.cfg.Stream, cause)
			}
			return nil
		case <-t.C:
			giveUp(errLate)
		}
	}
	return fmt.Errorf("stop reading stream %s: %d shards are still being handled after %v",
		s.cfg.Stream, len(s.ledger.all()), s.cfg.StopGrace+lateStop)
}

// worker wires KCL's worker to the parts that it is handed.
func (s *Source) worker(ctx, doing context.Context, handle func(context.Context, Batch) error, cfg *kcl.KinesisClientLibConfiguration, end context.CancelCauseFunc) *worker.Worker {
	terms := terms{failover: s.cfg.Failover, grace: s.cfg.LeaseGrace}
	b := &board{
		stream: s.stream, table: s.table, ledger: s.ledger, terms: terms, share: s.cfg.Share, hold: s.cfg.Hold,
		stop: ctx, end: end, log: s.log, m: s.m, report: s.setReport, loop: &s.loop, missing: make(map[string]time.Time),
	}
	f := &front{board: b, ledger: s.ledger, reader: s.reader}
	if consumer := cfg.EnhancedFanOutConsumerARN; consumer != "" {
		f.fanout = &fanout{
			stream: s.stream, name: s.cfg.Fanout, consumer: consumer, http: s.http.Streaming(),
			log: s.log, quiet: &s.quietRead, m: s.m,
		}
	}
	c := &checkpointer{
		board: b, ledger: s.ledger, taking: ctx, doing: doing, resume: s.cfg.Resume, whence: s.cfg.Whence, leave: s.cfg.Leave, hold: s.cfg.Hold,
		log: s.log, quiet: &s.quietTable, quietResume: &s.quietResume, m: s.m,
	}
	newProcessor := processors(func() *processor {
		return &processor{handle: handle, ledger: s.ledger, gate: &s.gate, log: s.log, quiet: &s.quietHandle, m: s.m}
	})
	return worker.NewWorker(newProcessor, cfg).
		WithKinesis(f.client(s.cfg.AWS.Region)).
		WithCheckpointer(c)
}

// kclConfig takes everything from KCL that the parts it is handed do.
func (s *Source) kclConfig(begin time.Time, consumer string) *kcl.KinesisClientLibConfiguration {
	c := kcl.NewKinesisClientLibConfig("weir", s.stream.name(), s.cfg.AWS.Region, s.table.worker).
		WithLogger(kclLogger{s.log}).
		WithShardSyncIntervalMillis(2).      // the board paces the event loop
		WithIdleTimeBetweenReadsInMillis(1). // and the reader the reads
		WithLeaseRefreshWaitTime(int(renewNever.Milliseconds())).
		WithLeaseStealing(s.cfg.Share)
	if begin.IsZero() {
		c.WithInitialPositionInStream(kcl.TRIM_HORIZON)
	} else {
		c.WithTimestampAtInitialPositionInStream(&begin)
	}
	if consumer != "" {
		c.WithEnhancedFanOutConsumerARN(consumer)
	}
	return c
}

func (s *Source) reader(sh *shard, from types.StartingPosition) *reader {
	return &reader{
		stream: s.stream, shard: sh, from: from, pace: s.cfg.Poll, most: int32(s.cfg.MaxRecords),
		log: s.log, quiet: &s.quietRead, m: s.m,
	}
}

// prepare finds out what KCL's worker is made from, and that stream and table
// are there. It waits while AWS does not answer.
func (s *Source) prepare(ctx context.Context) (begin time.Time, consumer string, err error) {
	var quiet seldom
	for fails := 0; ; fails++ {
		begin, consumer, err = s.tryPrepare(ctx)
		if err == nil || ctx.Err() != nil {
			return begin, consumer, nil
		}
		var noTable *ddbtypes.ResourceNotFoundException
		var noStream *types.ResourceNotFoundException
		switch {
		case errors.Is(err, errMisused):
			return begin, "", err
		case errors.As(err, &noTable):
			return begin, "", fmt.Errorf("lease table %s does not exist in %s: create it with `weir bootstrap`, or any table with the string key %s, billed by request: %w",
				s.cfg.LeaseTable, s.cfg.AWS.Region, attrShard, err)
		case errors.As(err, &noStream):
			return begin, "", fmt.Errorf("stream %s does not exist in %s: %w", s.cfg.Stream, s.cfg.AWS.Region, err)
		}
		if skipped, ok := quiet.ok(); ok {
			s.log.Warn("stream cannot be read yet", zap.String("stream", s.cfg.Stream), zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		sleep(ctx, backoff(fails, 5*time.Second))
	}
}

func (s *Source) tryPrepare(ctx context.Context) (begin time.Time, consumer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err = s.stream.list(ctx); err != nil {
		return begin, "", err
	}
	if !s.cfg.Oldest {
		begin = time.Now().Add(-s.cfg.Start)
	}
	is, err := s.stream.identify(ctx)
	if err != nil {
		return begin, "", err
	}
	begin, dropped, err := s.table.begin(ctx, s.stream.name(), is.Created, begin)
	if err != nil {
		return begin, "", err
	}
	if dropped != "" {
		s.log.Error("the lease table was about an earlier stream of this name: its checkpoints are dropped, and this one is read from its beginning",
			zap.String("table", s.table.name), zap.String("earlier_stream_of", dropped), zap.Stringer("stream", is))
	}
	s.setIdentity(is)
	if s.cfg.Fanout != "" {
		consumer, err = s.stream.register(ctx, s.cfg.Fanout)
	}
	return begin, consumer, err
}
