package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/awslocal"
)

// A row is what a case came to.
type row struct {
	*workload
	records   int
	perSecond float64
	cpu       map[string]float64 // by role, nanoseconds a record without idle
	idle      float64            // CPU time of all tasks while there is nothing to read, seconds a second
	keep      time.Duration      // CPU time to keep the state once, in all tasks; 0 = it is not kept
	rss       int64              // bytes, the most that each task had, summed up
}

// total is the CPU time of a record in all tasks, in nanoseconds.
func (r *row) total() (sum float64) {
	for _, ns := range r.cpu {
		sum += ns
	}
	return sum
}

const (
	// patience bounds every wait for other processes.
	patience = 10 * time.Minute

	// idleFor is how long idle tasks are watched: as long as the longest of what they
	// do now and then takes to come.
	idleFor = 10 * time.Second

	// settled is how long it takes from when the last page was read until its records
	// are counted, in whatever task: frames wait for 100 ms, and reads for 200 ms.
	settled = 2 * time.Second

	// pageLines is how many lines a read of a shard brings at most, however they are packed:
	// as many as the service asks for unless told otherwise.
	pageLines = 3000

	// burst is how long the first pages take that all shards give at once.
	burst = 300 * time.Millisecond
)

// A fleet is the tasks of a case, and what they work on.
type fleet struct {
	*workload
	reader string // role of the tasks that read CloudFront's stream
	tables *dynamodb.Client
	gate   *gate
	tasks  []*task
}

// run runs a case once.
func (w *workload) run(binary, in string, records int) (r *row, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp(in, "case-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "snapshots"), 0o700); err != nil {
		return nil, err
	}
	server := awslocal.New(awslocal.Config{Kinesis: awslocal.KinesisConfig{Unlimited: true}})
	cloud := aws.Config{Region: "us-east-1", HTTPClient: server.HTTPClient(), Credentials: credentials.NewStaticCredentialsProvider("bench-0", "x", "")}
	f := &fleet{workload: w, reader: "all", tables: dynamodb.NewFromConfig(cloud), gate: newGate(server, 5*time.Second)}
	if w.ingest > 0 {
		f.reader = "ingest"
	}
	if err := w.build(ctx, cloud); err != nil {
		return nil, err
	}
	size, err := w.fill(ctx, cloud, records)
	if err != nil {
		return nil, fmt.Errorf("fill the stream: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: f.gate, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	defer func() {
		err = errors.Join(err, f.stop(r))
		web.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}()
	if err := f.start(ctx, binary, dir, "http://"+ln.Addr().String()); err != nil {
		return nil, err
	}
	if r, err = f.measure(records, size); err != nil {
		for _, t := range f.tasks {
			err = errors.Join(err, t.said())
		}
	}
	return r, err
}

// start starts all tasks and waits until each has its share of the shards.
func (f *fleet) start(ctx context.Context, binary, dir, endpoint string) error {
	environ := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_SECRET_ACCESS_KEY=x", "AWS_ENDPOINT_URL=" + endpoint,
		"AWS_REGION=us-east-1", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"WEIR_KINESIS_STREAM=" + logStream, "WEIR_KINESIS_START=oldest", "WEIR_CRAWLERS_REFRESH=false", "WEIR_CRAWLERS_DNS=false",
		"WEIR_API_LISTEN=127.0.0.1:0", "WEIR_STATE_MEMORY=2GiB", "WEIR_LOG_FIELDS=" + strings.Join(f.fields(), ","),
		fmt.Sprintf("WEIR_KINESIS_MAX_RECORDS=%d", pageLines/f.perRecord()),
	}
	if f.between > 0 {
		environ = append(environ, "WEIR_REKEY_STREAM="+eventStream, "WEIR_BAN_TABLE=weir-bans", "WEIR_STATE_SNAPSHOT="+filepath.Join(dir, "snapshots"),
			"WEIR_STATE_INTERVAL=10m") // not while it is measured; see keep
	} else {
		environ = append(environ, "WEIR_BAN_FILE="+filepath.Join(dir, "weir.db"))
	}
	boot := exec.Command(binary, "bootstrap", "-web-acl", "site")
	boot.Env = append(slices.Clone(environ), "AWS_ACCESS_KEY_ID=boot-0")
	if out, err := boot.CombinedOutput(); err != nil {
		return fmt.Errorf("weir bootstrap: %w\n%s", err, out)
	}
	wanted := map[string]int{"ingest": f.ingest, "detect": f.detect}
	if f.ingest == 0 {
		wanted = map[string]int{"all": 1}
	}
	for _, role := range slices.Sorted(maps.Keys(wanted)) {
		for i := range wanted[role] {
			t, err := start(binary, dir, role, i+1, environ)
			if err != nil {
				return err
			}
			f.tasks = append(f.tasks, t)
		}
	}
	return until("the tasks have their shares of the shards", func() (bool, error) {
		for _, t := range f.tasks {
			if ok, err := t.ready(); !ok {
				return false, err
			}
		}
		ok, err := f.shared(ctx, "weir-leases", f.shards, max(1, f.ingest))
		if ok && err == nil && f.detect > 0 {
			ok, err = f.shared(ctx, "weir-rekey-leases", f.between, f.detect)
		}
		return ok, err
	})
}

// stop stops all tasks. The last thing that each does is to keep the state, where that is kept.
func (f *fleet) stop(r *row) (err error) {
	for _, t := range f.tasks {
		before, e := t.cpu()
		err = errors.Join(err, e, t.stop())
		if r != nil && f.between > 0 {
			r.keep += t.cmd.ProcessState.UserTime() + t.cmd.ProcessState.SystemTime() - before
		}
	}
	return err
}

// shared reports whether so many tasks hold the same number of the shards, give or take one.
func (f *fleet) shared(ctx context.Context, table string, shards, tasks int) (bool, error) {
	out, err := f.tables.Scan(ctx, &dynamodb.ScanInput{TableName: &table})
	if err != nil {
		return false, err
	}
	held, all := make(map[string]int), 0
	for _, item := range out.Items {
		_, lease := item["Checkpoint"]
		owner, ok := item["AssignedTo"].(*types.AttributeValueMemberS)
		if !lease && !ok {
			continue // a row about something else
		}
		if ok && owner.Value != "" {
			held[owner.Value]++
			all++
		}
	}
	if all != shards || len(held) != tasks {
		return false, nil
	}
	counts := slices.Collect(maps.Values(held))
	return slices.Max(counts)-slices.Min(counts) <= 1, nil
}

// A mark is what the tasks of each role have used by then.
type mark struct {
	at  time.Time
	cpu map[string]time.Duration
}

func (f *fleet) mark() (mark, error) {
	m := mark{time.Now(), make(map[string]time.Duration)}
	for _, t := range f.tasks {
		used, err := t.cpu()
		if err != nil {
			return m, err
		}
		m.cpu[t.role] += used
	}
	return m, nil
}

// progress is how far the tasks are.
type progress struct {
	lines         int // that were read
	sent, counted int // events
}

func (f *fleet) progress() (p progress, err error) {
	const lines, sent, counted = "weir_pipeline_lines_total", "weir_rekey_put_events_total", "weir_rekey_events_total"
	for _, t := range f.tasks {
		m, err := t.metrics(lines, sent, counted)
		if err != nil {
			return p, err
		}
		p.lines, p.sent, p.counted = p.lines+m[lines], p.sent+m[sent], p.counted+m[counted]
	}
	return p, nil
}

// measure watches the tasks while they have nothing to do, then while they work off the first
// fifth, by which tables and caches are made, and takes the times of the rest.
func (f *fleet) measure(records, size int) (*row, error) {
	time.Sleep(settled)
	before, err := f.mark()
	if err != nil {
		return nil, err
	}
	time.Sleep(idleFor)
	idle, err := f.mark()
	if err != nil {
		return nil, err
	}
	if f.detect > 0 {
		f.gate.lift("detect")
	}
	f.gate.lift(f.reader)
	read := func(part int) func() (bool, error) {
		return func() (bool, error) { return f.gate.reads(f.reader).bytes >= part, nil }
	}
	if err := until("a fifth is read", read(size/5)); err != nil {
		return nil, err
	}
	f.gate.shut(f.reader)
	warm, err := f.rest()
	if err != nil {
		return nil, err
	}
	begun, err := f.mark()
	if err != nil {
		return nil, err
	}
	f.gate.lift(f.reader)
	if err := until("two fifths are read", read(size/5*2)); err != nil {
		return nil, err
	}
	time.Sleep(burst)
	from := f.gate.reads(f.reader)
	if err := until("all is read", read(size)); err != nil {
		return nil, err
	}
	to := f.gate.reads(f.reader)
	var ended mark
	for again := true; again; {
		time.Sleep(settled)
		if ended, err = f.mark(); err != nil {
			return nil, err
		}
		p, err := f.progress()
		if err != nil {
			return nil, err
		}
		if again = p.lines < records || p.counted < p.sent; again && ended.at.Sub(begun.at) > patience {
			return nil, fmt.Errorf("after %v not all of %d records are counted: %+v", patience, records, p)
		}
	}
	if warm.lines >= records {
		return nil, fmt.Errorf("all of %d records were read at once, and none are left to measure: take more", records)
	}
	r := &row{workload: f.workload, records: records - warm.lines, cpu: make(map[string]float64)}
	if took := to.last.Sub(from.last).Seconds(); took > 0 {
		r.perSecond = float64(records) * float64(to.bytes-from.bytes) / float64(size) / took
	}
	for role, used := range ended.cpu {
		rate := (idle.cpu[role] - before.cpu[role]).Seconds() / idle.at.Sub(before.at).Seconds()
		r.idle += rate
		r.cpu[role] = ((used - begun.cpu[role]).Seconds() - rate*ended.at.Sub(begun.at).Seconds()) * 1e9 / float64(r.records)
	}
	for _, t := range f.tasks {
		rss, err := t.memory()
		if err != nil {
			return nil, err
		}
		r.rss += rss
	}
	return r, nil
}

// rest waits until nothing more comes of what was read.
func (f *fleet) rest() (now progress, err error) {
	err = until("what was read is counted", func() (bool, error) {
		time.Sleep(settled)
		last := now
		now, err = f.progress()
		return now == last && now.lines > 0 && now.counted >= now.sent, err
	})
	return now, err
}

// until waits for something.
func until(what string, is func() (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if ok, err := is(); ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v until %s", patience, what)
		}
	}
}
