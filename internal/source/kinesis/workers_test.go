package kinesis

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"weir/internal/awslocal"
)

func shared(c *Config) { c.Share = true }

// Workers that share take an even part each, whoever comes or goes.
func TestShare(t *testing.T) {
	inWorld(t, 8, func(t *testing.T, w *world) {
		defer w.watch()()
		even := func(rs ...*runner) func() bool {
			return func() bool {
				sum := 0
				for _, r := range rs {
					n := r.holds()
					if n < 8/len(rs) || n > 8/len(rs)+1 {
						return false
					}
					sum += n
				}
				return sum == 8
			}
		}
		a := w.run(w.note, shared)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		b := w.run(w.note, shared)
		w.trickle(10, 100*time.Millisecond, 15*time.Second)
		w.until("even split of two", time.Second, even(a, b))
		taken := w.gained(b)
		if taken != 4 {
			t.Errorf("the second worker took %d leases to get 4", taken)
		}
		c := w.run(w.note, shared)
		w.trickle(10, 100*time.Millisecond, 15*time.Second)
		w.until("even split of three", time.Second, even(a, b, c))
		w.untilAll(time.Second)
		w.wantAll(false) // nothing was handled twice on its way from one to another

		b.kill()
		w.trickle(10, 100*time.Millisecond, 25*time.Second)
		w.until("even split of two", time.Second, even(a, c))
		a.stop()
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		if c.holds() != 8 {
			t.Errorf("the last worker has %d shards", c.holds())
		}
		w.untilAll(time.Second)
		c.stop()
		w.wantAll(true)
	})
}

// A worker that takes long to give shards up is not asked for more meanwhile.
func TestShareWithSlowHandler(t *testing.T) {
	inWorld(t, 8, func(t *testing.T, w *world) {
		a := w.run(func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
			time.Sleep(5 * time.Second)
			return w.note(ctx, lines, arrived)
		}, shared)
		w.trickle(20, 100*time.Millisecond, 5*time.Second)
		b := w.run(w.note, shared)
		w.trickle(20, 100*time.Millisecond, 40*time.Second)
		if a.holds() != 4 || b.holds() != 4 || w.gained(b) != 4 {
			t.Errorf("the workers have %d and %d shards, for which the second took %d", a.holds(), b.holds(), w.gained(b))
		}
		w.untilAll(time.Minute)
		a.stop()
		b.stop()
		w.wantAll(false)
	})
}

// Idle shards are shared, too.
func TestShareIdle(t *testing.T) {
	inWorld(t, 6, func(t *testing.T, w *world) {
		a := w.run(w.note, shared)
		time.Sleep(5 * time.Second)
		b := w.run(w.note, shared)
		took := w.until("even split", 30*time.Second, func() bool { return a.holds() == 3 && b.holds() == 3 })
		t.Logf("3 and 3 after %v", took)
		a.stop()
		b.stop()
	})
}

// Who was promised a shard and died does not keep it from the others.
func TestClaimOfTheDead(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		a := w.run(w.note, shared)
		time.Sleep(2 * time.Second)
		ghost := &table{api: w.d, name: "leases", worker: "ghost"}
		w.must(ghost.claim(t.Context(), w.rows()["shardId-000000000000"]))
		w.until("owner that gives way", 5*time.Second, func() bool { return a.holds() == 0 })
		took := w.until("owner", 5*time.Second, func() bool { return a.holds() == 1 })
		if took < 2*time.Second {
			t.Errorf("who asked for the shard was given %v to take it", took)
		}
		w.add(10)
		w.untilAll(time.Second)
		a.stop()
		w.wantAll(false)
	})
}

// The shortest failover time: renewals, looks and takeovers keep up with it.
func TestShortFailover(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		defer w.watch()()
		short := func(c *Config) { c.Failover = minFailover }
		w.faults.Add(awslocal.Fault{Do: awslocal.FaultDelay, Delay: 20 * time.Millisecond})
		first := w.run(w.note, short)
		time.Sleep(2 * time.Second)
		next := w.run(w.note, short)
		w.trickle(10, 100*time.Millisecond, 20*time.Second)
		if n := w.gained(first); n != 4 || first.holds() != 4 {
			t.Errorf("leases were taken %d times and %d are held, want 4", n, first.holds())
		}
		died := time.Now()
		first.kill()
		w.until("4 shards", time.Minute, func() bool { return next.holds() == 4 })
		if took := time.Since(died); took > 5500*time.Millisecond { // 5 s of it are the dead one's
			t.Errorf("taken over after %v", took)
		}
		w.trickle(10, 100*time.Millisecond, 2*time.Second)
		w.untilAll(time.Second)
		next.stop()
		w.wantAll(true)
	})
}

// Workers that do not share and are started together agree on one of them.
func TestOneReadsAll(t *testing.T) {
	inWorld(t, 16, func(t *testing.T, w *world) {
		defer w.watch()()
		w.faults.Add(awslocal.Fault{Do: awslocal.FaultDelay, Delay: 10 * time.Millisecond}) // all look before one takes
		var rs []*runner
		for range 4 {
			rs = append(rs, w.run(w.note, nil))
		}
		w.trickle(20, 50*time.Millisecond, 5*time.Second)
		var all int
		for _, r := range rs {
			switch n := w.gained(r); n {
			case 0:
			case 16:
				all++
			default:
				t.Errorf("a worker has taken %d shards and holds %d", n, r.holds())
			}
		}
		if all != 1 {
			t.Errorf("%d workers have all shards", all)
		}
		w.untilAll(time.Second)
		for _, r := range rs {
			r.stop()
		}
		w.wantAll(false)
	})
}

// A row that somebody has deleted is no lease any more, but nobody else's either.
func TestEmptiedTable(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		r := w.run(w.note, nil)
		w.add(10)
		w.untilAll(10 * time.Second)
		for _, row := range w.rows() {
			_, err := w.d.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: new("leases"), Key: key(row.shard)})
			w.must(err)
		}
		ended := func(why string) float64 { return testutil.ToFloat64(r.s.m.ended.WithLabelValues(why)) }
		w.until("end of the leases", 10*time.Second, func() bool { return ended("emptied") == 2 })
		w.until("new leases", 10*time.Second, func() bool { return r.holds() == 2 })
		if n := ended("taken"); n != 0 {
			t.Errorf("%v shards were taken", n)
		}
		w.add(10)
		w.untilAll(10 * time.Second)
		w.wantAll(false)
		r.stop()
	})
}

// However shards came into several hands, who has fewer gives them up.
func TestFewerYield(t *testing.T) {
	inWorld(t, 4, func(t *testing.T, w *world) {
		r := w.run(w.note, nil)
		w.trickle(10, 100*time.Millisecond, 5*time.Second)
		other := tables(w, "zzz")[0]
		held := w.rows()
		delete(held, shard0)
		for id, row := range held {
			taken, err := other.take(t.Context(), row, "")
			w.must(err)
			held[id] = taken
		}
		for range 20 {
			w.add(10)
			time.Sleep(time.Second)
			for id, row := range held {
				row.revision++
				_, err := other.write(t.Context(), change{shard: id, revision: row.revision})
				w.must(err)
				held[id] = row
			}
		}
		ended := func(why string) float64 { return testutil.ToFloat64(r.s.m.ended.WithLabelValues(why)) }
		if r.holds() != 0 || ended("taken") != 3 || ended("yielded") != 1 {
			t.Errorf("%d shards are held, %v were taken and %v given up", r.holds(), ended("taken"), ended("yielded"))
		}
		w.until("takeover", 15*time.Second, func() bool { return r.holds() == 4 }) // the other falls silent
		w.untilAll(time.Second)
		r.stop()
		w.wantAll(false)
	})
}

// A lease's end is judged by what was seen of it, not by anybody's clock: a
// row whose time was over long ago belongs to somebody until it was watched.
func TestClocksAreNotTrusted(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		past := &table{api: w.d, name: "leases", worker: "late", failover: -time.Hour}
		r, err := past.take(t.Context(), row{shard: "shardId-000000000000"}, "")
		w.must(err)
		b := w.run(w.note, nil)
		for range 30 { // it is alive, whatever its clock says
			time.Sleep(time.Second)
			r.revision++
			_, err = past.write(t.Context(), change{shard: r.shard, revision: r.revision})
			w.must(err)
			if b.holds() != 0 {
				t.Fatal("the lease of a living worker was taken")
			}
		}
		took := w.until("takeover", 15*time.Second, func() bool { return b.holds() == 1 })
		if took < 9*time.Second {
			t.Errorf("taken over after %v", took)
		}
		b.stop()
	})
}
