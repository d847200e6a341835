package filter

import (
	"bytes"
	"math/bits"
	"unsafe"

	"weir/internal/cloudfront"
	"weir/internal/prefetch"
	"weir/internal/seeded"
)

// columnOf says which column a field is, when it is one.
var columnOf = [numFields]cloudfront.Field{
	fieldAgent: cloudfront.FieldCSUserAgent, fieldReferer: cloudfront.FieldCSReferer, fieldStatus: cloudfront.FieldSCStatus,
	fieldMethod: cloudfront.FieldCSMethod, fieldVersion: cloudfront.FieldCSProtocolVersion, fieldHost: cloudfront.FieldCSHost,
	fieldAddress: cloudfront.FieldCIP, fieldASN: cloudfront.FieldASN, fieldCountry: cloudfront.FieldCCountry,
}

var dash = []byte{'-'}

// column returns the column of a field as the parser has it: "-" when it has no value,
// nothing when it is not logged.
func column(r *cloudfront.Record, f fieldID) []byte {
	raw := r.Raw(columnOf[f])
	if raw == nil && f != fieldASN && f != fieldCountry && r.Has(columnOf[f]) {
		return dash
	}
	return raw
}

// fieldText turns a column into the field, in buf if it has to.
func fieldText(raw, buf []byte, f fieldID) []byte {
	switch f {
	case fieldAgent, fieldReferer:
		return looked(buf, raw)
	case fieldVersion:
		version, ok := bytes.CutPrefix(raw, []byte("HTTP/"))
		if !ok {
			return nil
		}
		return version
	}
	return raw
}

// A cache keeps what was found out about a text under its hash, which stands for the
// text: it is seeded, so that nobody can make two of the same.
type cache struct {
	slots  []uint64 // for each: the key, flags, words
	stride int
	mask   uint64
}

func newCache(size, words int) cache {
	return cache{slots: make([]uint64, size*(words+2)), stride: words + 2, mask: uint64(size - 1)}
}

// slot returns the slot of a key and whether it holds what is known of it. If not, it is
// empty, and the caller's to fill.
func (c *cache) slot(key uint64) (flags *uint64, words []uint64, hit bool) {
	at := int(key & c.mask)
	s := c.slots[at*c.stride:][:c.stride]
	if s[0] == key && s[1] != 0 {
		return &s[1], s[2:], true
	}
	other := c.slots[(at^1)*c.stride:][:c.stride]
	if other[0] == key && other[1] != 0 {
		return &other[1], other[2:], true
	}
	if s[1] != 0 {
		copy(other, s) // the older of two texts in one place gives way
	}
	clear(s)
	s[0], s[1] = key, isKnown
	return &s[1], s[2:], false
}

// fetch begins to bring near what slot will look at.
func (c *cache) fetch(key uint64) {
	at := int(key & c.mask)
	s, other := c.slots[at*c.stride:], c.slots[(at^1)*c.stride:]
	prefetch.Line(unsafe.Pointer(&s[0]))
	prefetch.Line(unsafe.Pointer(&s[c.stride-1]))
	prefetch.Line(unsafe.Pointer(&other[0]))
}

// A columnMatcher evaluates the atoms of one column.
type columnMatcher struct {
	field  fieldID
	ix     *index
	cache  cache
	target target
	text   []byte

	short bool     // its values are short, and mostly that of the record before
	key   uint64   // of that; 0 = none
	last  []uint64 // its bits
}

func newColumnMatcher(f fieldID, ix *index, size int) *columnMatcher {
	m := &columnMatcher{field: f, ix: ix, cache: newCache(size, ix.words), short: size == rememberedShort}
	m.target = *newTarget(ix)
	return m
}

// bits returns the bits of a record's column.
func (m *columnMatcher) bits(r *cloudfront.Record, hasher *seeded.Hasher) []uint64 {
	raw := column(r, m.field)
	if m.short && len(raw) < 8 {
		key := pack(raw)
		if key == m.key {
			return m.last
		}
		words := m.known(key, raw)
		m.key, m.last = key, words
		return words
	}
	m.key = 0 // last may be overwritten
	return m.known(hasher.Bytes(raw), raw)
}

// pack makes a key of a text of less than 8 bytes.
func pack(text []byte) uint64 {
	key := uint64(len(text)) + 1
	for _, c := range text {
		key = key<<8 | uint64(c)
	}
	return bits.ReverseBytes64(key * behindPath) // both can be undone, so it is the text's own
}

func (m *columnMatcher) known(key uint64, raw []byte) []uint64 {
	_, words, hit := m.cache.slot(key)
	if !hit {
		m.text = fieldText(raw, m.text[:0], m.field)
		m.evaluate(m.text, words)
	}
	return words
}

func (m *columnMatcher) evaluate(text []byte, bits []uint64) {
	t := &m.target
	escaped := flagsOf(text, false)&isEscaped != 0
	t.place(escaped, func(*view) span { return spanOf(0, len(text)) })
	t.look(m.ix.machines, text, bits)
	if escaped {
		for _, i := range t.undone {
			t.undoView(i, text, spanOf(0, len(text)), bits)
		}
	}
	for _, a := range m.ix.tests {
		if a.holds(borrow(text)) {
			setBit(bits, a.bit-m.ix.base)
		}
	}
}
