package leader

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/awslocal"
)

// Processes that come, go, crash, pause and meet every kind of fault: whatever
// happens, the auditor finds nobody who acts in the name of an epoch after a later
// one has begun, epochs only grow, and in the end somebody leads.
func TestChaos(t *testing.T) {
	seeds := 10
	if testing.Short() {
		seeds = 3
	}
	terms := 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { terms += chaos(t, uint64(seed)) })
		})
	}
	t.Logf("%d terms", terms)
	if terms < 4*seeds {
		t.Errorf("%d terms in %d runs: too little happens", terms, seeds)
	}
}

func chaos(t *testing.T, seed uint64) (terms int) {
	w := newWorld(t, seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	born := 0
	var workers []*worker
	start := func() {
		born++
		workers = append(workers, w.run(fmt.Sprint("p", born), nil))
		workers[len(workers)-1].lastWord = time.Duration(dice.IntN(5000)) * time.Millisecond
	}
	// pick is the leader half of the time: what happens to others matters little.
	pick := func() int {
		for i, p := range workers {
			if p.leads() && dice.IntN(2) == 0 {
				return i
			}
		}
		return dice.IntN(len(workers))
	}
	remove := func(i int) *worker {
		p := workers[i]
		workers = append(workers[:i], workers[i+1:]...)
		return p
	}
	var resume []func()
	wake := func() {
		for _, f := range resume {
			f()
		}
		resume = nil
	}
	for range 3 {
		start()
	}
	kinds := awslocal.FaultKinds()
	for range 40 {
		switch n := dice.IntN(10); n {
		case 0:
			wake()
			remove(pick()).kill()
			start()
		case 1:
			wake()
			remove(pick()).stop()
			start()
		case 2, 3:
			if p := workers[pick()]; p.link.running() {
				resume = append(resume, p.link.pause())
			}
		case 4:
			wake()
		case 5:
			w.down(time.Duration(dice.IntN(30)) * time.Second)
		case 6, 7:
			w.faults.Add(awslocal.Fault{
				Service: "dynamodb", Probability: dice.Float64(), For: time.Duration(dice.IntN(20)) * time.Second,
				Do: kinds[dice.IntN(len(kinds))], Delay: time.Duration(dice.IntN(12000)) * time.Millisecond,
			})
		case 9:
			for _, p := range workers {
				p.eligible.Store(true)
			}
			workers[pick()].eligible.Store(false)
		}
		time.Sleep(time.Duration(dice.IntN(8000)) * time.Millisecond)
	}
	wake()
	w.faults.Clear()
	for _, p := range workers {
		p.eligible.Store(true)
	}
	time.Sleep(30 * time.Second)
	leaders := 0
	for _, p := range workers {
		if p.leads() {
			leaders++
		}
	}
	if leaders != 1 {
		t.Errorf("in the end %d lead", leaders)
	}
	for _, p := range workers {
		p.stop()
	}
	return len(w.leaders)
}
