package main

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/awslocal"
	"weir/internal/leader"
)

// A service that is told to stop does so in time, with all its leases given back; and
// its successor reads and leads soon after.
func TestStopAndSucceed(t *testing.T) {
	throttled := awslocal.Fault{Service: "wafv2", Do: awslocal.FaultThrottle}
	for name, tt := range map[string]struct {
		environ []string
		fault   *awslocal.Fault
		within  time.Duration
	}{
		"all is well":                  {within: 5 * time.Second},
		"WAF throttled":                {fault: &throttled, within: 20 * time.Second},
		"WAF throttled, long patience": {environ: []string{"WEIR_STOP_TIMEOUT=110s"}, fault: &throttled, within: 110 * time.Second},
		"WAF hangs":                    {fault: &awslocal.Fault{Service: "wafv2", Do: awslocal.FaultHang}, within: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inStreet(t, func(t *testing.T, w *street) {
				a := w.moveIn(observer{}, nil, tt.environ...)
				w.until("leader", 30*time.Second, a.s.leading.Load)
				b := w.moveIn(observer{}, nil)
				w.put("45.9.0.1", "45.9.0.2")
				w.until("ban", 30*time.Second, func() bool { return w.holds("45.9.0.1", "45.9.0.2") })
				if tt.fault != nil {
					w.faults.Add(*tt.fault)
				}
				w.put("45.9.0.3")
				time.Sleep(5 * time.Second)

				var reads, leads time.Time
				told, watched := time.Now(), make(chan struct{})
				go func() {
					defer close(watched)
					for !b.s.leading.Load() {
						if reads.IsZero() && b.reads() {
							reads = time.Now()
						}
						time.Sleep(10 * time.Millisecond)
					}
					leads = time.Now()
				}()
				took := a.stop()
				if took > tt.within {
					t.Errorf("it stopped after %v", took)
				}
				for row, owner := range w.owners() {
					if owner == a.s.source.Status().Worker {
						t.Errorf("row %s is still its own", row)
					}
				}
				over := time.Now()
				w.until("successor", 3*time.Second, b.s.leading.Load)
				<-watched
				if read := reads.Sub(told); reads.IsZero() || read > 5*time.Second {
					t.Errorf("the successor reads %v after the signal", read)
				}
				t.Logf("stopped after %v; the successor reads %v after the signal, and leads %v after the end", took, reads.Sub(told), leads.Sub(over))
				w.faults.Clear()
				w.put("45.9.0.4")
				w.until("ban by the successor", 2*time.Minute, func() bool { return w.holds("45.9.0.1", "45.9.0.2", "45.9.0.4") })
				if tt.fault == nil && !w.holds("45.9.0.3") {
					t.Error("what was decided before the stop is not enforced")
				}
				b.stop()
			})
		})
	}
}

// When the leader crashes, another one leads and has banned what came since within
// the time that a lease takes to run out.
func TestCrashAndSucceed(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		a := w.moveIn(observer{}, nil)
		w.until("leader", 30*time.Second, a.s.leading.Load)
		b := w.moveIn(observer{}, nil)
		time.Sleep(10 * time.Second)
		if why := b.reasons(); !contains(why, "standing by") || b.s.leading.Load() {
			t.Errorf("the second one leads %t, and says %q", b.s.leading.Load(), why)
		}
		before := a.s.epoch()
		died := time.Now()
		a.kill()
		w.put("45.9.0.1")
		w.until("next leader", 15*time.Second, b.s.leading.Load)
		t.Logf("another leads %v after the crash", time.Since(died))
		if b.s.epoch() <= before {
			t.Error("the epoch has not grown")
		}
		w.until("ban", 10*time.Second, func() bool { return w.holds("45.9.0.1") })
		if why := b.reasons(); len(why) > 0 {
			t.Errorf("the new leader is not ready: %q", why)
		}
		b.stop()
		<-a.done
	})
}

// Where decisions are shared, a process that loses the lease stands by, and can lead
// again, in the same process and under a higher epoch. What the other one wrote stays.
func TestLeadsAgain(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		shared := func(s *service) { s.shared = true }
		a := w.moveIn(observer{}, shared)
		w.until("leader", 30*time.Second, a.s.leading.Load)
		b := w.moveIn(observer{}, shared)
		w.put("45.9.0.1")
		w.until("ban", 10*time.Second, func() bool { return w.holds("45.9.0.1") })
		first := a.s.epoch()

		resume := a.line.pause()
		w.until("next leader", 15*time.Second, b.s.leading.Load)
		w.put("45.9.0.2")
		w.until("ban by the next leader", 20*time.Second, func() bool { return w.holds("45.9.0.1", "45.9.0.2") })
		second := b.s.epoch()
		resume()
		w.until("end of the first term", 5*time.Second, func() bool { return !a.s.leading.Load() })
		if why := a.reasons(); !contains(why, "standing by") {
			t.Errorf("who was deposed says %q", why)
		}
		time.Sleep(2 * time.Minute)
		if !a.running() || !b.running() || !b.s.leading.Load() || a.s.leading.Load() {
			t.Fatal("a process ended, or the leadership moved")
		}

		b.stop()
		w.until("leader again", 3*time.Second, a.s.leading.Load)
		w.put("45.9.0.3")
		w.until("ban by the first again", 20*time.Second, func() bool { return w.holds("45.9.0.1", "45.9.0.2", "45.9.0.3") })
		if third := a.s.epoch(); first >= second || second >= third || a.s.targets[0].writer.Status().Epoch != third {
			t.Errorf("epochs %d, %d, %d", first, second, third)
		}
		time.Sleep(time.Minute)
		if why := a.reasons(); len(why) > 0 {
			t.Errorf("not ready: %q", why)
		}
		a.stop()
	})
}

// Where they are not, a process that was thought dead ends, to be started again as a
// standby: it knows nothing of what was decided meanwhile.
func TestBehind(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		a := w.moveIn(observer{}, nil)
		w.until("leader", 30*time.Second, a.s.leading.Load)
		b := w.moveIn(observer{}, nil)
		time.Sleep(5 * time.Second)
		resume := a.line.pause()
		w.until("next leader", 15*time.Second, b.s.leading.Load)
		resume()
		<-a.done
		if a.err == nil || !errors.Is(a.err, errBehind) {
			t.Errorf("it ended with %v", a.err)
		}
		b.stop()
	})
}

// A lease table that was emptied is called that by who ends for it.
func TestEmptiedLeaseTable(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		a := w.moveIn(observer{}, nil)
		w.until("leader", 30*time.Second, a.s.leading.Load)
		_, err := dynamodb.NewFromConfig(w.cloud).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
			TableName: aws.String(w.settings().Kinesis.LeaseTable), Key: map[string]types.AttributeValue{"ShardID": &types.AttributeValueMemberS{Value: leader.Key}},
		})
		if err != nil {
			t.Fatal(err)
		}
		<-a.done
		if a.err == nil || !errors.Is(a.err, leader.ErrEmptied) || errors.Is(a.err, errBehind) {
			t.Errorf("it ended with %v", a.err)
		}
	})
}

// While nothing of AWS answers, a stop takes no longer than it may.
func TestStopWithoutAWS(t *testing.T) {
	for _, kind := range []awslocal.FaultKind{awslocal.FaultHang, awslocal.FaultReset} {
		inStreet(t, func(t *testing.T, w *street) {
			r := w.moveIn(observer{}, nil)
			w.until("leader", 30*time.Second, r.s.leading.Load)
			w.put("45.9.0.1", "45.9.0.2")
			w.until("ban", 30*time.Second, func() bool { return w.holds("45.9.0.1", "45.9.0.2") })
			w.put("45.9.0.3")
			w.faults.Add(awslocal.Fault{Do: kind})
			time.Sleep(30 * time.Second)
			took := r.stop()
			if took > 20*time.Second {
				t.Errorf("it stopped after %v", took)
			}
			t.Logf("%s: stopped after %v", kind, took)
		})
	}
}
