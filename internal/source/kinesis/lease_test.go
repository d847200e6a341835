package kinesis

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/zap"

	"weir/internal/awslocal"
)

// late is a way to the table on which one answer to a write is held up.
type late struct {
	next aws.HTTPClient
	hold atomic.Pointer[chan struct{}] // the next write's answer waits for it; nil = none does
	err  error                         // what becomes of it
}

func (l *late) Do(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "UpdateItem") {
		return l.next.Do(r)
	}
	hold := l.hold.Swap(nil)
	if hold == nil {
		return l.next.Do(r)
	}
	resp, err := l.next.Do(r)
	<-*hold
	if l.err != nil {
		return nil, l.err
	}
	return resp, err
}

// A worker that is stopped while a write of its is under way, for so long that
// another has the lease, learns from neither answer that it lost it. It must not
// take an old answer for a new one.
func TestAnswersThatComeLate(t *testing.T) {
	for name, lost := range map[string]error{"success": nil, "failure": errors.New("cut")} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				way := &late{next: w.server.HTTPClient(), err: lost}
				a, b := tables(w, "a", "b")[0], tables(w, "b")[0]
				a.api = dynamodb.NewFromConfig(awsConfig(way), func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
				r, err := a.take(t.Context(), row{shard: shard0}, "")
				w.must(err)
				stop, end := context.WithCancel(t.Context())
				defer end()
				l := hold(&lease{
					table: a, shard: shard0, m: newMetrics(nil, nil), log: zap.NewNop(), quiet: new(seldom),
					terms: terms{failover: 10 * time.Second, grace: time.Minute},
				}, r, time.Now(), stop, t.Context())
				if err := l.confirm(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				resume := make(chan struct{})
				way.hold.Store(&resume)
				time.Sleep(5 * time.Second) // a write is under way by now
				if way.hold.Load() != nil {
					t.Fatal("no write is under way")
				}
				time.Sleep(10 * time.Second)
				_, err = b.take(t.Context(), w.rows()[shard0], "")
				w.must(err)
				l.advance("100")
				close(resume)
				if err := l.confirm(); !errors.Is(err, errTaken) {
					t.Errorf("confirm = %v, want %v", err, errTaken)
				}
				if err := l.release(); err != nil {
					t.Error(err)
				}
				if r := w.rows()[shard0]; r.owner != "b" || r.checkpoint != "" {
					t.Errorf("row = %+v", r)
				}
			})
		})
	}
}

// A checkpoint is written within about a second, without anybody waiting for it,
// and no later one is lost on the way out.
func TestCheckpointsAreSoon(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		a := tables(w, "a")[0]
		r, err := a.take(t.Context(), row{shard: shard0}, "")
		w.must(err)
		l := hold(&lease{
			table: a, shard: shard0, m: newMetrics(nil, nil), log: zap.NewNop(), quiet: new(seldom),
			terms: terms{failover: 10 * time.Second},
		}, r, time.Now(), t.Context(), t.Context())
		for _, at := range []string{"5", "30", "7", "200", "1000"} { // one comes out of order
			l.advance(at)
			time.Sleep(1100 * time.Millisecond)
			if got := w.rows()[shard0].checkpoint; got != l.progress() {
				t.Errorf("checkpoint = %s, want %s", got, l.progress())
			}
		}
		l.advance("1001")
		l.advance(shardEnd)
		l.advance("1002")
		w.must(l.release())
		if r := w.rows()[shard0]; r.checkpoint != shardEnd || r.owner != "" {
			t.Errorf("row = %+v", r)
		}
	})
}

// A lease table that fails at once is not asked the more often for it, though batches wait
// for its answer: each shard asks about once a second, and the list of them, too.
func TestOutageIsNoBusyLoop(t *testing.T) {
	for name, do := range map[string]awslocal.FaultKind{
		"refused": awslocal.FaultError, "throttled": awslocal.FaultThrottle, "reset": awslocal.FaultReset, "no answer": awslocal.FaultHang,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 4, func(t *testing.T, w *world) {
				const lasts, shards = 2 * time.Minute, 4
				var writes, scans atomic.Int64
				l := &link{answer: func(r *http.Request, resp *http.Response) *http.Response {
					if resp == nil {
						switch _, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); call {
						case "UpdateItem":
							writes.Add(1)
						case "Scan":
							scans.Add(1)
						}
					}
					return nil
				}}
				r := w.runOver(l, w.note, unhurried)
				w.trickle(10, time.Second, 5*time.Second)
				resume := l.pause() // its leases are doubtful after that
				time.Sleep(9500 * time.Millisecond)
				w.faults.Add(fault("dynamodb", "", do, lasts))
				resume()
				writes.Store(0)
				scans.Store(0)
				w.trickle(10, time.Second, lasts)
				most, least := int64(lasts/time.Second), int64(lasts/(5*time.Second))
				if n := writes.Load() / shards; n > most+10 || n < least {
					t.Errorf("%d writes for each shard in %v", n, lasts)
				}
				if n := scans.Load(); n > most+10 || n < least/2 {
					t.Errorf("%d scans in %v", n, lasts)
				}
				w.untilAll(5 * time.Second)
				r.stop()
				w.wantAll(false)
			})
		})
	}
}
