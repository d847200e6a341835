// Command scale prints what a record costs Weir as the work grows: over more shards of
// the stream, more clients, and more tasks.
//
// It holds stand-ins for AWS, fills a stream, runs the real program as often as the case
// has tasks, and takes their CPU time from the system while they work the backlog off, as
// fast as a shard may be read (2 MB a second). What is left out:
//
//   - the start, and the first fifth of the records, by which tables and caches are made;
//   - what the tasks use when there is nothing to read, which is printed beside. It is
//     measured for ten seconds in which their reads go unanswered, so the calls by which
//     records are read are part of what these cost;
//   - snapshots, as they cost by the clock and by what there is to keep. What it costs to
//     keep all of it once, and to stop, is printed beside;
//   - the stand-ins, which are this process.
//
// Each row is held against the cheapest of its table, but for that of a single task that
// does everything beside several that share the work: the second stream has its price. A
// row that costs more than 1.5 times the cheapest is measured again, twice at most, and
// its cheapest run counts: what else the machine does only ever adds. The command ends with
// 1 where a row stays above that.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

const (
	bar   = 1.5 // how much more a record may cost in one row than in the cheapest
	again = 2   // how often a row that misses it is measured again
)

func run() error {
	o := options{}
	flag.IntVar(&o.records, "records", 100_000, "records of each run, or as many as there are clients, or 40,000 for each shard, if that is more")
	only := flag.String("case", "", "run only the cases whose name matches this regular `expression`")
	flag.StringVar(&o.binary, "weir", "", "the program; empty: it is built")
	flag.BoolVar(&o.quick, "quick", false, "a quarter of the records, and no case with more than 16 shards or 100,000 clients: to see that it works")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp("", "weir-scale-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	if o.binary == "" {
		o.binary = filepath.Join(o.dir, "weir")
		build := exec.Command("go", "build", "-o", o.binary, "./cmd/weir")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build weir: %w", err)
		}
	}
	missed := 0
	for _, t := range tables {
		rows, err := t.run(&o)
		if err != nil {
			return err
		}
		missed += t.print(os.Stdout, rows)
	}
	if missed > 0 {
		return fmt.Errorf("%d rows cost more than %.1f times the cheapest of their table", missed, bar)
	}
	return nil
}

type options struct {
	records     int
	only        *regexp.Regexp
	binary, dir string
	quick       bool
}

// wants tells whether a case is to be run, and with how many records.
func (o *options) wants(w *workload) (records int, ok bool) {
	records = max(o.records, w.clients, 40_000*w.shards)
	if o.quick {
		return records / 4, o.only.MatchString(w.name) && w.shards <= 16 && w.clients <= 100_000
	}
	return records, o.only.MatchString(w.name)
}

// A table is of cases that differ in one thing.
type table struct {
	name  string
	cases []workload
}

var tables = []table{
	{"shards of the stream, 100,000 clients", []workload{
		{name: "1 shard", shards: 1, clients: 100_000},
		{name: "4 shards", shards: 4, clients: 100_000},
		{name: "16 shards", shards: 16, clients: 100_000},
		{name: "64 shards", shards: 64, clients: 100_000},
	}},
	// Short lines, twenty a record, so that the stand-in's memory holds ten million of them.
	{"clients, 8 shards", []workload{
		{name: "1k clients", shards: 8, clients: 1000, short: true},
		{name: "10k clients", shards: 8, clients: 10_000, short: true},
		{name: "100k clients", shards: 8, clients: 100_000, short: true},
		{name: "1M clients", shards: 8, clients: 1_000_000, short: true},
		{name: "10M clients", shards: 8, clients: 10_000_000, short: true},
	}},
	{"tasks that ingest, and two that detect; 16 shards, 8 between tasks, 100,000 clients", []workload{
		{name: "1 task, all", shards: 16, between: 8, clients: 100_000, beside: true},
		{name: "1 ingest", shards: 16, between: 8, ingest: 1, detect: 2, clients: 100_000},
		{name: "2 ingest", shards: 16, between: 8, ingest: 2, detect: 2, clients: 100_000},
		{name: "3 ingest", shards: 16, between: 8, ingest: 3, detect: 2, clients: 100_000},
		{name: "4 ingest", shards: 16, between: 8, ingest: 4, detect: 2, clients: 100_000},
	}},
	{"all of it: for each task that ingests one that detects, 8 shards, 4 between tasks, 50,000 clients", []workload{
		{name: "1 + 1", shards: 8, between: 4, ingest: 1, detect: 1, clients: 50_000},
		{name: "2 + 2", shards: 16, between: 8, ingest: 2, detect: 2, clients: 100_000},
		{name: "3 + 3", shards: 24, between: 12, ingest: 3, detect: 3, clients: 150_000},
		{name: "4 + 4", shards: 32, between: 16, ingest: 4, detect: 4, clients: 200_000},
	}},
}

// run measures the cases that are wanted.
func (t *table) run(o *options) (rows []*row, err error) {
	measure := func(w *workload) (*row, error) {
		n, _ := o.wants(w)
		r, err := w.run(o.binary, o.dir, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		return r, nil
	}
	for i := range t.cases {
		if _, ok := o.wants(&t.cases[i]); !ok {
			continue
		}
		r, err := measure(&t.cases[i])
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	for range again {
		least := cheapest(rows)
		for i, r := range rows {
			if !r.misses(least) {
				continue
			}
			next, err := measure(r.workload)
			if err != nil {
				return nil, err
			}
			if next.total() < r.total() {
				rows[i] = next
			}
		}
	}
	return rows, nil
}

// cheapest is what a record costs in the cheapest row that others are held against.
func cheapest(rows []*row) (least float64) {
	for _, r := range rows {
		if !r.beside && (least == 0 || r.total() < least) {
			least = r.total()
		}
	}
	return least
}

// misses tells whether a row misses the bar.
func (r *row) misses(least float64) bool { return !r.beside && r.total() > bar*least }

// print shows the rows, and reports how many miss the bar.
func (t *table) print(w io.Writer, rows []*row) (missed int) {
	if len(rows) == 0 {
		return 0
	}
	least := cheapest(rows)
	fmt.Fprintf(w, "\n%s\n%16s  %10s  %10s  %12s  %12s  %10s  %10s  %9s  %8s\n", t.name,
		"", "records", "records/s", "CPU a record", "detect's part", "x cheapest", "idle", "snapshot", "memory")
	for _, r := range rows {
		verdict := "pass"
		switch {
		case r.beside:
			verdict = "-"
		case r.misses(least):
			verdict = "FAIL"
			missed++
		}
		ratio := 1.0
		if least > 0 { // else the row is alone
			ratio = r.total() / least
		}
		fmt.Fprintf(w, "%16s  %10d  %10.0f  %9.0f ns  %10.0f ns  %10.2f  %7.1f ms/s  %6d ms  %5d MB  %s\n",
			r.name, r.records, r.perSecond, r.total(), r.cpu["detect"], ratio, r.idle*1000, r.keep.Milliseconds(), r.rss>>20, verdict)
	}
	return missed
}
