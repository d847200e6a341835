package rekey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	kinesisapi "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/source/kinesis"
)

// A house is a world with a stream of log lines, too, and tasks of both roles.
type house struct {
	*world
	set     *scenario.Set
	seed    seeded.Seed
	format  *cloudfront.Format
	shelf   *shelf
	poll    time.Duration // between reads of a shard
	ingests []*task
	detects []*task

	mu     sync.Mutex
	alerts map[string]int // how often each was raised
}

// testScenarios count clients, networks and values.
const testScenarios = `
type: leaky
name: t-missing
description: Asks for what is not there; successes take back.
filter: evt.Meta.http_status == '404'
drain: evt.Meta.http_status == '200'
groupby: evt.Meta.source_ip
capacity: 4
leakspeed: 40s
blackhole: 20s
---
type: leaky
name: t-different
description: Asks for different things that are not there.
filter: evt.Meta.http_status == '404'
groupby: evt.Meta.source_ip
distinct: evt.Meta.http_path
capacity: 3
leakspeed: 60s
blackhole: 5s
---
type: leaky
name: t-network
description: A network whose addresses fail, and nobody is healthy.
filter: evt.Meta.http_status == '403'
groupby: weir.range
range: {ipv4: 24, ipv6: 56}
distinct: weir.client
capacity: 2
leakspeed: 90s
shield: {filter: "evt.Meta.http_status == '302'", for: 1m}
blackhole: 30s
---
type: leaky
name: t-tool
description: One software that fails, whoever uses it.
filter: evt.Meta.http_status == '401'
groupby: weir.fingerprint
members: true
capacity: 3
leakspeed: 50s
blackhole: 20s
---
type: trigger
name: t-secret
description: Asks for a secret.
filter: evt.Meta.http_path == '/.env'
groupby: evt.Meta.source_ip
blackhole: 10s
`

const testFields = "timestamp c-ip sc-status cs-method cs-host cs-uri-stem x-edge-request-id cs-protocol-version cs-user-agent"

// inHouse runs a test in a bubble with a house.
func inHouse(t *testing.T, logs, events int, test func(t *testing.T, h *house)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.yaml")
	if err := os.WriteFile(file, []byte(testScenarios), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := scenario.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	set, err := scenario.Compile(list, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fields, err := cloudfront.ParseFields(testFields)
	if err != nil {
		t.Fatal(err)
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t, events, func(t *testing.T, w *world) {
		h := &house{world: w, set: set, seed: seeded.New(), format: format, shelf: newShelf(), poll: 500 * time.Millisecond, alerts: make(map[string]int)}
		w.create("logs", logs)
		d := dynamodb.NewFromConfig(w.aws())
		w.must(kinesis.CreateLeaseTable(t.Context(), d, "ingest-leases"))
		w.must(kinesis.CreateLeaseTable(t.Context(), d, "detect-leases"))
		test(t, h)
		for _, k := range slices.Concat(h.ingests, h.detects) {
			k.stop()
		}
	})
}

func (h *house) alert(a detect.Alert) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alerts[alertKey(&a)]++
}

func alertKey(a *detect.Alert) string {
	ids := make([]string, len(a.Samples))
	for i := range a.Samples {
		ids[i] = a.Samples[i].RequestID
	}
	return fmt.Sprintf("%s %s %s at %d, %d events since %d: %s", a.Scenario.Name, a.Client, a.Addr, a.At, a.Events, a.First, strings.Join(ids, " "))
}

// A task is one process.
type task struct {
	h      *house
	link   *link
	source *kinesis.Source
	cancel context.CancelFunc
	done   chan struct{}
	late   func() // what ends after the source
	ended  bool
}

// link is a task's way to the stand-ins, which can be cut for good, or for a while.
type link struct {
	next aws.HTTPClient
	cut  atomic.Bool

	mu     sync.Mutex
	paused chan struct{} // closed when the pause is over; nil = there is none
}

// pass waits while the task is paused, deaf to deadlines as a stopped process is.
func (l *link) pass() {
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
}

// pause stops the task where it next calls somebody or handles a batch, until the returned
// func is called.
func (l *link) pause() (resume func()) {
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

var errCut = errors.New("the link is cut")

func (l *link) Do(r *http.Request) (*http.Response, error) {
	l.pass()
	if l.cut.Load() {
		return nil, errCut
	}
	resp, err := l.next.Do(r)
	l.pass()
	if l.cut.Load() {
		return nil, errCut
	}
	return resp, err
}

func (h *house) link() (*link, aws.Config) {
	l := &link{next: h.server.HTTPClient()}
	cfg := h.aws()
	cfg.HTTPClient = l
	return l, cfg
}

func (h *house) source(cfg kinesis.Config) *kinesis.Source {
	cfg.Share, cfg.Oldest, cfg.Failover, cfg.Poll, cfg.Worker = true, true, 4*time.Second, h.poll, "w"
	s, err := kinesis.New(cfg)
	h.must(err)
	return s
}

func (h *house) sender(cfg aws.Config) *Sender {
	s, err := NewSender(SenderConfig{AWS: cfg, Stream: "events", Digests: Digests(h.set)})
	h.must(err)
	return s
}

// run runs a task: a sender, what else there is, and its source.
func (k *task) run(sender *Sender, handle func(context.Context, kinesis.Batch) error, also func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	background, end := context.WithCancel(context.Background())
	k.cancel, k.done = cancel, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { sender.Run(background) })
	wg.Go(func() { also(background) })
	go func() {
		defer close(k.done)
		if err := k.source.RunBatches(ctx, k.link.pauses(handle)); err != nil && !k.link.cut.Load() {
			k.h.t.Errorf("Run: %v", err)
		}
		end()
		wg.Wait()
		k.late()
	}()
}

// ingest starts a task that reads log lines.
func (h *house) ingest() *task {
	k := &task{h: h, late: func() {}}
	l, cfg := h.link()
	k.link = l
	front, err := detect.NewFront(h.set, detect.FrontConfig{Seed: h.seed, Registerer: prometheus.NewRegistry()})
	h.must(err)
	sender := h.sender(cfg)
	ingest := NewIngest("logs", front, sender)
	k.source = h.source(kinesis.Config{AWS: cfg, Stream: "logs", LeaseTable: "ingest-leases"})
	k.run(sender, func(ctx context.Context, b kinesis.Batch) error {
		load, err := ingest.Load(b.Shard, b.Sequences)
		if err != nil {
			return err
		}
		for i, line := range b.Lines {
			records := make([]cloudfront.Record, 1)
			if err := h.format.Parse(&records[0], line); err != nil {
				return err
			}
			records[0].Arrived = b.Arrived[i].UnixMilli()
			if err := load.Add(ctx, records, func(int) (int, int) { return i, 0 }); err != nil {
				return err
			}
		}
		return load.Wait(ctx)
	}, func(context.Context) {})
	h.ingests = append(h.ingests, k)
	return k
}

// held is a source that tells which shards it has.
type held struct{ *kinesis.Source }

func (s held) Held() (ids []string) {
	for _, sh := range s.Status().Shards {
		ids = append(ids, sh.ID)
	}
	return ids
}

// detect starts a task that counts.
func (h *house) detect() *task {
	k := &task{h: h}
	l, cfg := h.link()
	k.link = l
	sender := h.sender(cfg)
	reg := prometheus.NewRegistry()
	d := NewDetector(DetectorConfig{
		Name: "events", Digests: Digests(h.set), Sender: sender, Shelf: &taskShelf{h.shelf, l}, Registerer: reg,
		Engine: func() (*detect.Engine, error) {
			return detect.New(h.set, detect.Config{Shards: 1, Memory: 1 << 20, Seed: h.seed, Registerer: reg, Alert: func(a detect.Alert) {
				if !l.cut.Load() {
					h.alert(a)
				}
			}})
		},
		Commit: func(context.Context) error { return nil }, Store: func(context.Context) error { return nil },
	})
	k.source = h.source(kinesis.Config{
		AWS: cfg, Stream: "events", LeaseTable: "detect-leases", Hold: true,
		Resume: func(ctx context.Context, s kinesis.Shard) (string, error) {
			return d.Take(ctx, held{k.source}, Shard{ID: s.ID, Parents: s.Parents, HashFrom: s.HashFrom, HashTo: s.HashTo})
		},
		Leave: func(ctx context.Context, id string) { d.Leave(ctx, held{k.source}, id) },
	})
	k.late = func() {
		for _, id := range d.Shards() {
			d.Drop(id)
		}
	}
	k.run(sender, func(ctx context.Context, b kinesis.Batch) error {
		return d.Handle(ctx, Batch{Shard: b.Shard, Frames: b.Lines, Sequences: b.Sequences})
	}, func(ctx context.Context) { d.Keep(ctx, held{k.source}, 2*time.Second) })
	h.detects = append(h.detects, k)
	return k
}

// stop ends a task as the stop signal does.
func (k *task) stop() {
	if !k.ended {
		k.ended = true
		k.cancel()
		<-k.done
	}
}

// kill ends a task as kill -9 does.
func (k *task) kill() {
	k.link.cut.Store(true)
	k.stop()
}

// shelf keeps states in memory.
type shelf struct {
	mu     sync.Mutex
	states map[string]keptState
}

type keptState struct {
	number   int64
	position string
	state    []byte
}

func newShelf() *shelf { return &shelf{states: make(map[string]keptState)} }

// taskShelf is the shelf as a task sees it.
type taskShelf struct {
	*shelf
	link *link
}

func (s *taskShelf) Save(_ context.Context, shard string, after int64, position string, write func(io.Writer) error) (int64, error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return 0, err
	}
	s.link.pass()
	if s.link.cut.Load() {
		return 0, errCut
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states[shard].number != after {
		return 0, ErrConflict
	}
	s.states[shard] = keptState{after + 1, position, b.Bytes()}
	return after + 1, nil
}

func (s *taskShelf) Load(_ context.Context, shard string, use func(string, io.Reader) error) (int64, error) {
	s.link.pass()
	if s.link.cut.Load() {
		return 0, errCut
	}
	s.mu.Lock()
	k, ok := s.states[shard]
	s.mu.Unlock()
	if !ok {
		return 0, ErrNoState
	}
	return k.number, use(k.position, bytes.NewReader(k.state))
}

// put puts lines into the stream of log lines, each into any shard.
func (h *house) put(rng *rand.Rand, lines ...string) {
	h.t.Helper()
	in := &kinesisapi.PutRecordsInput{StreamName: new("logs")}
	for _, line := range lines {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(line), PartitionKey: new(strconv.FormatUint(rng.Uint64(), 36))})
	}
	for len(in.Records) > 0 {
		out, err := h.k.PutRecords(context.Background(), in)
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		refused := in.Records[:0]
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				refused = append(refused, in.Records[i])
			}
		}
		in.Records = refused
	}
}
