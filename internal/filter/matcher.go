package filter

import (
	"bytes"
	"hash/maphash"
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

	set     *Set
	target  *target
	stems   cache
	queries cache
	wholes  cache
	columns []*columnMatcher

	factWords int

	bits  []uint64 // of the record: a combination of atoms
	url   []uint64 // of path and query
	known []uint64 // combinations, and which filters hold for each
	sets  int      // how many words hold a set of filters

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
	m.known = make([]uint64, rememberedCombos*m.stride())
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

func (m *Matcher) stride() int { return 1 + m.set.words + 2*m.sets }

// Match appends the indexes of the filters that hold of the record, ascending. The
// record and the facts must stay as they are until Value has been called for all that
// is wanted. Nothing is allocated for columns that were seen before, unless a filter
// has to be interpreted.
func (m *Matcher) Match(r *cloudfront.Record, facts *Facts, dst []uint16) []uint16 {
	m.record, m.facts, m.env, m.valued = r, facts, nil, 0
	m.combine(r, facts)
	hold, ask := m.look()
	for i := range hold {
		yes := hold[i]
		for rest := ask[i]; rest != 0; rest &= rest - 1 {
			bit := bits.TrailingZeros64(rest)
			if m.interpret(i<<6 + bit) {
				yes |= 1 << bit
			}
		}
		for ; yes != 0; yes &= yes - 1 {
			dst = append(dst, uint16(i<<6+bits.TrailingZeros64(yes)))
		}
	}
	return dst
}

// combine sets the bits of a record.
func (m *Matcher) combine(r *cloudfront.Record, facts *Facts) {
	for i := range m.factWords {
		m.bits[i] = facts[i]
	}
	if m.target != nil {
		found := m.pathAndQuery(r)
		for i := range m.set.target.atoms { // mostly too few for copy to be worth it
			m.bits[m.set.target.base>>6+i] = found[i]
		}
	}
	for _, c := range m.columns {
		found := c.bits(r, m.set.seed)
		for i := range c.ix.atoms {
			m.bits[c.ix.base>>6+i] = found[i]
		}
	}
}

// split is Record.Path and Record.Query in one.
func split(r *cloudfront.Record) (path, query []byte) {
	stem := r.Raw(cloudfront.FieldCSURIStem)
	if before, after, ok := bytes.Cut(stem, []byte{'?'}); ok {
		return before, after
	}
	return stem, r.Raw(cloudfront.FieldCSURIQuery)
}

// behindPath makes the key of a path with a query another than without.
const behindPath = 0x9e3779b97f4a7c15

// pathAndQuery returns the bits of path and query.
func (m *Matcher) pathAndQuery(r *cloudfront.Record) []uint64 {
	u, seed := m.target, m.set.seed
	stem, query := split(r)
	key := maphash.Bytes(seed, stem)
	if len(query) == 0 {
		flags, words, hit := m.stems.slot(key)
		if !hit {
			u.text = looked(u.text[:0], stem)
			*flags = flagsOf(u.text, true)
			u.all(u.text, words)
		}
		return words
	}
	key += behindPath
	flags, ofStem, hit := m.stems.slot(key)
	if !hit {
		u.text = looked(u.text[:0], stem)
		if *flags = flagsOf(u.text, true); *flags&isOdd == 0 {
			u.stem(u.text, ofStem)
		}
	}
	queryKey := maphash.Bytes(seed, query)
	queryFlags, ofQuery, hit := m.queries.slot(queryKey)
	if !hit {
		u.text = looked(u.text[:0], query)
		if *queryFlags = flagsOf(u.text, false); *queryFlags&isOdd == 0 {
			u.query(u.text, ofQuery)
		}
	}
	all := *flags | *queryFlags
	if all&isOdd != 0 {
		_, words, hit := m.wholes.slot(key ^ bits.RotateLeft64(queryKey, 32))
		if !hit {
			u.text = append(looked(u.text[:0], stem), '?')
			u.text = looked(u.text, query)
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
		u.text = append(looked(u.text[:0], stem), '?')
		u.text = looked(u.text, query)
		copy(words, m.url)
		u.whole(u.text, all&isEscaped != 0, words)
	}
	return words
}

// look returns which filters hold for the combination in m.bits, and which only expr
// can tell of.
func (m *Matcher) look() (hold, ask []uint64) {
	h := uint64(behindPath)
	for _, w := range m.bits {
		h = (h ^ w) * 0xbf58476d1ce4e5b9
		h ^= h >> 29
	}
	n := m.set.words
	slot := m.known[int(h&(rememberedCombos-1))*m.stride():][:m.stride()]
	hold, ask = slot[1+n:][:m.sets], slot[1+n+m.sets:]
	if slot[0] != 0 && equal(slot[1:][:n], m.bits) {
		return hold, ask
	}
	slot[0] = 1
	copy(slot[1:], m.bits)
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
	return hold, ask
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
