package rekey

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/source/kinesis"
)

// TestReshardWhileTasksComeAndGo: while the stream between them goes to twice its shards and
// back, tasks of both roles join, leave, die, and are stopped for longer than their leases
// last. Each record counts once, and the alerts are those of one engine that saw everything
// in the order of its arrival.
//
// WEIR_TEST_SEEDS, such as 7 or 0-9, has these seeds run at full size.
func TestReshardWhileTasksComeAndGo(t *testing.T) {
	seeds, full := stormSeeds(t)
	for _, tasks := range []int{1, 2, 5} {
		shards, lines := 4, 20
		switch {
		case full:
			shards, lines = 64, 40
		case tasks == 5:
			continue
		}
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("%d tasks/seed %d", tasks, seed), func(t *testing.T) {
				inHouse(t, 3, shards, func(t *testing.T, h *house) {
					(&storm{h: h, dice: rand.New(rand.NewPCG(uint64(seed), 4)), tasks: tasks}).run(shards, lines)
				})
			})
		}
	}
}

// stormSeeds are those that WEIR_TEST_SEEDS names, or one.
func stormSeeds(t *testing.T) (list []int, full bool) {
	text := os.Getenv("WEIR_TEST_SEEDS")
	if text == "" {
		return []int{0}, false
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, err := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("WEIR_TEST_SEEDS: %v", err)
	}
	for ; first <= last; first++ {
		list = append(list, first)
	}
	return list, true
}

type storm struct {
	h     *house
	dice  *rand.Rand
	tasks int // of each role
	done  map[string]int
}

func (s *storm) run(shards, lines int) {
	h := s.h
	s.done = make(map[string]int)
	h.poll = time.Second
	list := waves(s.dice, lines)
	want := h.oracle(list)
	for !h.raises(want) { // few lines may lead to no alert of some scenario
		list = waves(s.dice, lines)
		want = h.oracle(list)
	}
	for range s.tasks {
		h.ingest()
		h.detect()
	}
	time.Sleep(10 * time.Second)
	steps, turn := 0, len(list)/2
	for i, wave := range list {
		h.put(s.dice, wave...)
		time.Sleep(time.Duration(s.dice.IntN(700)) * time.Millisecond) // some are on their way
		for ; steps < 2*shards*(i+1)/len(list); steps++ {
			if steps < shards {
				h.split("events", 2*steps)
			} else {
				h.merge("events", steps-shards)
			}
		}
		if i == turn-1 {
			if _, open := h.shards("events"); len(open) != 2*shards {
				h.t.Errorf("%d shards are open in the middle", len(open))
			}
		}
		if s.dice.IntN(3) == 0 {
			time.Sleep(4 * time.Second)
			continue
		}
		s.act()
		time.Sleep(12 * time.Second) // what lines there are of others must not come before these
	}
	time.Sleep(20 * time.Second)
	if _, open := h.shards("events"); len(open) != shards {
		h.t.Errorf("%d shards are open in the end", len(open))
	}
	h.t.Log(s.done)
	h.compare(want, true)
}

// raises reports whether each scenario raises some of the alerts.
func (h *house) raises(alerts map[string]int) bool {
	by := make(map[string]bool)
	for alert := range alerts {
		name, _, _ := strings.Cut(alert, " ")
		by[name] = true
	}
	return len(by) == h.set.Len()
}

// act has a task of either role leave, each time in another way, and another one join.
func (s *storm) act() {
	tasks, start, role := s.h.ingests, s.h.ingest, "ingest"
	if s.dice.IntN(3) > 0 {
		tasks, start, role = s.h.detects, s.h.detect, "detect"
	}
	var run []*task
	for _, k := range tasks {
		if !k.ended {
			run = append(run, k)
		}
	}
	k := run[s.dice.IntN(len(run))]
	what := []string{"stop", "kill", "pause"}[s.dice.IntN(3)]
	s.done[what+" "+role]++
	switch what {
	case "stop":
		k.stop()
	case "kill":
		k.kill()
	case "pause":
		k.ended = true
		resume := k.link.pause()
		time.AfterFunc(7*time.Second, func() { // its leases last 4 s, and others have its shards
			resume()
			k.cancel()
		})
	}
	start()
}

// pauses is a handler that stops with its task.
func (l *link) pauses(handle func(context.Context, kinesis.Batch) error) func(context.Context, kinesis.Batch) error {
	return func(ctx context.Context, b kinesis.Batch) error {
		l.pass()
		err := handle(ctx, b)
		l.pass()
		return err
	}
}
