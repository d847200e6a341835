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
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/agent"
	"weir/internal/api"
	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/detect"
	"weir/internal/leader"
	"weir/internal/scenario"
	"weir/internal/source/kinesis"
	"weir/internal/watchdog"
)

// observer is told what happens in a service, on the goroutine it happens on.
type observer struct {
	alert    func(detect.Alert, *ban.Decision)
	enforced func(d ban.Decision, at time.Time) // the decision's prefix is in an IP set since at
}

// service is the whole house, built from the far end to the near one, so that
// nothing runs before what it feeds.
type service struct {
	cfg       *config.Config
	log       *zap.Logger
	observe   observer
	crawlers  *agent.Directory
	store     *ban.Store
	targets   []*target
	format    *cloudfront.Format
	counts    atomic.Pointer[counts]
	scenarios []scenario.Scenario  // as the files had them at the start; owned by count
	keeper    *keeper              // nil: the state is not kept
	duty      atomic.Pointer[duty] // of a task that is one of several; nil until its work begins
	cloud     aws.Config
	source    *kinesis.Source
	http      *http.Server
	listener  net.Listener
	watch     watchdog.Monitor
	lease     *leader.Lease
	reading   atomic.Bool                 // the source runs
	leading   atomic.Bool                 // this process writes the IP sets
	term      atomic.Pointer[leader.Term] // in which it does; set before leading is
	shared    bool                        // every process knows what any of them decides
	lastLed   atomic.Uint64               // epoch of the latest term of this process; 0: it had none
	held      time.Time                   // when it was last seen to hold a shard; owned by eligible
	bench     atomic.Int64                // it does not lead before, Unix ms
	told      atomic.Int64                // to stop, Unix ms; 0: not yet
	began     time.Time                   // decisions that are older say nothing of how fast it is
	registry  *prometheus.Registry
	reg       prometheus.Registerer // of the registry, with the prefix of all names
	latency   prometheus.Histogram
	landed    *landings
}

// newService builds the service. It reads the store and listens, but takes no
// record and writes no IP set before run.
func newService(ctx context.Context, cfg *config.Config, cloud aws.Config, log *zap.Logger, observe observer) (_ *service, err error) {
	registry := newRegistry()
	reg := prometheus.WrapRegistererWithPrefix("weir_", registry)
	s := &service{began: time.Now().Truncate(time.Millisecond), cfg: cfg, cloud: cloud, log: log, observe: observe, registry: registry, reg: reg, latency: newLatency(reg), landed: newLandings(reg)}

	fields, err := cloudfront.ParseFields(cfg.Log.Fields)
	if err != nil {
		return nil, err
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	s.format = format.WithClientBits(cfg.Detect.IPv6Prefix)
	s.crawlers = newCrawlers(cfg, log.Named("agent"), reg)
	file, tables := cfg.Ban.File, (*dynamodb.Client)(nil)
	if cfg.Ban.Table != "" {
		file, tables = "", newTables(cloud)
	}
	s.store, err = ban.Open(ctx, ban.Config{
		Path: file, Table: cfg.Ban.Table, DynamoDB: tables, Allowlist: cfg.Ban.Allowlist, Lists: cfg.Ban.Lists, Duration: cfg.Ban.Duration,
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
	if cfg.Role == roleAll {
		if err = s.newKeeper(ctx, cloud, reg); err != nil {
			return nil, err
		}
	}
	reading := kinesis.Config{
		AWS: cloud, Stream: cfg.Kinesis.Stream, LeaseTable: cfg.Kinesis.LeaseTable, Worker: cfg.Kinesis.Worker,
		Start: cfg.Kinesis.Start.Back, Oldest: cfg.Kinesis.Start.Oldest,
		Poll: cfg.Kinesis.Poll, MaxRecords: cfg.Kinesis.MaxRecords, Fanout: cfg.Kinesis.Fanout,
		Failover: cfg.Kinesis.Failover, StopGrace: cfg.StopTimeout / 4,
		Watch: &s.watch, Logger: log.Named("kinesis"), Registerer: reg,
	}
	if s.keeper != nil {
		reading.Resume, reading.Whence, reading.Leave, reading.Hold = s.keeper.resume, s.keeper.from, s.keeper.leave, true
	} else if s.heldBack() {
		s.holdBack(&reading)
	}
	if cfg.Role != roleAll {
		s.shareStream(&reading)
	}
	if s.store.Shared() && reading.Resume != nil {
		reading.Resume = s.catchUpBefore(reading.Resume)
	}
	if s.source, err = kinesis.New(reading); err != nil {
		return nil, err
	}
	s.shared = s.store.Shared()
	if err = s.newLease(cloud, reg); err != nil {
		return nil, err
	}
	s.http, s.listener, err = s.newHTTP(ctx)
	if err != nil {
		return nil, err
	}
	// Last of what can fail: its shards run from here on.
	if cfg.Role == roleAll {
		err = s.count(s.firstSeed(ctx))
	}
	if err != nil {
		s.listener.Close()
		return nil, err
	}
	return s, nil
}

// commit stores what was decided. Who shares a table goes on while it does not answer,
// and no checkpoint moves meanwhile: they follow what is stored (see keeper, holdBack).
func (s *service) commit(ctx context.Context) error {
	if s.shared {
		return s.store.CommitSoon(ctx)
	}
	return s.store.Commit(ctx)
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
		Listen: s.cfg.API.Listen, Token: s.cfg.API.Token, Store: s.store, Writers: s, Gatherer: s.registry, Alive: s.watch.Err, Ready: s.notReady, Logger: s.log.Named("api"),
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
// get a last write and the leader lease is given back; the store is closed last. The
// sets stay as they are. The API answers until the writers have ended.
func (s *service) run(ctx context.Context) error {
	stopped := context.WithoutCancel(ctx)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	context.AfterFunc(ctx, func() { s.told.Store(time.Now().UnixMilli()) })
	housekeeping, stopHousekeeping := context.WithCancel(stopped)
	writing, stopWriting := context.WithCancel(stopped)
	defer stopHousekeeping()
	defer stopWriting()

	var wg, writers sync.WaitGroup
	wg.Go(func() { s.watch.Run(housekeeping, s.stuck) })
	wg.Go(func() { s.crawlers.Run(housekeeping) })
	keeping, stopKeeping := context.WithCancel(stopped)
	defer stopKeeping()
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		if s.keeper != nil {
			s.keeper.run(keeping)
		} else if s.heldBack() {
			s.keepCovered(keeping)
		}
	}()
	wg.Go(func() {
		if err := s.store.Run(housekeeping); err != nil {
			fail(fmt.Errorf("keep the store: %w", err))
		}
	})
	writers.Go(func() {
		if s.store.Await(writing) != nil {
			return // told to stop
		}
		if err := s.write(writing); err != nil {
			fail(err)
		}
	})
	wg.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serve the API: %w", err))
		}
	})

	s.log.Info("started", zap.String("version", version()), zap.String("role", s.cfg.Role), zap.String("stream", s.cfg.Kinesis.Stream),
		zap.Stringer("api", s.listener.Addr()))
	var readErr error
	switch {
	case s.store.Await(ctx) != nil: // told to stop before
	case s.cfg.Role != roleAll:
		readErr = s.doDuty(ctx)
	default:
		s.reading.Store(true)
		readErr = s.source.Run(ctx, s.handle)
		s.reading.Store(false)
	}
	failure := context.Cause(ctx)
	if errors.Is(failure, context.Canceled) {
		failure = nil // told to stop
	}

	stopKeeping() // the last state was kept, or covered, when the shards were left
	<-kept
	if c := s.counts.Load(); c != nil && readErr == nil { // else a batch may still be in the engine
		c.engine.Close()
	}
	stopWriting()
	writers.Wait()
	s.stopHTTP(stopped)
	stopHousekeeping()
	wg.Wait()
	err := errors.Join(failure, readErr, s.store.Close())
	s.log.Info("stopped", zap.Error(err))
	return err
}

// lastAnswers is how long a stop waits for answers of the API that are under way.
const lastAnswers = 2 * time.Second

func (s *service) stopHTTP(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastAnswers)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("somebody did not get the answer of the API", zap.Error(errors.Join(err, s.http.Close())))
	}
}

// lifted takes it for an unban when a person removed an address from an IP set.
func (s *service) lifted(prefixes []netip.Prefix, _ time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, err := s.store.Lift(ban.WithActor(ctx, "somebody who edited an IP set"), prefixes, s.cfg.Ban.Cooldown)
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
	if d != nil && !d.Created.Before(s.began) { // else records come again that led to it before a restart
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
