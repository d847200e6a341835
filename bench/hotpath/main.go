// Command hotpath measures what a record costs on its way through memory, without
// a network, and holds it against the project's bars. Nearly all of them are ratios
// to a yardstick that is taken in the same run, on the same bytes: the tab loop (T)
// finds every tab of a line with one call each, the scan (S) reads the memory. The
// machine's mood changes the nanoseconds by a third; the ratios hold.
//
//	go run ./bench/hotpath                     a made log
//	go run ./bench/hotpath -log FILE -fields LIST|@FILE
//	GOEXPERIMENT=simd go run ./bench/hotpath   with the vector splitter
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

func main() {
	var o options
	flag.StringVar(&o.log, "log", "", "a real-time log, plain or gzip; none: a made one")
	flag.StringVar(&o.fields, "fields", "", "the log's fields: a list, or @FILE")
	flag.IntVar(&o.rounds, "rounds", 9, "rounds; the median is printed")
	flag.IntVar(&o.clients, "clients", 10_000_000, "clients of the rows about many buckets; 0 leaves them out")
	flag.StringVar(&o.hub, "hub", defaultHub(), "a directory with scenarios of the CrowdSec hub, for a second column")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "hotpath:", err)
		os.Exit(1)
	}
}

type options struct {
	log, fields, hub string
	rounds, clients  int
}

// A catalogue is a set of scenarios that the way of a record is measured with.
type catalogue struct {
	name    string
	compile func() (*scenario.Set, error)
}

// catalogues returns the built-in scenarios, and those of the hub if their directory
// is known. It says so if they are not there.
func catalogues(hub string) []catalogue {
	sets := []catalogue{{"built-in", builtIn}}
	if hub == "" {
		fmt.Fprintf(os.Stderr, "NOT MEASURED: the hub's scenarios: -hub names their directory, and without it %s is taken where it is\n", hubDir)
		return sets
	}
	return append(sets, catalogue{"hub", func() (*scenario.Set, error) {
		list, err := scenario.Load([]string{hub})
		if err != nil {
			return nil, err
		}
		return scenario.Compile(list, scenario.Options{BlockStatuses: []uint16{blockStatus}})
	}})
}

// hubDir is where scenarios of the CrowdSec hub lie, seen from the repository.
const hubDir = "../shared/hub/scenarios"

// defaultHub is hubDir if it is there.
func defaultHub() string {
	if _, err := os.Stat(hubDir); err != nil {
		return ""
	}
	return hubDir
}

func builtIn() (*scenario.Set, error) {
	return scenario.Compile(scenario.Catalogue(), scenario.Options{BlockStatuses: []uint16{blockStatus}})
}

// blockStatus is the status of the WAF's own answers in made and in labelled logs.
const blockStatus = 429

func run(o options) error {
	sets := catalogues(o.hub)
	t := newTable(sets)
	// Before there is a log in memory: it would count for the collector.
	if o.clients > 0 {
		if err := measureBuckets(t, o.clients); err != nil {
			return fmt.Errorf("buckets: %w", err)
		}
	} else {
		for _, row := range []int{rowFar, rowBytes, rowGC, rowFlood} {
			t.skip(row, "left out by -clients 0")
		}
	}
	lines, fields, err := load(o.log, o.fields)
	if err != nil {
		return err
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return err
	}
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	fmt.Printf("%d lines of %d columns, %d bytes a line, %s, GOMAXPROCS %d, splitter: %s\n\n",
		len(lines), len(fields), size/len(lines), runtime.Version(), runtime.GOMAXPROCS(0), splitter())

	costs, err := measureWay(sets, lines, format, o.rounds)
	if err != nil {
		return err
	}
	costs.print(os.Stdout)
	if err := costs.judge(t, sets); err != nil {
		return err
	}
	if err := measureGrep(t, sets, costs, lines, o.rounds); err != nil {
		return err
	}
	for i, set := range sets {
		allocations, err := measureAllocations(set, lines, format)
		if err != nil {
			return err
		}
		t.set(rowAllocations, i, allocations)
	}
	hostile, err := measureHostile(t, sets, costs, lines, format, fields)
	if err != nil {
		return fmt.Errorf("hostile lines: %w", err)
	}
	hostile.print(os.Stdout)
	t.print(os.Stdout)
	return nil
}
