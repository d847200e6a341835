package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/prometheus/client_golang/prometheus"
)

// sums are the counters of a registry, by name and by the value of their one
// label ("" for none): what a summary is made from, so that it cannot say
// anything else than the metrics do.
type sums map[string]map[string]int64

func gather(g prometheus.Gatherer) sums {
	out := sums{}
	families, err := g.Gather()
	if err != nil {
		panic("BUG: our own metrics contradict each other: " + err.Error())
	}
	for _, f := range families {
		byLabel := map[string]int64{}
		for _, m := range f.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				label = l.GetValue()
			}
			if c := m.GetCounter(); c != nil {
				byLabel[label] += int64(c.GetValue())
			}
		}
		out[f.GetName()] = byLabel
	}
	return out
}

func (s sums) total(name string) (n int64) {
	for _, v := range s[name] {
		n += v
	}
	return n
}

// summaryRows are the counters that tell how a log was read, in the order in
// which a record meets them.
var summaryRows = []struct{ title, metric string }{
	{"rejected", "weir_pipeline_rejected_total"},
	{"short", "weir_pipeline_short_total"},
	{"allowlisted", "weir_pipeline_allowed_total"},
	{"records", "weir_detect_records_total"},
	{"alerts", "weir_detect_alerts_total"},
	{"decisions", "weir_ban_decisions_total"},
}

// write lists the counters, those of zero left out.
func (s sums) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range summaryRows {
		byLabel := s[row.metric]
		if s.total(row.metric) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\n", row.title, thousands(s.total(row.metric)))
		for _, label := range slices.SortedFunc(maps.Keys(byLabel), func(a, b string) int {
			if byLabel[a] != byLabel[b] {
				return int(min(1, max(-1, byLabel[b]-byLabel[a])))
			}
			return strings.Compare(a, b)
		}) {
			if label != "" && byLabel[label] > 0 {
				fmt.Fprintf(w, "  %s\t%s\n", label, thousands(byLabel[label]))
			}
		}
	}
	w.Flush()
}
