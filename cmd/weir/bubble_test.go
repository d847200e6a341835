package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"

	"weir/internal/awslocal"
	"weir/internal/config"
)

// street is where services live in a bubble of time, with the stand-ins for AWS.
type street struct {
	t      *testing.T
	server *awslocal.Server
	faults *awslocal.Faults
	cloud  aws.Config
}

func inStreet(t *testing.T, story func(t *testing.T, w *street)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &street{t: t, faults: awslocal.NewFaults(1)}
		w.server = awslocal.New(awslocal.Config{Faults: w.faults})
		w.cloud = standInAWS(w.server)
		cfg := w.settings()
		if err := errors.Join(makeStream(t.Context(), w.cloud, cfg.Kinesis.Stream, 2), makeWebACL(t.Context(), w.cloud, demoWebACL)); err != nil {
			t.Fatal(err)
		}
		if err := bootstrapDemo(t.Context(), w.cloud, cfg); err != nil {
			t.Fatal(err)
		}
		story(t, w)
	})
}

func (w *street) settings(environ ...string) *config.Config {
	cfg := testSettings(w.t, append([]string{"WEIR_KINESIS_POLL=2s"}, environ...)...)
	cfg.Ban.File = ""
	return cfg
}

// resident is one service.
type resident struct {
	w      *street
	s      *service
	line   *line
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (w *street) moveIn(observe observer, change func(*service), environ ...string) *resident {
	w.t.Helper()
	r := &resident{w: w, line: &line{next: w.server.HTTPClient()}, done: make(chan struct{})}
	cloud := w.cloud.Copy()
	cloud.HTTPClient = r.line
	var err error
	if r.s, err = newService(w.t.Context(), w.settings(environ...), cloud, zap.NewNop(), observe); err != nil {
		w.t.Fatal(err)
	}
	r.s.listener.Close() // a real one would keep the bubble's time from passing
	r.s.listener = &noise{closed: make(chan struct{}), addr: r.s.listener.Addr()}
	if change != nil {
		change(r.s)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		r.err = r.s.run(ctx)
	}()
	w.t.Cleanup(func() { r.cancel(); <-r.done }) // of a test that has failed
	return r
}

// stop ends a service as SIGTERM does, and gives how long that took.
func (r *resident) stop() time.Duration {
	r.w.t.Helper()
	begun := time.Now()
	r.cancel()
	<-r.done
	if r.err != nil {
		r.w.t.Errorf("the service ended with %v", r.err)
	}
	return time.Since(begun)
}

// kill cuts a service off, as kill -9 does, and lets its goroutines end.
func (r *resident) kill() {
	r.line.cut.Store(true)
	r.cancel()
}

func (r *resident) running() bool {
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

func (r *resident) reads() bool { return len(r.s.source.Status().Shards) > 0 }

// ask gives the status and the body of what the API answers.
func (r *resident) ask(path string) (int, string) {
	rec := httptest.NewRecorder()
	r.s.http.Handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
	return rec.Code, rec.Body.String()
}

// reasons is what /readyz says.
func (r *resident) reasons() []string {
	r.w.t.Helper()
	code, body := r.ask("/readyz")
	var answer struct {
		Ready   bool
		Reasons []string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Ready != (code == http.StatusOK) || answer.Ready != (len(answer.Reasons) == 0) {
		r.w.t.Errorf("/readyz: %d %s", code, body)
	}
	return answer.Reasons
}

// until waits for a condition, checked every 10 ms.
func (w *street) until(what string, limit time.Duration, ok func() bool) time.Duration {
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

// put puts a record for each client that bans it.
func (w *street) put(clients ...string) {
	w.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String("log")}
	for _, c := range clients {
		in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{Data: exploit(c), PartitionKey: aws.String(c)})
	}
	if _, err := kinesis.NewFromConfig(w.cloud).PutRecords(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
}

// holds reports whether the IP set for IPv4 has all of these.
func (w *street) holds(clients ...string) bool {
	w.t.Helper()
	client := wafv2.NewFromConfig(w.cloud)
	list, err := client.ListIPSets(w.t.Context(), &wafv2.ListIPSetsInput{Scope: waftypes.ScopeCloudfront})
	if err != nil {
		w.t.Fatal(err)
	}
	var held []string
	for _, s := range list.IPSets {
		set, err := client.GetIPSet(w.t.Context(), &wafv2.GetIPSetInput{Scope: waftypes.ScopeCloudfront, Id: s.Id, Name: s.Name})
		if err != nil {
			w.t.Fatal(err)
		}
		held = append(held, set.IPSet.Addresses...)
	}
	return !slices.ContainsFunc(clients, func(c string) bool { return !slices.Contains(held, c+"/32") })
}

// owners are those that the lease table names, by row.
func (w *street) owners() map[string]string {
	w.t.Helper()
	out, err := dynamodb.NewFromConfig(w.cloud).Scan(w.t.Context(), &dynamodb.ScanInput{TableName: aws.String(w.settings().Kinesis.LeaseTable)})
	if err != nil {
		w.t.Fatal(err)
	}
	owners := map[string]string{}
	for _, item := range out.Items {
		for _, name := range []string{"AssignedTo", "Leader"} {
			if owner, ok := item[name].(*types.AttributeValueMemberS); ok {
				owners[item["ShardID"].(*types.AttributeValueMemberS).Value] = owner.Value
			}
		}
	}
	return owners
}

// line is one service's way to AWS.
type line struct {
	cut atomic.Bool

	mu     sync.Mutex
	next   aws.HTTPClient
	paused chan struct{} // closed when the pause is over; nil = none
}

func (l *line) Do(r *http.Request) (*http.Response, error) {
	if err := l.pass(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	next := l.next
	l.mu.Unlock()
	resp, err := next.Do(r)
	if cut := l.pass(); cut != nil {
		return nil, cut
	}
	return resp, err
}

// lose has nothing about a table of DynamoDB pass any more.
func (l *line) lose(table string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = without{l.next, table}
}

// pass waits while the service is paused, deaf to deadlines as a stopped process is,
// and fails when it is dead.
func (l *line) pass() error {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
	if l.cut.Load() {
		return errors.New("the line is cut")
	}
	return nil
}

// pause stops every call on its way, until the returned func is called.
func (l *line) pause() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{})
	l.paused = c
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.paused = nil
		close(c)
	}
}

// noise is a listener that nobody calls.
type noise struct {
	once   sync.Once
	closed chan struct{}
	addr   net.Addr
}

func (n *noise) Accept() (net.Conn, error) { <-n.closed; return nil, net.ErrClosed }
func (n *noise) Addr() net.Addr            { return n.addr }
func (n *noise) Close() error              { n.once.Do(func() { close(n.closed) }); return nil }

func contains(list []string, part string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
}
