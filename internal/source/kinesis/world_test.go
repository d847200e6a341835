package kinesis

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/awslocal"
)

// world is a stream, a lease table and an auditor who knows every record that
// was put and every one that was handled, in a bubble of time.
type world struct {
	t      *testing.T
	server *awslocal.Server
	faults *awslocal.Faults
	k      *kinesis.Client
	d      *dynamodb.Client

	mu      sync.Mutex
	put     int               // records put so far; their data are the numbers 1 to put
	handled map[int]int       // how often
	calls   int               // the sum of handled
	delays  []time.Duration   // from arrival to handle
	marks   map[string]string // highest checkpoint seen in the table, by shard
}

// inWorld runs a test in a bubble with a fresh world, beside others: a bubble keeps
// hardly more than one processor busy.
func inWorld(t *testing.T, shards int, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, shards, awslocal.Config{})) })
}

func newWorld(t *testing.T, shards int, cfg awslocal.Config) *world {
	t.Helper()
	w := &world{t: t, faults: awslocal.NewFaults(1), handled: make(map[int]int), marks: make(map[string]string)}
	cfg.Faults = w.faults
	w.server = awslocal.New(cfg)
	aws := awsConfig(w.server.HTTPClient())
	w.k = kinesis.NewFromConfig(aws)
	w.d = dynamodb.NewFromConfig(aws, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	_, err := w.k.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: new("logs"), ShardCount: new(int32(shards))})
	w.must(err)
	w.must(CreateLeaseTable(t.Context(), w.d, "leases"))
	return w
}

func awsConfig(c aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: c, BaseEndpoint: new("http://stand-in"),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// add puts n more records, spread over all shards.
func (w *world) add(n int) {
	w.t.Helper()
	for n > 0 {
		batch := min(n, 100)
		in := &kinesis.PutRecordsInput{StreamName: new("logs")}
		w.mu.Lock()
		for range batch {
			w.put++
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(strconv.Itoa(w.put)), PartitionKey: new(strconv.Itoa(w.put))})
		}
		w.mu.Unlock()
		for len(in.Records) > 0 {
			out, err := w.k.PutRecords(context.Background(), in)
			w.must(err)
			refused := in.Records[:0]
			for i, r := range out.Records {
				if r.ErrorCode != nil {
					refused = append(refused, in.Records[i])
				}
			}
			if in.Records = refused; len(refused) > 0 {
				time.Sleep(200 * time.Millisecond)
			}
		}
		n -= batch
	}
}

// trickle adds n records every interval for a time.
func (w *world) trickle(n int, every, total time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(total); time.Now().Before(end); time.Sleep(every) {
		w.add(n)
	}
}

// note is a Handle that succeeds.
func (w *world) note(_ context.Context, lines [][]byte, arrived []time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, line := range lines {
		n, err := strconv.Atoi(string(line))
		if err != nil || n < 1 || n > w.put {
			w.t.Errorf("a record that nobody put: %q", line)
			return nil
		}
		w.handled[n]++
		w.calls++
		w.delays = append(w.delays, time.Since(arrived[i]))
	}
	return nil
}

// audit returns how many records were never handled, and how many times too
// often.
func (w *world) audit() (lost, twice int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put - len(w.handled), w.calls - len(w.handled)
}

func (w *world) wantAll(mayTwice bool) {
	w.t.Helper()
	lost, twice := w.audit()
	if lost != 0 || twice != 0 && !mayTwice {
		w.t.Errorf("of %d records %d were lost and %d handled again", w.put, lost, twice)
	}
}

// percentile returns a quantile of the time from arrival to handle.
func (w *world) percentile(q float64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.delays)
	return w.delays[int(q*float64(len(w.delays)-1))]
}

// gained returns how often a source has taken a lease.
func (w *world) gained(r *runner) (n int) {
	for _, how := range []string{takenFree, takenOwn, takenClaimed, takenExpired} {
		n += int(testutil.ToFloat64(r.s.m.taken.WithLabelValues(how)))
	}
	return n
}

// rows returns the lease table and checks that no checkpoint has moved back.
func (w *world) rows() map[string]row {
	w.t.Helper()
	rows, err := w.peek()
	w.must(err)
	return rows
}

// peek is rows for when the table may be in trouble.
func (w *world) peek() (map[string]row, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	rows, err := (&table{api: w.d, name: "leases"}).scan(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range rows {
		if compareSequence(r.checkpoint, w.marks[id]) < 0 {
			w.t.Errorf("checkpoint of %s moved back from %s to %s", id, w.marks[id], r.checkpoint)
		}
		w.marks[id] = r.checkpoint
	}
	return rows, nil
}

// watch looks at the table twice a second, more often than a lease is written, until
// the returned func is called.
func (w *world) watch() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
				_, _ = w.peek() // the next look will do
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// until waits for a condition, checked every 10 ms.
func (w *world) until(what string, limit time.Duration, ok func() bool) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > limit {
			w.t.Fatalf("no %s within %v", what, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begun)
}

func (w *world) untilAll(limit time.Duration) time.Duration {
	w.t.Helper()
	return w.until("end of the records", limit, func() bool { lost, _ := w.audit(); return lost == 0 })
}

// unhurried is for tests that watch hours go by.
func unhurried(c *Config) { c.Poll = 2 * time.Second }

// runner is one source that runs.
type runner struct {
	w      *world
	s      *Source
	link   *link
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// config is of a worker that reads from its start, a minute back.
func (w *world) config(l *link) Config {
	return Config{AWS: awsConfig(l), Stream: "logs", LeaseTable: "leases", Worker: "w", Start: time.Minute}
}

func (w *world) run(handle Handle, change func(*Config)) *runner {
	w.t.Helper()
	return w.runOver(&link{}, handle, change)
}

func (w *world) runOver(l *link, handle Handle, change func(*Config)) *runner {
	w.t.Helper()
	l.next = w.server.HTTPClient()
	cfg := w.config(l)
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{w: w, s: s, link: l, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		next := l.handle(handle)
		r.err = s.RunBatches(ctx, func(ctx context.Context, b Batch) error {
			return next(context.WithValue(ctx, shardKey{}, b.Shard), b.Lines, b.Arrived)
		})
	}()
	w.t.Cleanup(func() { cancel(); <-r.done }) // of a test that has failed
	return r
}

// stop ends a source as the stop signal does and returns how long that took.
func (r *runner) stop() time.Duration {
	r.w.t.Helper()
	begun := time.Now()
	r.cancel()
	<-r.done
	if r.err != nil {
		r.w.t.Errorf("Run: %v", r.err)
	}
	return time.Since(begun)
}

// kill cuts a source off for good, as kill -9 does, and lets its goroutines end.
func (r *runner) kill() {
	r.link.cut.Store(true)
	r.cancel()
	<-r.done
}

func (r *runner) holds() int { return len(r.s.Status().Shards) }

// link is one worker's way to the stand-ins.
type link struct {
	next  aws.HTTPClient
	cut   atomic.Bool
	spoil func(io.ReadCloser) io.ReadCloser // event streams' bodies; nil = not

	// answer is asked before a request goes on and, with what came back, after; what it
	// returns is the answer instead. nil = it is not asked.
	answer func(*http.Request, *http.Response) *http.Response

	mu     sync.Mutex
	paused chan struct{} // closed when the pause is over; nil = none
}

var errCut = errors.New("the link is cut")

func (l *link) Do(r *http.Request) (*http.Response, error) {
	if err := l.pass(); err != nil {
		return nil, err
	}
	if l.answer != nil {
		if resp := l.answer(r, nil); resp != nil {
			return resp, nil
		}
	}
	resp, err := l.next.Do(r)
	if err := l.pass(); err != nil {
		return nil, err
	}
	if err == nil && l.answer != nil {
		if other := l.answer(r, resp); other != nil {
			resp = other
		}
	}
	if err == nil && l.spoil != nil && resp.ContentLength < 0 {
		resp.Body = l.spoil(resp.Body)
	}
	return resp, err
}

// handle makes a worker's handler stop and die with it.
func (l *link) handle(next Handle) Handle {
	return func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
		if err := l.pass(); err != nil {
			return err
		}
		err := next(ctx, lines, arrived)
		if err := l.pass(); err != nil {
			return err
		}
		return err
	}
}

// pass waits while the worker is paused, deaf to deadlines as a stopped process
// is, and fails when it is dead.
func (l *link) pass() error {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
	if l.cut.Load() {
		return errCut
	}
	return nil
}

// pause stops every call on its way, until the returned func is called.
func (l *link) pause() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		return func() {}
	}
	c := make(chan struct{})
	l.paused = c
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.paused = nil
		close(c)
	}
}

// shards returns the stream's shards by id.
func (w *world) shards() map[string]listed {
	w.t.Helper()
	list, err := stream{api: w.k, id: "logs"}.list(context.Background())
	w.must(err)
	return list
}
