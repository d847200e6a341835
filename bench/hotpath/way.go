package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/scenario"
)

// costs are the stages of a record's way.
type costs struct {
	all               []*variant
	scan, tabs, parse *variant
	whole, workers    []*variant // by set of scenarios: with one worker and with two
}

func measureWay(sets []catalogue, lines [][]byte, format *cloudfront.Format, rounds int) (*costs, error) {
	c := &costs{
		scan:  plain("scan (S)", scan),
		tabs:  plain("tab loop (T)", tabLoop),
		parse: plain("parse", func(lines [][]byte) error { return parse(lines, format) }),
	}
	c.all = append(c.all, c.scan, c.tabs, c.parse)
	for _, set := range sets {
		match := &variant{name: "parse + match, " + set.name, prepare: func(warm [][]byte) (*subject, error) {
			return newMatch(set, warm, format)
		}}
		whole := &variant{name: "line to decision, " + set.name, prepare: func(warm [][]byte) (*subject, error) {
			return newWhole(set, warm, format, 1)
		}}
		workers := &variant{name: "with 2 workers", prepare: func(warm [][]byte) (*subject, error) {
			return newWhole(set, warm, format, 2)
		}}
		c.whole, c.workers = append(c.whole, whole), append(c.workers, workers)
		c.all = append(c.all, match, whole, workers)
	}
	return c, measureAll(c.all, lines, rounds)
}

func (c *costs) print(out io.Writer) { printCosts(out, c.all, c.scan, c.tabs) }

// splitter names how lines are split in this build, on this machine.
func splitter() string {
	if vectors() {
		return "SIMD"
	}
	return "portable"
}

// crowdSec is the CPU time in nanoseconds that CrowdSec 1.7 takes for a line in replay,
// from and to, as it was measured once: it is not run here.
var crowdSec = [2]float64{550_000, 930_000}

func (c *costs) judge(t *table, sets []catalogue) error {
	parse, whole := rowParsePortable, rowWholePortable
	if vectors() {
		parse, whole = rowParseSIMD, rowWholeSIMD
		const why = "run it without GOEXPERIMENT=simd"
		t.skip(rowParsePortable, why)
		t.skip(rowWholePortable, why)
	} else {
		const why = "run it with GOEXPERIMENT=simd, on an amd64 with AVX2"
		t.skip(rowParseSIMD, why)
		t.skip(rowWholeSIMD, why)
	}
	t.set(parse, 0, c.parse.over(c.tabs))
	for i := range sets {
		t.set(whole, i, c.whole[i].over(c.tabs))
		t.set(rowWorkers, i, c.workers[i].over(c.whole[i]))
		t.set(rowCrowdSec, i, crowdSec[0]/median(c.whole[i].ns))
	}
	t.note("CrowdSec is not run here: %.0f us a line is the least that was measured of version 1.7 (550 to 930, with more scenarios, grok and enrichment).", crowdSec[0]/1000)
	return nil
}

// scan is what it costs to read the memory at all.
func scan(lines [][]byte) error {
	n := 0
	for _, l := range lines {
		n += bytes.Count(l, []byte{'\n'})
	}
	if n != 0 {
		return fmt.Errorf("%d newlines inside lines", n)
	}
	return nil
}

// tabLoop finds every tab, one call each.
func tabLoop(lines [][]byte) error {
	tabs := 0
	for _, l := range lines {
		for {
			i := bytes.IndexByte(l, '\t')
			if i < 0 {
				break
			}
			tabs++
			l = l[i+1:]
		}
	}
	if tabs == 0 {
		return errors.New("no tab in the log")
	}
	return nil
}

func parse(lines [][]byte, format *cloudfront.Format) error {
	var r cloudfront.Record
	good := 0
	for _, l := range lines {
		if format.Parse(&r, l) == nil {
			good++
		}
	}
	return most(good, len(lines))
}

func newMatch(set catalogue, warm [][]byte, format *cloudfront.Format) (*subject, error) {
	compiled, err := set.compile()
	if err != nil {
		return nil, err
	}
	var r cloudfront.Record
	m, hits := compiled.NewMatcher(), make([]scenario.Hit, 0, 32)
	match := func(lines [][]byte) error {
		good := 0
		for _, l := range lines {
			if format.Parse(&r, l) == nil {
				good++
				hits = m.Match(&r, hits[:0])
			}
		}
		return most(good, len(lines))
	}
	return &subject{run: match, close: func() {}}, match(warm)
}

// batch is how many lines a source hands over at once.
const batch = 2000

// newWhole is the way of a record from a line to a decision in memory, as the
// service has it, with as many callers as workers and as many parts of the state.
func newWhole(set catalogue, warm [][]byte, format *cloudfront.Format, workers int) (*subject, error) {
	compiled, err := set.compile()
	if err != nil {
		return nil, err
	}
	store, err := ban.Open(context.Background(), ban.Config{
		Duration: 4 * time.Hour, Action: ban.Block, Now: func(event time.Time) time.Time { return event },
	})
	if err != nil {
		return nil, err
	}
	engine, err := detect.New(compiled, detect.Config{
		Shards: workers, Memory: 256 << 20, Alert: store.Alert, Banned: store.Banned, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	flow := pipeline.New(pipeline.Config{
		Format: format, Engine: engine, Commit: store.Commit, Seen: store.Seen,
		Answers: []uint16{blockStatus, 405, 202}, Answered: store.Answered,
		Allowed: func(netip.Addr) bool { return false },
	})
	handle := func(lines [][]byte) error {
		batches := slices.Collect(slices.Chunk(lines, batch))
		errs := make([]error, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < len(batches) && errs[w] == nil; i += workers {
					errs[w] = flow.Handle(context.Background(), batches[i], nil)
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	closeAll := func() {
		engine.Close()
		store.Close()
	}
	return &subject{run: handle, close: closeAll}, handle(warm)
}

// measureAllocations counts them on the way of the records of clients that raise no
// alert: an alert is something to keep.
func measureAllocations(set catalogue, lines [][]byte, format *cloudfront.Format) (float64, error) {
	compiled, err := set.compile()
	if err != nil {
		return 0, err
	}
	records := make([]cloudfront.Record, 0, len(lines))
	for _, l := range lines {
		records = records[:len(records)+1]
		if format.Parse(&records[len(records)-1], l) != nil {
			records = records[:len(records)-1]
		}
	}
	var mu sync.Mutex
	guilty := map[netip.Prefix]bool{}
	pour := func(records []cloudfront.Record, alert func(detect.Alert)) (allocations uint64, err error) {
		engine, err := detect.New(compiled, detect.Config{
			Shards: 1, Memory: 256 << 20, Alert: alert, Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			return 0, err
		}
		defer engine.Close()
		warm, measured := records[:len(records)/2], records[len(records)/2:]
		for chunk := range slices.Chunk(warm, batch) {
			engine.Process(chunk)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for chunk := range slices.Chunk(measured, batch) {
			engine.Process(chunk)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs, nil
	}
	_, err = pour(records, func(a detect.Alert) {
		mu.Lock()
		defer mu.Unlock()
		guilty[a.Client] = true
	})
	if err != nil {
		return 0, err
	}
	innocent := slices.DeleteFunc(records, func(r cloudfront.Record) bool { return guilty[r.Client()] })
	allocations, err := pour(innocent, func(detect.Alert) {})
	return float64(allocations) / float64(len(innocent)/2), err
}

// most makes sure that what was measured is the ordinary case.
func most(good, all int) error {
	if good < all*99/100 {
		return fmt.Errorf("only %d of %d lines are well-formed: is the field list right?", good, all)
	}
	return nil
}
