// Command scale prints what a record costs Weir as the work grows: over more shards of
// the stream, more clients, and more tasks that share the reading.
//
// It holds stand-ins for AWS, fills a stream, runs the real program and takes its CPU
// time from the system while it works the backlog off. The first fifth is left out:
// starting and growing tables is no part of what a record costs. Each row is held
// against the cheapest of its table.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// bar is how much more a record may cost in one row than in the cheapest.
const bar = 1.5

func run() error {
	records := flag.Int("records", 100_000, "records of each run, or as many as there are clients, or 40,000 for each shard, if that is more")
	only := flag.String("case", "", "run only the cases whose name matches this regular `expression`")
	binary := flag.String("weir", "", "the program; empty: it is built")
	rounds := flag.Int("rounds", 1, "runs of each case; the best one counts")
	flag.Parse()
	matching, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *binary == "" {
		*binary = filepath.Join(dir, "weir")
		build := exec.Command("go", "build", "-o", *binary, "./cmd/weir")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build weir: %w", err)
		}
	}
	missed := 0
	for _, t := range tables {
		var rows []*row
		for _, c := range t.cases {
			if !matching.MatchString(c.name) {
				continue
			}
			r, err := c.best(*binary, dir, max(*records, c.clients, 40_000*c.shards), *rounds)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			rows = append(rows, r)
		}
		missed += t.print(rows)
	}
	if missed > 0 {
		return fmt.Errorf("%d tables with a row that costs more than %.1f times the cheapest", missed, bar)
	}
	return nil
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
}

// print shows the rows, and reports 1 if one of them misses the bar.
func (t *table) print(rows []*row) (missed int) {
	if len(rows) == 0 {
		return 0
	}
	least := slices.MinFunc(rows, func(a, b *row) int { return int(a.cpu - b.cpu) }).cpu
	fmt.Printf("\n%s\n%16s  %10s  %12s  %9s  %11s  %6s\n", t.name, "", "records", "records/s", "CPU a record", "x cheapest", "RSS")
	for _, r := range rows {
		ratio := r.cpu / least
		verdict := "pass"
		if ratio > bar {
			verdict, missed = "FAIL", 1
		}
		fmt.Printf("%16s  %10d  %12.0f  %9.0f ns  %11.2f  %4d MB  %s\n", r.name, r.records, r.perSecond, r.cpu, ratio, r.rss>>20, verdict)
	}
	return missed
}
