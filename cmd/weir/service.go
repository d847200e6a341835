package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/agent"
	"weir/internal/api"
	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/source/kinesis"
	"weir/internal/waf"
)

// observer is told what happens in a service, on the goroutine it happens on.
type observer struct {
	alert    func(detect.Alert, *ban.Decision)
	enforced func(d ban.Decision, at time.Time) // the decision's prefix is in an IP set since at
}

// service is the whole house, built from the far end to the near one, so that
// nothing runs before what it feeds.
type service struct {
	cfg      *config.Config
	log      *zap.Logger
	observe  observer
	crawlers *agent.Directory
	store    *ban.Store
	targets  []*target
	engine   *detect.Engine
	flow     *pipeline.Pipeline
	source   *kinesis.Source
	http     *http.Server
	listener net.Listener
	reading  atomic.Bool // the source runs
	leading  atomic.Bool // this process reads shards, and so writes the IP sets
	led      time.Time   // since when; set before leading is
	began    time.Time   // decisions that are older say nothing of how fast it is
	registry *prometheus.Registry
	latency  prometheus.Histogram
	landed   *landings
}

// newService builds the service. It reads the store and listens, but takes no
// record and writes no IP set before run.
func newService(ctx context.Context, cfg *config.Config, cloud aws.Config, log *zap.Logger, observe observer) (_ *service, err error) {
	registry := newRegistry()
	reg := prometheus.WrapRegistererWithPrefix("weir_", registry)
	s := &service{began: time.Now().Truncate(time.Millisecond), cfg: cfg, log: log, observe: observe, registry: registry, latency: newLatency(reg), landed: newLandings(reg)}

	fields, err := cloudfront.ParseFields(cfg.Log.Fields)
	if err != nil {
		return nil, err
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	s.crawlers = newCrawlers(cfg, log.Named("agent"), reg)
	set, err := compileScenarios(cfg, s.crawlers)
	if err != nil {
		return nil, err
	}
	s.store, err = ban.Open(ctx, ban.Config{
		Path: cfg.Ban.File, Allowlist: cfg.Ban.Allowlist, Lists: cfg.Ban.Lists, Duration: cfg.Ban.Duration,
		Action: ban.Action(cfg.Ban.Action), Retention: cfg.Ban.History,
		Public: true, PerMinute: cfg.Ban.BreakerPerMinute, Share: cfg.Ban.BreakerShare,
		OnAlert: s.alerted, Logger: log.Named("ban"), Registerer: reg,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.store.Close()
		}
	}()
	if err = s.newTargets(cloud, reg); err != nil {
		return nil, err
	}
	s.source, err = kinesis.New(kinesis.Config{
		AWS: cloud, Stream: cfg.Kinesis.Stream, LeaseTable: cfg.Kinesis.LeaseTable, Worker: cfg.Kinesis.Worker,
		Start: cfg.Kinesis.Start.Back, Oldest: cfg.Kinesis.Start.Oldest,
		Poll: cfg.Kinesis.Poll, MaxRecords: cfg.Kinesis.MaxRecords, Fanout: cfg.Kinesis.Fanout,
		Failover: cfg.Kinesis.Failover, StopGrace: cfg.StopTimeout / 4,
		Logger: log.Named("kinesis"), Registerer: reg,
	})
	if err != nil {
		return nil, err
	}
	s.http, s.listener, err = s.newHTTP(ctx)
	if err != nil {
		return nil, err
	}
	// Last of what can fail: its shards run from here on.
	s.engine, err = detect.New(set, detect.Config{
		Shards: cfg.Detect.Shards, Memory: cfg.State.Memory,
		Alert: s.store.Alert, Banned: s.store.Banned, Registerer: reg,
	})
	if err != nil {
		s.listener.Close()
		return nil, err
	}
	s.flow = pipeline.New(pipeline.Config{
		Format: format.WithClientBits(cfg.Detect.IPv6Prefix), Engine: s.engine, Allowed: s.store.Allowed, Commit: s.store.Commit,
		Answers: append(blockStatuses(cfg), captchaStatus, challengeStatus), Answered: s.answered, Seen: s.store.Seen,
		Logger: log.Named("pipeline"), Registerer: reg,
	})
	return s, nil
}

// The statuses with which WAF asks a client for something, whatever the settings.
const (
	captchaStatus   = 405
	challengeStatus = 202
)

// answered reports whether WAF answered a request with a status of its own, as a
// decision covers the client.
func (s *service) answered(client netip.Prefix, at int64) bool {
	if !s.store.Answered(client, at) {
		return false
	}
	s.landed.answered(client.Addr(), at)
	return true
}

// newCrawlers makes what tells crawlers from those that call themselves so. It asks
// nobody before it is run, and then whom the settings allow.
func newCrawlers(cfg *config.Config, log *zap.Logger, reg prometheus.Registerer) *agent.Directory {
	c := agent.Config{Logger: log, Registerer: reg}
	if cfg.Crawlers.DNS {
		c.Resolver = net.DefaultResolver
	}
	if cfg.Crawlers.Refresh {
		c.Client = &http.Client{}
	}
	return agent.New(c)
}

func (s *service) newHTTP(ctx context.Context) (*http.Server, net.Listener, error) {
	handler, err := api.New(api.Config{
		Listen: s.cfg.API.Listen, Token: s.cfg.API.Token, Store: s.store, Writers: s, Gatherer: s.registry, Ready: s.notReady, Logger: s.log.Named("api"),
	})
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.API.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the API (WEIR_API_LISTEN): %w", err)
	}
	return api.NewServer(handler, s.log.Named("api")), ln, nil
}

// run serves until ctx ends and then stops along the way of a record: the
// source first, so that nothing is in flight; then the engine; then the IP sets
// get a last write; the store is closed last. The sets stay as they are.
func (s *service) run(ctx context.Context) error {
	stopped := context.WithoutCancel(ctx)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	housekeeping, stopHousekeeping := context.WithCancel(stopped)
	writing, stopWriting := context.WithCancel(stopped)
	defer stopHousekeeping()
	defer stopWriting()

	var wg sync.WaitGroup
	wg.Go(func() { s.crawlers.Run(housekeeping) })
	wg.Go(func() {
		if err := s.store.Run(housekeeping); err != nil {
			fail(fmt.Errorf("keep the store: %w", err))
		}
	})
	wg.Go(func() {
		if err := s.write(writing); err != nil {
			fail(err)
		}
	})
	wg.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serve the API: %w", err))
		}
	})

	s.log.Info("started", zap.String("version", version()), zap.String("stream", s.cfg.Kinesis.Stream),
		zap.Stringer("api", s.listener.Addr()))
	s.reading.Store(true)
	readErr := s.source.Run(ctx, s.flow.Handle)
	s.reading.Store(false)
	failure := context.Cause(ctx)
	if errors.Is(failure, context.Canceled) {
		failure = nil // told to stop
	}

	deadline, cancel := context.WithTimeout(stopped, s.cfg.StopTimeout/3)
	defer cancel()
	if readErr == nil { // else a batch may still be in the engine
		s.engine.Close()
	}
	stopWriting()
	shutdownErr := s.http.Shutdown(deadline)
	stopHousekeeping()
	wg.Wait()
	if s.leading.Load() {
		s.flush(deadline)
	}
	err := errors.Join(failure, readErr, shutdownErr, s.store.Close())
	s.log.Info("stopped", zap.Error(err))
	return err
}

// lookForLeases is how often it is asked whether this process holds a shard;
// leaderless is how long it may be without one, as between a shard that ended
// and its children, before it is no longer the one that counts.
const (
	lookForLeases = 200 * time.Millisecond
	leaderless    = 30 * time.Second
)

// write keeps the IP sets right while this process is the one that counts: a
// standby knows no decision of the other's, and would undo them. One that has
// counted and lost its shards for good is behind in everything: it ends, to be
// started again as a standby.
func (s *service) write(ctx context.Context) error {
	if !s.awaitShards(ctx, true, 0) {
		return nil
	}
	s.led = time.Now()
	s.leading.Store(true)
	writing, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, len(s.targets))
	for i, t := range s.targets {
		wg.Go(func() {
			if errs[i] = t.writer.Run(writing); errs[i] != nil {
				stop() // deposed at one target, it leads nowhere
			}
		})
		if t.DryRun {
			wg.Go(func() { s.narrate(writing, t) })
		}
	}
	lost := s.awaitShards(writing, false, leaderless)
	stop()
	wg.Wait()
	err := errors.Join(errs...)
	switch {
	case lost:
		err = errors.Join(err, errors.New("every shard is read by another worker now: start again, as a standby"))
	case errors.Is(err, waf.ErrDeposed):
		err = fmt.Errorf("%w: start again, as a standby; if that happens again and again, two deployments share IP sets, or a machine's clock is ahead", err)
	}
	if err != nil {
		s.leading.Store(false)
	}
	return err
}

// epoch fences off whoever led before: it is the time at which this process took
// over, which is when it got its first shard and no earlier. A leader that was only
// thought dead finds it in the IP sets, ends, and is started again as a standby.
func (s *service) epoch() uint64 { return uint64(s.led.UnixMilli()) }

// flush gives every target a last write.
func (s *service) flush(ctx context.Context) {
	var wg sync.WaitGroup
	for _, t := range s.targets {
		wg.Go(func() {
			if err := t.writer.Flush(ctx); err != nil {
				// Not a failure of the stop: the next start writes what was left.
				s.log.Warn("some bans are not in an IP set yet", zap.String("target", t.Name), zap.Error(err))
			}
		})
	}
	wg.Wait()
}

// awaitShards waits until this process has held a shard, or none, for that long.
// It returns false when ctx ends first.
func (s *service) awaitShards(ctx context.Context, held bool, long time.Duration) bool {
	tick := time.NewTicker(lookForLeases)
	defer tick.Stop()
	for since := time.Now(); ; {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if (len(s.source.Status().Shards) > 0) != held {
			since = time.Now()
		} else if time.Since(since) >= long {
			return true
		}
	}
}

// notReady says everything that keeps the service from doing its work.
func (s *service) notReady() []string {
	var why []string
	switch st := s.source.Status(); {
	case !s.reading.Load():
		why = append(why, "stream: not being read")
	case st.Err != nil:
		why = append(why, "stream: "+st.Err.Error())
	case st.Looked.IsZero():
		why = append(why, "stream: its shards have not been listed yet")
	case !s.leading.Load():
		why = append(why, "stream: standing by, its shards are read by another worker or about to be taken")
	case st.Unowned > 0:
		why = append(why, fmt.Sprintf("stream: %d of its shards read by nobody", st.Unowned))
	}
	if err := s.store.Ready(); err != nil {
		why = append(why, "decisions: "+err.Error())
	}
	for _, t := range s.targets {
		if err := t.writer.Ready(); err != nil && s.leading.Load() {
			why = append(why, t.title()+": "+err.Error())
		}
	}
	return why
}

// lifted takes it for an unban when a person removed an address from an IP set.
func (s *service) lifted(prefixes []netip.Prefix, _ time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, err := s.store.Lift(ctx, prefixes, s.cfg.Ban.Cooldown)
	some := zap.Stringers("first", prefixes[:min(len(prefixes), 20)])
	if err != nil {
		s.log.Error("unban what was removed from an IP set by hand", some, zap.Error(err))
		return
	}
	// What a list names is put back: it goes when its file no longer has it.
	s.log.Info("unbanned: removed from an IP set by hand", zap.Int("prefixes", len(prefixes)), some, zap.Int("decisions", n))
}

// accepted notes how long the way from the stream to the first IP set was.
func (s *service) accepted(prefixes []netip.Prefix, at time.Time) {
	for _, p := range prefixes {
		d, ok := s.store.Lookup(p, at)
		// What a list names nobody decided, and nobody waits for.
		if !ok || d.Origin == ban.OriginList || d.Created.Before(s.began) || !s.landed.land(&d, at) {
			continue
		}
		if !d.Arrived.IsZero() {
			s.latency.Observe(at.Sub(d.Arrived).Seconds())
		}
		if s.observe.enforced != nil {
			s.observe.enforced(d, at)
		}
	}
}

func (s *service) alerted(a detect.Alert, d *ban.Decision) {
	if s.observe.alert != nil {
		s.observe.alert(a, d)
	}
	if d != nil {
		fields := []zap.Field{
			zap.Stringer("prefix", d.Prefix), zap.String("scenario", d.Scenario), zap.String("action", string(d.Action)),
			zap.Time("until", d.Until), zap.String("id", d.ID),
		}
		if d.Staged {
			fields = append(fields, zap.Bool("staged", true))
		}
		if d.Held != "" { // stored and shown, and not enforced
			fields = append(fields, zap.String("held_by", string(d.Held)))
		}
		s.log.Info("decision", fields...)
	}
}
