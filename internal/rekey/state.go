package rekey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"

	"weir/internal/detect"
)

// A Shelf keeps states of shards, for whoever takes the shard, or a child of it, next.
type Shelf interface {
	// Save keeps the state that write writes, which knows the shard up to a position, and
	// follows from the one with a number; 0 = from none. It returns the number of the new one.
	// The error is ErrConflict if that one is not the latest.
	Save(ctx context.Context, shard string, after int64, position string, write func(io.Writer) error) (number int64, err error)

	// Load has use read the latest state of a shard, and the position up to which that one
	// knows it. It returns the number that Save has to be given, also if there is no state
	// that can be read: then the error is ErrNoState. An error of use is returned.
	Load(ctx context.Context, shard string, use func(position string, state io.Reader) error) (number int64, err error)
}

var (
	// ErrNoState says that a Shelf keeps nothing of a shard that can be read.
	ErrNoState = errors.New("there is no state of this shard")

	// ErrConflict says that somebody else has kept another state of a shard, from which the one
	// at hand does not follow.
	ErrConflict = errors.New("another state of this shard was kept meanwhile")
)

// A Stream is what reads the re-keyed stream for a Detector: kinesis.Source.
type Stream interface {
	CutShard(ctx context.Context, id string, f func(position string)) error
	Covered(positions map[string]string)
	Sure(ids ...string) error
	Abandon(ids ...string)
	Held() []string // shards
}

// Take makes this task the owner of a shard, with the state that is kept of it, or that of its
// parents. It returns the position up to which the state knows the shard; "" if the shard is
// to be read from its beginning. The shard is Handled only after that.
func (d *Detector) Take(ctx context.Context, from Stream, s Shard) (position string, err error) {
	span, err := SpanOf(s.HashFrom, s.HashTo)
	if err != nil {
		return "", fmt.Errorf("take shard %s: %w", s.ID, err)
	}
	d.Drop(s.ID) // what was known before it was lost is old
	o := &owned{id: s.ID, source: d.cfg.Name + "/" + s.ID, span: span, reader: NewReader(d.cfg.Digests)}
	position, err = d.restore(ctx, o, s)
	if err != nil {
		if o.engine != nil {
			o.engine.Close()
		}
		return "", fmt.Errorf("take shard %s: %w", s.ID, err)
	}
	if o.kept = position; position != "" {
		from.Covered(map[string]string{s.ID: position})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shards[s.ID] = o
	d.m.shards.Set(float64(len(d.shards)))
	return position, nil
}

// restore puts into a shard what is kept of it, or of its parents. What cannot be read is
// told, and left.
func (d *Detector) restore(ctx context.Context, o *owned, s Shard) (position string, err error) {
	for _, of := range [][]string{{s.ID}, s.Parents, nil} {
		if err := o.begin(d); err != nil {
			return "", err
		}
		found, bad := 0, false
		for _, id := range of {
			position, err = d.load(ctx, o, id)
			switch {
			case err == nil:
				found++
			case errors.Is(err, errState):
				bad = true
				d.m.unread.Inc()
				d.log.Error("what is kept of a shard cannot be read: it is counted without", zap.String("shard", s.ID), zap.String("of", id), zap.Error(err))
			case !errors.Is(err, ErrNoState):
				return "", err
			}
		}
		switch {
		case bad:
			return "", o.begin(d)
		case found > 0 && len(of) == 1 && of[0] == s.ID:
			return position, nil
		case found > 0:
			return "", nil
		}
	}
	return "", nil
}

// begin gives a shard an empty state.
func (o *owned) begin(d *Detector) (err error) {
	if o.engine != nil {
		o.engine.Close()
	}
	o.seen = newSeen()
	o.engine, err = d.cfg.Engine()
	return err
}

// errState is what is wrong with a state that is no use.
var errState = errors.New("this is no state of a shard")

// load puts what is kept of one shard into another.
func (d *Detector) load(ctx context.Context, o *owned, shard string) (position string, err error) {
	began := time.Now()
	var restored detect.Restored
	number, err := d.cfg.Shelf.Load(ctx, shard, func(at string, state io.Reader) error {
		position = at
		if err := o.seen.read(state, o.span); err != nil {
			return fmt.Errorf("%w: %s: %w", errState, shard, err)
		}
		restored, err = o.engine.Restore(state, func(partition uint64) bool { return o.span.Has(detect.PartitionOf(partition)) })
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errState, shard, err)
		}
		return nil
	})
	if shard == o.id {
		o.number = number // also of one that cannot be read: another one follows from it
	}
	if err != nil {
		return "", err
	}
	d.log.Info("state restored", zap.String("shard", o.id), zap.String("of", shard), zap.String("position", position),
		zap.Int("buckets", restored.Buckets), zap.Int("dropped", restored.Dropped), zap.Int("evicted", restored.Evicted), zap.Duration("took", time.Since(began)))
	return position, nil
}

// Keep keeps the states of all shards at an interval, until ctx ends.
func (d *Detector) Keep(ctx context.Context, from Stream, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held := from.Held()
		for _, id := range d.Shards() {
			if !slices.Contains(held, id) {
				d.Drop(id) // it was lost
				continue
			}
			if err := d.KeepShard(ctx, from, id); err != nil && ctx.Err() == nil {
				d.say(err, id)
			}
		}
	}
}

// Leave keeps the state of a shard a last time, before its lease is given back.
func (d *Detector) Leave(ctx context.Context, from Stream, id string) {
	if err := d.KeepShard(ctx, from, id); err != nil {
		d.say(err, id)
	}
	d.Drop(id)
}

func (d *Detector) say(err error, shard string) {
	d.m.keeps.Inc()
	d.mu.Lock()
	skipped, ok := d.quiet.say(time.Now())
	d.mu.Unlock()
	if ok {
		d.log.Warn("the state of a shard is not kept; whoever takes it goes on from the one before", zap.String("shard", shard), zap.Error(err), zap.Int("lines_left_out", skipped))
	}
}

// KeepShard keeps the state of a shard, and then lets its checkpoint follow. A shard whose
// state is of no use, or not the latest, is given back, to be taken again with the state that
// is kept.
func (d *Detector) KeepShard(ctx context.Context, from Stream, id string) error {
	o, err := d.owned(id)
	if err != nil {
		return err
	}
	o.keeping.Lock()
	defer o.keeping.Unlock()
	if o.gone {
		return nil
	}
	var (
		position string
		cut      *detect.Cut
		known    *seen
		half     error
	)
	if err := from.CutShard(ctx, id, func(at string) {
		if half = o.half; half == nil {
			position, cut, known = at, o.engine.Cut(), o.seen.clone()
		}
	}); err != nil {
		return err
	}
	if half != nil {
		from.Abandon(id)
		return fmt.Errorf("shard %s: its state is of no use: %w", id, half)
	}
	defer cut.Close()
	if position == "" {
		return nil
	}
	if position == o.kept {
		from.Covered(map[string]string{id: position})
		return nil
	}
	if err := d.cfg.Store(ctx); err != nil { // else what it led to would be forgotten with a crash
		return fmt.Errorf("store decisions: %w", err)
	}
	if err := from.Sure(id); err != nil {
		return err
	}
	number, err := d.cfg.Shelf.Save(ctx, id, o.number, position, func(w io.Writer) error {
		if _, err := known.WriteTo(w); err != nil {
			return err
		}
		_, err := cut.WriteTo(w)
		return err
	})
	if errors.Is(err, ErrConflict) {
		from.Abandon(id)
	}
	if err != nil {
		return fmt.Errorf("keep the state of shard %s: %w", id, err)
	}
	o.number, o.kept = number, position
	from.Covered(map[string]string{id: position})
	return nil
}

// Drop gives up a shard.
func (d *Detector) Drop(shard string) {
	d.mu.Lock()
	o := d.shards[shard]
	delete(d.shards, shard)
	d.m.shards.Set(float64(len(d.shards)))
	d.mu.Unlock()
	if o != nil {
		o.keeping.Lock()
		defer o.keeping.Unlock()
		o.turn.Lock()
		defer o.turn.Unlock()
		o.gone = true
		o.engine.Close()
	}
}

// Shards returns which shards this task owns.
func (d *Detector) Shards() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]string, 0, len(d.shards))
	for id := range d.shards {
		ids = append(ids, id)
	}
	return ids
}
