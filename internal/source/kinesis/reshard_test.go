package kinesis

import (
	"context"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"weir/internal/awslocal"
)

// describe returns the stream's open shards in the order of their hash keys.
func (w *world) describe() []types.Shard {
	w.t.Helper()
	out, err := w.k.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: new("logs")})
	w.must(err)
	var open []types.Shard
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int { return start(a).Cmp(start(b)) })
	return open
}

func start(s types.Shard) *big.Int { return number10(s.HashKeyRange.StartingHashKey) }

func number10(s *string) *big.Int {
	n, _ := new(big.Int).SetString(aws.ToString(s), 10)
	return n
}

// split splits the nth open shard in the middle.
func (w *world) split(n int) {
	w.t.Helper()
	s := w.describe()[n]
	middle := new(big.Int).Add(start(s), number10(s.HashKeyRange.EndingHashKey))
	middle.Rsh(middle, 1)
	_, err := w.k.SplitShard(context.Background(), &kinesis.SplitShardInput{
		StreamName: new("logs"), ShardToSplit: s.ShardId, NewStartingHashKey: new(middle.String()),
	})
	w.must(err)
}

// merge merges the nth open shard with the next.
func (w *world) merge(n int) {
	w.t.Helper()
	open := w.describe()
	_, err := w.k.MergeShards(context.Background(), &kinesis.MergeShardsInput{
		StreamName: new("logs"), ShardToMerge: open[n].ShardId, AdjacentShardToMerge: open[n+1].ShardId,
	})
	w.must(err)
}

// Children are read from their first record, whatever the start, and at once.
func TestReshard(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"from now on": func(c *Config) { c.Start = 0 },
		"a minute":    func(c *Config) { c.Start = time.Minute },
		"oldest":      func(c *Config) { c.Oldest = true },
		"fan-out":     func(c *Config) { c.Fanout = "weir" },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				defer w.watch()()
				r := w.run(w.note, change)
				time.Sleep(3 * time.Second)
				for i, reshard := range []func(){
					func() { w.split(0) }, func() { w.split(2) }, func() { w.merge(1) },
					func() { w.merge(0); w.split(1) }, func() { w.split(0); w.split(1); w.merge(2) },
				} {
					w.trickle(10, 20*time.Millisecond, 2*time.Second)
					reshard()
					w.add(100)
					took := w.untilAll(4 * time.Second)
					t.Logf("reshard %d: handled after %v", i, took)
				}
				if n, want := r.holds(), len(w.describe()); n != want {
					t.Errorf("%d shards are held of %d", n, want)
				}
				r.stop()
				w.wantAll(false)
				if p := w.percentile(1); p > 3*time.Second {
					t.Errorf("a record was handled %v after it arrived", p)
				}
			})
		})
	}
}

// A parent's records are handled before its children's, for both parents.
func TestParentsFirst(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.add(400)
		w.merge(0)
		w.add(400)
		w.split(0)
		w.add(400)
		var mu sync.Mutex
		var calls, most int
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			mu.Lock()
			for _, line := range lines {
				n, _ := strconv.Atoi(string(line))
				generation := (n - 1) / 400
				if generation < most {
					t.Errorf("record %d came after one of a later shard", n)
				}
				most = max(most, generation)
			}
			calls++
			first := calls == 1
			mu.Unlock()
			if first { // one parent takes its time
				time.Sleep(5 * time.Second)
			}
			return w.note(ctx, lines, arrived)
		}, nil)
		w.untilAll(30 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// A reshard that nobody saw: the parents were read to some point, the worker
// died, and the next one starts an hour later with a start of a minute.
func TestReshardWhileDown(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		r.kill()
		w.add(50)
		w.split(0)
		w.add(50)
		w.merge(0)
		w.add(50)
		time.Sleep(time.Hour)
		r = w.run(w.note, nil)
		w.untilAll(30 * time.Second)
		r.stop()
		w.wantAll(true)
	})
}

// The library waits for parents without an end; this one does not wait.
func TestStopDuringReshard(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		defer w.watch()()
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(2 * time.Second)
			return w.note(ctx, lines, arrived)
		}, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.split(0)
		w.add(100)
		time.Sleep(time.Second)
		if took := r.stop(); took > 3*time.Second {
			t.Errorf("stop took %v", took)
		}
		r = w.run(w.note, nil)
		w.untilAll(10 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// The end of a shard is written even if the table is down when it is reached.
func TestShardEndInAnOutage(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		defer w.watch()()
		r := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.faults.Add(fault("dynamodb", "", awslocal.FaultError, time.Minute))
		w.split(0)
		w.trickle(10, 100*time.Millisecond, time.Minute+5*time.Second)
		w.untilAll(5 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// A shard whose records were not all handled has not ended.
func TestShardEndIsNotWrittenPastAFailure(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.add(100)
		w.split(0)
		r := w.run(func(context.Context, [][]byte, []time.Time) error { return context.Canceled }, nil)
		time.Sleep(5 * time.Second)
		r.stop()
		if row := w.rows()["shardId-000000000000"]; row.checkpoint != "" {
			t.Errorf("checkpoint is %s", row.checkpoint)
		}
		r = w.run(w.note, nil)
		w.untilAll(5 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// 32 to 64 to 32 shards under load.
func TestReshardStorm(t *testing.T) {
	inWorld(t, 32, func(t *testing.T, w *world) {
		defer w.watch()()
		r := w.run(w.note, nil)
		time.Sleep(3 * time.Second)
		dice := rand.New(rand.NewPCG(1, 2))
		for i := range 32 {
			w.split(2 * i)
			w.add(dice.IntN(50))
			time.Sleep(50 * time.Millisecond)
		}
		w.until("64 shards", 5*time.Second, func() bool { return r.holds() == 64 })
		for i := range 32 {
			w.merge(i)
			w.add(dice.IntN(50))
			time.Sleep(50 * time.Millisecond)
		}
		w.until("32 shards", 5*time.Second, func() bool { return r.holds() == 32 })
		w.untilAll(time.Second)
		r.stop()
		w.wantAll(false)
		t.Logf("%d records, most %v", w.put, w.percentile(1))
	})
}

// Shards leave the stream when their records do, and their rows later.
func TestRowsOfShardsThatAreGone(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, _ *world) {
		w := newWorld(t, 2, awslocal.Config{Kinesis: awslocal.KinesisConfig{Retention: 10 * time.Minute}})
		r := w.run(w.note, func(c *Config) { c.Poll, c.Failover = maxPoll, maxFailover }) // little to simulate
		w.trickle(10, time.Second, 12*time.Second)
		w.split(0)
		w.trickle(10, time.Second, 12*time.Second)
		if n := len(w.rows()); n != 4 {
			t.Errorf("the table has %d rows, want 4", n)
		}
		time.Sleep(dropAfter + 5*time.Minute) // the parent has left the stream by now
		if n := len(w.shards()); n != 3 {
			t.Fatalf("the stream has %d shards, want 3", n)
		}
		if n := len(w.rows()); n != 4 {
			t.Errorf("the table has %d rows, want 4: one answer is not enough", n)
		}
		time.Sleep(dropAfter)
		if n := len(w.rows()); n != 3 {
			t.Errorf("the table has %d rows, want 3", n)
		}
		w.add(100)
		w.untilAll(11 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}
