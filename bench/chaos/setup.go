package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// A setup is a way to run Weir.
type setup struct {
	name    string
	roles   []string // of its tasks
	environ func(dir string) []string
}

var setups = []setup{
	{
		name: "single", roles: []string{"all"},
		environ: func(dir string) []string {
			return []string{"WEIR_BAN_FILE=" + filepath.Join(dir, "weir.db"), "WEIR_STATE_SNAPSHOT=" + filepath.Join(dir, "snapshots")}
		},
	},
	{
		name: "pair", roles: []string{"all", "all"},
		environ: func(dir string) []string {
			return []string{"WEIR_BAN_TABLE=weir-bans", "WEIR_STATE_SNAPSHOT=" + filepath.Join(dir, "snapshots")}
		},
	},
	{
		name: "roles", roles: []string{"ingest", "detect", "ingest", "detect"},
		environ: func(dir string) []string {
			return []string{"WEIR_REKEY_STREAM=" + eventStream, "WEIR_BAN_TABLE=weir-bans", "WEIR_STATE_SNAPSHOT=" + filepath.Join(dir, "snapshots")}
		},
	},
}

const (
	streamName  = "log"
	eventStream = "events"
	leaseTable  = "weir-leases"
	shards      = 4

	tick     = 50 * time.Millisecond
	patience = 90 * time.Second // with whatever should have come long ago
)

// A town is what one run consists of.
type town struct {
	setup   setup
	rnd     *rand.Rand
	audit   *auditor
	gate    *gate
	kinesis *kinesis.Client
	tasks   []*task
	plan    *plan
	records int

	kills    int
	killed   chan death
	canaries []canary
	found    []float64 // seconds that those took which were sent at a kill
	leaving  *departure
	stops    []float64 // seconds from SIGTERM to the end
	resumes  []float64 // seconds until what a stopped task read was read again
	asking   atomic.Bool
}

// A death is of one task.
type death struct {
	at   time.Time
	task string
	when moment
}

// A canary is a request made when a task was killed.
type canary struct {
	who  netip.Prefix
	at   time.Time
	kill int // number of the kill that it was sent at; 0 = at none
}

// run lives through a number of kills.
func (s setup) run(dir, binary string, kills int, seed uint64) (v verdict, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "snapshots"), 0o700); err != nil {
		return v, err
	}
	t := &town{
		setup: s, rnd: rand.New(rand.NewPCG(seed, 6)), plan: newPlan(seed), audit: newAuditor(),
		killed: make(chan death, kills),
	}
	server := awslocal.New(awslocal.Config{WAF: awslocal.WAFConfig{OnWrite: t.audit.wrote}})
	cloud := aws.Config{
		Region: "us-east-1", HTTPClient: server.HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider("auditor", "x", ""),
	}
	t.kinesis = kinesis.NewFromConfig(cloud)
	t.gate = newGate(server, cloud, leaseTable, "weir-rekey-leases")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return v, err
	}
	web := &http.Server{Handler: t.gate, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	defer func() {
		for _, task := range t.tasks {
			task.kill()
			_, _ = task.finish(patience)
		}
		web.Close()
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}()
	if err := t.build(dir, binary, cloud, "http://"+ln.Addr().String()); err != nil {
		return v, err
	}
	if err := t.live(kills); err != nil {
		return v, err
	}
	return t.end()
}

// build makes stream, web ACL and what bootstrap makes, and the tasks.
func (t *town) build(dir, binary string, cloud aws.Config, endpoint string) error {
	ctx := context.Background()
	for _, name := range []string{streamName, eventStream} {
		if _, err := t.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(shards)}); err != nil {
			return err
		}
	}
	_, err := wafv2.NewFromConfig(cloud).CreateWebACL(ctx, &wafv2.CreateWebACLInput{
		Name: aws.String("site"), Scope: waftypes.ScopeCloudfront, DefaultAction: &waftypes.DefaultAction{Allow: &waftypes.AllowAction{}},
		VisibilityConfig: &waftypes.VisibilityConfig{CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: aws.String("site")},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "chaos.yaml")
	if err := os.WriteFile(file, []byte(scenarios), 0o600); err != nil {
		return err
	}
	environ := append([]string{
		"AWS_ENDPOINT_URL=" + endpoint, "AWS_REGION=us-east-1", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"WEIR_KINESIS_STREAM=" + streamName, "WEIR_KINESIS_LEASE_TABLE=" + leaseTable, "WEIR_KINESIS_START=oldest", "WEIR_KINESIS_FAILOVER=3s",
		"WEIR_WAF_WRITES_PER_SECOND=1", "WEIR_CRAWLERS_REFRESH=false", "WEIR_CRAWLERS_DNS=false",
		"WEIR_API_LISTEN=127.0.0.1:0", "WEIR_LOG_FIELDS=" + fields, "WEIR_SCENARIOS=" + file,
		"WEIR_STATE_MEMORY=32MiB", "WEIR_BAN_BREAKER_SHARE=0", "WEIR_STATE_INTERVAL=1s", "WEIR_DETECT_SHARDS=2",
	}, t.setup.environ(dir)...)
	boot := &task{name: "bootstrap", binary: binary, dir: dir, environ: environ}
	if err := boot.start("bootstrap", "-web-acl", "site"); err != nil {
		return err
	}
	if code, err := boot.finish(patience); err != nil || code != 0 {
		return errors.Join(fmt.Errorf("weir bootstrap: exit code %d", code), err)
	}
	for i, role := range t.setup.roles {
		t.tasks = append(t.tasks, &task{
			name: fmt.Sprintf("task%d", i+1), binary: binary, dir: dir, environ: append(slices.Clone(environ), "WEIR_ROLE="+role),
		})
	}
	return nil
}

// live makes traffic and kills tasks, until so many are dead.
func (t *town) live(kills int) error {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	last := time.Now()
	next := last.Add(5 * time.Second) // the first is to be at work
	var armed time.Time
	early := true // the next kill does not wait until all is well again
	for t.kills < kills {
		now := <-clock.C
		if err := t.step(now, now.Sub(last)); err != nil {
			return err
		}
		last = now
		switch {
		case t.leaving != nil:
			over, err := t.leave(now)
			if err != nil {
				return err
			}
			if over {
				next = now.Add(t.pause())
			}
		case !armed.IsZero() && now.Sub(armed) > 2*time.Second && t.gate.disarm():
			armed = time.Time{} // no such call came
			t.strike(t.victim(), moment{})
		case !early && len(t.canaries) > 0:
			next = now.Add(time.Duration(t.rnd.IntN(2000)) * time.Millisecond)
		case armed.IsZero() && now.After(next) && t.calm() && t.rnd.IntN(3) == 0:
			if err := t.dismiss(t.tasks[t.rnd.IntN(len(t.tasks))]); err != nil {
				return err
			}
		case armed.IsZero() && now.After(next):
			who, when := t.victim(), pickMoment(t.rnd)
			if who == nil {
				break // all are dead
			}
			if when.action == "" {
				t.strike(who, when)
			} else {
				armed = now
				t.gate.arm(who.name, when, func() { t.strike(who, when) })
			}
		}
		for more := true; more; {
			select {
			case d := <-t.killed:
				at := d.at
				t.kills++
				armed = time.Time{}
				fmt.Printf("%s: kill %d: %s %s\n", t.setup.name, t.kills, d.task, d.when)
				// Some come while the last one is not over yet.
				early, next = t.rnd.IntN(2) == 0, at.Add(t.pause())
				for i := range t.canaries {
					t.canaries[i].at = at // what they measure begins anew
				}
				if err := t.canary(at, t.kills); err != nil {
					return err
				}
			default:
				more = false
			}
		}
	}
	return nil
}

// pause is how long it takes until the next one is killed.
func (t *town) pause() time.Duration { return time.Duration(500+t.rnd.IntN(3500)) * time.Millisecond }

// victim picks a task that runs.
func (t *town) victim() *task {
	for _, i := range t.rnd.Perm(len(t.tasks)) {
		task := t.tasks[i]
		task.mu.Lock()
		runs := task.cmd != nil
		task.mu.Unlock()
		if runs {
			return task
		}
	}
	return nil
}

// strike kills a task; any goroutine may call it.
func (t *town) strike(who *task, when moment) {
	if who != nil && who.kill() {
		select {
		case t.killed <- death{time.Now(), who.name, when}:
		default: // the run is over
		}
	}
}

// canary puts a request by which it is known when all is well again.
func (t *town) canary(at time.Time, kill int) error {
	s, who := t.plan.canary()
	t.canaries = append(t.canaries, canary{who, at, kill})
	return t.put([]step{s})
}

// step makes the traffic of one tick and looks after everything.
func (t *town) step(now time.Time, since time.Duration) error {
	for _, task := range t.tasks {
		if err := task.start("run"); err != nil {
			return err
		}
	}
	if err := t.put(t.plan.tick(now, since)); err != nil {
		return err
	}
	kept := t.canaries[:0]
	for _, c := range t.canaries {
		switch at, ok := t.audit.since(c.who); {
		case ok && c.kill > 0:
			t.found = append(t.found, at.Sub(c.at).Seconds())
			fmt.Printf("%s: kill %d: recovered in %.1f s\n", t.setup.name, c.kill, at.Sub(c.at).Seconds())
		case ok:
		case now.Sub(c.at) > patience:
			return fmt.Errorf("%v after a kill %s, which made a request at that moment, is in no IP set", patience, c.who)
		default:
			kept = append(kept, c)
		}
	}
	t.canaries = kept
	t.ask()
	return nil
}

// ask has one of the tasks show its decisions now and then.
func (t *town) ask() {
	if t.rnd.IntN(20) != 0 || t.asking.Load() {
		return
	}
	who := t.victim()
	if who == nil {
		return
	}
	t.asking.Store(true)
	go func() {
		defer t.asking.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if list, err := who.decisions(ctx); err == nil { // else it is dead, or about to be
			t.audit.show(list)
		}
	}()
}

// put puts records into shards at random. What a shard has no room for within the
// second comes a little later.
func (t *town) put(steps []step) error {
	t.records += len(steps)
	for len(steps) > 0 {
		n := min(len(steps), 500)
		var entries []types.PutRecordsRequestEntry
		for i := range steps[:n] {
			entries = append(entries, types.PutRecordsRequestEntry{
				Data: steps[i].line(time.Now()), PartitionKey: aws.String(fmt.Sprint(t.rnd.Uint64())),
			})
		}
		out, err := t.kinesis.PutRecords(context.Background(), &kinesis.PutRecordsInput{StreamName: aws.String(streamName), Records: entries})
		if err != nil {
			return err
		}
		var again []step
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				again = append(again, steps[i])
			}
		}
		if len(again) > 0 {
			time.Sleep(tick)
		}
		steps = append(again, steps[n:]...)
	}
	return nil
}

// end has everybody send what is left, waits until all of it must have been seen, and
// audits.
func (t *town) end() (v verdict, err error) {
	if err := t.put(t.plan.finish()); err != nil {
		return v, err
	}
	// One for each shard and more: what was put before them has been read when they are banned.
	for range 8 * shards {
		if err := t.canary(time.Now(), 0); err != nil {
			return v, err
		}
	}
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end) && (len(t.canaries) > 0 || len(t.audit.missing(t.plan)) > 0); <-clock.C {
		if err := t.step(time.Now(), 0); err != nil {
			return v, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var final []decision
	for {
		if final, err = t.tasks[0].decisions(ctx); err == nil {
			break
		}
		if ctx.Err() != nil {
			return v, fmt.Errorf("ask %s for its decisions: %w", t.tasks[0].name, err)
		}
		<-clock.C
		if err := t.step(time.Now(), 0); err != nil {
			return v, err
		}
	}
	for _, task := range t.tasks {
		took, e := task.terminate(patience)
		err = errors.Join(err, e)
		t.stops = append(t.stops, took.Seconds())
	}
	if err != nil {
		return v, err
	}
	v = t.audit.judge(t.plan, final, teller(t.setup.name))
	v.Kills, v.Records, v.Rewinds = t.kills, t.records, t.gate.rewinds
	v.recoveries, v.stops, v.resumes = t.found, t.stops, t.resumes
	return v, nil
}

// names lists the set-ups.
func names() string {
	var list []string
	for _, s := range setups {
		list = append(list, s.name)
	}
	return strings.Join(list, ", ")
}
