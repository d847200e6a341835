package filter

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A view is a text that atoms search: a field, some layers of escapes undone.
type view struct {
	field    fieldID
	unescape string
	role     role
	prefix   int // when not 0, no more than so many bytes at the start decide about it
}

// A role says which part of evt.Meta.http_path a view is of. Path and query are looked
// at one by one, so that each is remembered: a text that holds a '?' is in the whole if
// what is before the '?' ends the path, and what is behind it begins the query.
type role uint8

const (
	whole role = iota
	tail       // the path, when there is a query: what stands before a '?'
	head       // the query: what stands behind it
)

// A span is where a view lies in a text that is scanned. begin and finish are where the
// view itself begins and ends; -1 when that is outside of the text.
type span struct{ from, to, begin, finish int }

var absent = span{from: 1, to: 0, begin: -1, finish: -1}

func spanOf(from, to int) span { return span{from, to, from, to} }

func (s span) complete() bool { return s.begin >= 0 && s.finish >= 0 }

// A needle is a literal in a view, and the bit that it sets.
type needle struct {
	text               string
	view               int
	letters            letters
	anyCase            bool
	start, end         bool
	wordStart, wordEnd bool
	bit                int
}

// A pattern is a regular expression that is run when its bit maybe is set.
type pattern struct {
	re      *regexp.Regexp
	view    int
	letters letters
	folds   bool
	maybe   int // -1 = always
	bit     int
}

// A pair of bits that together set a third.
type pair struct{ tail, head, bit int } // -1 = always set

// An index finds the atoms of some fields: all that stand in one column, or in path and
// query. It is immutable.
type index struct {
	views    []view
	needles  []needle
	patterns []pattern
	tests    []*atom
	pairs    []pair
	machine  *automaton

	base  int // the first of its atoms in the bits of a record
	atoms int // how many words hold atoms; further ones hold what the index itself needs
	words int
	bits  int

	wide [numLetters]bool // which letters its needles are in
}

// newIndex makes an index of atoms whose bits are base and following.
func newIndex(atoms []*atom, base int) *index {
	ix := &index{base: base, bits: (len(atoms) + 63) &^ 63}
	ix.atoms = ix.bits / 64
	for _, a := range atoms {
		ix.add(a)
	}
	for i := range ix.views {
		ix.bound(i)
	}
	for _, n := range ix.needles {
		ix.wide[n.letters] = true
	}
	if len(ix.needles) > 0 {
		ix.machine = newAutomaton(ix.needles)
	}
	ix.words = (ix.bits + 63) / 64
	return ix
}

func (ix *index) add(a *atom) {
	if a.test != nil || a.field == fieldArgsLen || a.field == fieldStatic {
		ix.tests = append(ix.tests, a)
		return
	}
	bit := a.bit - ix.base
	at := ix.view(view{field: a.field, unescape: a.chain.unescape})
	for _, l := range a.literals {
		ix.literal(needle{text: l.text, view: at, letters: a.chain.letters, start: l.start, end: l.end, bit: bit})
	}
	for _, re := range a.regexps {
		if w, ok := reduce(re); ok {
			if a.chain.letters.can(w.text) {
				ix.literal(needle{
					text: w.text, view: at, letters: a.chain.letters, start: w.start, end: w.end,
					wordStart: w.wordStart, wordEnd: w.wordEnd, bit: bit,
				})
			}
			continue
		}
		ix.pattern(re, at, a.chain.letters, bit)
	}
}

func (ix *index) pattern(re *regexp.Regexp, at int, letters letters, bit int) {
	without := ""
	if ix.views[at].field == fieldPath {
		without = "?"
	}
	texts, folds := required(re, without)
	p := pattern{re: re, view: at, letters: letters, folds: folds, maybe: -1, bit: bit}
	if texts != nil {
		p.maybe = ix.newBit()
		for _, text := range texts {
			ix.needles = append(ix.needles, needle{text: text, view: at, letters: letters, anyCase: true, bit: p.maybe})
		}
	}
	ix.patterns = append(ix.patterns, p)
}

func (ix *index) newBit() int {
	ix.bits++
	return ix.bits - 1
}

func (ix *index) view(v view) int {
	for i := range ix.views {
		if ix.views[i] == v {
			return i
		}
	}
	ix.views = append(ix.views, v)
	return len(ix.views) - 1
}

// literal adds a needle, and the halves of one in path and query.
func (ix *index) literal(n needle) {
	ix.needles = append(ix.needles, n)
	v := ix.views[n.view]
	if v.field != fieldPath || strings.Count(n.text, "?") != 1 {
		return
	}
	before, behind, _ := strings.Cut(n.text, "?")
	if behind == "" && n.end {
		return // there is no query that is empty
	}
	p := pair{tail: -1, head: -1, bit: n.bit}
	if before != "" || n.start {
		v.role = tail
		half := n
		half.text, half.end, half.wordEnd, half.bit = before, true, false, ix.newBit()
		half.view = ix.view(v)
		p.tail = half.bit
		if before == "" { // it begins with the '?': no path is empty
			return
		}
		ix.needles = append(ix.needles, half)
	}
	if behind != "" {
		v.role = head
		half := n
		half.text, half.start, half.wordStart, half.bit = behind, true, false, ix.newBit()
		half.view = ix.view(v)
		p.head = half.bit
		ix.needles = append(ix.needles, half)
	}
	ix.pairs = append(ix.pairs, p)
}

// bound works out how much of a view has to be looked at.
func (ix *index) bound(at int) {
	longest := 0
	for _, n := range ix.needles {
		if n.view != at {
			continue
		}
		if !n.start || n.end || n.wordEnd {
			return
		}
		longest = max(longest, len(n.text))
	}
	for _, p := range ix.patterns {
		if p.view == at {
			return
		}
	}
	ix.views[at].prefix = 4*longest + utf8.UTFMax // letters of the other case may be shorter
}

// scan sets the bits of the needles that are found in a text, in which the views lie
// where spans say.
func (ix *index) scan(text []byte, spans []span, bits []uint64, s *scratch) {
	if ix.machine == nil || len(text) == 0 {
		return
	}
	if isASCII(text) {
		ix.pass(text, spans, bits, numLetters)
		return
	}
	for _, p := range ix.patterns { // there are letters that no needle stands for
		if p.folds && p.maybe >= 0 {
			setBit(bits, p.maybe)
		}
	}
	for l := range numLetters {
		if !ix.wide[l] {
			continue
		}
		if l == asIs {
			ix.pass(text, spans, bits, l)
			continue
		}
		moved := s.moved[:0]
		s.wide = s.wide[:0]
		s.wide, moved = recase(s.wide, text, spans, moved, l)
		s.moved = moved
		ix.pass(s.wide, moved, bits, l)
	}
}

// recase appends a text in other letters, and where spans are in it. Every end of a
// span is at an ASCII character, so that no character is cut in two.
func recase(dst, text []byte, spans, moved []span, l letters) ([]byte, []span) {
	at := make(map[int]int, 8)
	for _, s := range spans {
		for _, i := range [...]int{s.from, s.to} {
			at[i] = -1
		}
	}
	for i := 0; i <= len(text); {
		if _, ok := at[i]; ok {
			at[i] = len(dst)
		}
		if i == len(text) {
			break
		}
		r, n := utf8.DecodeRune(text[i:])
		if l == inUpper {
			r = unicode.ToUpper(r)
		} else {
			r = unicode.ToLower(r)
		}
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	for _, s := range spans {
		m := absent
		if s.from <= s.to {
			m = span{at[s.from], at[s.to], s.begin, s.finish}
			if m.begin >= 0 {
				m.begin = m.from
			}
			if m.finish >= 0 {
				m.finish = m.to
			}
		}
		moved = append(moved, m)
	}
	return dst, moved
}

// pass runs the automaton once. letters are those that the text is in, as far as it is
// not ASCII; numLetters when it is, since then all can be found in it.
func (ix *index) pass(text []byte, spans []span, bits []uint64, l letters) {
	a := ix.machine
	next, class := a.next, &a.class
	row := uint32(0)
	for i, c := range text {
		to := next[row+uint32(class[c])]
		row = to >> 1
		if to&1 != 0 {
			ix.found(row, text, i+1, spans, bits, l)
		}
	}
}

func (ix *index) found(row uint32, text []byte, end int, spans []span, bits []uint64, l letters) {
	for _, i := range ix.machine.ends[row] {
		n := &ix.needles[i]
		if bits[n.bit>>6]>>(n.bit&63)&1 != 0 {
			continue
		}
		s := &spans[n.view]
		from := end - len(n.text)
		if from < s.from || end > s.to || n.start && from != s.begin || n.end && end != s.finish {
			continue
		}
		exact := !n.anyCase && (n.letters == asIs || l != numLetters)
		if l != numLetters && n.letters != l || exact && string(text[from:end]) != n.text {
			continue
		}
		if n.wordStart && isWord(text, from-1, s) == isWord(text, from, s) || n.wordEnd && isWord(text, end-1, s) == isWord(text, end, s) {
			continue
		}
		setBit(bits, n.bit)
	}
}

// isWord tells whether the byte at i is part of a word, as \b has it. What lies outside
// of the view is not.
func isWord(text []byte, i int, s *span) bool {
	if i < s.from || i >= s.to {
		return false
	}
	c := lower(text[i])
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_'
}

// run runs the patterns that may match, on those views that lie in the text as a whole.
func (ix *index) run(text []byte, spans []span, bits []uint64) {
	for i := range ix.patterns {
		p := &ix.patterns[i]
		s := &spans[p.view]
		if s.from > s.to || !s.complete() || hasBit(bits, p.bit) || p.maybe >= 0 && !hasBit(bits, p.maybe) {
			continue
		}
		t := text[s.from:s.to]
		if p.letters == asIs && p.re.Match(t) || p.letters != asIs && p.re.MatchString(p.letters.apply(string(t))) {
			setBit(bits, p.bit)
		}
	}
}

// scratch is what a scan of a text that is not ASCII needs.
type scratch struct {
	wide  []byte
	moved []span
}

func setBit(bits []uint64, i int)      { bits[i>>6] |= 1 << (i & 63) }
func hasBit(bits []uint64, i int) bool { return bits[i>>6]>>(i&63)&1 != 0 }

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
