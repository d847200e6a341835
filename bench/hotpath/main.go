// Command hotpath measures what a record costs on its way through memory:
// parsing, matching and pouring, without a network. It prints nanoseconds of
// CPU a line and the ratio to two yardsticks taken in the same run, on the same
// bytes: the tab loop (T) and the scan (S). The machine's mood changes the
// nanoseconds by a third; the ratios hold.
//
//	go run ./bench/hotpath                     a made log
//	go run ./bench/hotpath -log FILE -fields LIST|@FILE
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/scenario"
	"weir/internal/source/file"
	"weir/internal/traffic"
)

func main() {
	log := flag.String("log", "", "a real-time log, plain or gzip; none: a made one")
	fields := flag.String("fields", "", "the log's fields: a list, or @FILE")
	rounds := flag.Int("rounds", 9, "rounds; the median is printed")
	flag.Parse()
	if err := run(*log, *fields, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "hotpath:", err)
		os.Exit(1)
	}
}

// variant is one thing that is measured over the second half of the log. What
// it needs, the first half has warmed up: a service is seldom new.
type variant struct {
	name    string
	prepare func(warm [][]byte) (*subject, error)
	ns      []float64 // CPU a line, by round
}

// subject is what one round of a variant measures.
type subject struct {
	run   func(lines [][]byte) error
	close func()
}

// plain is a variant without anything to prepare.
func plain(name string, run func([][]byte) error) *variant {
	return &variant{name: name, prepare: func([][]byte) (*subject, error) {
		return &subject{run: run, close: func() {}}, nil
	}}
}

func run(log, list string, rounds int) error {
	lines, fields, err := load(log, list)
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
	fmt.Printf("%d lines of %d columns, %d bytes a line, %d scenarios, %s, GOMAXPROCS %d\n\n",
		len(lines), len(fields), size/len(lines), len(scenario.Catalogue()), runtime.Version(), runtime.GOMAXPROCS(0))

	variants := []*variant{
		plain("scan (S)", scan),
		plain("tab loop (T)", tabLoop),
		plain("parse", func(lines [][]byte) error { return parse(lines, format) }),
		{name: "parse + match", prepare: func(warm [][]byte) (*subject, error) { return newMatch(warm, format) }},
		{name: "line to decision, 1 shard", prepare: func(warm [][]byte) (*subject, error) { return newWhole(warm, format, 1) }},
		{name: "line to decision, 2 shards", prepare: func(warm [][]byte) (*subject, error) { return newWhole(warm, format, 2) }},
	}
	warm, measured := lines[:len(lines)/2], lines[len(lines)/2:]
	for range rounds {
		for _, v := range variants {
			if err := v.measure(warm, measured); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tns a line\tx T\tx S\t")
	for _, v := range variants {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.1f\t\n", v.name, median(v.ns), median(v.ns)/median(variants[1].ns), median(v.ns)/median(variants[0].ns))
	}
	return w.Flush()
}

func (v *variant) measure(warm, lines [][]byte) error {
	s, err := v.prepare(warm)
	if err != nil {
		return err
	}
	defer s.close()
	runtime.GC()
	before := cpu()
	if err := s.run(lines); err != nil {
		return err
	}
	v.ns = append(v.ns, float64(cpu()-before)/float64(len(lines)))
	return nil
}

// load reads the log into memory, or makes one.
func load(log, list string) ([][]byte, []cloudfront.Field, error) {
	if log == "" {
		fields, err := cloudfront.ParseFields(strings.Join(traffic.Fields, ","))
		return madeLog(), fields, err
	}
	if name, ok := strings.CutPrefix(list, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		list = string(b)
	}
	fields, err := cloudfront.ParseFields(list)
	if err != nil {
		return nil, nil, err
	}
	var lines [][]byte
	src := file.New(log)
	err = src.Run(context.Background(), func(_ context.Context, batch [][]byte, _ []time.Time) error {
		for _, l := range batch {
			lines = append(lines, bytes.Clone(l))
		}
		return nil
	})
	return lines, fields, err
}

func madeLog() [][]byte {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var lines [][]byte
	mix := traffic.New(traffic.Config{Seed: 1, Start: start, Rate: 3000, Spread: 20 * time.Second})
	mix.Until(start.Add(40*time.Second), func(line []byte) { lines = append(lines, bytes.Clone(line)) })
	return lines
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
		return fmt.Errorf("no tab in the log")
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

func newMatch(warm [][]byte, format *cloudfront.Format) (*subject, error) {
	set, err := scenario.Compile(scenario.Catalogue(), scenario.Options{BlockStatus: 429})
	if err != nil {
		return nil, err
	}
	var r cloudfront.Record
	m, hits := set.NewMatcher(), make([]scenario.Hit, 0, 32)
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

// newWhole is the way of a record from a line to a decision in memory, as the
// service has it.
func newWhole(warm [][]byte, format *cloudfront.Format, shards int) (*subject, error) {
	set, err := scenario.Compile(scenario.Catalogue(), scenario.Options{BlockStatus: 429})
	if err != nil {
		return nil, err
	}
	store, err := ban.Open(context.Background(), ban.Config{
		Duration: 4 * time.Hour, Action: ban.Block, Now: func(event time.Time) time.Time { return event },
	})
	if err != nil {
		return nil, err
	}
	engine, err := detect.New(set, detect.Config{
		Shards: shards, Memory: 256 << 20, Alert: store.Alert, Banned: store.Banned, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	flow := pipeline.New(pipeline.Config{
		Format: format, Engine: engine, Commit: store.Commit,
		Allowed: func(netip.Addr) bool { return false },
	})
	handle := func(lines [][]byte) error {
		for batch := range slices.Chunk(lines, 2000) {
			if err := flow.Handle(context.Background(), batch, nil); err != nil {
				return err
			}
		}
		return nil
	}
	closeAll := func() {
		engine.Close()
		store.Close()
	}
	return &subject{run: handle, close: closeAll}, handle(warm)
}

// most makes sure that what was measured is the ordinary case.
func most(good, all int) error {
	if good < all*99/100 {
		return fmt.Errorf("only %d of %d lines are well-formed: is the field list right?", good, all)
	}
	return nil
}

// cpu is the CPU time of the whole process, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage of the process itself: " + err.Error())
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
