package kinesis

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"sync"
	"time"
)

// A vault is where states are kept: the plainest there are, how often each record
// was counted. It outlives workers.
type vault struct {
	mu     sync.Mutex
	states map[string]state // by shard, or under "" of all shards together
}

type state struct {
	generation int64
	counts     map[int]int
	positions  map[string]string
}

func newVault() *vault { return &vault{states: make(map[string]state)} }

func (v *vault) latest(of string) state {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.states[of]
}

// put tells whether nobody has put another state there since the one that this one
// follows from.
func (v *vault) put(of string, s state) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.states[of].generation != s.generation-1 {
		return false
	}
	v.states[of] = s
	return true
}

// audit checks that every record was counted, and once.
func (v *vault) audit(w *world) {
	w.t.Helper()
	sum := make(map[int]int)
	for _, s := range v.states {
		for n, c := range s.counts {
			sum[n] += c
		}
	}
	lost, twice := 0, 0
	for n := 1; n <= w.put; n++ {
		switch c := sum[n]; {
		case c == 0:
			lost++
		case c > 1:
			twice++
		}
	}
	if lost+twice > 0 {
		w.t.Errorf("of %d records %d are in no state and %d were counted again", w.put, lost, twice)
	}
}

// A keeper counts for one worker, and puts what it counted into the vault every
// two seconds and whenever shards are left. It keeps one state for all shards, or
// one for each when they are shared.
type keeper struct {
	w     *world
	vault *vault
	r     *runner
	share bool
	shy   func(Shard) error // what Resume fails with; nil = it does not

	mu      sync.Mutex
	states  map[string]*state
	cuts    map[string]*state
	tenure  int64
	leaving map[string]bool
	left    chan struct{} // closed and replaced when something was kept
}

// keep runs a worker that keeps its state in a vault.
func (w *world) keep(v *vault, before Handle, change func(*Config)) *runner {
	return w.keepWith(&keeper{}, v, before, change)
}

// keepShy runs one that cannot find its state now and then.
func (w *world) keepShy(v *vault, shy func(Shard) error) *runner {
	return w.keepWith(&keeper{shy: shy}, v, w.note, nil)
}

func (w *world) keepWith(k *keeper, v *vault, before Handle, change func(*Config)) *runner {
	*k = keeper{w: w, vault: v, shy: k.shy, states: make(map[string]*state), cuts: make(map[string]*state), leaving: make(map[string]bool), left: make(chan struct{})}
	ready := make(chan struct{})
	k.r = w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
		if err := before(ctx, lines, arrived); err != nil {
			return err
		}
		return k.count(ctx, lines)
	}, func(c *Config) {
		if change != nil {
			change(c)
		}
		k.share = c.Share
		c.Hold = true
		c.Resume = func(ctx context.Context, s Shard) (string, error) { <-ready; return k.resume(s) }
		c.Leave = k.leave
	})
	close(ready)
	go func() {
		for {
			select {
			case <-k.r.done:
				return
			case <-time.After(2 * time.Second):
				k.publish()
			}
		}
	}()
	return k.r
}

func (k *keeper) of(shard string) string {
	if k.share {
		return shard
	}
	return ""
}

func (k *keeper) resume(s Shard) (string, error) {
	if k.shy != nil {
		if err := k.shy(s); err != nil {
			return "", err
		}
	}
	if err := k.r.link.pass(); err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.of(s.ID)
	if k.share || k.tenure != s.Tenure {
		k.tenure = s.Tenure
		old := k.vault.latest(of)
		k.states[of] = &state{
			generation: old.generation, counts: maps.Clone(old.counts), positions: maps.Clone(old.positions),
		}
		if k.states[of].counts == nil {
			k.states[of].counts, k.states[of].positions = make(map[int]int), make(map[string]string)
		}
		if k.share {
			for _, p := range s.Parents {
				if at := k.vault.latest(p).positions[p]; at != ShardEnd {
					k.w.t.Errorf("%s is read while the state of its parent %s is at %q", s.ID, p, at)
				}
			}
		}
		k.r.s.Covered(old.positions)
	}
	if k.states[of] == nil {
		return "", errShy
	}
	if !k.share && s.Handled != "" {
		return s.Handled, nil
	}
	return k.states[of].positions[s.ID], nil
}

func (k *keeper) count(ctx context.Context, lines [][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := ""
	if k.share {
		of = ctx.Value(shardKey{}).(string)
	}
	s := k.states[of]
	if s == nil {
		return nil // abandoned
	}
	for _, line := range lines {
		n, _ := strconv.Atoi(string(line))
		s.counts[n]++
	}
	return nil
}

// publish keeps the state, or the states, and has the checkpoints follow.
func (k *keeper) publish() {
	if k.share {
		for _, s := range k.r.s.Status().Shards {
			k.publishShard(context.Background(), s.ID)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = k.r.s.Cut(ctx, func(c Cut) { k.cut("", c) })
	k.put("")
}

func (k *keeper) publishShard(ctx context.Context, id string) {
	_ = k.r.s.CutShard(ctx, id, func(at string) { k.cut(id, Cut{Positions: map[string]string{id: at}}) })
	k.put(id, id)
}

// cut copies a state, unless it is one that knows another time.
func (k *keeper) cut(of string, c Cut) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.states[of]; s != nil && (k.share || c.Tenure == k.tenure) {
		maps.Copy(s.positions, c.Positions)
		k.cuts[of] = &state{s.generation + 1, maps.Clone(s.counts), maps.Clone(s.positions)}
	}
}

// put puts what was cut into the vault, as long as nobody else can have the shards.
// Who comes too late begins anew.
func (k *keeper) put(of string, shards ...string) {
	if k.r.link.pass() != nil || k.r.s.Sure(shards...) != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	cut, s := k.cuts[of], k.states[of]
	delete(k.cuts, of)
	if cut == nil || s == nil {
		return
	}
	if !k.vault.put(of, *cut) {
		delete(k.states, of)
		k.r.s.Abandon(shards...)
		return
	}
	s.generation = cut.generation
	k.r.s.Covered(cut.positions)
	close(k.left)
	k.left = make(chan struct{})
}

// leave keeps the shard's state; one of all shards when all are left, or the shard
// waits until it is kept anyway.
func (k *keeper) leave(ctx context.Context, id string) {
	if k.share {
		k.publishShard(ctx, id)
		return
	}
	k.mu.Lock()
	k.leaving[id] = true
	all := true
	for _, s := range k.r.s.Status().Shards {
		all = all && k.leaving[s.ID]
	}
	left := k.left
	k.mu.Unlock()
	if all {
		k.publish()
	}
	select {
	case <-left:
	case <-ctx.Done():
	}
	k.mu.Lock()
	delete(k.leaving, id)
	k.mu.Unlock()
}

var errShy = errors.New("not now")

// shardKey is under which the shard is in a handler's context, in tests.
type shardKey struct{}
