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
// moves back, and that no shard is without a living owner for longer than twice the
// failover time.
type storm struct {
	w       *world
	dice    *rand.Rand
	vault   *vault
	workers []*runner
	log     []string
	begun   time.Time

	mu      sync.Mutex
	alive   map[string]bool // workers' names, as in the table
	since   map[string]time.Time
	worst   time.Duration // without an owner
	worstOf string
}

// rest is the least time between two changes among the workers. Who comes has to watch
// the dead for the failover time, and who goes before that has watched for nothing.
const rest = 13 * time.Second

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
						vault: newVault(), alive: make(map[string]bool), since: make(map[string]time.Time),
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
	acted, pause := time.Now(), rest
	for i := range 2 * shards {
		if i < shards {
			w.split(2 * i)
		} else {
			w.merge(i - shards)
		}
		w.add(s.dice.IntN(20))
		if time.Since(acted) > pause {
			s.act()
			acted, pause = time.Now(), rest+time.Duration(s.dice.IntN(5000))*time.Millisecond
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
	limit := 2 * 10 * time.Second
	if s.worst > limit {
		w.t.Errorf("shard %s had no owner for %v, more than %v", s.worstOf, s.worst, limit)
	}
	_, twice := w.audit()
	w.t.Logf("%d records, %d read again, %d shards in all; the longest without an owner: %v (%s)", w.put, twice, len(w.shards()), s.worst, s.worstOf)
}

func (s *storm) start() {
	r := s.w.keep(s.vault, s.w.note, both(shared, unhurried))
	s.workers = append(s.workers, r)
	s.lives(r, true)
}

func (s *storm) lives(r *runner, alive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive[r.s.table.worker] = alive
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
		r.kill()
	case "pause":
		s.lives(r, false)
		resume := r.link.pause()
		go func() { // it wakes up when others have its shards, and leaves
			time.Sleep(15 * time.Second)
			resume()
			time.Sleep(3 * time.Second)
			r.stop()
		}()
	}
	s.start()
}

// look notes which shards that there is something to read of have no owner that lives.
func (s *storm) look() {
	rows, err := s.w.peek()
	if err != nil {
		s.w.t.Error(err)
		return
	}
	list, now := s.w.shards(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, sh := range list {
		wanted := rows[id].checkpoint != shardEnd && !s.alive[rows[id].owner]
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
			s.since[id] = now
		}
		if gap := now.Sub(s.since[id]); gap > s.worst {
			s.worst, s.worstOf = gap, id
		}
	}
}

func (s *storm) holds() (n int) {
	for _, r := range s.workers {
		n += r.holds()
	}
	return n
}
