package kinesis

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"weir/internal/awslocal"
)

func fanned(c *Config) { c.Fanout = "weir" }

// With enhanced fan-out a record comes as soon as it is pushed, and the five
// minutes of a subscription do not show.
func TestFanout(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, _ *world) {
		w := newWorld(t, 4, awslocal.Config{Kinesis: awslocal.KinesisConfig{SubscriptionLife: 8 * time.Second}})
		defer w.watch()()
		w.add(1000)
		r := w.run(w.note, fanned)
		time.Sleep(2 * time.Second)
		w.mu.Lock()
		w.delays = nil
		w.mu.Unlock()
		w.trickle(7, 7*time.Millisecond, 20*time.Second)
		w.untilAll(time.Second)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop took %v", took)
		}
		w.wantAll(false)
		t.Logf("p50 %v, p99 %v, most %v", w.percentile(.5), w.percentile(.99), w.percentile(1))
		if p := w.percentile(.99); p > 100*time.Millisecond {
			t.Errorf("the 99th percentile is %v", p)
		}
		if n := w.gained(r); n != 4 {
			t.Errorf("leases were taken %d times, want 4", n)
		}
		out, err := w.k.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{
			StreamARN: new("arn:aws:kinesis:us-east-1:000000000000:stream/logs"),
		})
		w.must(err)
		if len(out.Consumers) != 1 || *out.Consumers[0].ConsumerName != "weir" {
			t.Errorf("consumers: %v", out.Consumers)
		}
	})
}

func TestFanoutTrouble(t *testing.T) {
	for name, f := range map[string]awslocal.Fault{
		"throttled":     fault("kinesis", "SubscribeToShard", awslocal.FaultThrottle, 40*time.Second),
		"500":           fault("kinesis", "SubscribeToShard", awslocal.FaultError, 40*time.Second),
		"reset":         fault("kinesis", "SubscribeToShard", awslocal.FaultReset, 40*time.Second),
		"no answer":     fault("kinesis", "SubscribeToShard", awslocal.FaultHang, 40*time.Second),
		"no table":      fault("dynamodb", "", awslocal.FaultHang, 40*time.Second),
		"writes refuse": fault("dynamodb", "UpdateItem", awslocal.FaultThrottle, 40*time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, _ *world) {
				w := newWorld(t, 3, awslocal.Config{Kinesis: awslocal.KinesisConfig{SubscriptionLife: 20 * time.Second}})
				defer w.watch()()
				r := w.run(w.note, fanned)
				w.trickle(10, 100*time.Millisecond, 5*time.Second)
				w.faults.Add(f)
				w.trickle(10, 500*time.Millisecond, 50*time.Second)
				t.Log("nothing left", w.untilAll(10*time.Second), "after the end")
				r.stop()
				w.wantAll(false)
			})
		})
	}
}

// The library renews leases between two batches, which a slow one is too long for.
func TestFanoutSlowHandler(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		defer w.watch()()
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(15 * time.Second)
			return w.note(ctx, lines, arrived)
		}, fanned)
		standby := w.run(w.note, fanned)
		w.trickle(10, time.Second, 2*time.Minute)
		w.untilAll(time.Minute)
		r.stop()
		standby.stop()
		w.wantAll(false)
	})
}

func TestFanoutKill(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		first := w.run(w.note, fanned)
		w.trickle(10, 100*time.Millisecond, 10*time.Second)
		first.kill()
		next := w.run(w.note, fanned)
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		w.untilAll(time.Second)
		next.stop()
		w.wantAll(true)
	})
}

func TestFanoutZombie(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		zombie := w.run(w.note, fanned)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		successor := w.run(w.note, fanned)
		resume := zombie.link.pause()
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		resume()
		_, before := w.audit()
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		w.untilAll(time.Second)
		if _, after := w.audit(); after > before+80 { // a batch a shard that was in hand
			t.Errorf("%d records were handled again after the zombie woke up", after-before)
		}
		zombie.stop()
		successor.stop()
		w.wantAll(true)
	})
}

// spoiled is an event stream that goes wrong after some bytes.
type spoiled struct {
	io.ReadCloser
	left int
	end  func(rest io.Reader) error
}

func (s *spoiled) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, s.end(s.ReadCloser)
	}
	n, err := s.ReadCloser.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// A subscription that breaks off in the middle of an event, or falls silent,
// costs no lease and no record.
func TestFanoutStreamsGoWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		size    int // of the first stream in bytes, each later one is a little longer
		end     func(io.Reader) error
		longest time.Duration // that a record may take
	}{
		"break": {20_000, func(io.Reader) error { return errors.New("connection reset by peer") }, 6 * time.Second},
		"end":   {20_000, func(io.Reader) error { return io.EOF }, 6 * time.Second},
		"silent": {100_000, func(rest io.Reader) error {
			if _, err := io.Copy(io.Discard, rest); err != nil { // until the subscription is given up
				return err
			}
			return io.EOF
		}, eventSilence + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				size := tc.size
				r := w.runOver(&link{spoil: func(body io.ReadCloser) io.ReadCloser {
					size += 777
					return &spoiled{ReadCloser: body, left: size, end: tc.end}
				}}, w.note, fanned)
				w.trickle(2, 100*time.Millisecond, 2*time.Minute)
				w.untilAll(time.Minute)
				r.stop()
				w.wantAll(false)
				if n := w.gained(r); n != 2 {
					t.Errorf("leases were taken %d times, want 2", n)
				}
				t.Logf("p50 %v, most %v, %d streams", w.percentile(.5), w.percentile(1), (size-tc.size)/777)
				if p := w.percentile(1); p > tc.longest {
					t.Errorf("a record was handled %v after it arrived", p)
				}
			})
		})
	}
}
