package filter

import (
	"github.com/expr-lang/expr/vm"

	"weir/internal/cloudfront"
)

// A Matcher tells which filters of its Set hold of a record. It belongs to one
// goroutine.
type Matcher struct {
	// Outside returns the fingerprint of Options.Values[i] for the record that was
	// matched last: 0 = it has none. It is needed only if a value expression asks.
	Outside func(i int) uint64

	set     *Set
	machine vm.VM
	record  *cloudfront.Record
	facts   *Facts
	env     *env // of the record; nil until it is needed
	runs    uint64
	faults  uint64
}

// NewMatcher returns a Matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher { return &Matcher{set: s} }

// Match appends the indexes of the filters that hold of the record, ascending. The
// record and the facts must stay as they are until Value has been called for all that
// is wanted.
func (m *Matcher) Match(r *cloudfront.Record, facts *Facts, dst []uint16) []uint16 {
	m.record, m.facts, m.env = r, facts, nil
	for i := range m.set.filters {
		if m.interpret(i) {
			dst = append(dst, uint16(i))
		}
	}
	return dst
}

// interpret asks the virtual machine.
func (m *Matcher) interpret(i int) bool {
	m.runs++
	holds, err := m.set.filters[i].plainHolds(&m.machine, m.plain())
	if err != nil {
		m.faults++
	}
	return holds
}

func (m *Matcher) plain() *env {
	if m.env == nil {
		m.env = m.set.newEnv(m.record, m.facts)
	}
	return m.env
}

// Value returns the fingerprint of value i of the record that was matched last,
// without the part that is the client's address: 0 when it is empty. Fingerprints are
// seeded in each Set, so that nobody can choose values that collide.
func (m *Matcher) Value(i int) uint64 {
	v := m.set.values[i]
	if v.plain != nil {
		text, err := v.plain.plainValue(&m.machine, m.plain())
		if err != nil {
			m.faults++
		}
		return m.set.fingerprint(text)
	}
	var sum uint64
	for _, p := range v.parts {
		sum = mix(sum, m.part(p))
	}
	return sum
}

func (m *Matcher) part(p part) uint64 {
	if p.outside >= 0 {
		if m.Outside == nil {
			return 0
		}
		return m.Outside(p.outside)
	}
	return m.set.fingerprint(m.plain().Evt.field(p.field))
}

// mix adds a fingerprint to others. It is 0 only if all are.
func mix(sum, next uint64) uint64 {
	if sum == 0 {
		return next
	}
	if next == 0 {
		next = 0x9e3779b97f4a7c15
	}
	sum = (sum ^ next>>29) * 0xbf58476d1ce4e5b9
	return max(1, sum^next^sum>>32)
}

// Counts returns how often the virtual machine ran since the last call, and how many
// of the runs failed.
func (m *Matcher) Counts() (runs, faults uint64) {
	runs, faults = m.runs, m.faults
	m.runs, m.faults = 0, 0
	return runs, faults
}
