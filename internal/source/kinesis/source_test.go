package kinesis

import (
	"context"
	"crypto/md5"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"weir/internal/awslocal"
)

func TestReadsEverythingOnce(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		w.add(1000)
		r := w.run(w.note, nil)
		w.untilAll(time.Second)
		w.trickle(20, 50*time.Millisecond, 10*time.Second)
		w.untilAll(time.Second)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop took %v", took)
		}
		w.wantAll(false)
		for id, row := range w.rows() {
			if row.owner != "" || row.checkpoint == "" {
				t.Errorf("after a stop %s has owner %q and checkpoint %q", id, row.owner, row.checkpoint)
			}
		}
		// A successor goes on where the other has stopped.
		w.add(100)
		r = w.run(w.note, nil)
		w.untilAll(2 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// The 99th percentile of the way from arrival to handle is what an attacker has
// before anything can know.
func TestRecordsAreHandledWithin250Milliseconds(t *testing.T) {
	for name, cost := range map[string]time.Duration{"idle": 0, "busy": 30 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *world) {
				w.faults.Add(awslocal.Fault{Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultDelay, Delay: 10 * time.Millisecond})
				r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
					err := w.note(ctx, lines, arrived)
					time.Sleep(cost)
					return err
				}, nil)
				time.Sleep(2 * time.Second) // taking the shards is not counted
				w.trickle(7, 7*time.Millisecond, 15*time.Second)
				w.untilAll(time.Second)
				r.stop()
				w.wantAll(false)
				t.Logf("%d records: p50 %v, p99 %v, most %v", w.put, w.percentile(.5), w.percentile(.99), w.percentile(1))
				if p := w.percentile(.99); p > 250*time.Millisecond {
					t.Errorf("the 99th percentile is %v", p)
				}
				for k, n := range w.server.Counts() {
					if k.Action == "GetRecords" && k.Code != "" {
						t.Errorf("%d reads were answered with %s", n, k.Code)
					}
				}
			})
		})
	}
}

// latency makes every call take from 5 to 20 ms.
func (w *world) latency() {
	w.faults.Add(
		awslocal.Fault{Do: awslocal.FaultDelay, Delay: 5 * time.Millisecond},
		awslocal.Fault{Do: awslocal.FaultDelay, Delay: 5 * time.Millisecond, Probability: .5},
		awslocal.Fault{Do: awslocal.FaultDelay, Delay: 10 * time.Millisecond, Probability: .5})
}

// A fresh worker has 64 shards that nobody has within 10 s of its start, and reads
// them; the next one after a stop within 5, and after a kill within the failover time
// and 10.
func TestManyShardsAreTakenQuickly(t *testing.T) {
	for name, change := range map[string]func(*Config){"one": nil, "share": shared, "fan-out": fanned} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 64, func(t *testing.T, w *world) {
				w.latency()
				start := func() *runner { return w.run(w.note, both(unhurried, change)) }
				w.add(1000) // some for every shard
				begun := time.Now()
				r := start()
				t.Log("64 shards after", w.until("64 shards", 10*time.Second, func() bool { return r.holds() == 64 }))
				w.untilAll(time.Until(begun.Add(12 * time.Second))) // with a slow poll
				t.Log("given back after", r.stop())

				r = start()
				t.Log("taken again after", w.until("64 shards", 5*time.Second, func() bool { return r.holds() == 64 }))
				r.kill()
				r = start()
				t.Log("after a kill taken again after", w.until("64 shards", 20*time.Second, func() bool { return r.holds() == 64 }))
				w.add(1000)
				w.untilAll(4 * time.Second)
				r.stop()
				w.wantAll(true)
			})
		})
	}
}

// A batch that was not handled comes again, whole, before anything else of its
// shard, and the checkpoint stays before it.
func TestErrorsAreRetriedInPlace(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.add(100)
		var calls int
		var first []string
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			calls++
			if calls <= 8 {
				batch := make([]string, len(lines))
				for i := range lines {
					batch[i] = string(lines[i])
				}
				if calls == 1 {
					first = batch
				} else if !slices.Equal(batch, first) {
					t.Errorf("call %d got another batch", calls)
				}
				return errors.New("not today")
			}
			return w.note(ctx, lines, arrived)
		}, nil)
		time.Sleep(5 * time.Second)
		if !r.s.Status().Shards[0].Retrying {
			t.Error("status does not tell that a batch is retried")
		}
		w.add(50) // must not come before the first 100
		if row := w.rows()["shardId-000000000000"]; row.checkpoint != "" {
			t.Errorf("checkpoint %s was written before anything was handled", row.checkpoint)
		}
		w.untilAll(time.Minute)
		r.stop()
		if len(first) != 100 {
			t.Errorf("the first batch had %d records", len(first))
		}
		w.wantAll(false)
	})
}

func TestStopWhileHandleFails(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.add(100)
		r := w.run(func(context.Context, [][]byte, []time.Time) error { return errors.New("never") }, nil)
		time.Sleep(3 * time.Second)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop took %v", took)
		}
		for id, row := range w.rows() {
			if row.checkpoint != "" || row.owner != "" {
				t.Errorf("%s has checkpoint %q and owner %q", id, row.checkpoint, row.owner)
			}
		}
		r = w.run(w.note, nil)
		w.untilAll(5 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// What was taken is finished after the stop signal, and checkpointed.
func TestStopLetsHandleFinish(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.add(10)
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			select {
			case <-time.After(4 * time.Second):
				return w.note(ctx, lines, arrived)
			case <-ctx.Done():
				return ctx.Err()
			}
		}, nil)
		time.Sleep(time.Second)
		if took := r.stop(); took < 2*time.Second || took > 5*time.Second {
			t.Errorf("stop took %v", took)
		}
		w.wantAll(false)
		if row := w.rows()["shardId-000000000000"]; row.checkpoint == "" {
			t.Error("what was finished was not checkpointed")
		}
	})
}

func TestStopGraceEnds(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.add(10)
		r := w.run(func(ctx context.Context, _ [][]byte, _ []time.Time) error {
			<-ctx.Done() // as long as it is let
			return ctx.Err()
		}, nil)
		time.Sleep(time.Second)
		if took := r.stop(); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("stop took %v, the grace is 10s", took)
		}
		if row := w.rows()["shardId-000000000000"]; row.checkpoint != "" || row.owner != "" {
			t.Errorf("unfinished work left checkpoint %q and owner %q", row.checkpoint, row.owner)
		}
	})
}

// A handler that ignores its context cannot keep Run for ever, and what it
// returns in the end is not believed.
func TestDeafHandler(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.add(10)
		release := make(chan struct{})
		r := w.run(func(context.Context, [][]byte, []time.Time) error { <-release; return nil }, nil)
		time.Sleep(time.Second)
		begun := time.Now()
		r.cancel()
		<-r.done
		if r.err == nil || !strings.Contains(r.err.Error(), "1 shards are still being handled") {
			t.Errorf("Run returned %v", r.err)
		}
		if took := time.Since(begun); took > 18*time.Second {
			t.Errorf("stop took %v", took)
		}
		close(release)
		synctest.Wait()
	})
}

func TestPanicsAreErrors(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.add(100)
		var calls atomic.Int32
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			if calls.Add(1) <= 4 {
				var none []int
				_ = none[len(lines)]
			}
			return w.note(ctx, lines, arrived)
		}, nil)
		w.untilAll(10 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// One call at a time for each shard, many shards at once.
func TestOneCallAShard(t *testing.T) {
	inWorld(t, 8, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var now, most int
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(500 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return w.note(ctx, lines, arrived)
		}, nil)
		w.trickle(50, 100*time.Millisecond, 5*time.Second)
		w.untilAll(10 * time.Second)
		r.stop()
		w.wantAll(false)
		if most != 8 {
			t.Errorf("at most %d shards were handled at once, want 8", most)
		}
	})
}

// Records that look like another producer's packed ones are delivered as they
// are, broken or not, and so are their neighbours.
func TestRecordsThatLookAggregated(t *testing.T) {
	const magic = "\xf3\x89\x9a\xc2"
	odd := []string{
		magic, magic + strings.Repeat("x", 40),
		packed("\x1a\x05\x08\x07\x1a\x01x"), // its key index is out of range
		packed("\xff\xff\xff"),              // no message at all
		packed(""), packed("\x0a\x01k\x1a\x05\x08\x00\x1a\x01x"), "", "\x00",
	}
	inWorld(t, 1, func(t *testing.T, w *world) {
		in := &kinesis.PutRecordsInput{StreamName: new("logs")}
		for i, data := range odd {
			for _, d := range []string{data, "neighbour " + strconv.Itoa(i)} {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(d), PartitionKey: new("k")})
			}
		}
		_, err := w.k.PutRecords(t.Context(), in)
		w.must(err)
		var got []string
		r := w.run(func(_ context.Context, lines [][]byte, _ []time.Time) error {
			for _, line := range lines {
				got = append(got, string(line))
			}
			return nil
		}, nil)
		time.Sleep(2 * time.Second)
		r.stop()
		if len(got) != len(in.Records) {
			t.Fatalf("%d records came of %d", len(got), len(in.Records))
		}
		for i := range got {
			if want := string(in.Records[i].Data); got[i] != want {
				t.Errorf("record %d = %q, want %q", i, got[i], want)
			}
		}
	})
}

func TestStartPositions(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   int // of the records put 10 min, 30 s and 0 s before the start, and 1 s after it
	}{
		"from now on": {func(c *Config) { c.Start = 0 }, 1},
		"a minute":    {func(c *Config) { c.Start = time.Minute }, 2},
		"an hour":     {func(c *Config) { c.Start = time.Hour }, 3},
		"oldest":      {func(c *Config) { c.Start, c.Oldest = 0, true }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.add(1)
				time.Sleep(10 * time.Minute)
				w.add(1)
				time.Sleep(30 * time.Second)
				r := w.run(w.note, tc.change)
				time.Sleep(time.Second)
				w.add(1)
				time.Sleep(time.Second)
				r.stop()
				if len(w.handled) != tc.want {
					t.Errorf("%d records were read, want %d", len(w.handled), tc.want)
				}
			})
		})
	}
}

func TestWaitsForAWSAtTheStart(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.faults.Add(awslocal.Fault{Do: awslocal.FaultReset, For: time.Minute})
		r := w.run(w.note, nil)
		time.Sleep(time.Minute)
		w.add(100)
		w.untilAll(10 * time.Second)
		r.stop()

		w.faults.Add(awslocal.Fault{Do: awslocal.FaultHang})
		r = w.run(w.note, nil)
		time.Sleep(time.Minute)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop while waiting took %v", took)
		}
	})
}

func TestSaysWhatIsMissing(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		for what, change := range map[string]func(*Config){
			"lease table nowhere does not exist in us-east-1: create it with `weir bootstrap`": func(c *Config) { c.LeaseTable = "nowhere" },
			"stream nowhere does not exist in us-east-1":                                       func(c *Config) { c.Stream = "nowhere" },
		} {
			r := w.run(w.note, change)
			<-r.done
			if r.err == nil || !strings.Contains(r.err.Error(), what) {
				t.Errorf("error = %v, want %q", r.err, what)
			}
			r.cancel()
		}
		r := w.run(w.note, nil)
		time.Sleep(time.Second)
		r.stop()
		_, err := w.k.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: new("other"), ShardCount: new(int32(1))})
		w.must(err)
		r = w.run(w.note, func(c *Config) { c.Stream = "other" })
		<-r.done
		if r.err == nil || !strings.Contains(r.err.Error(), `lease table leases is about stream "logs", not "other"`) {
			t.Errorf("error = %v", r.err)
		}
	})
}

func TestRunsOnce(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		r := w.run(w.note, nil)
		time.Sleep(time.Second)
		r.stop()
		if err := r.s.Run(t.Context(), w.note); err == nil {
			t.Error("a second Run did not fail")
		}
	})
}

func TestStreamByARN(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.add(100)
		r := w.run(w.note, func(c *Config) { c.Stream = "arn:aws:kinesis:us-east-1:000000000000:stream/logs" })
		w.untilAll(5 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{
		Start: -time.Second, Poll: time.Millisecond, MaxRecords: 20_000, Failover: time.Second, StopGrace: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"stream", "lease table", "region", "start", "poll", "batch", "failover", "grace"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
	if _, err := New(Config{AWS: awsConfig(nil), Stream: "s", LeaseTable: "t"}); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestWorkersAreUnique(t *testing.T) {
	if a, b := unique("x"), unique("x"); a == b || !strings.HasPrefix(a, "x/") {
		t.Errorf("unique gave %q and %q", a, b)
	}
	if strings.HasPrefix(unique(""), "/") {
		t.Error("a worker without a name has not got the host's")
	}
}

// packed wraps a message as the other producer library does, digest included.
func packed(message string) string {
	sum := md5.Sum([]byte(message))
	return "\xf3\x89\x9a\xc2" + message + string(sum[:])
}
