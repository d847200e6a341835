package kinesis

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/awslocal"
)

// fault is one that strikes a service for a time, an action or all of them.
func fault(service, action string, do awslocal.FaultKind, For time.Duration) awslocal.Fault {
	return awslocal.Fault{Service: service, Action: action, Do: do, For: For}
}

// The lease table's trouble never stops the reading of shards that are held,
// costs no record and none is handled twice.
func TestLeaseTableTrouble(t *testing.T) {
	for name, f := range map[string]awslocal.Fault{
		"writes throttled":    fault("dynamodb", "UpdateItem", awslocal.FaultThrottle, 30*time.Second),
		"throttled":           fault("dynamodb", "", awslocal.FaultThrottle, 30*time.Second),
		"reset":               fault("dynamodb", "", awslocal.FaultReset, 30*time.Second),
		"answers lost":        fault("dynamodb", "", awslocal.FaultResetAfter, 30*time.Second),
		"answers lost by 500": fault("dynamodb", "", awslocal.FaultErrorAfter, 30*time.Second),
		"no answer":           fault("dynamodb", "", awslocal.FaultHang, 30*time.Second),
		"slow":                {Service: "dynamodb", Do: awslocal.FaultDelay, Delay: 2 * time.Second, For: 30 * time.Second},
		"every other fails":   {Service: "dynamodb", Do: awslocal.FaultError, Probability: .5, For: 30 * time.Second},
		"down for 5 minutes":  fault("dynamodb", "", awslocal.FaultHang, 5*time.Minute),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				defer w.watch()()
				r := w.run(w.note, func(c *Config) { c.Poll = 500 * time.Millisecond })
				w.trickle(10, 500*time.Millisecond, 5*time.Second)
				if r.holds() != 2 {
					t.Fatalf("%d shards are held", r.holds())
				}
				w.faults.Add(f)
				w.trickle(10, 500*time.Millisecond, f.For+10*time.Second)
				took := w.untilAll(time.Second)
				time.Sleep(3 * time.Second) // for the checkpoints
				for id, row := range w.rows() {
					if row.checkpoint != r.s.ledger.get(id).lease.progress() {
						t.Errorf("checkpoint of %s is behind", id)
					}
				}
				r.stop()
				w.wantAll(false)
				t.Logf("nothing left %v after the end; p99 %v", took, w.percentile(.99))
				if p := w.percentile(1); p > time.Second {
					t.Errorf("a record was handled %v after it arrived", p)
				}
			})
		})
	}
}

// When the table is silent for longer than the grace, reading stops, and goes
// on when the table is back, from where this process got to.
func TestLeaseGraceEnds(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, func(c *Config) { c.LeaseGrace = 20 * time.Second })
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.faults.Add(fault("dynamodb", "", awslocal.FaultHang, 2*time.Minute))
		w.trickle(10, 100*time.Millisecond, time.Minute)
		if n := r.holds(); n != 0 {
			t.Errorf("%d shards are held after the grace", n)
		}
		w.trickle(10, 100*time.Millisecond, 70*time.Second)
		t.Log("caught up after", w.untilAll(30*time.Second))
		r.stop()
		w.wantAll(false)
	})
}

// Kinesis' trouble costs nothing but time, and that only while it lasts.
func TestKinesisTrouble(t *testing.T) {
	for name, f := range map[string]awslocal.Fault{
		"throttled":         fault("kinesis", "GetRecords", awslocal.FaultThrottle, 40*time.Second),
		"500":               fault("kinesis", "GetRecords", awslocal.FaultError, 40*time.Second),
		"reset":             fault("kinesis", "GetRecords", awslocal.FaultReset, 40*time.Second),
		"answers lost":      fault("kinesis", "GetRecords", awslocal.FaultResetAfter, 40*time.Second),
		"no answer":         fault("kinesis", "GetRecords", awslocal.FaultHang, 40*time.Second),
		"iterators expired": {Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultError, Code: "ExpiredIteratorException", Probability: .5, For: 40 * time.Second},
		"no iterators":      {Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultError, Code: "ExpiredIteratorException", For: 40 * time.Second},
		"keys throttled":    {Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultError, Code: "KMSThrottlingException", For: 40 * time.Second},
		"credentials":       {Service: "kinesis", Do: awslocal.FaultError, Code: "ExpiredTokenException", For: 40 * time.Second},
		"all of it":         fault("kinesis", "GetShardIterator", awslocal.FaultHang, 40*time.Second),
		"lists":             fault("kinesis", "ListShards", awslocal.FaultError, 40*time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				r := w.run(w.note, nil)
				w.trickle(10, 100*time.Millisecond, 5*time.Second)
				w.faults.Add(f)
				if name == "all of it" {
					w.faults.Add(awslocal.Fault{Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultError, Code: "ExpiredIteratorException", For: 40 * time.Second})
				}
				for range 40 { // put by hand: the fault may strike the writer, too
					time.Sleep(time.Second)
				}
				w.add(100)
				took := w.untilAll(10 * time.Second)
				t.Logf("nothing left %v after the end", took)
				r.stop()
				w.wantAll(false)
				if n := w.gained(r); n != 3 {
					t.Errorf("leases were taken %v times, want 3", n)
				}
			})
		})
	}
}

// Iterators last five minutes. A handler that is stuck for longer costs nothing.
func TestHandlerBlockedForTenMinutes(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		blocked := time.Now().Add(10 * time.Minute)
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(time.Until(blocked))
			return w.note(ctx, lines, arrived)
		}, unhurried)
		w.trickle(10, 5*time.Second, 11*time.Minute)
		w.untilAll(3 * time.Second)
		r.stop()
		w.wantAll(false)
		if n := w.gained(r); n != 2 {
			t.Errorf("leases were taken %v times, want 2", n)
		}
	})
}

// Empty pages between full ones, as the service has them.
func TestEmptyPages(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, _ *world) {
		w := newWorld(t, 2, awslocal.Config{Kinesis: awslocal.KinesisConfig{EmptyEvery: 2}})
		w.add(5000)
		r := w.run(w.note, func(c *Config) { c.MaxRecords = 100 })
		w.untilAll(time.Minute)
		r.stop()
		w.wantAll(false)
	})
}

// A worker that is killed leaves its shards to the next after the failover time.
func TestKill(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		first := w.run(w.note, nil)
		standby := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		if first.holds() != 4 { // they were started together, and one has given way
			first, standby = standby, first
		}
		if first.holds() != 4 || standby.holds() != 0 {
			t.Fatalf("the workers hold %d and %d shards", first.holds(), standby.holds())
		}
		died := time.Now()
		first.kill()
		w.until("4 shards", 12*time.Second, func() bool { return standby.holds() == 4 })
		t.Logf("the standby has 4 shards %v after the kill", time.Since(died))
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.untilAll(time.Second)
		standby.stop()
		w.wantAll(true)
		if _, twice := w.audit(); twice > 200 { // what came in the last second before the kill, at most two
			t.Errorf("%d records were handled again", twice)
		}
	})
}

func TestCleanStopIsTakenOverAtOnce(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		first := w.run(w.note, nil)
		time.Sleep(2 * time.Second)
		standby := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 10*time.Second)
		first.stop()
		took := w.until("4 shards", 3*time.Second, func() bool { return standby.holds() == 4 })
		t.Logf("the standby has 4 shards %v after the stop", took)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.untilAll(time.Second)
		standby.stop()
		w.wantAll(false)
	})
}

// A worker that was stopped in the middle of everything and wakes up when
// another has its shards must neither handle more nor write any checkpoint.
func TestZombie(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		// Some reads are on their way when it is stopped, and when it wakes up their
		// records are there before the table's answer.
		w.faults.Add(
			awslocal.Fault{Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultDelay, Delay: 70 * time.Millisecond},
			awslocal.Fault{Service: "dynamodb", Action: "UpdateItem", Do: awslocal.FaultDelay, Delay: 150 * time.Millisecond})
		var woken atomic.Bool
		zombie := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			if woken.Load() {
				t.Errorf("the zombie took %d records up", len(lines))
			}
			return w.note(ctx, lines, arrived)
		}, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		successor := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		resume := zombie.link.pause()
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		if successor.holds() != 4 {
			t.Fatalf("the successor has %d shards", successor.holds())
		}
		_, before := w.audit()
		woken.Store(true)
		resume()
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		w.untilAll(time.Second)
		if n := zombie.holds(); n != 0 {
			t.Errorf("the zombie has %d shards", n)
		}
		_, after := w.audit()
		if after != before {
			t.Errorf("%d records were handled again after the zombie woke up", after-before)
		}
		zombie.stop()
		successor.stop()
		w.wantAll(true)
	})
}

// A pause that nobody made use of costs nothing.
func TestPauseWithoutSuccessor(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		r := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		resume := r.link.pause()
		w.trickle(10, 100*time.Millisecond, time.Minute)
		resume()
		w.untilAll(5 * time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// When a standby and the worker come back from the same outage, the worker
// keeps its shards.
func TestOutageWithStandby(t *testing.T) {
	for _, offset := range []time.Duration{0, 250, 500, 750} { // of their clockworks, so that either looks first
		t.Run(strconv.Itoa(int(offset)), func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				first := w.run(w.note, unhurried)
				time.Sleep(2*time.Second + offset*time.Millisecond)
				standby := w.run(w.note, unhurried)
				w.trickle(10, 100*time.Millisecond, 5*time.Second)
				w.faults.Add(fault("dynamodb", "", awslocal.FaultError, time.Minute))
				w.trickle(10, time.Second, time.Minute+20*time.Second)
				w.untilAll(3 * time.Second)
				if first.holds() != 2 || standby.holds() != 0 {
					t.Errorf("after the outage the worker has %d shards and the standby %d", first.holds(), standby.holds())
				}
				first.stop()
				standby.stop()
				w.wantAll(false)
			})
		})
	}
}

// Stop while the lease table is down: bounded, and nothing is lost.
func TestStopInAnOutage(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		r := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		w.faults.Add(fault("dynamodb", "", awslocal.FaultHang, time.Minute))
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		took := r.stop()
		t.Logf("stop took %v", took)
		if took > 6*time.Second {
			t.Errorf("stop took %v", took)
		}
		w.trickle(10, 100*time.Millisecond, time.Minute)
		r = w.run(w.note, nil)
		w.untilAll(20 * time.Second)
		r.stop()
		w.wantAll(true)
	})
}
