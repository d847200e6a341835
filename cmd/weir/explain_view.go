package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weir/internal/ban"
	"weir/internal/detect"
	"weir/internal/scenario"
)

// jsonView writes an object a record, and one with the totals.
type jsonView struct{ out io.Writer }

func (v *jsonView) record(e *explained) error { return v.write(e) }

func (v *jsonView) end(t *totals) error {
	hit := *t
	hit.Scenarios = t.hit()
	return v.write(map[string]totals{"summary": hit})
}

func (v *jsonView) write(what any) error {
	enc := json.NewEncoder(v.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(what)
}

// textView writes for people.
type textView struct {
	out   io.Writer
	set   *scenario.Set
	whole bool // a single record, of which everything is told
}

func (v *textView) record(e *explained) error {
	var b strings.Builder
	host, target := "", ""
	for _, f := range e.Fields {
		switch f.Name {
		case "host":
			host = f.Wire
		case "path":
			target = f.Wire
		case "query":
			target += "?" + f.Wire
		}
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	const shown = 100
	if !v.whole && len(target) > shown {
		target = target[:shown] + "..."
	}
	fmt.Fprintf(&b, "%s  %s  %s %s%s  %s\n", e.Time.Format("2006-01-02 15:04:05.000"), e.Addr,
		printable(e.Method), printable(host), printable(target), e.Status)
	if v.whole {
		v.fields(&b, e)
	}
	v.hits(&b, e)
	if len(e.Near) > 0 {
		if v.whole {
			b.WriteString("nearly\n")
		}
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, n := range e.Near {
			fmt.Fprintf(tw, "  %s\tnot\tunmet: %s\n", n.Scenario, strings.Join(n.Unmet, ", "))
		}
		tw.Flush()
	}
	for _, d := range e.Decisions {
		fmt.Fprintf(&b, "  decision: %s of %s for %s until %s\n", d.Type, d.Value, d.Scenario, clock(int64(d.Until*1000)))
	}
	_, err := io.WriteString(v.out, b.String())
	return err
}

func (v *textView) fields(b *strings.Builder, e *explained) {
	fmt.Fprintf(b, "  client: %s\n", e.Client)
	for _, f := range e.Fields {
		fmt.Fprintf(b, "  %s: %s\n", f.Name, printable(f.Wire))
		if f.Decoded != "" {
			fmt.Fprintf(b, "    decoded: %s\n", printable(f.Decoded))
		}
	}
	b.WriteString("facts\n")
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range e.facts {
		fmt.Fprintf(tw, "  %s\t%s\n", f.Name, f.Meaning)
	}
	tw.Flush()
	b.WriteString("scenarios\n")
}

func (v *textView) hits(b *strings.Builder, e *explained) {
	switch {
	case e.Allowlisted:
		b.WriteString("  the client is allowlisted: nothing is looked at\n")
	case e.Dismissed == "banned":
		b.WriteString("  a ban in force covers the client: nothing counts\n")
	case e.Dismissed == "duplicate":
		b.WriteString("  the request id was there before: nothing counts\n")
	case len(e.Hits)+len(e.Unpicked) == 0 && v.whole:
		b.WriteString("  it hits none\n")
	}
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, h := range e.Hits {
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", h.Scenario, h.Fate, v.tell(&h))
	}
	for _, u := range e.Unpicked {
		fmt.Fprintf(tw, "  %s\tunpicked\tone record of %d counts for all, and this is not it\n", u.Scenario, u.Of)
	}
	tw.Flush()
}

// tell says what a hit did.
func (v *textView) tell(h *explainedHit) string {
	o, s := h.o, v.set.At(h.o.Scenario)
	level := amount(o.Level)
	switch {
	case s.Kind == scenario.Leaky:
		level += fmt.Sprintf(" of %d", s.Capacity)
	case s.Kind == scenario.Conditional:
		level += " records"
	}
	var text string
	switch o.Fate {
	case detect.Poured:
		text = level
		if s.CountsOnce() != "" {
			text += ", a new value of " + s.CountsOnce()
		}
	case detect.Repeated:
		text = level + ", " + uncounted(s)
	case detect.Late:
		text = "older than what the bucket holds"
	case detect.Drained:
		text = fmt.Sprintf("%s, down from %s", level, amount(o.Before))
	case detect.Cancelled:
		text = fmt.Sprintf("emptied, there was %s", amount(o.Before))
	case detect.Ineffective:
		text = "there is nothing in the bucket"
	case detect.Shielding:
		text = "no alert for " + scenario.FormatDuration(s.Shield)
	default:
		text = fmt.Sprintf("runs over, %s, with %d records since %s", level, o.Events, clock(o.First))
		text += map[detect.Fate]string{
			detect.Silenced:  "; an alert less than " + scenario.FormatDuration(s.Blackhole) + " away silences it",
			detect.Protected: "; it is shielded",
			detect.Acquitted: "; the scenario's own filter lets it pass",
		}[o.Fate]
	}
	if o.Weight != 1 && (o.Effect == scenario.Pour || o.Effect == scenario.Drain) {
		text += fmt.Sprintf(", weighs %s", amount(o.Weight))
	}
	switch {
	case !o.Key.IsValid():
		text += fmt.Sprintf(" (value %08x)", o.Group)
	case o.Key != o.Client || h.Key != "" && v.whole:
		text += " (" + h.Key + ")"
	}
	return text
}

// uncounted says why a bucket does not count an event.
func uncounted(s *scenario.Scenario) string {
	var reasons []string
	if s.Spacing > 0 {
		reasons = append(reasons, "it counts nothing for "+scenario.FormatDuration(s.Spacing)+" after an event")
	}
	if s.CountsOnce() != "" {
		reasons = append(reasons, "the bucket has this value of "+s.CountsOnce())
	}
	return strings.Join(reasons, ", or ")
}

// amount writes a level with up to one digit behind the point, cut and not rounded: what
// is not full must not look so.
func amount(level float64) string {
	return strconv.FormatFloat(float64(int64(level*10))/10, 'f', -1, 64)
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05") }

// printable is a text that clients wrote, made safe for a terminal.
func printable(s string) string {
	quoted := strconv.Quote(s)
	if quoted[1:len(quoted)-1] == s || !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return quoted
}

// totals are what a file came to.
type totals struct {
	Lines       int              `json:"lines"`
	Rejected    int              `json:"rejected"`
	Allowlisted int              `json:"allowlisted"`
	Duplicate   int              `json:"duplicate"`
	Banned      int              `json:"banned"`
	Scenarios   []scenarioTotals `json:"scenarios"` // those that were hit
}

type scenarioTotals struct {
	Name     string  `json:"name"`
	Poured   int     `json:"poured"`
	Repeated int     `json:"repeated"`
	Drained  int     `json:"drained"`
	Overflow int     `json:"overflows"`
	Alerted  int     `json:"alerts"` // overflows that were
	Highest  float64 `json:"highest"`
	Capacity int     `json:"capacity"`
	Whose    string  `json:"whose"` // bucket the highest level was in
}

func newTotals(set *scenario.Set) totals {
	t := totals{Scenarios: make([]scenarioTotals, set.Len())}
	for i := range t.Scenarios {
		t.Scenarios[i].Name, t.Scenarios[i].Capacity = set.At(i).Name, set.At(i).Capacity
	}
	return t
}

// count adds what a record did, as far as it is told of: only of one scenario if that is
// not negative.
func (t *totals) count(seen []detect.Observation, allowed bool, only int) {
	if allowed {
		t.Allowlisted++
	}
	for _, o := range seen {
		if o.Scenario < 0 {
			if o.Fate == detect.Banned {
				t.Banned++
			} else {
				t.Duplicate++
			}
			continue
		}
		if only >= 0 && o.Scenario != only {
			continue
		}
		s := &t.Scenarios[o.Scenario]
		switch o.Fate {
		case detect.Poured:
			s.Poured++
		case detect.Repeated:
			s.Repeated++
		case detect.Drained:
			s.Drained++
		case detect.Alerted:
			s.Alerted++
			fallthrough
		case detect.Silenced, detect.Protected, detect.Acquitted:
			s.Poured++
			s.Overflow++
		}
		if o.Effect == scenario.Pour && o.Level > s.Highest {
			s.Highest, s.Whose = o.Level, "a value"
			if o.Key.IsValid() {
				s.Whose = ban.FormatPrefix(o.Key)
			}
		}
	}
}

func (v *textView) end(t *totals) error {
	fmt.Fprintf(v.out, "\n%d lines, %d of them no records; %d records allowlisted, %d duplicate, %d of banned clients\n",
		t.Lines, t.Rejected, t.Allowlisted, t.Duplicate, t.Banned)
	tw := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SCENARIO\tPOURED\tREPEATED\tDRAINED\tOVERFLOWS\tALERTS\tHIGHEST\tOF\tWHOSE")
	for _, s := range t.hit() {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%s\n", s.Name, s.Poured, s.Repeated, s.Drained, s.Overflow, s.Alerted, amount(s.Highest), s.Capacity, s.Whose)
	}
	return tw.Flush()
}

// hit returns the totals of the scenarios that were hit, first those that alerted most.
func (t *totals) hit() []scenarioTotals {
	list := slices.DeleteFunc(slices.Clone(t.Scenarios), func(s scenarioTotals) bool { return s.Poured+s.Repeated+s.Drained == 0 })
	slices.SortStableFunc(list, func(a, b scenarioTotals) int {
		return cmp.Or(cmp.Compare(b.Alerted, a.Alerted), strings.Compare(a.Name, b.Name))
	})
	return list
}
