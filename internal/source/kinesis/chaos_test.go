package kinesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/awslocal"
)

// chaos is a seeded run of workers to which everything happens at once. What
// must hold is that no record is lost and no checkpoint moves back, and if workers
// keep a state, that every record is counted once in it.
type chaos struct {
	w       *world
	dice    *rand.Rand
	change  func(*Config)
	workers []*runner
	vault   *vault   // nil = workers keep no state
	resume  []func() // of workers that are paused
	log     []string
}

func TestChaos(t *testing.T) {
	modes := map[string]func(*Config){"one": nil, "share": shared, "fan-out": fanned}
	for mode, change := range modes {
		for _, seed := range seeds(t, 2) {
			t.Run(fmt.Sprintf("%s/%d", mode, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := &chaos{
						w: newWorld(t, 3, awslocal.Config{Kinesis: awslocal.KinesisConfig{
							SubscriptionLife: 10 * time.Second, EmptyEvery: 7,
						}}),
						dice: rand.New(rand.NewPCG(uint64(seed), 1)), change: change,
					}
					if seed > 0 { // who keeps no state is watched, too
						c.vault = newVault()
						c.change = both(change, func(c *Config) { c.Poll = time.Second })
					}
					c.run()
				})
			})
		}
	}
}

// seeds are those that random runs begin with: 0 to n-1, or what WEIR_TEST_SEEDS says,
// such as 7 for that one and 0-99 for a hundred.
func seeds(t *testing.T, n int) (list []int) {
	t.Helper()
	first, last := 0, n-1
	if text := os.Getenv("WEIR_TEST_SEEDS"); text != "" {
		from, to, isRange := strings.Cut(text, "-")
		if !isRange {
			to = from
		}
		var err, err2 error
		if first, err = strconv.Atoi(from); err == nil {
			last, err2 = strconv.Atoi(to)
		}
		if err := errors.Join(err, err2); err != nil {
			t.Fatalf("WEIR_TEST_SEEDS: %v", err)
		}
	}
	for ; first <= last; first++ {
		list = append(list, first)
	}
	return list
}

// both makes one change after the other; nil makes none.
func both(changes ...func(*Config)) func(*Config) {
	return func(c *Config) {
		for _, change := range changes {
			if change != nil {
				change(c)
			}
		}
	}
}

func (c *chaos) run() {
	w := c.w
	defer w.watch()()
	c.start()
	c.start()
	for range 60 {
		w.add(c.dice.IntN(40))
		c.act()
		time.Sleep(time.Duration(c.dice.IntN(3000)) * time.Millisecond)
	}
	for len(c.resume) > 0 {
		c.wake()
	}
	w.faults.Clear()
	w.until("end of the records", 90*time.Second, func() bool { lost, _ := w.audit(); return lost == 0 })
	for _, r := range c.workers {
		r.stop()
	}
	if c.vault != nil {
		c.vault.audit(w)
	}
	if w.t.Failed() {
		w.t.Logf("%q", c.log)
	}
	_, twice := w.audit()
	w.t.Logf("%d records, %d handled again", w.put, twice)
}

func (c *chaos) note(format string, args ...any) {
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

// start adds a worker whose handler fails now and then.
func (c *chaos) start() {
	dice := rand.New(rand.NewPCG(c.dice.Uint64(), 2))
	var mu sync.Mutex // handlers run at once, a generator must not
	draw := func() int {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(100)
	}
	handle := func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
		switch n := draw(); {
		case n < 5:
			return errors.New("not now")
		case n < 7:
			panic("not ever")
		case n < 10:
			time.Sleep(time.Duration(n) * 500 * time.Millisecond)
		}
		return c.w.note(ctx, lines, arrived)
	}
	if c.vault == nil {
		c.workers = append(c.workers, c.w.run(handle, c.change))
		return
	}
	r := c.w.keep(c.vault, handle, c.change)
	c.workers = append(c.workers, r)
}

// take removes a worker from the list, at random.
func (c *chaos) take() *runner {
	i := c.dice.IntN(len(c.workers))
	r := c.workers[i]
	c.workers = append(c.workers[:i], c.workers[i+1:]...)
	return r
}

func (c *chaos) wake() {
	c.resume[0]()
	c.resume = c.resume[1:]
}

func (c *chaos) act() {
	switch n := c.dice.IntN(12); n {
	case 0:
		c.note("kill")
		r := c.take()
		c.wakeAll()
		r.kill()
		c.start()
	case 1:
		c.note("stop")
		c.wakeAll()
		r := c.take()
		r.cancel()
		<-r.done
		c.start()
	case 2:
		c.note("pause")
		c.resume = append(c.resume, c.workers[c.dice.IntN(len(c.workers))].link.pause())
	case 3, 4:
		if len(c.resume) > 0 {
			c.note("wake")
			c.wake()
		}
	case 5:
		if open := len(c.w.describe()); open < 8 {
			c.note("split")
			c.w.split(c.dice.IntN(open))
		}
	case 6:
		if open := len(c.w.describe()); open > 2 {
			c.note("merge")
			c.w.merge(c.dice.IntN(open - 1))
		}
	case 7, 8, 9:
		f := c.fault()
		c.note("%s %s %s for %v", f.Service, f.Action, f.Do, f.For)
		c.w.faults.Add(f)
	}
}

func (c *chaos) wakeAll() {
	for len(c.resume) > 0 {
		c.wake()
	}
}

func (c *chaos) fault() awslocal.Fault {
	kinds := awslocal.FaultKinds()
	f := awslocal.Fault{
		Do:          kinds[c.dice.IntN(len(kinds))],
		For:         time.Duration(c.dice.IntN(15_000)) * time.Millisecond,
		Probability: c.dice.Float64(),
	}
	if f.Do == awslocal.FaultDelay {
		f.Delay = time.Duration(c.dice.IntN(4000)) * time.Millisecond
	}
	targets := [][2]string{
		{"dynamodb", "UpdateItem"},
		{"dynamodb", "Scan"},
		{"dynamodb", ""},
		{"kinesis", "GetRecords"},
		{"kinesis", "GetShardIterator"},
		{"kinesis", "SubscribeToShard"},
	}
	at := targets[c.dice.IntN(len(targets))]
	f.Service, f.Action = at[0], at[1]
	return f
}
