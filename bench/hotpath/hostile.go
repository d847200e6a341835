package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"weir/internal/cloudfront"
)

// hostileBar is how often the mean cost of the log's own lines a line may cost whose
// sender means it to be dear.
const hostileBar = 10

// hostileRounds is how often each kind is measured: they are many, and the bar is wide.
const hostileRounds = 3

// hostile is what forged lines cost on the way to a decision.
type hostile struct {
	sets  []catalogue
	kinds []*hostileKind
}

type hostileKind struct {
	name string
	why  string    // it was not measured
	size float64   // bytes a line
	ns   []float64 // by set of scenarios: CPU a line
	mean []float64 // times what the mean line costs
	byte []float64 // times what a byte of the mean line costs
}

// measureHostile measures lines that are forged from the second half of the log, with
// all that the first half left behind.
func measureHostile(t *table, sets []catalogue, c *costs, lines [][]byte, format *cloudfront.Format, fields []cloudfront.Field) (*hostile, error) {
	h := &hostile{sets: sets}
	warm, own := lines[:len(lines)/2], lines[len(lines)/2:]
	ownSize := meanSize(own)
	dearest := make([]float64, len(sets))
	for _, y := range forgeries() {
		k := &hostileKind{name: y.name}
		h.kinds = append(h.kinds, k)
		forged, err := y.lines(own, fields)
		if errors.Is(err, errNoColumn) {
			k.why = err.Error()
			continue
		}
		if err != nil {
			return nil, err
		}
		k.size = meanSize(forged)
		for i, set := range sets {
			v := &variant{name: y.name, prepare: func(warm [][]byte) (*subject, error) {
				return newWhole(set, warm, format, 1)
			}}
			for range hostileRounds {
				if err := v.measure(warm, forged); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", y.name, set.name, err)
				}
			}
			ns := median(v.ns)
			mean := ns / median(c.whole[i].ns)
			k.ns, k.mean, k.byte = append(k.ns, ns), append(k.mean, mean), append(k.byte, mean*ownSize/k.size)
			dearest[i] = max(dearest[i], mean)
		}
	}
	for i := range sets {
		t.set(rowHostile, i, dearest[i])
	}
	return h, nil
}

func meanSize(lines [][]byte) float64 {
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	return float64(size) / float64(max(1, len(lines)))
}

func (h *hostile) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nhostile lines\tbytes a line\t")
	for _, s := range h.sets {
		fmt.Fprintf(w, "%s: ns\tx mean\tx a byte\t\t", s.name)
	}
	fmt.Fprintln(w)
	for _, k := range h.kinds {
		if k.why != "" {
			fmt.Fprintf(w, "%s\tNOT MEASURED: %s\t\n", k.name, k.why)
			continue
		}
		fmt.Fprintf(w, "%s\t%.0f\t", k.name, k.size)
		for i := range h.sets {
			fmt.Fprintf(w, "%.0f\t%.1f\t%.2f\t%s\t", k.ns[i], k.mean[i], k.byte[i], rows[rowHostile].verdict(k.mean[i]))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintf(out, "Bar: x mean <= %d. The keys of all hashes are drawn when the process starts: nobody can choose what collides.\n", hostileBar)
}
