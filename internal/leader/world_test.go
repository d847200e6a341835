package leader

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"weir/internal/awslocal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a lease table in a bubble of time, and an auditor who is told of
// everything that is done in a leader's name.
type world struct {
	t      *testing.T
	server *awslocal.Server
	faults *awslocal.Faults
	d      *dynamodb.Client

	mu      sync.Mutex
	latest  act               // under the highest epoch
	leaders map[uint64]string // by epoch
	acted   map[string]act    // the latest of each worker
}

// act is one thing done by a leader, or the beginning of its term.
type act struct {
	worker string
	epoch  uint64
	at     time.Time
	blind  bool // it was done in an outage: the table had not answered the worker for as long as a lease is relied on
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, 1)) })
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, faults: awslocal.NewFaults(seed), leaders: make(map[uint64]string), acted: make(map[string]act)}
	w.server = awslocal.New(awslocal.Config{Faults: w.faults})
	w.d = dynamodb.NewFromConfig(awsConfig(w.server.HTTPClient()))
	_, err := w.d.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: new("leases"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: new("ShardID"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: new("ShardID"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until it is there
	return w
}

func awsConfig(c aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: c, BaseEndpoint: new("http://stand-in"),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
}

// note keeps an act. Nothing may be done in the name of an epoch after a later one
// has begun, unless in an outage, in which the worker could not know.
func (w *world) note(a act) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if latest := w.latest; latest.epoch > a.epoch && !a.blind {
		w.t.Errorf("%s acts under epoch %d at %v, after %s began epoch %d", a.worker, a.epoch, a.at, latest.worker, latest.epoch)
	}
	if leader, ok := w.leaders[a.epoch]; ok && leader != a.worker {
		w.t.Errorf("%s and %s have the same epoch %d", a.worker, leader, a.epoch)
	}
	w.leaders[a.epoch] = a.worker
	w.acted[a.worker] = a
	if a.epoch >= w.latest.epoch {
		w.latest = a
	}
}

// last is the latest act under the highest epoch; its zero value if there was none.
func (w *world) last() act {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

// lastOf is the latest act of a worker.
func (w *world) lastOf(worker string) act {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acted[worker]
}

// row reads the leader's row past all faults.
func (w *world) row() row {
	w.t.Helper()
	r, err := (&table{api: w.d, name: "leases"}).read(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
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

// worker is one process that would lead.
type worker struct {
	w        *world
	name     string
	l        *Lease
	link     *link
	eligible atomic.Bool
	leading  atomic.Uint64 // epoch; 0 = it does not lead
	lastWord time.Duration // how long it goes on after it was told to leave
	fail     chan error    // what lead returns by itself
	cancel   context.CancelFunc
	done     chan struct{}
	err      error
}

func (w *world) run(name string, change func(*Config)) *worker {
	w.t.Helper()
	p := &worker{w: w, name: name, link: &link{next: w.server.HTTPClient()}, fail: make(chan error, 1), done: make(chan struct{})}
	p.eligible.Store(true)
	cfg := Config{AWS: awsConfig(p.link), Table: "leases", Worker: name}
	if change != nil {
		change(&cfg)
	}
	var err error
	if p.l, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(p.done)
		p.err = p.l.Run(ctx, p.eligible.Load, p.lead)
	}()
	w.t.Cleanup(func() { p.cancel(); <-p.done }) // of a test that has failed
	return p
}

// lead acts ten times a second for as long as it may.
func (p *worker) lead(ctx context.Context, t *Term) error {
	p.leading.Store(t.Epoch())
	defer p.leading.Store(0)
	act := func() {
		if p.link.pass() == nil && t.Confirm(context.Background()) == nil && p.link.running() {
			p.act(t)
		}
	}
	for ctx.Err() == nil {
		act()
		select {
		case <-ctx.Done():
		case err := <-p.fail:
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
	for end := time.Now().Add(p.lastWord); time.Now().Before(end) && t.Held().Err() == nil; time.Sleep(100 * time.Millisecond) {
		act()
	}
	return nil
}

func (p *worker) act(t *Term) {
	st := p.l.Status()
	p.w.note(act{p.name, t.Epoch(), time.Now(), time.Since(st.Confirmed) >= p.l.terms.valid()})
}

func (p *worker) leads() bool { return p.leading.Load() != 0 }

// stop ends a worker as the stop signal does.
func (p *worker) stop() {
	p.w.t.Helper()
	p.cancel()
	<-p.done
	if p.err != nil {
		p.w.t.Errorf("Run of %s: %v", p.name, p.err)
	}
}

// kill cuts a worker off for good, as kill -9 does, and lets its goroutines end.
func (p *worker) kill() {
	p.link.cut.Store(true)
	p.cancel()
	<-p.done
}

// link is one worker's way to the table, on which it can be stopped.
type link struct {
	next aws.HTTPClient
	cut  atomic.Bool

	mu     sync.Mutex
	paused chan struct{} // closed when the pause is over; nil = none
}

var errCut = errors.New("the link is cut")

func (l *link) Do(r *http.Request) (*http.Response, error) {
	if err := l.pass(); err != nil {
		return nil, err
	}
	resp, err := l.next.Do(r)
	return resp, cmp.Or(l.pass(), err)
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

func (l *link) running() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused == nil && !l.cut.Load()
}

// pause stops everything that the worker does, until the returned func is called.
func (l *link) pause() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{})
	l.paused = c
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.paused = nil
		close(c)
	})
}

// down makes the table fail every call, each kind in its turn.
func (w *world) down(d time.Duration) {
	for _, kind := range []awslocal.FaultKind{awslocal.FaultHang, awslocal.FaultError, awslocal.FaultReset} {
		w.faults.Add(awslocal.Fault{Service: "dynamodb", Probability: 0.4, For: d, Do: kind})
	}
	w.faults.Add(awslocal.Fault{Service: "dynamodb", For: d, Do: awslocal.FaultThrottle})
}
