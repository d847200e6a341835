package kinesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"weir/internal/awshttp"
	"weir/internal/awslocal"
)

// Whatever a read and its records take, neither Kinesis nor KCL ever counts
// more than five calls in a second, and no read waits longer than it must.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		poll := time.Duration(rapid.IntRange(200, 1000).Draw(t, "poll")) * time.Millisecond
		busy := rapid.IntRange(0, 400)
		r := &reader{pace: poll}
		now := time.Unix(0, 0)
		var entries, reads []time.Time
		for i := range 40 {
			entries = append(entries, now)
			if at := r.entered(now); at.After(now) {
				now = at
			}
			r.begun = now
			reads = append(reads, now)
			if n := len(reads); n > 1 {
				gap, before := reads[n-1].Sub(reads[n-2]), entries[n-1].Sub(reads[n-2])
				if most := max(poll, before, window); gap > most {
					t.Fatalf("read %d waited %v after the one before", i, gap)
				}
			}
			now = now.Add(time.Duration(busy.Draw(t, "read and handle")) * time.Millisecond)
		}
		for i := callsInWindow; i < len(reads); i++ {
			if d := reads[i].Sub(reads[i-callsInWindow]); d <= time.Second {
				t.Fatalf("reads %d to %d took %v", i-callsInWindow, i, d)
			}
			if d := entries[i].Sub(entries[i-callsInWindow]); d <= time.Second {
				t.Fatalf("KCL's calls %d to %d took %v", i-callsInWindow, i, d)
			}
		}
	})
}

// What reading and handling cost is spread over all reads: none waits for long.
func TestPaceIsEven(t *testing.T) {
	for _, cost := range []time.Duration{0, 10, 50, 150} {
		cost *= time.Millisecond
		r := &reader{pace: minPoll}
		now, want := time.Unix(0, 0), max(minPoll, (window+cost)/callsInWindow)
		for i := range 30 {
			before := r.begun
			if at := r.entered(now); at.After(now) {
				now = at
			}
			r.begun = now
			if gap := now.Sub(before); i > callsInWindow && gap > want+time.Millisecond {
				t.Errorf("at a cost of %v read %d waited %v, want %v", cost, i, gap, want)
			}
			now = now.Add(cost)
		}
	}
}

// A backlog is read at the rate that a shard allows, without being refused.
func TestCatchUp(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		data := make([]byte, 100<<10)
		for range 20 {
			in := &kinesis.PutRecordsInput{StreamName: new("logs")}
			for range 9 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data, PartitionKey: new("k")})
			}
			_, err := w.k.PutRecords(t.Context(), in)
			w.must(err)
			time.Sleep(time.Second)
		}
		var n atomic.Int64
		r := w.run(func(_ context.Context, lines [][]byte, _ []time.Time) error { n.Add(int64(len(lines))); return nil },
			func(c *Config) { c.Oldest = true })
		took := w.until("backlog", time.Minute, func() bool { return n.Load() == 180 })
		r.stop()
		if rate := 180 * 100 << 10 / took.Seconds() / (1 << 20); rate < 1.8 {
			t.Errorf("the backlog was read at %.1f MB/s", rate)
		}
		for k, n := range w.server.Counts() {
			if k.Service == "kinesis" && k.Code != "" {
				t.Errorf("%d calls of %s were answered with %s", n, k.Action, k.Code)
			}
		}
	})
}

// A checkpoint that is not of this stream stops its shard and says so; the
// others are read.
func TestCheckpointOfAnotherStream(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		a := tables(w, "a")[0]
		_, err := a.take(t.Context(), row{shard: shard0}, "")
		w.must(err)
		_, err = a.write(t.Context(), change{shard: shard0, revision: 2, checkpoint: "12345", release: true})
		w.must(err)
		core, logs := observer.New(zapcore.WarnLevel)
		r := w.run(w.note, func(c *Config) { c.Logger = zap.New(core) })
		w.add(100)
		time.Sleep(3 * time.Minute)
		lost, _ := w.audit()
		r.stop()
		if lost == 0 || lost == 100 {
			t.Errorf("%d of 100 records were not read", lost)
		}
		if n := logs.FilterMessage("shard cannot be read").Len(); n < 3 || n > 4 {
			t.Errorf("logged %d times in 3 minutes, want one a minute", n)
		}
	})
}

// A shard whose records have all left the stream while its batch was in hand
// has ended.
func TestShardThatIsGone(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, _ *world) {
		w := newWorld(t, 2, awslocal.Config{Kinesis: awslocal.KinesisConfig{Retention: 10 * time.Minute}})
		w.add(10)
		free := time.Now().Add(20 * time.Minute)
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(time.Until(free))
			return w.note(ctx, lines, arrived)
		}, func(c *Config) { c.Poll, c.Failover = maxPoll, maxFailover })
		time.Sleep(time.Minute)
		w.add(5)
		w.split(0)
		time.Sleep(time.Until(free.Add(time.Minute)))
		w.add(10)
		time.Sleep(time.Minute)
		if n := r.holds(); n != 3 {
			t.Errorf("%d shards are read, want 3", n)
		}
		if n := testutil.ToFloat64(r.s.m.readErrors.WithLabelValues(readGone)); n == 0 {
			t.Error("the shard was there all the time")
		}
		r.stop()
	})
}

func TestReadErrorKinds(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&types.ProvisionedThroughputExceededException{}, readThrottled},
		{&types.KMSThrottlingException{}, readThrottled},
		{&types.ResourceInUseException{}, readThrottled},
		{&types.ExpiredIteratorException{}, readExpired},
		{&types.ResourceNotFoundException{}, readGone},
		{&types.InvalidArgumentException{}, readRefused},
		{&types.InternalFailureException{}, readServer},
		{&smithy.GenericAPIError{Code: "ServiceUnavailable", Fault: smithy.FaultServer}, readServer},
		{fmt.Errorf("call: %w", context.DeadlineExceeded), readTimedOut},
		{errors.New("connection reset by peer"), readConnection},
		{&smithy.DeserializationError{Err: io.ErrUnexpectedEOF}, readDamaged},
		{&smithy.DeserializationError{Err: context.DeadlineExceeded}, readTimedOut},
		{&smithy.GenericAPIError{Code: "ExpiredTokenException"}, readCredentials},
		{&smithy.GenericAPIError{Code: "UnrecognizedClientException"}, readCredentials},
		{&smithy.GenericAPIError{Code: "AccessDeniedException"}, readRefused},
		{&awshttp.CredentialsError{Err: context.DeadlineExceeded}, readCredentials},
	} {
		if got := readErrorKind(fmt.Errorf("operation: %w", tc.err)); got != tc.want {
			t.Errorf("%T is %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestSleepAndBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if !sleep(ctx, 0) || !sleep(ctx, 900*time.Millisecond) || sleep(ctx, time.Second) || sleep(ctx, 0) {
			t.Error("sleep does not tell whether it slept to the end")
		}
		for n := range 100 {
			full := min(5*time.Second, 100*time.Millisecond<<min(n, 20))
			if d := backoff(n, 5*time.Second); d < full/2 || d > full {
				t.Errorf("backoff(%d) = %v, want %v to %v", n, d, full/2, full)
			}
		}
		var s seldom
		lines, left := 0, 0
		for range 250 {
			if skipped, ok := s.ok(); ok {
				lines, left = lines+1, left+skipped
			}
			time.Sleep(time.Second)
		}
		if lines != 5 || left != 4*59 {
			t.Errorf("%d lines in 250 s, which say that %d were left out", lines, left)
		}
	})
}

// KCL's last words are not the process's.
func TestKCLCannotEndTheProcess(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	l := kclLogger{zap.New(core)}.WithFields(map[string]any{"a": 1})
	l.Fatalf("one %d", 1)
	l.Panicf("two")
	l.Errorf("three")
	l.Debugf("four")
	var got []string
	for _, e := range logs.All() {
		got = append(got, fmt.Sprintf("%s %s", e.Level, e.ContextMap()["message"]))
	}
	if want := "[error one 1 error two debug three]"; fmt.Sprint(got) != want {
		t.Errorf("logged %v, want %s", got, want)
	}
}
