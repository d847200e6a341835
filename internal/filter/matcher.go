package filter

import (
	"math/bits"

	"github.com/expr-lang/expr/vm"

	"weir/internal/cloudfront"
)

// How many texts a Matcher remembers, and how many combinations of atoms. Powers of 2.
const (
	rememberedPaths  = 1 << 13
	rememberedTexts  = 1 << 12 // queries, user agents, referers
	rememberedShort  = 1 << 8  // of columns that have few values
	rememberedCombos = 1 << 12
)

// A Matcher tells which filters of its Set hold of a record. It belongs to one
// goroutine.
type Matcher struct {
	// Outside returns the fingerprint of Options.Values[i] for the record that was
	// matched last: 0 = it has none. It is needed only if a value expression asks.
	Outside func(i int) uint64

	// PathHash is what Options.Hasher makes of the path of the record to be matched, for
	// callers that need it, too: 0 = Match finds out.
	PathHash uint64

	set     *Set
	target  *target
	stems   cache
	queries cache
	wholes  cache
	columns []*columnMatcher

	factWords int

	bits   []uint64 // of the record: a combination of atoms
	url    []uint64 // of path and query
	known  []uint64 // combinations, and which filters hold for each
	stride int      // how many words each takes of known
	sets   int      // how many words hold a set of filters
	asked  []uint64 // a set of filters

	machine vm.VM
	record  *cloudfront.Record
	facts   *Facts
	env     *env // of the record; nil until it is needed
	runs    uint64
	faults  uint64

	// What Value worked out of the record's path and query.
	valued uint32 // the fields whose fingerprints are known, and isLaid
	values [lastOfTarget + 1]uint64
	text   []byte
	layout layout
}

// NewMatcher returns a Matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher {
	m := &Matcher{set: s, bits: make([]uint64, s.words), sets: (len(s.filters) + 63) / 64, factWords: (len(s.opt.Facts) + 63) / 64}
	m.stride = 1 + s.words + 2*m.sets
	m.known = make([]uint64, rememberedCombos*m.stride)
	if s.target != nil {
		words := s.target.words
		m.target = newTarget(s.target)
		m.url = make([]uint64, words)
		m.stems, m.queries, m.wholes = newCache(rememberedPaths, words), newCache(rememberedTexts, words), newCache(rememberedTexts, words)
	}
	for f := range numFields {
		ix := s.columns[f]
		if ix == nil {
			continue
		}
		size := rememberedShort
		if f == fieldAgent || f == fieldReferer {
			size = rememberedTexts
		}
		m.columns = append(m.columns, newColumnMatcher(f, ix, size))
	}
	return m
}

// Match returns the set of the filters that hold of the record: bit i&63 of word i>>6 is
// filter i. It is good until the next call. The record and the facts must stay as they are
// until Value has been called for all that is wanted. Nothing is allocated for columns that
// were seen before, unless a filter has to be interpreted.
//
// slot, below Slots, says where the set is remembered, for callers that keep more with it:
// it is what it was when this slot was returned last, unless isNew. It is negative where
// the set is not remembered.
func (m *Matcher) Match(r *cloudfront.Record, facts *Facts) (set []uint64, slot int, isNew bool) {
	m.record, m.facts, m.env, m.valued = r, facts, nil, 0
	m.combine(r, facts)
	slot, isNew = m.look()
	hold, ask := m.verdict(slot)
	for _, unsure := range ask {
		if unsure != 0 {
			return m.ask(hold, ask), -1, true
		}
	}
	return hold, slot, isNew
}

// Slots is how many sets a Matcher remembers.
const Slots = rememberedCombos

// ask adds to the filters that hold those of which only expr can tell, if they do.
func (m *Matcher) ask(hold, unsure []uint64) []uint64 {
	m.asked = append(m.asked[:0], hold...)
	for i, rest := range unsure {
		for ; rest != 0; rest &= rest - 1 {
			if at := i<<6 + bits.TrailingZeros64(rest); m.interpret(at) {
				setBit(m.asked, at)
			}
		}
	}
	return m.asked
}

// combine sets the bits of a record. Path and query come last: what is known of a path
// lies in a large table.
func (m *Matcher) combine(r *cloudfront.Record, facts *Facts) {
	for i := range m.factWords {
		m.bits[i] = facts[i]
	}
	var stem, query []byte
	var key uint64
	if m.target != nil {
		stem, query = r.Target()
		if key = m.PathHash; key == 0 {
			key = m.set.hasher.Bytes(stem)
		}
		if len(query) > 0 {
			key += behindPath
		}
		m.stems.fetch(key)
	}
	for _, c := range m.columns {
		found := c.bits(r, m.set.hasher)
		for i := range c.ix.atoms {
			m.bits[c.ix.base>>6+i] = found[i]
		}
	}
	if m.target != nil {
		found := m.pathAndQuery(stem, query, key)
		for i := range m.set.target.atoms { // mostly too few for copy to be worth it
			m.bits[m.set.target.base>>6+i] = found[i]
		}
	}
}

// behindPath makes the key of a path with a query another than without.
const behindPath = 0x9e3779b97f4a7c15

// pathAndQuery returns the bits of path and query; key is that of the path.
func (m *Matcher) pathAndQuery(stem, query []byte, key uint64) []uint64 {
	u := m.target
	if len(query) == 0 {
		flags, words, hit := m.stems.slot(key)
		if !hit {
			u.text = looked(u.text[:0], stem)
			*flags = flagsOf(u.text, true)
			u.all(u.text, words)
		}
		return words
	}
	flags, ofStem, hit := m.stems.slot(key)
	u.path.forget()
	u.args.forget()
	if !hit {
		text := u.path.looked(stem)
		if *flags = flagsOf(text, true); *flags&isOdd == 0 {
			u.stem(text, ofStem)
		}
	}
	queryKey := m.set.hasher.Bytes(query)
	queryFlags, ofQuery, hit := m.queries.slot(queryKey)
	if !hit {
		text := u.args.looked(query)
		if *queryFlags = flagsOf(text, false); *queryFlags&isOdd == 0 {
			u.query(text, ofQuery)
		}
	}
	all := *flags | *queryFlags
	if all&isOdd != 0 {
		_, words, hit := m.wholes.slot(key ^ bits.RotateLeft64(queryKey, 32))
		if !hit {
			u.join(stem, query)
			u.all(u.text, words)
		}
		return words
	}
	more := u.joined || all&isEscaped != 0 && u.undoesPath()
	for i := range m.url {
		m.url[i] = ofStem[i] | ofQuery[i]
		more = more || m.url[i]&u.maybe[i] != 0
	}
	for _, p := range u.ix.pairs {
		if (p.tail < 0 || hasBit(m.url, p.tail)) && (p.head < 0 || hasBit(m.url, p.head)) {
			setBit(m.url, p.bit)
		}
	}
	if !more {
		return m.url
	}
	_, words, hit := m.wholes.slot(key ^ bits.RotateLeft64(queryKey, 32))
	if !hit {
		u.join(stem, query)
		copy(words, m.url)
		u.whole(u.text, all&isEscaped != 0, words)
	}
	return words
}

// look returns where what holds for the combination in m.bits is known, and whether it had
// to be found out.
func (m *Matcher) look() (at int, isNew bool) {
	h := uint64(behindPath)
	for _, w := range m.bits {
		h = (h ^ w) * 0xbf58476d1ce4e5b9
		h ^= h >> 29
	}
	at = int(h & (rememberedCombos - 1))
	slot := m.known[at*m.stride:][:m.stride]
	if slot[0] != 0 && equal(slot[1:][:len(m.bits)], m.bits) {
		return at, false
	}
	slot[0] = 1
	copy(slot[1:], m.bits)
	hold, ask := m.verdict(at)
	clear(hold)
	clear(ask)
	for i := range m.set.first {
		if q := &m.set.first[i]; m.bits[q.word]&q.all != q.all || m.bits[q.word]&q.none != 0 {
			continue
		}
		yes, unsure := m.set.formulas[i].holds(m.bits)
		if yes {
			setBit(hold, i)
		} else if unsure {
			setBit(ask, i)
		}
	}
	return at, true
}

// verdict returns which filters hold for a known combination, and which only expr can tell
// of.
func (m *Matcher) verdict(at int) (hold, ask []uint64) {
	both := m.known[at*m.stride+1+m.set.words:][:2*m.sets]
	return both[:m.sets], both[m.sets:]
}

func equal(a, b []uint64) bool {
	for i, w := range b {
		if a[i] != w {
			return false
		}
	}
	return true
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

// Counts returns how often the virtual machine ran since the last call, and how many
// of the runs failed. A filter that fails does not hold.
func (m *Matcher) Counts() (runs, faults uint64) {
	runs, faults = m.runs, m.faults
	m.runs, m.faults = 0, 0
	return runs, faults
}
