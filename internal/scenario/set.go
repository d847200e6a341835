package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"weir/internal/agent"
	"weir/internal/filter"
	"weir/internal/match"
	"weir/internal/seeded"
)

// Options say what records mean where they come from.
type Options struct {
	// BlockStatuses are those with which the WAF answers whom it blocks for us, one
	// for each web ACL that has a status of its own. Nothing in such an answer is
	// held against a client.
	BlockStatuses []uint16

	// Crawlers knows who may call himself what. Nil takes what publishers said when
	// this was built.
	Crawlers *agent.Directory

	// Seed is the secret of all fingerprints. Sets that have it in common, in whichever
	// processes, make the same hits of a record, as far as they learnt the same, too. The
	// zero Seed is a random one.
	Seed seeded.Seed
}

// Set is a compiled list of scenarios. Its scenarios are immutable and goroutines
// share it; each takes a Matcher of its own. What its Matchers learn of the sites
// they share, too.
type Set struct {
	scenarios  []Scenario
	hits       []Hit                    // one for each filter, but for what follows from the record
	uses       []use                    // one for each filter: what does
	queues     [][]*filter.QueueProgram // by scenario; all have to hold
	shields    []int                    // by scenario: see ShieldOf
	filters    *filter.Set
	blocks     []uint16 // statuses of our blocks
	crawlers   *agent.Directory
	hasher     *seeded.Hasher
	mark       uint64 // of the seed, by which what was learnt under it is known
	paths      *match.Automaton[uint64]
	packagers  *match.Automaton[uint64]
	site       *site
	needsFacts bool
}

// A use is what follows from a record where a filter holds.
type use struct {
	open     bool // something does
	by       weight
	group    key
	distinct key
}

// A key is what fingerprints are made of.
type key struct {
	parts []part
	value int // 1 + index in the values of filters; 0 = none
}

func (k *key) isEmpty() bool { return len(k.parts) == 0 && k.value == 0 }

// Compile makes a Set. The error names everything that makes no sense in any
// scenario, and every name that comes twice.
func Compile(list []Scenario, opt Options) (*Set, error) {
	if len(list) > math.MaxUint16 {
		return nil, fmt.Errorf("compile scenarios: there are %d, allowed are %d", len(list), math.MaxUint16)
	}
	s := &Set{
		scenarios: slices.Clone(list),
		blocks:    slices.Clone(opt.BlockStatuses),
		crawlers:  opt.Crawlers,
		paths:     match.NewFolded(pathNeedles()),
		packagers: match.New(packagers()),
		site:      newSite(),
	}
	if opt.Seed == (seeded.Seed{}) {
		opt.Seed = seeded.New()
	}
	s.hasher, s.mark = opt.Seed.Hasher(), opt.Seed.Words("learnt", 1)[0]
	if s.crawlers == nil {
		s.crawlers = agent.New(agent.Config{})
	}
	errs := taken(list)
	c := compiler{set: s}
	for i := range s.scenarios {
		if err := s.scenarios[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: scenario %q: %w", s.scenarios[i].Origin, s.scenarios[i].Name, err))
			continue
		}
		c.add(i)
	}
	c.sort()
	var err error
	s.filters, err = filter.Compile(c.filters, c.values, filter.Options{Facts: factNames(), Hasher: s.hasher})
	if err := errors.Join(append(append(errs, c.errs...), err)...); err != nil {
		return nil, err
	}
	for i := range s.scenarios {
		s.settle(i, c.groupby[i])
	}
	return s, nil
}

func factNames() []string {
	all := make([]string, 128)
	for i := range all {
		all[i] = fmt.Sprintf("weir.reserved_%d", i)
	}
	for i, f := range factsOfRequest {
		all[i] = f.Name
	}
	for i, f := range factsOfAnswer {
		all[64+i] = f.Name
	}
	return all
}

// A compiler collects the expressions of all scenarios.
type compiler struct {
	set     *Set
	filters []filter.Source
	values  []filter.Source
	groupby []int // by scenario: 1 + index in values; 0 = none
	errs    []error
}

// add collects the expressions of a scenario, unless it is off.
func (c *compiler) add(index int) {
	s := &c.set.scenarios[index]
	for len(c.set.shields) <= index {
		c.set.shields = append(c.set.shields, len(c.set.shields))
	}
	for len(c.groupby) <= index {
		c.groupby = append(c.groupby, 0)
	}
	for len(c.set.queues) <= index {
		c.set.queues = append(c.set.queues, nil)
	}
	if s.Mode == Off {
		return
	}
	group := c.key(s, s.groupby, s.groups)
	c.groupby[index] = group.value
	distinctParts, _ := parts(s.distinct.text)
	distinct := c.key(s, s.distinct, distinctParts)
	if slices.Contains(distinctParts, partRange) {
		c.errs = append(c.errs, fmt.Errorf("%s:%d: distinct: %s is for groupby only", s.file, s.distinct.line, partNames[partRange].Name))
	}
	for _, f := range []struct {
		expression
		effect Effect
	}{{s.filter, Pour}, {s.drain, Drain}, {s.cancel, Cancel}, {s.shield, Shield}} {
		if f.text == "" || f.effect == Shield && c.sharesShield(index, group) {
			continue
		}
		u := use{group: group}
		hit := Hit{Scenario: uint16(index), Effect: f.effect, Weight: WholeEvent}
		switch f.effect {
		case Pour:
			u.distinct, u.by = distinct, s.weight
			if n := s.Sampling(); n > 1 {
				hit.Sample, hit.Weight = uint8(n), WholeEvent*uint32(n)
			}
		case Drain:
			hit.Weight = WholeEvent * uint32(s.drainBy)
		}
		u.open = !u.group.isEmpty() || !u.distinct.isEmpty() || u.by != weightOne || hit.Sample > 1
		c.filters = append(c.filters, s.source(f.expression))
		c.set.hits, c.set.uses = append(c.set.hits, hit), append(c.set.uses, u)
	}
	for _, x := range []expression{s.condition, s.overflow} {
		if x.text == "" {
			continue
		}
		q, err := filter.CompileQueue(s.source(x))
		if err != nil {
			c.errs = append(c.errs, err)
		}
		c.set.queues[index] = append(c.set.queues[index], q)
	}
	for _, x := range []expression{s.filter, s.groupby, s.distinct, s.drain, s.cancel, s.shield} {
		c.set.needsFacts = c.set.needsFacts || strings.Contains(x.text, "weir.")
	}
}

// sort puts the filters, and what they are for, in the order of Match.
func (c *compiler) sort() {
	order := make([]int, len(c.filters))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(c.set.hits[a].Effect) - int(c.set.hits[b].Effect) })
	filters, hits, uses := make([]filter.Source, len(order)), make([]Hit, len(order)), make([]use, len(order))
	for i, from := range order {
		filters[i], hits[i], uses[i] = c.filters[from], c.set.hits[from], c.set.uses[from]
	}
	c.filters, c.set.hits, c.set.uses = filters, hits, uses
}

// key collects what a fingerprint is made of.
func (c *compiler) key(s *Scenario, x expression, list []part) key {
	if x.text == "" || x.text == sourceIP {
		return key{}
	}
	if _, ours := parts(x.text); ours {
		return key{parts: list}
	}
	c.values = append(c.values, s.source(x))
	return key{value: len(c.values)}
}

// sourceIP is how CrowdSec's scenarios name the client.
const sourceIP = "evt.Meta.source_ip"

// source is an expression as package filter takes it. The scenario is the Set's own, which
// notes what is read.
func (s *Scenario) source(x expression) filter.Source {
	return filter.Source{
		Text: x.text, Name: s.Name + ": " + x.key, File: s.file, Line: x.line,
		Data: func(name string) (*filter.Data, error) {
			kind, content, err := s.data(name)
			if err != nil {
				return nil, err
			}
			s.keep(name, kind, content)
			return filter.ParseData(name, kind, bytes.NewReader(content))
		},
	}
}

// settle says whom the buckets of a scenario are for, now that it is known what its
// groupby is made of.
func (s *Set) settle(index, value int) {
	g := &s.scenarios[index].Group
	if value == 0 {
		return
	}
	g.By = ByValue
	if s.filters.Value(value - 1).Client {
		g.By = ByClient
	}
}

// Len returns the number of scenarios, those that are off included.
func (s *Set) Len() int { return len(s.scenarios) }

// At returns a scenario by the number that Hits carry. It must not be changed.
func (s *Set) At(i int) *Scenario { return &s.scenarios[i] }
