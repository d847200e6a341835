package wafsim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"weir/internal/waf"
)

// TestRollingDeploy: a new process takes the lead while the old one still works.
func TestRollingDeploy(t *testing.T) {
	trial(t, "rolling deploys", func(t *testing.T, f *figures) {
		r := newRivals(t, f, 0.5)
		old, _ := r.lead()
		r.until(time.Minute, func() bool { return r.lost(0) == 0 })
		r.reset()
		for range 5 {
			r.live(2 * time.Minute)
			fresh, _ := r.lead()
			r.live(40 * time.Second) // both at work
			stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			old.halt()
			if !errors.Is(old.err, waf.ErrDeposed) {
				t.Errorf("the old process ended with %v", old.err)
			}
			_ = old.Flush(stop) // as at SIGTERM; what it may no longer write is the other's business
			cancel()
			old = fresh
		}
		r.live(time.Minute)
		r.settle()
		old.halt()
	})
}

// TestStoppedLeader: the leader is stopped (SIGSTOP) at any moment, in the middle
// of a call too, and goes on (SIGCONT) when another has long been leading.
func TestStoppedLeader(t *testing.T) {
	trial(t, "leaders stopped past their lease", func(t *testing.T, f *figures) {
		r := newRivals(t, f, 0.5)
		leader, way := r.lead()
		r.until(time.Minute, func() bool { return r.lost(0) == 0 })
		r.reset()
		for range 10 {
			r.live(time.Minute)
			pass(time.Duration(r.rng.IntN(2000)) * time.Millisecond)
			way.stop()
			r.live(15 * time.Second) // the lease
			next, nextWay := r.lead()
			r.live(time.Duration(10+r.rng.IntN(60)) * time.Second)
			way.goOn()
			r.live(time.Minute)
			leader.halt()
			if !errors.Is(leader.err, waf.ErrDeposed) {
				t.Errorf("the leader of before ended with %v", leader.err)
			}
			leader, way = next, nextWay
		}
		r.settle()
		leader.halt()
	})
}

// TestEverythingAtOnce: deploys, stopped leaders and people, together.
func TestEverythingAtOnce(t *testing.T) {
	trial(t, "deploys, stops and hand edits", func(t *testing.T, f *figures) {
		r := newRivals(t, f, 0.5)
		leader, way := r.lead()
		r.until(time.Minute, func() bool { return r.lost(0) == 0 })
		r.reset()
		var all []*process
		for i := range 300 {
			r.edit(i)
			r.live(2 * time.Second)
			if i%50 == 25 {
				way.stop()
				before := way
				all = append(all, leader)
				leader, way = r.lead()
				r.live(20 * time.Second)
				before.goOn()
			}
		}
		r.settle()
		for _, p := range slices.Concat(all, []*process{leader}) {
			p.halt()
		}
	})
}
