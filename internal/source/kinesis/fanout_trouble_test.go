package kinesis

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/awslocal"
)

// What keeps subscriptions from being made costs time while it lasts, and at most ten
// seconds more; no lease, and no record.
func TestFanoutSubscribeRefused(t *testing.T) {
	coded := func(code string) awslocal.Fault {
		return awslocal.Fault{Service: "kinesis", Action: "SubscribeToShard", Do: awslocal.FaultError, Code: code, For: 40 * time.Second}
	}
	for name, f := range map[string]awslocal.Fault{
		"in use":          coded("ResourceInUseException"),
		"limit":           coded("LimitExceededException"),
		"credentials":     coded("ExpiredTokenException"),
		"answers lost":    fault("kinesis", "SubscribeToShard", awslocal.FaultResetAfter, 40*time.Second),
		"all of Kinesis":  fault("kinesis", "", awslocal.FaultHang, 40*time.Second),
		"now and then":    {Service: "kinesis", Do: awslocal.FaultReset, Probability: .6, For: 40 * time.Second},
		"never in time":   {Service: "kinesis", Action: "SubscribeToShard", Do: awslocal.FaultDelay, Delay: 11 * time.Second, For: 40 * time.Second},
		"nothing answers": {Do: awslocal.FaultHang, For: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, awslocal.Config{Kinesis: awslocal.KinesisConfig{SubscriptionLife: 10 * time.Second}})
				defer w.watch()()
				r := w.run(w.note, fanned)
				w.trickle(10, 500*time.Millisecond, 15*time.Second)
				w.faults.Add(f)
				time.Sleep(f.For) // the fault may strike the writer, too
				w.add(100)
				t.Log("nothing left", w.untilAll(10*time.Second), "after the end")
				w.trickle(10, 500*time.Millisecond, 15*time.Second)
				w.untilAll(2 * time.Second)
				r.stop()
				w.wantAll(false)
				if n := w.gained(r); n != 3 {
					t.Errorf("leases were taken %d times, want 3", n)
				}
				if w.faults.Strikes()[0] == 0 {
					t.Error("the fault has struck nothing")
				}
			})
		})
	}
}

// A handler that is stuck for longer than a subscription lasts, and than a sequence of
// them, costs nothing but time.
func TestFanoutHandlerBlocked(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		defer w.watch()()
		free := time.Now().Add(12 * time.Minute)
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(time.Until(free))
			return w.note(ctx, lines, arrived)
		}, fanned)
		w.trickle(10, 5*time.Second, 12*time.Minute)
		time.Sleep(time.Until(free))
		w.add(100)
		t.Log("nothing left", w.untilAll(10*time.Second), "after the end")
		r.stop()
		w.wantAll(false)
		if n := w.gained(r); n != 2 {
			t.Errorf("leases were taken %d times, want 2", n)
		}
	})
}

// Subscriptions as they really are, of five minutes: their end does not show.
func TestFanoutFiveMinutes(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, fanned)
		w.trickle(4, 500*time.Millisecond, 11*time.Minute)
		w.untilAll(time.Second)
		r.stop()
		w.wantAll(false)
		t.Logf("p99 %v, most %v", w.percentile(.99), w.percentile(1))
		if p := w.percentile(1); p > time.Second {
			t.Errorf("a record was handled %v after it arrived", p)
		}
		if n := w.gained(r); n != 2 {
			t.Errorf("leases were taken %d times, want 2", n)
		}
	})
}

// Somebody else subscribes in the consumer's name, which ends our subscription with
// an exception and keeps the next one waiting. When he has gone, all is read.
func TestFanoutTakenOver(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, fanned)
		w.trickle(10, 100*time.Millisecond, 10*time.Second)
		about, err := w.k.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{
			StreamARN: new("arn:aws:kinesis:us-east-1:000000000000:stream/logs"), ConsumerName: new("weir"),
		})
		w.must(err)
		for range 5 {
			for id := range w.shards() {
				ctx, cancel := context.WithCancel(t.Context())
				out, err := w.k.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
					ConsumerARN: about.ConsumerDescription.ConsumerARN, ShardId: &id, StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
				})
				var inUse *types.ResourceInUseException
				if errors.As(err, &inUse) { // ours has subscribed within these five seconds
					cancel()
					continue
				}
				w.must(err)
				time.Sleep(2 * time.Second)
				_ = out.GetStream().Close()
				cancel()
			}
			w.trickle(10, 500*time.Millisecond, 12*time.Second)
		}
		w.add(100)
		t.Log("nothing left", w.untilAll(10*time.Second), "after the end")
		r.stop()
		w.wantAll(false)
		if n := testutil.ToFloat64(r.s.m.readErrors.WithLabelValues(readStream)); n < 5 {
			t.Errorf("%v of our subscriptions were ended", n)
		}
		if n := w.gained(r); n != 2 {
			t.Errorf("leases were taken %d times, want 2", n)
		}
	})
}

// A consumer that somebody has deleted is made again, under another ARN.
func TestFanoutConsumerIsDeleted(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, fanned)
		w.trickle(10, 100*time.Millisecond, 10*time.Second)
		_, err := w.k.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{
			StreamARN: new("arn:aws:kinesis:us-east-1:000000000000:stream/logs"), ConsumerName: new("weir"),
		})
		w.must(err)
		w.add(100)
		t.Log("nothing left after", w.untilAll(10*time.Second))
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.untilAll(time.Second)
		r.stop()
		w.wantAll(false)
		if n := w.gained(r); n != 2 {
			t.Errorf("leases were taken %d times, want 2", n)
		}
	})
}

// A shard whose records have all left the stream while its batch was in hand is given
// up, and its children are read.
func TestFanoutShardThatIsGone(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, _ *world) {
		w := newWorld(t, 2, awslocal.Config{Kinesis: awslocal.KinesisConfig{Retention: 10 * time.Minute}})
		w.add(10)
		free := time.Now().Add(20 * time.Minute)
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(time.Until(free))
			return w.note(ctx, lines, arrived)
		}, func(c *Config) { c.Fanout, c.Failover = "weir", maxFailover })
		time.Sleep(time.Minute)
		w.add(5)
		w.split(0)
		time.Sleep(time.Until(free.Add(time.Minute)))
		w.add(10)
		time.Sleep(time.Minute)
		if n := r.holds(); n != 3 {
			t.Errorf("%d shards are read, want 3", n)
		}
		w.mu.Lock()
		for n := w.put - 9; n <= w.put; n++ {
			if w.handled[n] != 1 {
				t.Errorf("record %d, put after the end, was handled %d times", n, w.handled[n])
			}
		}
		w.mu.Unlock()
		r.stop()
	})
}
