package rekey

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/detect"
)

// waves are log lines in which the order of a wave's lines does not matter, whoever counts: a
// wave has one line of each network, and of each software.
func waves(rng *rand.Rand, n int) (list [][]string) {
	start := time.Now()
	var all []string
	for w := range n {
		var wave []string
		for network := range 8 {
			client := fmt.Sprintf("198.51.%d.%d", network, 1+rng.IntN(3))
			if network%4 == 3 {
				client = fmt.Sprintf("2001:db8:%d:%d::1", network, rng.IntN(3))
			}
			at := start.Add(time.Duration(w) * 900 * time.Millisecond).UnixMilli()
			status := []int{404, 404, 404, 200, 403, 403, 401, 401, 302, 301}[rng.IntN(10)]
			if status == 302 && rng.IntN(4) > 0 {
				status = 301
			}
			line := fmt.Sprintf("%d.%03d\t%s\t%d\tGET\twww.example.com\t%s\tid-%d-%d\tHTTP/2.0\tTool/%d", at/1000, at%1000, client, status,
				[]string{"/a", "/b", "/c", "/d?q=1", "/e", "/.env"}[rng.IntN(6)], w, network, network)
			if len(all) > 0 && rng.IntN(15) == 0 { // Kinesis has it twice
				line = all[rng.IntN(len(all))]
				if !strings.Contains(line, client[:8]) || slices.ContainsFunc(wave, func(l string) bool {
					return network == int(l[len(l)-1]-'0') || strings.HasSuffix(l, line[len(line)-1:])
				}) || int(line[len(line)-1]-'0') != network {
					continue
				}
			}
			wave = append(wave, line)
		}
		all = append(all, wave...)
		list = append(list, wave)
	}
	return list
}

// oracle returns the alerts of one engine that sees all lines in their order.
func (h *house) oracle(list [][]string) map[string]int {
	alerts := make(map[string]int)
	e, err := detect.New(h.set, detect.Config{Shards: 1, Memory: 1 << 20, Registerer: prometheus.NewRegistry(), Alert: func(a detect.Alert) { alerts[alertKey(&a)]++ }})
	h.must(err)
	defer e.Close()
	for _, wave := range list {
		for _, line := range wave {
			records := make([]cloudfront.Record, 1)
			h.must(h.format.Parse(&records[0], []byte(line)))
			e.Process(records)
		}
	}
	return alerts
}

// compare checks that the alerts are those of one engine; each once, unless tasks died.
func (h *house) compare(want map[string]int, died bool) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	by := make(map[string]int)
	for alert, n := range want {
		if got := h.alerts[alert]; got != n && (got < n || !died) {
			h.t.Errorf("%d times: %s, want %d", got, alert, n)
		}
		name, _, _ := strings.Cut(alert, " ")
		by[name]++
	}
	for alert := range h.alerts {
		if want[alert] == 0 {
			h.t.Errorf("nobody else would raise: %s", alert)
		}
	}
	for i := range h.set.Len() {
		if name := h.set.At(i).Name; by[name] == 0 {
			h.t.Errorf("there is no alert of %s", name)
		}
	}
	h.t.Logf("alerts: %v", by)
}

// TestTasksCountAsOne: the alerts of one and of several tasks of each role are those of one
// engine.
func TestTasksCountAsOne(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inHouse(t, 3, 5, func(t *testing.T, h *house) {
				rng := rand.New(rand.NewPCG(uint64(n), 1))
				list := waves(rng, 40)
				want := h.oracle(list)
				for range n {
					h.ingest()
					h.detect()
				}
				time.Sleep(10 * time.Second) // they have shared the shards
				for _, wave := range list {
					h.put(rng, wave...)
					time.Sleep(1500 * time.Millisecond)
				}
				h.compare(want, false)
			})
		})
	}
}

// alive returns a task that runs, or nil if there is but one.
func alive(rng *rand.Rand, tasks []*task) *task {
	run := slices.DeleteFunc(slices.Clone(tasks), func(k *task) bool { return k.ended })
	if len(run) < 2 {
		return nil
	}
	return run[rng.IntN(len(run))]
}

// TestTasksComeAndGo: whatever happens to tasks, and however the stream between them is split
// and merged, each record counts once, and no bucket is forgotten.
func TestTasksComeAndGo(t *testing.T) {
	for seed := uint64(8); seed < uint64(8+runs(1)); seed++ { // in the first, there is some of everything
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inHouse(t, 3, 3, func(t *testing.T, h *house) {
				rng := rand.New(rand.NewPCG(seed, 2))
				list := waves(rng, 40)
				want := h.oracle(list)
				h.ingest()
				h.detect()
				time.Sleep(10 * time.Second)
				done := make(map[string]int)
				for _, wave := range list {
					h.put(rng, wave...)
					if rng.IntN(3) > 0 {
						time.Sleep(1500 * time.Millisecond)
						continue
					}
					time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)
					what := rng.IntN(7)
					tasks, start := h.ingests, h.ingest
					if rng.IntN(3) > 0 {
						tasks, start = h.detects, h.detect
					}
					k := alive(rng, tasks)
					switch {
					case what == 0 && k != nil:
						done["stop"]++
						k.stop()
					case what == 1 && k != nil:
						done["kill"]++
						k.kill()
					case what == 2 || what == 3:
						_, open := h.shards("events")
						if len(open) < 6 {
							done["split"]++
							h.split("events", rng.IntN(len(open)))
						}
					case what == 4:
						if _, open := h.shards("events"); len(open) > 2 {
							done["merge"]++
							h.merge("events", rng.IntN(len(open)-1))
						}
					default:
						done["start"]++
						start()
					}
					time.Sleep(15 * time.Second)
				}
				time.Sleep(20 * time.Second)
				t.Log(done)
				h.compare(want, done["kill"] > 0)
			})
		})
	}
}

// runs returns how many seeds are tried: WEIR_REKEY_SEEDS, or a few.
func runs(few int) int {
	if n, err := strconv.Atoi(os.Getenv("WEIR_REKEY_SEEDS")); err == nil {
		return n
	}
	return few
}
