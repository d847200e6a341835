package filter

import (
	"fmt"

	"weir/internal/cloudfront"
)

// An Explanation says how a filter is evaluated.
type Explanation struct {
	// Interpreted is the part of the filter that only expr's virtual machine can
	// evaluate; "" when all is compiled.
	Interpreted string

	// Formula is the filter in terms of its atoms.
	Formula string
}

// Explain says how filter i is evaluated.
func (s *Set) Explain(i int) Explanation {
	f := s.formulas[i]
	e := Explanation{Formula: f.root.String()}
	if f.partial {
		e.Interpreted = f.why
	}
	return e
}

// Interpreted returns how many filters are interpreted, in whole or in part.
func (s *Set) Interpreted() (n int) {
	for _, f := range s.formulas {
		if f.partial {
			n++
		}
	}
	return n
}

// A Condition is one that a filter asks, and how it is with a record.
type Condition struct {
	Text  string // `evt.Meta.http_status in ["404", "403"]`
	Holds bool
	Value string // of the field that it is about; "" of a fact
}

// Conditions returns the conditions of filter i and how each is with a record: why the
// filter holds, or does not. It is slow.
func (s *Set) Conditions(i int, r *cloudfront.Record, facts *Facts) []Condition {
	e := s.newEnv(r, facts)
	var list []Condition
	seen := map[string]bool{}
	s.formulas[i].root.atoms(func(p **atom) {
		a := *p
		c := Condition{Text: a.about}
		if a.fact >= 0 {
			c.Holds = facts.Has(a.fact)
		} else {
			c.Value = e.Evt.field(a.field)
			if a.test != nil {
				result, ok := a.test(c.Value)
				c.Holds = result && ok
			} else {
				c.Holds = a.holds(c.Value)
			}
		}
		if !seen[c.Text] {
			seen[c.Text] = true
			list = append(list, c)
		}
	})
	return list
}

// EventField is a field of an event with its value.
type EventField struct{ Name, Value string }

// Event returns all fields of the event that filters see of a record, sorted.
func (s *Set) Event(r *cloudfront.Record) []EventField {
	q := requestOf(r)
	e := q.event()
	var list []EventField
	for _, in := range []struct {
		name string
		keys map[string]string
	}{{"Enriched", e.Enriched}, {"Meta", e.Meta}, {"Parsed", e.Parsed}} {
		for _, key := range sortedKeys(in.keys) {
			list = append(list, EventField{fmt.Sprintf("evt.%s.%s", in.name, key), in.keys[key]})
		}
	}
	return list
}
