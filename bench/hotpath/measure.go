package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
)

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

// measureAll runs the variants in turns, so that what else the machine does meets all.
func measureAll(variants []*variant, lines [][]byte, rounds int) error {
	warm, measured := lines[:len(lines)/2], lines[len(lines)/2:]
	for range rounds {
		for _, v := range variants {
			if err := v.measure(warm, measured); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	return nil
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

// over is the median of the rounds' ratios: what slowed one round slowed both.
func (v *variant) over(other *variant) float64 {
	ratios := make([]float64, len(v.ns))
	for i := range ratios {
		ratios[i] = v.ns[i] / other.ns[i]
	}
	return median(ratios)
}

func printCosts(out io.Writer, variants []*variant, scan, tabs *variant) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tns a line\tx T\tx S\t")
	for _, v := range variants {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.1f\t\n", v.name, median(v.ns), v.over(tabs), v.over(scan))
	}
	w.Flush()
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
