package kinesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Whoever dies and whenever: a state that moves with the stream's position has
// every record once.
func TestStateAndPositionMoveTogether(t *testing.T) {
	for name, change := range map[string]func(*Config){"one": nil, "fan-out": fanned, "share": shared} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				defer w.watch()()
				v := newVault()
				r := w.keep(v, w.note, change)
				for i := range 4 {
					w.trickle(7, 100*time.Millisecond, 5300*time.Millisecond)
					if i%2 == 0 {
						w.split(i)
						w.add(50)
					} else {
						w.merge(0)
						w.add(50)
					}
					w.trickle(7, 100*time.Millisecond, 1700*time.Millisecond)
					r.kill()
					w.add(50)
					r = w.keep(v, w.note, change)
				}
				w.trickle(7, 100*time.Millisecond, 15*time.Second)
				w.untilAll(20 * time.Second)
				r.stop()
				v.audit(w)
				if _, twice := w.audit(); twice == 0 {
					t.Error("nothing was read again: the test kills nobody at a bad moment")
				}
			})
		})
	}
}

// Workers that share hand a shard over with its state.
func TestStateIsHandedOver(t *testing.T) {
	inWorld(t, 6, func(t *testing.T, w *world) {
		defer w.watch()()
		v := newVault()
		a := w.keep(v, w.note, shared)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		b := w.keep(v, w.note, shared)
		w.trickle(10, 100*time.Millisecond, 15*time.Second)
		if a.holds() != 3 || b.holds() != 3 {
			t.Errorf("the workers have %d and %d shards", a.holds(), b.holds())
		}
		a.stop()
		w.trickle(10, 100*time.Millisecond, 3*time.Second)
		w.untilAll(time.Second)
		b.stop()
		v.audit(w)
		w.wantAll(false) // nothing was even read again
	})
}

// Checkpoints stay at what is covered: on the way, at the end of a shard, at the
// stop. The children of a shard are read all the same.
func TestHold(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		hold := func(c *Config) { c.Hold = true }
		r := w.run(w.note, hold)
		w.add(100)
		w.untilAll(2 * time.Second)
		first := r.s.Status().Shards[0].Checkpoint
		time.Sleep(3 * time.Second)
		if at := w.rows()[shard0].checkpoint; at != "" {
			t.Errorf("checkpoint = %s before anything is covered", at)
		}
		r.s.Covered(map[string]string{shard0: first, "shardId-unheard-of": "5"})
		w.add(100)
		w.untilAll(2 * time.Second)
		time.Sleep(3 * time.Second)
		if at := w.rows()[shard0].checkpoint; at != first {
			t.Errorf("checkpoint = %s, covered is %s", at, first)
		}
		r.stop()
		if row := w.rows()[shard0]; row.checkpoint != first || row.owner != "" {
			t.Errorf("after the stop the row is %+v, covered is %s", row, first)
		}
		r = w.run(w.note, hold)
		w.until("the second hundred again", 2*time.Second, func() bool { _, twice := w.audit(); return twice == 100 })
		w.split(0)
		time.Sleep(3 * time.Second)
		if at := w.rows()[shard0].checkpoint; at != first {
			t.Errorf("checkpoint = %s at the end of the shard, covered is %s", at, first)
		}
		r.stop()
	})
}

// A shard's end is written when it is covered, and who waits for that is not in
// the way of its children, unless they may be anybody's.
func TestEndIsCovered(t *testing.T) {
	for name, share := range map[string]bool{"one": false, "share": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				release := make(chan struct{})
				r := w.run(w.note, func(c *Config) {
					c.Hold, c.Share = true, share
					c.Leave = func(ctx context.Context, id string) {
						select {
						case <-release:
						case <-ctx.Done():
						}
					}
				})
				w.add(100)
				time.Sleep(2 * time.Second)
				w.split(0)
				w.add(100)
				time.Sleep(20 * time.Second)
				lost, _ := w.audit()
				if share != (lost > 0) || !share && r.holds() != 3 {
					t.Errorf("%d records of the children were not read, %d shards are held", lost, r.holds())
				}
				at := make(map[string]string)
				err := r.s.Cut(t.Context(), func(c Cut) { at = c.Positions })
				if err != nil || at[shard0] != ShardEnd {
					t.Errorf("the cut has %v: %v", at, err)
				}
				if at := w.rows()[shard0].checkpoint; at != "" {
					t.Errorf("checkpoint = %s", at)
				}
				r.s.Covered(at)
				close(release)
				w.until("end in the table", 2*time.Second, func() bool { return w.rows()[shard0].checkpoint == ShardEnd })
				w.untilAll(3 * time.Second)
				if r.holds() != 2 {
					t.Errorf("%d shards are held", r.holds())
				}
				r.stop()
				w.wantAll(false)
			})
		})
	}
}

// A state that has a shard to its end is believed, though the table is behind; one
// that is behind the table is, too, and the table does not move back.
func TestResume(t *testing.T) {
	for name, fan := range map[string]string{"poll": "", "fan-out": "weir"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				defer w.watch()()
				if fan != "" {
					w.register()
				}
				w.add(200)
				w.split(0)
				w.add(200)
				var mu sync.Mutex
				var asked []Shard
				r := w.run(w.note, func(c *Config) {
					c.Fanout = fan
					c.Resume = func(_ context.Context, s Shard) (string, error) {
						mu.Lock()
						defer mu.Unlock()
						asked = append(asked, s)
						if s.ID == shard0 {
							return ShardEnd, nil
						}
						return "", nil
					}
				})
				w.until("four shards", 10*time.Second, func() bool { mu.Lock(); defer mu.Unlock(); return len(asked) == 4 })
				time.Sleep(2 * time.Second)
				lost, twice := w.audit()
				if lost < 50 || lost > 150 || twice != 0 || w.rows()[shard0].checkpoint != ShardEnd {
					t.Errorf("%d records were not read, %d again; the rows are %v", lost, twice, w.rows())
				}
				whole := "340282366920938463463374607431768211455"
				for _, s := range asked {
					first := s.ID == shard0 || s.ID == "shardId-000000000001"
					if len(s.Parents) == 0 != first || s.Handled != "" || s.Tenure > 2 || s.HashFrom == s.HashTo {
						t.Errorf("asked about %+v", s)
					}
					if (s.HashTo == whole) != (s.ID == "shardId-000000000001") {
						t.Errorf("asked about %+v", s)
					}
				}
				r.stop()

				oldest := *w.shards()["shardId-000000000001"].numbers.StartingSequenceNumber
				behind := w.rows()["shardId-000000000001"].checkpoint
				r = w.run(w.note, func(c *Config) {
					c.Fanout = fan
					c.Resume = func(_ context.Context, s Shard) (string, error) {
						if s.ID == "shardId-000000000001" {
							return oldest, nil
						}
						return "", nil
					}
				})
				w.until("the shard again", 10*time.Second, func() bool { _, twice := w.audit(); return twice > 100 })
				r.stop()
				if at := w.rows()["shardId-000000000001"].checkpoint; at != behind {
					t.Errorf("checkpoint = %s, was %s", at, behind)
				}
			})
		})
	}
}

// register makes the fan-out consumer of the tests.
func (w *world) register() {
	w.t.Helper()
	r := w.run(w.note, func(c *Config) { c.Fanout = "weir"; c.LeaseTable = "leases" })
	time.Sleep(5 * time.Second)
	r.stop()
}

// A shard whose state cannot be found waits, alone.
func TestResumeFails(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		w.add(400)
		v := newVault()
		var well atomic.Bool
		r := w.keepShy(v, func(s Shard) error {
			if s.ID == shard0 && !well.Load() {
				return errShy
			}
			return nil
		})
		time.Sleep(20 * time.Second)
		lost, _ := w.audit()
		if lost < 50 || lost > 150 || r.holds() != 4 {
			t.Errorf("%d records were not read and %d shards are held", lost, r.holds())
		}
		if n := testutil.ToFloat64(r.s.m.resumeErrors); n < 4 || n > 20 {
			t.Errorf("%v tries in 20 s", n)
		}
		if err := r.s.CutShard(t.Context(), shard0, func(string) {}); !errors.Is(err, errNotHeld) {
			t.Errorf("a shard that is not read yet was cut: %v", err)
		}
		well.Store(true)
		w.untilAll(7 * time.Second)
		w.add(100)
		w.untilAll(2 * time.Second)
		r.stop()
		v.audit(w)

		well.Store(false) // a stop need not wait for it either
		r = w.keepShy(v, func(Shard) error { return errShy })
		time.Sleep(5 * time.Second)
		if took := r.stop(); took > time.Second {
			t.Errorf("stop took %v", took)
		}
		v.audit(w)
	})
}

// A worker that has lost everything may have missed much: its tenure is a new one.
func TestTenure(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		v := newVault()
		a := w.keep(v, w.note, nil)
		w.trickle(7, 100*time.Millisecond, 5*time.Second)
		resume := a.link.pause()
		b := w.keep(v, w.note, nil)
		w.trickle(7, 100*time.Millisecond, 15*time.Second)
		if b.holds() != 2 {
			t.Fatalf("the standby has %d shards", b.holds())
		}
		if err := a.s.Sure(); !errors.Is(err, ErrUnsure) {
			t.Errorf("a worker that was stopped is sure of its shards: %v", err)
		}
		if err := b.s.Sure(); err != nil {
			t.Error(err)
		}
		resume()
		w.trickle(7, 100*time.Millisecond, 5*time.Second)
		b.kill()
		w.trickle(7, 100*time.Millisecond, 20*time.Second)
		w.untilAll(time.Second)
		if a.holds() != 2 {
			t.Errorf("%d shards are held", a.holds())
		}
		a.stop()
		v.audit(w)
	})
}

// Whose state others went on without begins anew from theirs, with nothing in hand.
func TestAbandon(t *testing.T) {
	for name, change := range map[string]func(*Config){"one": nil, "share": shared} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				v := newVault()
				r := w.keep(v, w.note, change)
				w.trickle(7, 100*time.Millisecond, 7*time.Second)
				v.mu.Lock()
				for of, s := range v.states {
					s.generation++
					v.states[of] = s
				}
				v.mu.Unlock()
				w.trickle(7, 100*time.Millisecond, 10*time.Second)
				if n := testutil.ToFloat64(r.s.m.ended.WithLabelValues("abandoned")); n != 3 || r.holds() != 3 {
					t.Errorf("%v shards were abandoned, %d are held", n, r.holds())
				}
				w.untilAll(2 * time.Second)
				r.stop()
				v.audit(w)
				if _, twice := w.audit(); twice == 0 {
					t.Error("nothing was read again")
				}
			})
		})
	}
}

// A cut is taken between batches, waits for those in hand and keeps others out,
// but not longer than it is allowed to.
func TestCut(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		var inside atomic.Int32
		var long atomic.Bool
		r := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			inside.Add(1)
			defer inside.Add(-1)
			time.Sleep(150 * time.Millisecond)
			if long.Load() && ctx.Value(shardKey{}) == shard0 {
				time.Sleep(10 * time.Second)
			}
			return w.note(ctx, lines, arrived)
		}, nil)
		handled := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.handled)
		}
		var wg sync.WaitGroup
		wg.Go(func() { w.trickle(10, 20*time.Millisecond, 15*time.Second) })
		time.Sleep(2 * time.Second)
		for range 20 {
			err := r.s.Cut(t.Context(), func(c Cut) {
				before := handled()
				time.Sleep(200 * time.Millisecond)
				if inside.Load() != 0 || handled() != before || len(c.Positions) != 2 {
					t.Errorf("%d batches are inside a cut, %d records were handled in it, it has %v", inside.Load(), handled()-before, c.Positions)
				}
			})
			w.must(err)
			time.Sleep(50 * time.Millisecond)
		}
		for range 5 {
			others := handled()
			err := r.s.CutShard(t.Context(), shard0, func(position string) {
				at := func() string { return r.s.Status().Shards[0].Checkpoint }
				time.Sleep(500 * time.Millisecond)
				if position == "" || at() != position || handled() == others {
					t.Errorf("the cut has %s, the shard is at %s, %d records of others were handled", position, at(), handled()-others)
				}
			})
			w.must(err)
		}
		wg.Wait()
		long.Store(true)
		w.add(100)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, err := range []error{
			r.s.Cut(ctx, func(Cut) { t.Error("cut in a batch") }),
			r.s.CutShard(ctx, shard0, func(string) { t.Error("cut in a batch") }),
		} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v", err)
			}
		}
		long.Store(false)
		w.untilAll(30 * time.Second)
		w.must(r.s.Cut(t.Context(), func(Cut) {}))
		r.stop()
		w.wantAll(false)
	})
}

// What was handled is left out, wherever a read begins.
func TestHandledRecordsAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &processor{m: newMetrics(nil, nil), shard: &shard{lease: &lease{}}}
		records := func(numbers ...string) (rs []types.Record) {
			for _, n := range numbers {
				rs = append(rs, types.Record{SequenceNumber: new(n)})
			}
			return rs
		}
		for at, want := range map[string]int{"": 4, "8": 4, "9": 3, "99": 3, "100": 2, "1001": 0, ShardEnd: 0} {
			p.shard.lease.resume(at)
			if got := len(p.fresh(records("9", "100", "1000", "1001"))); got != want {
				t.Errorf("after %q %d records are fresh, want %d", at, got, want)
			}
		}
	})
}

// What is told to be read from its beginning is, however far this process had it before.
func TestResumeFromTheBeginning(t *testing.T) {
	for name, change := range map[string]func(*Config){"one": nil, "share": shared, "fan-out": fanned} {
		for _, ended := range []bool{false, true} { // by the time it is lost
			t.Run(fmt.Sprint(name, " ended ", ended), func(t *testing.T) {
				inWorld(t, 1, func(t *testing.T, w *world) {
					var leave atomic.Bool
					r := w.run(w.note, both(change, func(c *Config) {
						c.Hold = true
						c.Resume = func(context.Context, Shard) (string, error) { return "", nil }
						c.Leave = func(ctx context.Context, _ string) { // nothing is covered
							if !leave.Load() {
								<-ctx.Done()
							}
						}
					}))
					w.add(100)
					w.untilAll(5 * time.Second)
					if ended {
						w.split(0)
						time.Sleep(5 * time.Second)
					}
					r.s.Abandon()
					w.until("the hundred again", 10*time.Second, func() bool { _, twice := w.audit(); return twice == 100 })
					leave.Store(true)
					r.stop()
				})
			})
		}
	}
}
