package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"weir/internal/awslocal"
	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/detect"
	"weir/internal/traffic"
)

const (
	demoStream = "weir-demo"
	demoWebACL = "weir-demo"

	// logRate is how many records of a log are put into one shard each second.
	// KCL reads 2 MB a second of a shard, and a record has up to 1.5 kB.
	logRate = 1200
)

// demoOptions is what the command line of a demo says.
type demoOptions struct {
	rate      float64       // records a second
	length    time.Duration // 0: until it is interrupted, or the log is read
	once      bool
	log       string
	fields    string
	decisions string
	seed      uint64
}

func runDemo(ctx context.Context, w *world) error {
	var opt demoOptions
	fs := newFlags(w, "demo", "", "Runs stand-ins for AWS, made traffic and the service in one process, and shows\nwhat happens. Needs no account.")
	fs.Float64Var(&opt.rate, "rate", 0, "records a second put into the stream, 10 to 20000 (default 1000, or 1200 of a log)")
	fs.DurationVar(&opt.length, "for", 0, "how long; 0 is a minute, or as long as the log lasts")
	fs.BoolVar(&opt.once, "once", false, "one wave of attackers; exit code 1 if one of them is missed or an innocent banned")
	fs.StringVar(&opt.log, "log", "", "put this real-time log, a plain or gzip `file`, into the stream instead of made traffic; its times are moved so that it ends now")
	fs.StringVar(&opt.fields, "fields", "", "the log's fields: a `list`, or @FILE")
	fs.StringVar(&opt.decisions, "decisions", "", "write every decision to this `file`, as JSON lines")
	fs.Uint64Var(&opt.seed, "seed", 1, "of the made traffic")
	loader := config.Register(fs, "detect", "state", "scenarios", "waf")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	if err := noArguments(fs); err != nil {
		return err
	}
	if err := opt.check(); err != nil {
		return err
	}
	cfg, err := loadSettings(loader, w)
	if err != nil {
		return err
	}
	d, err := newDemo(ctx, w, cfg, opt)
	if err != nil {
		return err
	}
	return d.run(ctx, w)
}

// check fills in what depends on the kind of demo, and refuses the rest.
func (o *demoOptions) check() error {
	if err := distinctFiles([]string{o.log}, o.decisions); err != nil {
		return err
	}
	if (o.log == "") != (o.fields == "") {
		return usageError("-log and -fields go together: a log does not name its columns")
	}
	if o.rate == 0 {
		o.rate = 1000
		if o.log != "" {
			o.rate = logRate
		}
	}
	if o.length == 0 && o.log == "" {
		o.length = time.Minute
	}
	if o.rate < 10 || o.rate > 20_000 {
		return usageError("-rate %v: want 10 to 20000 records a second", o.rate)
	}
	if o.length < 0 || (o.log == "" && o.length < 20*time.Second) {
		return usageError("-for %v: want at least 20s, so that every kind of attacker can be found", o.length)
	}
	return nil
}

// demo is one run: the stand-ins, the traffic and the service.
type demo struct {
	opt     demoOptions
	server  *awslocal.Server
	service *service
	view    demoView
	out     outputs
	mix     *traffic.Mix // nil when a log is played
	start   time.Time
	shift   time.Duration // added to the times of a log that is played

	put     atomic.Int64 // records put into the stream
	alerts  atomic.Int64
	blocked atomic.Int64 // requests that the web ACL answered

	mu       sync.Mutex
	enforced map[netip.Prefix]time.Time // when a prefix first stood in an IP set
	latency  []time.Duration            // from the stream to the IP set, of each ban
}

// newDemo prepares the account: a stream, a web ACL, and what `weir bootstrap`
// makes; and builds the service on it.
func newDemo(ctx context.Context, w *world, cfg *config.Config, opt demoOptions) (*demo, error) {
	d := &demo{opt: opt, enforced: map[netip.Prefix]time.Time{}}
	shards, account := int32(opt.rate/700)+1, awslocal.Config{} // a shard takes 1,000 records a second
	if opt.log != "" {
		// A log is mostly played faster than it was written. More shards than needed
		// would put its lines out of order by minutes of its own time.
		shards, account.Kinesis.Unlimited = max(1, int32(opt.rate/logRate)), true
	}
	account.Kinesis.Retention = 5 * time.Minute // a day of it would not fit into memory
	account.WAF.Enforce = true                  // AWS's own limits: a write too many would fail
	d.server = awslocal.New(account)
	cloud := standInAWS(d.server)
	err := errors.Join(makeStream(ctx, cloud, demoStream, shards), makeWebACL(ctx, cloud, demoWebACL))
	if err != nil {
		return nil, err
	}
	cfg.Kinesis.Stream = demoStream
	if err := bootstrapDemo(ctx, cloud, cfg); err != nil {
		return nil, err
	}
	cfg.Log.Fields = strings.Join(traffic.Fields, ",")
	if opt.log == "" {
		cfg.Detect.IPv6Prefix = cloudfront.DefaultClientBits // as the made traffic's clients are
	} else {
		fields, err := readFields(opt.fields)
		if err != nil {
			return nil, &codedError{exitUsage, err}
		}
		cfg.Log.Fields = fieldList(fields)
		if d.shift, err = shiftToNow(ctx, opt.log); err != nil {
			return nil, err
		}
	}
	cfg.Ban.File = ""                                                                       // in memory: the demo leaves nothing behind
	cfg.API.Listen = "127.0.0.1:0"                                                          // any free port
	cfg.WAF.Scope, cfg.WAF.Targets, cfg.WAF.Region, cfg.WAF.Role = "CLOUDFRONT", "", "", "" // the stand-ins are one account
	cfg.Crawlers.Refresh, cfg.Crawlers.DNS = false, false                                   // it asks nobody
	if err := d.out.open("", opt.decisions); err != nil {
		return nil, err
	}
	d.service, err = newService(ctx, cfg, cloud, zap.NewNop(), observer{alert: d.sawAlert, enforced: d.sawEnforced})
	if err != nil {
		return nil, errors.Join(err, d.out.close())
	}
	d.view = newDemoView(w.stdout, fmt.Sprintf("weir demo: %s records/s on %d shards, bans enforced by a stand-in web ACL; http://%s/metrics",
		thousands(int64(opt.rate)), shards, d.service.listener.Addr()))
	return d, nil
}

// run lets traffic and service run side by side, then stops them along the way
// of a record and tells how it went.
func (d *demo) run(ctx context.Context, w *world) error {
	d.start = time.Now()
	putting, stopPutting := context.WithCancel(ctx)
	defer stopPutting()
	if d.opt.length > 0 {
		timer := time.AfterFunc(d.opt.length, stopPutting)
		defer timer.Stop()
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var serveErr error
	wg.Go(func() {
		defer stopPutting() // a service that stops by itself ends the demo
		serveErr = d.service.run(serving)
	})
	watching, stopWatching := context.WithCancel(context.Background())
	wg.Go(func() { d.watch(watching) })

	putErr := d.putTraffic(putting)
	if putErr == nil {
		d.settle(ctx)
	}
	end := time.Now()
	stopWatching()
	stopServing()
	wg.Wait()
	d.view.close()
	err := errors.Join(putErr, serveErr, d.out.close())
	return errors.Join(err, d.conclude(w, end))
}

// settle waits until what was put is handled and what was decided is enforced,
// or for ten seconds, which is more than a healthy service takes.
func (d *demo) settle(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if d.service.handled() >= d.put.Load() && d.pending() == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			return
		case <-ctx.Done():
			return
		}
	}
}

// pending counts the decisions in force that no IP set holds yet.
func (d *demo) pending() (n int) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for dec := range d.service.store.InForce(now) {
		if _, ok := d.enforced[dec.Prefix]; !ok {
			n++
		}
	}
	return n
}

// watch shows the state of things, a few times a second on a terminal and once
// a second elsewhere.
func (d *demo) watch(ctx context.Context) {
	every := time.Second
	if _, ok := d.view.(*screenView); ok {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before []int64 // records handled, at the ticks of the last second
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		handled := d.service.handled()
		before = append(before, handled)
		before = before[max(0, len(before)-1-int(time.Second/every)):]
		d.view.tick(d.state(handled, float64(handled-before[0])))
	}
}

func (d *demo) state(handled int64, rate float64) demoState {
	source, writer := d.service.source.Status(), d.service.targets[0].writer.Status()
	var lag time.Duration
	for _, shard := range source.Shards {
		lag = max(lag, shard.Behind)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return demoState{
		elapsed: time.Since(d.start), put: d.put.Load(), handled: handled, rate: rate,
		shards: len(source.Shards), lag: lag, alerts: d.alerts.Load(), bans: len(d.enforced),
		blocked: d.blocked.Load(), writes: int(writer.Writes), p50: percentile(d.latency, 0.5),
	}
}

func (d *demo) sawAlert(a detect.Alert, dec *ban.Decision) {
	d.alerts.Add(1)
	if dec != nil {
		told := *dec // in the log's own time
		told.At, told.Until = told.At.Add(-d.shift), told.Until.Add(-d.shift)
		d.out.write(a, &told)
	}
	d.view.alert(time.Since(d.start), a.Client, a.Scenario.Name, a.Events)
}

func (d *demo) sawEnforced(dec ban.Decision, at time.Time) {
	d.mu.Lock()
	_, again := d.enforced[dec.Prefix]
	if !again {
		d.enforced[dec.Prefix] = at
		d.latency = append(d.latency, at.Sub(dec.Arrived))
	}
	d.mu.Unlock()
	if !again {
		d.view.ban(demoBan{at: at.Sub(d.start), client: dec.Prefix, scenario: dec.Scenario, took: at.Sub(dec.Arrived)})
	}
}

// conclude prints the table that ends the demo, and says whether it went as it
// should.
func (d *demo) conclude(w *world, end time.Time) error {
	fmt.Fprintln(w.stdout)
	rep := demoReport{}
	if d.mix != nil {
		rep = judge(d.mix.Clients(), end, func(p netip.Prefix) (time.Time, bool) {
			at, ok := d.enforced[p]
			return at, ok
		})
		rep.write(w.stdout)
		fmt.Fprintln(w.stdout)
	}
	gather(d.service.registry).write(w.stdout)
	fmt.Fprintf(w.stdout, "\n%s records put, %s handled; %s requests blocked by the web ACL\n",
		thousands(d.put.Load()), thousands(d.service.handled()), thousands(d.blocked.Load()))
	fmt.Fprintf(w.stdout, "arrival in the stream to IP set: p50 %s, p99 %s, over %d bans\n",
		roundLatency(percentile(d.latency, 0.5)), roundLatency(percentile(d.latency, 0.99)), len(d.latency))
	fmt.Fprintf(w.stdout, "UpdateIPSet calls: %d in %s, at most %v a second allowed\n",
		d.service.targets[0].writer.Status().Writes, end.Sub(d.start).Round(time.Second), d.service.cfg.WAF.WritesPerSecond)
	if missing := d.put.Load() - d.service.handled(); missing > 0 {
		return fmt.Errorf("%d records were put and not handled", missing)
	}
	if d.opt.once && (rep.missed > 0 || rep.innocents > 0) {
		return fmt.Errorf("%d attackers missed, %d innocents banned", rep.missed, rep.innocents)
	}
	return nil
}
