package kinesis

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/awslocal"
)

// A storm reshards a stream to twice its shards and back while workers that share it
// come, go, are killed, and sleep past the end of their leases. They keep a state for
// each shard. What must hold is that each record is counted once, that no checkpoint
// moves back, and that no shard waits for an owner for longer than twice the failover
// time.
//
// A shard waits when there is something to read of it, its parents are finished, and
// whoever its row names does not live. The wait begins with the death of the latest
// owner (each one that dies costs a failover time, as nobody knows of a death but by
// silence), or when the lease was given back, or when the last parent was finished. It
// does not begin before somebody lives who lives to its end: who was not there has not
// heard the silence.
type storm struct {
	w       *world
	dice    *rand.Rand
	vault   *vault
	workers []*runner
	log     []string
	begun   time.Time

	mu     sync.Mutex
	born   map[string]time.Time // who lives, since the start or since waking up; by name in the table
	died   map[string]time.Time // who does not
	since  map[string]time.Time // who waits, by shard
	looked time.Time
	worst  wait
	plain  wait // however short the lives of those who could have taken it
}

type wait struct {
	of   string
	long time.Duration
}

func (w *wait) see(of string, long time.Duration) {
	if long > w.long {
		*w = wait{of, long}
	}
}

func TestReshardWithWorkers(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		for _, seed := range seeds(t, 1) {
			shards, lasts := 64, 3*time.Minute
			if os.Getenv("WEIR_TEST_SEEDS") == "" { // the variable has them all at full size
				shards, lasts = 6+2*workers, time.Minute
			}
			t.Run(fmt.Sprintf("%d workers/seed %d", workers, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := &storm{
						w: newWorld(t, shards, awslocal.Config{}), dice: rand.New(rand.NewPCG(uint64(seed), 3)),
						vault: newVault(), born: make(map[string]time.Time), died: make(map[string]time.Time), since: make(map[string]time.Time),
					}
					s.run(workers, shards, lasts)
					if t.Failed() {
						t.Logf("WEIR_TEST_SEEDS=%d fails; what was done: %q", seed, s.log)
					}
				})
			})
		}
	}
}

func (s *storm) run(workers, shards int, lasts time.Duration) {
	w := s.w
	w.latency()
	s.begun = time.Now()
	s.looked = s.begun
	for range workers {
		s.start()
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(500 * time.Millisecond):
				s.look()
			}
		}
	})
	w.trickle(50, time.Second, 10*time.Second)
	acted, pause := time.Now(), time.Duration(0)
	for i := range 2 * shards {
		if i < shards {
			w.split(2 * i)
		} else {
			w.merge(i - shards)
		}
		w.add(s.dice.IntN(20))
		if time.Since(acted) > pause {
			s.act()
			acted, pause = time.Now(), s.pause()
		}
		time.Sleep(time.Duration(s.dice.Int64N(int64(lasts) / int64(shards))))
	}
	w.trickle(50, time.Second, 25*time.Second) // who sleeps wakes up, who is dead is found to be
	w.untilAll(30 * time.Second)
	w.until("owner of every shard", 10*time.Second, func() bool { return s.holds() == shards }) // one may be on its way
	close(done)
	wg.Wait()
	for _, r := range s.workers {
		r.stop()
	}
	s.vault.audit(w)
	if limit := 2 * 10 * time.Second; s.worst.long > limit {
		w.t.Errorf("shard %s had no owner for %v, more than %v", s.worst.of, s.worst.long, limit)
	}
	_, twice := w.audit()
	w.t.Logf("%d records, %d read again, %d shards in all; the longest without an owner: %v (%s); whoever lived: %v (%s)",
		w.put, twice, len(w.shards()), s.worst.long, s.worst.of, s.plain.long, s.plain.of)
}

// pause is how long it is until the next change among the workers: half of them come before
// anybody can have taken what the one before has left.
func (s *storm) pause() time.Duration {
	if s.dice.IntN(2) == 0 {
		return time.Second + time.Duration(s.dice.IntN(6000))*time.Millisecond
	}
	return 7*time.Second + time.Duration(s.dice.IntN(12000))*time.Millisecond
}

func (s *storm) start() {
	r := s.w.keep(s.vault, s.w.note, both(shared, unhurried))
	s.workers = append(s.workers, r)
	s.lives(r, true)
}

func (s *storm) lives(r *runner, alive bool) {
	s.look() // else what it held a moment ago is not known
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.s.table.worker
	delete(s.born, name)
	delete(s.died, name)
	if alive {
		s.born[name] = time.Now()
	} else {
		s.died[name] = time.Now()
	}
}

// take removes a worker from the list, at random.
func (s *storm) take() *runner {
	i := s.dice.IntN(len(s.workers))
	r := s.workers[i]
	s.workers = append(s.workers[:i:i], s.workers[i+1:]...)
	return r
}

// act has one worker leave, each time in another way, and another one join.
func (s *storm) act() {
	r := s.take()
	what := []string{"stop", "kill", "pause"}[s.dice.IntN(3)]
	s.log = append(s.log, fmt.Sprintf("%s %s at %v", what, r.s.table.worker, time.Since(s.begun)))
	switch what {
	case "stop":
		r.stop()
		s.lives(r, false)
	case "kill":
		s.lives(r, false)
		r.link.cut.Store(true)
		r.cancel() // its goroutines end while others go on
	case "pause":
		s.lives(r, false)
		resume := r.link.pause()
		go func() { // it wakes up when others have its shards, and leaves
			time.Sleep(15 * time.Second)
			resume()
			s.lives(r, true)
			time.Sleep(3 * time.Second)
			r.stop()
			s.lives(r, false)
		}()
	}
	s.start()
}

// look notes which shards wait, and for how long.
func (s *storm) look() {
	rows, err := s.w.peek()
	if err != nil {
		s.w.t.Error(err)
		return
	}
	list, now := s.w.shards(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := now
	for _, at := range s.born {
		if at.Before(ready) {
			ready = at
		}
	}
	for id, sh := range list {
		row := rows[id]
		_, owned := s.born[row.owner]
		wanted := row.checkpoint != shardEnd && !owned
		for _, p := range sh.parents {
			if _, there := list[p]; there && rows[p].checkpoint != shardEnd {
				wanted = false
			}
		}
		if !wanted {
			delete(s.since, id)
			continue
		}
		if s.since[id].IsZero() {
			s.since[id] = s.looked // it may have begun right after
		}
		from := later(s.since[id], s.died[row.owner]) // a write that was under way has named it after its death
		s.plain.see(id, now.Sub(from))
		s.worst.see(id, now.Sub(later(from, ready)))
	}
	s.looked = now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *storm) holds() (n int) {
	for _, r := range s.workers {
		n += r.holds()
	}
	return n
}
