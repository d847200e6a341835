package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// A row is one of the bars that the project set itself.
type row struct {
	name          string
	pass, stretch float64
	more          bool // more is better
	unit          string
	digits        int
	once          bool // has nothing to do with the scenarios
}

const (
	rowParseSIMD = iota
	rowParsePortable
	rowWholeSIMD
	rowWholePortable
	rowGrep
	rowCrowdSec
	rowAllocations
	rowFar
	rowBytes
	rowGC
	rowFlood
	rowWorkers
	rowHostile
)

var rows = []row{
	rowParseSIMD:     {name: "parse, SIMD / T", pass: 0.40, stretch: 0.25, digits: 2, once: true},
	rowParsePortable: {name: "parse, portable / T", pass: 0.75, stretch: 0.55, digits: 2, once: true},
	rowWholeSIMD:     {name: "end to end, SIMD / T", pass: 1.4, stretch: 0.9, digits: 2},
	rowWholePortable: {name: "end to end, portable / T", pass: 1.9, stretch: 1.3, digits: 2},
	rowGrep:          {name: "end to end / grep -c CPU, same file", pass: 1, stretch: 0.6, digits: 2},
	rowCrowdSec:      {name: "CrowdSec CPU a line / ours", pass: 500, stretch: 1000, more: true},
	rowAllocations:   {name: "allocations a line", pass: 0, stretch: 0, digits: 2},
	rowFar:           {name: "bucket event at many clients / at 1k", pass: 4, stretch: 2.5, digits: 2, once: true},
	rowBytes:         {name: "bytes for a live (client, scenario)", pass: 160, stretch: 128, once: true},
	rowGC:            {name: "GC CPU a cycle with many buckets", pass: 5, stretch: 1, unit: " ms", digits: 2, once: true},
	rowFlood:         {name: "attackers found in a flood, slots = half the live set", pass: 99, stretch: 100, more: true, unit: " %", digits: 1, once: true},
	rowWorkers:       {name: "2 workers / 1, total CPU a line", pass: 1.2, stretch: 1.05, digits: 2},
	rowHostile:       {name: "dearest hostile line / mean line", pass: hostileBar, stretch: hostileBar / 2, digits: 1},
}

// A table holds what was measured: a value for each row and set of scenarios, or why
// there is none.
type table struct {
	sets   []catalogue
	values map[cell]float64
	absent map[int]string
	notes  []string
}

type cell struct{ row, set int }

func newTable(sets []catalogue) *table {
	return &table{sets: sets, values: map[cell]float64{}, absent: map[int]string{}}
}

func (t *table) set(row, set int, value float64) { t.values[cell{row, set}] = value }

// skip says why a row has no value.
func (t *table) skip(row int, why string) { t.absent[row] = why }

// note adds a line below the table.
func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nthe bars")
	for _, s := range t.sets {
		fmt.Fprintf(w, "\t%s\t", s.name)
	}
	fmt.Fprintln(w, "\tpass\tstretch")
	failed := 0
	for i, r := range rows {
		fmt.Fprint(w, r.name)
		for s := range t.sets {
			value, measured := t.values[cell{i, s}]
			switch {
			case measured:
				verdict := r.verdict(value)
				if verdict == fail {
					failed++
				}
				fmt.Fprintf(w, "\t%s\t%s", r.format(value), verdict)
			case s > 0 && r.once:
				fmt.Fprint(w, "\t\t")
			default:
				fmt.Fprint(w, "\t-\tnot measured")
			}
		}
		sign := "<="
		if r.more {
			sign = ">="
		}
		fmt.Fprintf(w, "\t%s %s\t%s\n", sign, r.format(r.pass), r.format(r.stretch))
	}
	w.Flush()
	fmt.Fprintln(out)
	for i, r := range rows {
		if why, ok := t.absent[i]; ok {
			fmt.Fprintf(out, "NOT MEASURED: %s: %s\n", r.name, why)
		}
	}
	for _, n := range t.notes {
		fmt.Fprintln(out, n)
	}
	fmt.Fprintf(out, "%d missed\n", failed)
}

const fail = "FAIL"

func (r row) verdict(value float64) string {
	if r.more {
		value, r.pass, r.stretch = -value, -r.pass, -r.stretch
	}
	// A value is as good as it is printed.
	slack := 0.5
	for range r.digits {
		slack /= 10
	}
	switch {
	case value < r.stretch+slack:
		return "stretch"
	case value < r.pass+slack:
		return "pass"
	}
	return fail
}

func (r row) format(value float64) string { return fmt.Sprintf("%.*f%s", r.digits, value, r.unit) }
