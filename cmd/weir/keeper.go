package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/detect"
	"weir/internal/seeded"
	"weir/internal/snapshot"
	"weir/internal/source/kinesis"
)

// keeper keeps the state of the detection in step with the stream: it is kept with
// how far it knows each shard, and only then may checkpoints move there.
type keeper struct {
	s        *service
	interval time.Duration
	store    *snapshot.Store
	series   *snapshot.Series // of the stream; nil before the first state is loaded, turn guards it
	log      *zap.Logger
	m        keeperMetrics
	soon     chan struct{} // one slot: keep the state now

	turn chan struct{} // one slot: who loads or keeps a state

	mu         sync.Mutex
	whence     string            // names the latest snapshot for people, when a state was loaded; "" = there was none
	decisions  []byte            // tells the store of them from others; set when the first state is loaded
	tenure     int64             // that the state is of, see kinesis.Shard
	generation int64             // of the snapshot that it follows from
	stale      bool              // others have gone on from that one: it must not be kept
	positions  map[string]string // how far it knows the shards that were not had in this tenure
	kept       map[string]string // positions in the latest snapshot
	at         time.Time         // when that was known to be as good as the state; zero = never
	changed    chan struct{}     // closed and replaced when one was kept
	leaving    map[string]bool   // shards that wait to be in one
}

type keeperMetrics struct {
	pause  prometheus.Histogram
	failed prometheus.Counter
}

// The names of a snapshot's sections.
const (
	sectionEngine = "engine"
	sectionLearnt = "learnt"
)

const (
	// cutWait is how long new batches may have to wait until those in hand are done.
	// Where storing decisions takes longer nothing is lost but time.
	cutWait = 2 * time.Second
	// keepLimit bounds one snapshot, which waits for a place that does not answer.
	keepLimit = time.Minute
	// keepAgain is the pause after a snapshot that failed while shards wait for it.
	keepAgain = 200 * time.Millisecond
	// failureSaid is how often it is said that snapshots fail.
	failureSaid = time.Minute
)

// newKeeper makes s.keeper, if the settings want one.
func (s *service) newKeeper(ctx context.Context, cloud aws.Config, reg prometheus.Registerer) (err error) {
	if s.cfg.State.Snapshot == "" {
		return nil
	}
	k := &keeper{
		s: s, interval: s.cfg.State.Interval, log: s.log.Named("state"),
		soon: make(chan struct{}, 1), turn: make(chan struct{}, 1), changed: make(chan struct{}), leaving: make(map[string]bool),
	}
	k.store, err = snapshot.Open(snapshot.Config{
		Place: s.cfg.State.Snapshot, AWS: cloud, Owner: s.cfg.State.Owner, Writer: rand.Text(),
		Logger: k.log, Registerer: reg,
	})
	if err != nil {
		return err
	}
	if err = askPlace(ctx, k.store); err != nil {
		return err
	}
	k.m = keeperMetrics{
		pause: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "state_pause_seconds", Help: "How long a snapshot kept new batches waiting, until those in hand were done and the state was cut.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "state_keep_failures_total", Help: "Times that the state could not be kept and was tried again.",
		}),
	}
	reg.MustRegister(k.m.pause, k.m.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "state_age_seconds", Help: "How old the latest snapshot of the state is, 0 where this process counts nothing.",
	}, k.age))
	s.keeper = k
	return nil
}

// askPlace returns an error when the bucket that snapshots are to be kept in does not
// exist. A task that was given the name of one never would detect anything.
func askPlace(ctx context.Context, keep *snapshot.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := keep.Ask(ctx); err != nil {
		return fmt.Errorf("keep snapshots (WEIR_STATE_SNAPSHOT): %w", err)
	}
	return nil
}

func (k *keeper) age() float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() || len(k.s.source.Status().Shards) == 0 {
		return 0
	}
	return time.Since(k.at).Seconds()
}

// trouble says what was lost of the state, until a new one is kept, and that it is too
// long since one was.
func (k *keeper) trouble() (why []string) {
	for _, refused := range k.store.Refused() {
		why = append(why, "state: snapshot refused: "+refused)
	}
	if age := time.Duration(k.age() * float64(time.Second)); age > 3*k.interval+cutWait {
		why = append(why, fmt.Sprintf("state: the latest snapshot is %v old", age.Round(time.Second)))
	}
	return why
}

// resume says how far the state knows a shard. The first one of a tenure brings the
// state with it.
func (k *keeper) resume(ctx context.Context, sh kinesis.Shard) (string, error) {
	if err := k.load(ctx, sh.Tenure); err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tenure != sh.Tenure || k.stale {
		return "", errors.New("the state is not the one to go on with any more")
	}
	k.s.source.Covered(k.kept)
	if sh.Handled != "" {
		return sh.Handled, nil
	}
	return k.positions[sh.ID], nil
}

// place names where snapshots are kept, for people.
func (k *keeper) place() string { return k.s.cfg.State.Snapshot + " (WEIR_STATE_SNAPSHOT)" }

// from names what the position of a shard is from that resume has given.
func (k *keeper) from(string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.whence
}

// take takes the turn.
func (k *keeper) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// load goes on from the latest snapshot, once in each tenure. No batch is in hand then,
// as none of its shards is read yet.
func (k *keeper) load(ctx context.Context, tenure int64) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer func() { <-k.turn }()
	k.mu.Lock()
	last := k.tenure
	k.mu.Unlock()
	if last >= tenure {
		return nil
	}
	if err := k.identify(ctx); err != nil {
		return err
	}
	if k.series == nil {
		k.series = k.store.Series(seriesOf(k.s.source.Identity(), k.s.cfg.Kinesis.LeaseTable))
	}
	begun := time.Now()
	var loaded snapshot.Header
	generation, ok, err := k.series.Latest(ctx, func(h snapshot.Header, next func() (string, io.Reader, error)) error {
		loaded = h
		return k.restore(h, next)
	})
	if err == nil && !ok && (last > 0 || generation > 0) {
		err = k.s.count(k.s.counts.Load().seed) // what it holds is of another time, or half of a bad one
	}
	if err != nil {
		return fmt.Errorf("go on with the state that was kept: %w", err)
	}
	if ok {
		k.log.Info("state resumed", zap.Int64("generation", generation), zap.Duration("age", time.Since(loaded.Written)),
			zap.Duration("took", time.Since(begun)))
	} else {
		k.log.Info("no state was kept, counting begins anew")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tenure, k.generation, k.stale, k.at = tenure, generation, false, time.Now()
	k.positions, k.kept = loaded.Positions, maps.Clone(loaded.Positions)
	k.whence = fmt.Sprintf("snapshot %d of %s", loaded.Generation, k.place())
	if !ok {
		k.positions, k.kept, k.whence = nil, nil, ""
	}
	return nil
}

// identify asks for what tells the store of decisions from another one. It is no secret
// itself, as snapshots bear it.
func (k *keeper) identify(ctx context.Context) error {
	name, err := k.s.store.Secret(ctx, "name")
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.decisions = name[:]
	return nil
}

// restore has what is counted go on from a snapshot.
func (k *keeper) restore(h snapshot.Header, next func() (string, io.Reader, error)) error {
	if err := ofStream(h, k.s.source.Identity()); err != nil {
		return err
	}
	var seed seeded.Seed
	if len(h.Seed) != len(seed) {
		return fmt.Errorf("its seed has %d bytes: %w", len(h.Seed), snapshot.ErrUnreadable)
	}
	copy(seed[:], h.Seed)
	if err := k.s.count(seed); err != nil {
		return err
	}
	c := k.s.counts.Load()
	for {
		name, in, err := next()
		if err != nil || name == "" {
			return err
		}
		way := &way{in: in}
		switch name {
		case sectionEngine:
			var is detect.Restored
			// Every decision on its alerts was stored when it was cut, but maybe elsewhere: in a
			// file that went with its task, say.
			if bytes.Equal(h.Decisions, k.decisions) {
				is, err = c.engine.Restore(way, nil)
			} else {
				is, err = c.engine.RestoreUntold(way, nil)
			}
			if err == nil {
				k.log.Info("buckets restored", zap.Int("buckets", is.Buckets), zap.Int("dropped", is.Dropped), zap.Int("evicted", is.Evicted),
					zap.Int("alerts_of_unknown_decisions", is.Untold))
			}
		case sectionLearnt:
			err = c.set.ReadLearnt(way)
		}
		switch {
		case way.err != nil:
			return way.err
		case err != nil:
			return fmt.Errorf("section %s: %w: %w", name, snapshot.ErrUnreadable, err)
		}
	}
}

// way tells the trouble of a place from what is wrong with what it holds.
type way struct {
	in  io.Reader
	err error
}

func (w *way) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// run keeps the state at each interval, and when shards wait for it.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(k.interval)
	defer tick.Stop()
	var said time.Time
	failures := 0 // since anything was said
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.soon:
		}
		limited, cancel := context.WithTimeout(ctx, keepLimit)
		err := k.keep(limited)
		cancel()
		if err == nil || ctx.Err() != nil {
			continue
		}
		k.m.failed.Inc()
		if failures++; said.IsZero() || time.Since(said) >= failureSaid {
			k.log.Warn("the state was not kept", zap.Error(err), zap.Int("failures", failures))
			said, failures = time.Now(), 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(keepAgain):
		}
	}
}

// keep keeps the state as it is now, and has the checkpoints follow.
func (k *keeper) keep(ctx context.Context) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	defer func() { <-k.turn }()
	k.mu.Lock()
	decisions := k.decisions
	tenure, generation, idle := k.tenure, k.generation, k.tenure == 0 || k.stale
	k.mu.Unlock()
	if idle || len(k.s.source.Status().Shards) == 0 {
		return nil
	}
	// Before anybody has to wait: where decisions cannot be stored there is nothing to keep.
	limited, cancel := context.WithTimeout(ctx, cutWait)
	err := k.s.store.Commit(limited)
	cancel()
	if err != nil {
		return err
	}
	begun := time.Now()
	c := k.s.counts.Load()
	var learnt bytes.Buffer // some MB, copied in a few ms
	cut, positions, err := k.cut(ctx, c, tenure, &learnt)
	if cut == nil {
		return err
	}
	defer cut.Close()
	k.m.pause.Observe(time.Since(begun).Seconds())
	if err := k.s.source.Sure(); err != nil {
		return err
	}
	is := k.s.source.Identity()
	h := snapshot.Header{
		Written: begun, Version: version(), Stream: is.ARN, Created: is.Created, Positions: positions, Seed: c.seed[:], Decisions: decisions,
	}
	generation, _, err = k.series.Put(ctx, generation, h,
		snapshot.Section{Name: sectionEngine, Write: func(w io.Writer) error { _, err := cut.WriteTo(w); return err }},
		snapshot.Section{Name: sectionLearnt, Write: func(w io.Writer) error { _, err := w.Write(learnt.Bytes()); return err }})
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case errors.Is(err, snapshot.ErrConflict):
		k.stale = true
		k.s.source.Abandon()
		return fmt.Errorf("another process has gone on from the same state, so this one's is dropped: %w", err)
	case err != nil:
		return err
	}
	k.generation, k.positions = generation, positions
	k.note(positions, begun)
	return nil
}

// cut copies the state, writes down what was learnt by then, and tells how far they know
// each shard. Without a cut there is nothing to keep.
func (k *keeper) cut(ctx context.Context, c *counts, tenure int64, learnt io.Writer) (cut *detect.Cut, positions map[string]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cutWait)
	defer cancel()
	closed := k.s.source.Cut(ctx, func(now kinesis.Cut) {
		if now.Tenure != tenure {
			return
		}
		positions = k.known(now.Positions)
		// An overflow whose decision is not stored would be forgotten with a crash.
		if err = k.s.store.Commit(ctx); err != nil || k.same(positions) {
			return
		}
		if err = c.set.WriteLearnt(learnt); err == nil {
			cut = c.engine.Cut()
		}
	})
	return cut, positions, errors.Join(closed, err)
}

// known adds to how far the shards of this tenure were handled how far the state knows
// others. Of shards that the stream has no more nothing need be known.
func (k *keeper) known(positions map[string]string) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := maps.Clone(positions)
	for id, at := range k.positions {
		if _, ok := all[id]; !ok && k.s.source.Lists(id) {
			all[id] = at
		}
	}
	return all
}

// same tells whether nothing was handled since the latest snapshot, which is as good
// as new then.
func (k *keeper) same(positions map[string]string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil || !maps.Equal(positions, k.kept) {
		return false
	}
	k.note(positions, time.Now())
	return true
}

// note tells the source and who waits for it that a state was kept. mu is held.
func (k *keeper) note(positions map[string]string, at time.Time) {
	k.kept, k.at = positions, at
	k.s.source.Covered(positions)
	close(k.changed)
	k.changed = make(chan struct{})
}

// leave waits until a shard is kept as far as it was handled. That is soon when all
// shards are left, as at a stop; one that has ended waits for the next interval.
func (k *keeper) leave(ctx context.Context, id string) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.leaving, id)
	}()
	for ctx.Err() == nil {
		shards := k.s.source.Status().Shards
		k.mu.Lock()
		k.leaving[id] = true
		all := !slices.ContainsFunc(shards, func(sh kinesis.ShardStatus) bool { return sh.Resumed && !k.leaving[sh.ID] })
		i := slices.IndexFunc(shards, func(sh kinesis.ShardStatus) bool { return sh.ID == id })
		done := i < 0 || k.kept[id] == shards[i].Checkpoint
		changed := k.changed
		k.mu.Unlock()
		if done {
			return
		}
		if all {
			select {
			case k.soon <- struct{}{}:
			default:
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
