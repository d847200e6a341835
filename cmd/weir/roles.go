package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"weir/internal/awshttp"
	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/rekey"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/snapshot"
	"weir/internal/source/kinesis"
)

// The roles of a task, as WEIR_ROLE has them.
const (
	roleAll    = "all"
	roleIngest = "ingest"
	roleDetect = "detect"
)

// A duty is what a task does that is one of several which count as one. It is made when the
// table answers that they have in common.
type duty struct {
	handle   func(context.Context, kinesis.Batch) error
	beside   []func(context.Context) // what runs while the stream is read, and until nothing is in hand
	end      func()                  // frees what it takes
	notReady func() []error
	detector *rekey.Detector           // of a task that detects
	whence   func(shard string) string // likewise: what its position is of, for people
}

// shareStream completes how the source reads for a task that is one of several.
func (s *service) shareStream(c *kinesis.Config) {
	c.Share = true
	if s.cfg.Role != roleDetect {
		return
	}
	c.Stream, c.LeaseTable, c.Start, c.Oldest = s.cfg.Rekey.Stream, s.cfg.Rekey.LeaseTable, 0, true // all in it is for these tasks
	c.Hold = true
	c.Resume = func(ctx context.Context, sh kinesis.Shard) (string, error) {
		return s.duty.Load().detector.Take(ctx, holding{s.source}, rekey.Shard{ID: sh.ID, Parents: sh.Parents, HashFrom: sh.HashFrom, HashTo: sh.HashTo})
	}
	c.Whence = func(shard string) string { return s.duty.Load().whence(shard) }
	c.Leave = func(ctx context.Context, id string) { s.duty.Load().detector.Leave(ctx, holding{s.source}, id) }
}

// holding is a source that tells which shards it holds.
type holding struct{ *kinesis.Source }

func (h holding) Held() (ids []string) {
	for _, sh := range h.Status().Shards {
		ids = append(ids, sh.ID)
	}
	return ids
}

// doDuty reads the stream for a task that is one of several, until ctx ends.
func (s *service) doDuty(ctx context.Context) error {
	seed, err := s.commonSeed(ctx)
	if err != nil {
		return nil // told to stop before there was anything to do
	}
	d, err := s.newDuty(ctx, seed)
	if err != nil {
		return err
	}
	s.duty.Store(d)
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	for _, run := range d.beside {
		wg.Go(func() { run(beside) })
	}
	s.reading.Store(true)
	err = s.source.RunBatches(ctx, d.handle)
	s.reading.Store(false)
	stop()
	wg.Wait()
	if err == nil { // else a batch may still be in hand
		d.end()
	}
	return err
}

// commonSeed asks for the seed that all tasks have in common, until it is known. The error is
// that of ctx.
func (s *service) commonSeed(ctx context.Context) (seeded.Seed, error) {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		seed, err := s.store.Secret(ctx, "seed")
		if err == nil {
			return seed, nil
		}
		s.log.Warn("the seed that all tasks have in common is not known yet", zap.Error(err))
		select {
		case <-ctx.Done():
			return seed, context.Cause(ctx)
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
	}
}

func (s *service) newDuty(ctx context.Context, seed seeded.Seed) (*duty, error) {
	set, err := compileScenarios(s.cfg, s.crawlers, seed)
	if err != nil {
		return nil, err
	}
	keep, err := snapshot.Open(snapshot.Config{
		Place: s.cfg.State.Snapshot, AWS: s.cloud, Owner: s.cfg.State.Owner, Writer: s.source.Status().Worker,
		Logger: s.log.Named("state"), Registerer: s.reg,
	})
	if err != nil {
		return nil, err
	}
	if err := askPlace(ctx, keep); err != nil {
		return nil, err
	}
	sender, err := rekey.NewSender(rekey.SenderConfig{
		AWS: awshttp.Renew(s.cloud), Stream: s.cfg.Rekey.Stream, Digests: rekey.Digests(set), Logger: s.log.Named("rekey"), Registerer: s.reg,
	})
	if err != nil {
		return nil, err
	}
	if s.cfg.Role == roleDetect {
		return s.newDetect(set, seed, keep, sender), nil
	}
	return s.newIngest(set, seed, keep, sender)
}

// newIngest makes the duty of a task that reads CloudFront's stream and sends on what matters.
// These tasks tell each other what they have learnt of the sites.
func (s *service) newIngest(set *scenario.Set, seed seeded.Seed, keep *snapshot.Store, sender *rekey.Sender) (*duty, error) {
	front, err := detect.NewFront(set, detect.FrontConfig{Banned: s.store.Banned, Seed: seed, Registerer: s.reg})
	if err != nil {
		return nil, err
	}
	ingest := rekey.NewIngest(nameOfStream(s.cfg.Kinesis.Stream), front, sender)
	flow := s.newFlow(nil, s.reg, func(shard string, sequences []string) (pipeline.Load, error) { return ingest.Load(shard, sequences) })
	learnt := &commonKnowledge{set: set, seed: seed, log: s.log.Named("state"), series: func() *snapshot.Series {
		is := s.source.Identity()
		if is == (kinesis.Identity{}) {
			return nil
		}
		return keep.Series(path.Join(seriesOf(is, s.cfg.Kinesis.LeaseTable), "learnt"))
	}}
	return &duty{
		handle: func(ctx context.Context, b kinesis.Batch) error {
			return flow.HandleFrom(ctx, b.Shard, b.Sequences, b.Lines, b.Arrived)
		},
		beside:   []func(context.Context){sender.Run, func(ctx context.Context) { learnt.share(ctx, s.cfg.State.Interval) }},
		end:      func() {},
		notReady: func() []error { return append(refused(keep), sender.Ready()) },
	}, nil
}

// newDetect makes the duty of a task that counts what tasks that ingest have sent.
func (s *service) newDetect(set *scenario.Set, seed seeded.Seed, keep *snapshot.Store, sender *rekey.Sender) *duty {
	keptShards := &shelf{store: keep, stream: s.source.Identity, table: s.cfg.Rekey.LeaseTable, place: s.cfg.State.Snapshot, seed: seed}
	d := rekey.NewDetector(rekey.DetectorConfig{
		Name: nameOfStream(s.cfg.Rekey.Stream), Digests: rekey.Digests(set), Sender: sender, Shelf: keptShards,
		Engine: func() (*detect.Engine, error) {
			return detect.New(set, detect.Config{
				Shards: 1, Memory: s.shareOfMemory(), Alert: s.store.Alert, Banned: s.store.Banned, Seed: seed, Registerer: s.reg,
			})
		},
		Commit: s.commit, Store: s.store.Commit, Seen: s.store.Seen, Watch: &s.watch, Logger: s.log.Named("rekey"), Registerer: s.reg,
	})
	return &duty{
		handle: func(ctx context.Context, b kinesis.Batch) error {
			return d.Handle(ctx, rekey.Batch{Shard: b.Shard, Frames: b.Lines, Sequences: b.Sequences})
		},
		beside: []func(context.Context){
			sender.Run,
			func(ctx context.Context) { d.Keep(ctx, holding{s.source}, s.cfg.State.Interval) },
			func(ctx context.Context) { keptShards.tidy(ctx, s.source.Listed, s.log.Named("state")) },
		},
		end: func() {
			for _, id := range d.Shards() {
				d.Drop(id)
			}
		},
		notReady: func() []error { return append(refused(keep), sender.Ready(), d.Ready()) },
		detector: d, whence: keptShards.whence,
	}
}

// refused says which snapshots could not be used.
func refused(keep *snapshot.Store) (why []error) {
	for _, text := range keep.Refused() {
		why = append(why, errors.New("snapshot refused: "+text))
	}
	return why
}

// leastMemory is what the engine of a shard gets, however many there are.
const leastMemory = 1 << 20

// shareOfMemory is how much of the memory the engine of one shard gets: any task may have to
// have all of them.
func (s *service) shareOfMemory() int64 {
	return max(leastMemory, s.cfg.State.Memory/int64(max(1, s.source.Status().Open)))
}

// nameOfStream returns the name of a stream that is set by name or ARN.
func nameOfStream(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
