package kinesis

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/awslocal"
)

// stuck is a body that stops in the middle, until its caller gives up.
type stuck struct {
	io.Reader
	ctx context.Context
}

func (s stuck) Read(p []byte) (int, error) {
	if n, err := s.Reader.Read(p); n > 0 || err == nil {
		return n, err
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// Answers that come damaged for a while: no shard stalls when that is over, none is
// given up, no record is lost or handled twice, and what was wrong is counted as that.
func TestDamagedAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(r *http.Request, body []byte) io.Reader
		kind   string
	}{
		"cut": {func(_ *http.Request, body []byte) io.Reader {
			return io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
		}, readDamaged},
		"reset": {func(_ *http.Request, body []byte) io.Reader {
			return io.MultiReader(bytes.NewReader(body[:len(body)-1]), iotest.ErrReader(errCut))
		}, readDamaged},
		"end in the middle": {func(_ *http.Request, body []byte) io.Reader { return bytes.NewReader(body[:len(body)/2]) }, readDamaged},
		"stop in the middle": {func(r *http.Request, body []byte) io.Reader {
			return stuck{bytes.NewReader(body[:len(body)/2]), r.Context()}
		}, readTimedOut},
		"another's page": {func(*http.Request, []byte) io.Reader { return strings.NewReader("<html><body>502</body></html>") }, readDamaged},
		"broken data": {func(_ *http.Request, body []byte) io.Reader {
			return bytes.NewReader(bytes.ReplaceAll(body, []byte(`"Data":"`), []byte(`"Data":"*`)))
		}, readDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				var damaging atomic.Bool
				r := w.runOver(&link{answer: func(r *http.Request, resp *http.Response) *http.Response {
					if resp == nil || !damaging.Load() || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetRecords") {
						return nil
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Error(err)
					}
					if name == "broken data" && !bytes.Contains(body, []byte(`"Data"`)) {
						return &http.Response{StatusCode: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1}
					}
					other := *resp
					other.Body = io.NopCloser(tc.damage(r, body))
					return &other
				}}, w.note, nil)
				w.trickle(10, 100*time.Millisecond, 5*time.Second)
				damaging.Store(true)
				w.trickle(10, 200*time.Millisecond, 40*time.Second)
				for _, s := range r.s.Status().Shards {
					if s.Trouble == "" {
						t.Errorf("the status knows of no trouble with shard %s", s.ID)
					}
				}
				damaging.Store(false)
				t.Log("nothing left", w.untilAll(10*time.Second), "after the end")
				r.stop()
				w.wantAll(false)
				if n := w.gained(r); n != 2 {
					t.Errorf("leases were taken %d times, want 2", n)
				}
				if n := testutil.ToFloat64(r.s.m.readErrors.WithLabelValues(tc.kind)); n < 4 {
					t.Errorf("%v reads have failed as %s", n, tc.kind)
				}
			})
		})
	}
}

// The largest pages that there are, of the largest records, are read at the rate
// that a shard allows and never refused; and a page is handled whole though its
// memory is that of the one before.
func TestLargestPages(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		const records = 33
		for i := range records {
			data := bytes.Repeat([]byte{byte(i)}, 1<<20-1)
			_, err := w.k.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: new("logs"), Data: data, PartitionKey: new("k")})
			w.must(err)
			time.Sleep(1100 * time.Millisecond)
		}
		var next, pages atomic.Int32
		r := w.run(func(_ context.Context, lines [][]byte, _ []time.Time) error {
			pages.Add(1)
			for _, line := range lines {
				if i := next.Add(1) - 1; len(line) != 1<<20-1 || bytes.Count(line, []byte{byte(i)}) != len(line) {
					t.Errorf("record %d is not what was put", i)
				}
			}
			return nil
		}, func(c *Config) { c.Oldest = true })
		took := w.until("backlog", time.Minute, func() bool { return next.Load() == records })
		r.stop()
		t.Logf("%d MiB in %d pages and %v", records, pages.Load(), took)
		if pages.Load() > 6 {
			t.Errorf("%d pages for %d MiB", pages.Load(), records)
		}
		if n := testutil.ToFloat64(r.s.m.readErrors.WithLabelValues(readThrottled)); n != 0 {
			t.Errorf("%v reads were refused", n)
		}
	})
}

// Whoever else reads the stream may take its whole rate, for a while or now and
// then. An iterator that expires meanwhile is replaced.
func TestThrottledForMinutes(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		f := fault("kinesis", "GetRecords", awslocal.FaultThrottle, 6*time.Minute)
		w.faults.Add(f)
		w.trickle(10, 5*time.Second, f.For-time.Second)
		f.Probability, f.For = .7, 2*time.Minute
		w.faults.Add(f)
		w.trickle(10, 100*time.Millisecond, f.For)
		t.Log("nothing left", w.untilAll(10*time.Second), "after the end")
		r.stop()
		w.wantAll(false)
		if n := w.gained(r); n != 2 {
			t.Errorf("leases were taken %d times, want 2", n)
		}
		if n := testutil.ToFloat64(r.s.m.readErrors.WithLabelValues(readExpired)); n == 0 {
			t.Error("no iterator has expired")
		}
	})
}
