package scenario

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
)

// Options say what records mean where they come from.
type Options struct {
	// BlockStatus is the status with which the WAF answers those that it blocks for
	// us. Nothing in such an answer is held against a client. 0 = no such status.
	BlockStatus uint16
}

// Set is a compiled list of scenarios. It is immutable: goroutines share it, and
// each takes a Matcher of its own.
type Set struct {
	scenarios   []Scenario
	active      []active // those that are not off
	blockStatus uint16
	seed        maphash.Seed

	paths    *automaton // names of paths, and payloads
	payloads *automaton
	agents   *automaton
	crawlers []crawler
}

// active is what matching needs of a scenario.
type active struct {
	match    rule
	index    uint16
	distinct distinct
}

// Compile makes a Set. The error names every scenario whose numbers make no sense
// and every name that comes twice.
func Compile(list []Scenario, opt Options) (*Set, error) {
	if len(list) > math.MaxUint16 {
		return nil, fmt.Errorf("compile scenarios: there are %d, allowed are %d", len(list), math.MaxUint16)
	}
	s := &Set{
		scenarios:   slices.Clone(list),
		blockStatus: opt.BlockStatus,
		seed:        maphash.MakeSeed(),
		paths:       newAutomaton(join(pathNeedles(), payloadNeedles())),
		payloads:    newAutomaton(payloadNeedles()),
		agents:      newAutomaton(join(agentNeedles(), crawlerNeedles())),
		crawlers:    crawlers(),
	}
	var errs []error
	names := make(map[string]bool, len(list))
	for i := range s.scenarios {
		c := &s.scenarios[i]
		if err := c.check(); err != nil {
			errs = append(errs, fmt.Errorf("compile scenario %q: %w", c.Name, err))
		}
		if names[c.Name] {
			errs = append(errs, fmt.Errorf("compile scenario %q: the name is taken", c.Name))
		}
		names[c.Name] = true
		if c.Mode != Off {
			s.active = append(s.active, active{match: c.match, index: uint16(i), distinct: c.distinct})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// Len returns the number of scenarios, those that are off included.
func (s *Set) Len() int { return len(s.scenarios) }

// At returns a scenario by the number that Hits carry. It must not be changed.
func (s *Set) At(i int) *Scenario { return &s.scenarios[i] }
