package scenario

import (
	"strings"

	"weir/internal/cloudfront"
)

// Facts returns which of Facts hold of the record that was matched last, in their
// order. They are worked out even if no scenario asks for one.
func (m *Matcher) Facts(r *cloudfront.Record) []Fact {
	if !m.set.needsFacts {
		m.find(r)
	}
	var list []Fact
	for i, f := range factsOfRequest {
		if m.facts[0]>>i&1 != 0 {
			list = append(list, f)
		}
	}
	for i, f := range factsOfAnswer {
		if m.facts[1]>>i&1 != 0 {
			list = append(list, f)
		}
	}
	return list
}

// A Reason says how near a record is to what a scenario looks for.
type Reason struct {
	Scenario   uint16 // index in the Set
	Effect     Effect
	Holds      bool
	Met, Unmet []string // conditions, as the file has them or negated

	// Unpicked, if not 0, says that the filter holds and the record does not count all the
	// same: the scenario's sample is one record of so many, and not this one.
	Unpicked int
}

// Why says of the record that was matched last how near it is to each filter of scenario
// i. It is slow, and for people.
func (m *Matcher) Why(i int) []Reason {
	var list []Reason
	for f, hit := range m.set.hits {
		if int(hit.Scenario) != i {
			continue
		}
		c := m.filters.Why(f)
		why := Reason{hit.Scenario, hit.Effect, len(c.Unmet) == 0, c.Met, c.Unmet, 0}
		if why.Holds && hit.Sample > 1 && m.lot.drawn && !m.lot.blank && !m.lot.picks(hit.Sample) {
			why.Unpicked = int(hit.Sample)
		}
		list = append(list, why)
	}
	return list
}

// Near reports whether only one or two conditions are not met, and at least one is
// that does not hold of every record, nor merely says what the record is not.
func (r *Reason) Near() bool {
	if r.Holds || len(r.Unmet) > 2 {
		return false
	}
	for _, c := range r.Met {
		switch {
		case strings.HasPrefix(c, "!"), strings.HasPrefix(c, "not ("), strings.Contains(c, "evt.Meta.service"), strings.Contains(c, "evt.Meta.log_type"):
		case c == "weir.served", c == "weir.read":
		default:
			return true
		}
	}
	return false
}
