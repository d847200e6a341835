package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An Expression is a filter or another expression of a scenario, as its file has it.
type Expression struct {
	Key  string // of the file: "filter", "cancel_on", "drain.filter"
	Text string
	Line int // of the file

	// Interpreted says that expr's own machine has to be asked about it, and Why why.
	// The others are compiled together.
	Interpreted bool
	Why         string
}

// Expressions returns the expressions of scenario i, in the order in which people
// should read them.
func (s *Set) Expressions(i int) []Expression {
	sc := &s.scenarios[i]
	var list []Expression
	for _, x := range []expression{sc.filter, sc.groupby, sc.distinct, sc.drain, sc.cancel, sc.shield, sc.condition, sc.overflow} {
		if x.text == "" {
			continue
		}
		e := Expression{Key: x.key, Text: x.text, Line: x.line}
		e.Why, e.Interpreted = s.interpreted(i, x)
		list = append(list, e)
	}
	return list
}

// interpreted reports whether the virtual machine has to be asked about an expression
// of scenario i, and why.
func (s *Set) interpreted(i int, x expression) (why string, yes bool) {
	sc := &s.scenarios[i]
	if x == sc.condition || x == sc.overflow {
		return "it speaks of all that is in a bucket", true
	}
	for f, u := range s.uses {
		if int(s.hits[f].Scenario) != i || s.hits[f].Effect != Pour {
			continue
		}
		for _, v := range []struct {
			expression
			key
		}{{sc.groupby, u.group}, {sc.distinct, u.distinct}} {
			if v.expression == x && v.value > 0 && s.filters.ValueInterpreted(v.value-1) {
				return "it is more than a sum of columns", true
			}
		}
	}
	of := map[Effect]expression{Pour: sc.filter, Drain: sc.drain, Cancel: sc.cancel, Shield: sc.shield}
	for f, hit := range s.hits {
		if int(hit.Scenario) == i && of[hit.Effect] == x {
			why = s.filters.Explain(f).Interpreted
			return why, why != ""
		}
	}
	return "", false
}

// A Threshold is a number, a duration or a word of a scenario that decides, and the
// variable that sets it.
type Threshold struct {
	Key      string // as files spell it
	Value    string // as files and variables spell it; "" = the default of the service
	Variable string
}

// Thresholds returns what is in force of a scenario and can be set by variables, in
// the order in which people should read it.
func (s *Scenario) Thresholds() []Threshold {
	var list []Threshold
	add := func(key, variable, value string) {
		list = append(list, Threshold{key, value, Variable(s.Name, variable)})
	}
	if s.Kind == Leaky {
		add("capacity", "CAPACITY", strconv.Itoa(s.Capacity))
	}
	if s.Kind != Trigger {
		add("leakspeed", "LEAKSPEED", FormatDuration(s.Leak))
	}
	if s.Kind != Trigger {
		add("spacing", "SPACING", FormatDuration(s.Spacing))
	}
	if s.Sample > 1 {
		add("sample", "SAMPLE", strconv.Itoa(s.Sampling()))
	}
	if s.drain.text != "" {
		add("drain.events", "DRAIN", strconv.Itoa(s.drainBy))
	}
	if s.Group.V4 != 0 {
		add("range.ipv4", "RANGE_IPV4", strconv.Itoa(int(s.Group.V4)))
	}
	if s.Group.V6 != 0 {
		add("range.ipv6", "RANGE_IPV6", strconv.Itoa(int(s.Group.V6)))
	}
	if s.shield.text != "" {
		add("shield.for", "SHIELD", FormatDuration(s.Shield))
	}
	add("blackhole", "BLACKHOLE", FormatDuration(s.Blackhole))
	add("cache_size", "CACHE_SIZE", orDefault(s.CacheSize != 0, strconv.Itoa(s.CacheSize)))
	add("severity", "SEVERITY", s.Severity.String())
	add("ban", "BAN", orDefault(s.Ban != 0, FormatDuration(s.Ban)))
	add("action", "ACTION", s.Action)
	add("mode", "MODE", s.Mode.String())
	return list
}

func orDefault(set bool, value string) string {
	if set {
		return value
	}
	return ""
}

// KeptFor says in words for whom or what the buckets of a scenario are kept: "client",
// "client + weir.path", "range /24 /56", "value weir.host + weir.path", "everybody".
func (s *Scenario) KeptFor() string {
	switch s.Group.By {
	case ByRange:
		var text strings.Builder
		text.WriteString("range")
		for _, bits := range []uint8{s.Group.V4, s.Group.V6} {
			if bits != 0 {
				fmt.Fprintf(&text, " /%d", bits)
			}
		}
		return s.withGroups(text.String())
	case ByClient:
		if rest := strings.ReplaceAll(s.groupby.text, sourceIP, partNames[partClient].Name); len(s.groups) == 0 && rest != partNames[partClient].Name {
			return "client: " + rest
		}
		return s.withGroups("client")
	}
	if s.groupby.text == "" {
		return "everybody"
	}
	return "value " + s.groupby.text
}

func (s *Scenario) withGroups(text string) string {
	for _, part := range s.groups {
		text += " + " + partNames[part].Name
	}
	return text
}

// CountsOnce returns what the buckets of a scenario count only once; "" if they count
// every event.
func (s *Scenario) CountsOnce() string { return s.distinct.text }

// Weighs returns what an event counts for: "one", "megabytes" or "origin_seconds".
func (s *Scenario) Weighs() string { return weightNames[s.weight] }

// FormatDuration writes a duration as people do: 5m and not 5m0s.
func FormatDuration(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
