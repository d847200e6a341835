package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// counts is what counts: all that hangs on one seed, and is made anew when another
// process's state is gone on with.
type counts struct {
	seed     seeded.Seed
	set      *scenario.Set
	engine   *detect.Engine
	flow     *pipeline.Pipeline
	registry *prometheus.Registry // of its metrics
}

// count makes what counts, in place of what did before, if anything. No batch may be
// in hand, and no cut.
func (s *service) count(seed seeded.Seed) error {
	if s.scenarios == nil { // once: what changes in the files takes effect with a restart
		list, err := scenario.Load(s.cfg.Scenarios)
		if err != nil {
			return err
		}
		s.scenarios = list
	}
	set, err := compile(s.scenarios, s.cfg, s.crawlers, seed)
	if err != nil {
		return err
	}
	if old := s.counts.Load(); old != nil {
		s.reg.Unregister(old.registry)
		old.engine.Close() // first: its memory is as much as there is
	}
	c := &counts{seed: seed, set: set, registry: prometheus.NewRegistry()}
	c.engine, err = detect.New(set, detect.Config{
		Shards: s.cfg.Detect.Shards, Memory: s.cfg.State.Memory, Seed: seed,
		Alert: s.store.Alert, Banned: s.store.Banned, Registerer: c.registry,
	})
	if err != nil {
		return err
	}
	c.flow = s.newFlow(c.engine, c.registry, nil)
	s.counts.Store(c)
	return s.reg.Register(c.registry)
}

// newFlow makes a pipeline that ends in an engine, or sends on what is detected elsewhere.
func (s *service) newFlow(engine *detect.Engine, reg prometheus.Registerer, forward pipeline.Forward) *pipeline.Pipeline {
	return pipeline.New(pipeline.Config{
		Format: s.format, Engine: engine, Forward: forward, Allowed: s.store.Allowed, Commit: s.commit,
		Answers: append(blockStatuses(s.cfg), captchaStatus, challengeStatus), Answered: s.answered, Seen: s.store.Seen,
		Watch: &s.watch, Logger: s.log.Named("pipeline"), Registerer: reg,
	})
}

// firstSeed is the seed until the state of another process is gone on with, whose
// own it takes then. It is a random one where the storage does not answer: what it
// hashes stays in this process, or is kept together with it. Processes that hand each
// other hashes cannot do with it.
func (s *service) firstSeed(ctx context.Context) seeded.Seed {
	seed, err := s.store.Secret(ctx, "seed")
	if err != nil {
		s.log.Warn("the seed of before cannot be read, so another one is made; a state that was kept brings its own", zap.Error(err))
		return seeded.New()
	}
	return seed
}

// handle takes a batch from the source.
func (s *service) handle(ctx context.Context, lines [][]byte, arrived []time.Time) error {
	return s.counts.Load().flow.Handle(ctx, lines, arrived)
}

// handled is how many stream records were acknowledged.
func (s *service) handled() int64 { return s.counts.Load().flow.Handled() }
