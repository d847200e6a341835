package filter

import (
	"encoding/binary"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A view is a text that atoms search: a field, some layers of escapes undone.
type view struct {
	field    fieldID
	unescape string
	role     role
	prefix   int              // when not 0, no more than so many bytes at the start decide about it
	letters  [numLetters]bool // those that its needles are in
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
	dfa     *dfa // nil when it would be too large
	view    int
	letters letters
	folds   bool
	maybe   int // -1 = always
	bit     int
}

// equals are the literals that have to be all of a view, as it is.
type equals struct {
	view    int
	bits    map[string][]int
	longest int
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
	machines []*automaton   // of all views
	own      [][]*automaton // of each view that undoes escapes
	equals   []equals

	base  int // the first of its atoms in the bits of a record
	atoms int // how many words hold atoms; further ones hold what the index itself needs
	words int
	bits  int
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
		ix.views[n.view].letters[n.letters] = true
	}
	ix.build()
	ix.words = (ix.bits + 63) / 64
	return ix
}

// build makes the automata.
func (ix *index) build() {
	all := make([]int, len(ix.needles))
	own := make([][]int, len(ix.views))
	for i, n := range ix.needles {
		all[i] = i
		own[n.view] = append(own[n.view], i)
	}
	ix.machines = newAutomata(ix.needles, all)
	ix.own = make([][]*automaton, len(ix.views))
	for i, which := range own {
		if ix.views[i].unescape != "" {
			ix.own[i] = newAutomata(ix.needles, which)
		}
	}
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
	p := pattern{re: re, dfa: newDFA(re, letters), view: at, letters: letters, folds: folds, maybe: -1, bit: bit}
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
	ix.insert(n)
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
		ix.insert(half)
	}
	if behind != "" {
		v.role = head
		half := n
		half.text, half.start, half.wordStart, half.bit = behind, true, false, ix.newBit()
		half.view = ix.view(v)
		p.head = half.bit
		ix.insert(half)
	}
	ix.pairs = append(ix.pairs, p)
}

// insert adds a needle to the automaton, or to the texts that are looked up.
func (ix *index) insert(n needle) {
	if !n.start || !n.end || n.letters != asIs || n.wordStart || n.wordEnd {
		ix.needles = append(ix.needles, n)
		return
	}
	at := slices.IndexFunc(ix.equals, func(e equals) bool { return e.view == n.view })
	if at < 0 {
		at = len(ix.equals)
		ix.equals = append(ix.equals, equals{view: n.view, bits: map[string][]int{}})
	}
	e := &ix.equals[at]
	e.longest = max(e.longest, len(n.text))
	e.bits[n.text] = append(e.bits[n.text], n.bit)
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
	for _, e := range ix.equals {
		if e.view == at {
			return
		}
	}
	ix.views[at].prefix = 4*longest + utf8.UTFMax // letters of the other case may be shorter
}

// scan sets the bits of the needles of some machines that are found in a text, in which
// the views lie where spans say.
func (ix *index) scan(machines []*automaton, text []byte, spans []span, bits []uint64, s *scratch) {
	for i := range ix.equals {
		e := &ix.equals[i]
		if at := &spans[e.view]; at.complete() && at.to-at.from <= e.longest && at.to > at.from {
			for _, bit := range e.bits[string(text[at.from:at.to])] {
				setBit(bits, bit)
			}
		}
	}
	if len(text) == 0 {
		return
	}
	if isASCII(text) {
		for _, a := range machines {
			ix.pass(a, text, spans, bits, numLetters)
		}
		return
	}
	for _, p := range ix.patterns { // there are letters that no needle stands for
		if p.folds && p.maybe >= 0 {
			setBit(bits, p.maybe)
		}
	}
	for l := range numLetters {
		if !ix.wants(l, spans) {
			continue
		}
		inCase, at := text, spans
		if l != asIs {
			s.recase(text, spans, l)
			inCase, at = s.wide, s.moved
		}
		for _, a := range machines {
			ix.pass(a, inCase, at, bits, l)
		}
	}
}

// wants tells whether a view that lies in the text has needles in some letters.
func (ix *index) wants(l letters, spans []span) bool {
	for i := range spans {
		if spans[i].from <= spans[i].to && ix.views[i].letters[l] {
			return true
		}
	}
	return false
}

// recase makes wide the text in other letters, and moved the spans in it. Every end of
// a span is at an ASCII character, so that no character is cut in two.
func (s *scratch) recase(text []byte, spans []span, l letters) {
	s.cuts = append(s.cuts[:0], len(text))
	for _, span := range spans {
		if span.from <= span.to {
			s.cuts = append(s.cuts, span.from, span.to)
		}
	}
	slices.Sort(s.cuts)
	s.cuts = slices.Compact(s.cuts)
	s.wide, s.ends = s.wide[:0], s.ends[:0]
	done := 0
	for _, cut := range s.cuts {
		s.wide = appendCase(s.wide, text[done:cut], l)
		s.ends = append(s.ends, len(s.wide))
		done = cut
	}
	s.moved = s.moved[:0]
	for _, old := range spans {
		m := absent
		if old.from <= old.to {
			from, _ := slices.BinarySearch(s.cuts, old.from)
			to, _ := slices.BinarySearch(s.cuts, old.to)
			m = span{s.ends[from], s.ends[to], old.begin, old.finish}
			if m.begin >= 0 {
				m.begin = m.from
			}
			if m.finish >= 0 {
				m.finish = m.to
			}
		}
		s.moved = append(s.moved, m)
	}
}

// appendCase is strings.ToUpper, or ToLower, of a text that is not ASCII.
func appendCase(dst, text []byte, l letters) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			switch {
			case l == inLower:
				c = lower(c)
			case 'a' <= c && c <= 'z':
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError: // is neither
		case l == inUpper:
			r = unicode.ToUpper(r)
		default:
			r = unicode.ToLower(r)
		}
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

// pass runs the automaton once. letters are those that the text is in, as far as it is
// not ASCII; numLetters when it is, since then all can be found in it.
func (ix *index) pass(a *automaton, text []byte, spans []span, bits []uint64, l letters) {
	if len(text) >= 4*minLane && len(text) >= 8*a.longest {
		ix.lanes(a, text, spans, bits, l)
		return
	}
	ix.lane(a, text, 0, spans, bits, l)
}

func (ix *index) lane(a *automaton, text []byte, from int, spans []span, bits []uint64, l letters) {
	next, class, shift := a.next, &a.class, a.shift&63
	var to uint16
	for i := from; i < len(text); i++ {
		to = next[uint(to>>1)<<shift+uint(class[text[i]])]
		if to&1 != 0 {
			ix.found(a.ends[to>>1], text, i+1, spans, bits, l)
		}
	}
}

const minLane = 128

// lanes is pass over a long text: four parts of it at once, since each step waits for
// the memory of the one before. The parts overlap by the longest needle.
func (ix *index) lanes(a *automaton, text []byte, spans []span, bits []uint64, l letters) {
	next, class, shift := a.next, &a.class, a.shift&63
	step := len(text)/4 - a.longest
	n := step + a.longest // of which each part begins where the one before has still to end needles
	p0, p1, p2, p3 := text[:n], text[step:][:n], text[2*step:][:n], text[3*step:][:n]
	var t0, t1, t2, t3 uint16
	for i := range n {
		t0 = next[uint(t0>>1)<<shift+uint(class[p0[i]])]
		t1 = next[uint(t1>>1)<<shift+uint(class[p1[i]])]
		t2 = next[uint(t2>>1)<<shift+uint(class[p2[i]])]
		t3 = next[uint(t3>>1)<<shift+uint(class[p3[i]])]
		if (t0|t1|t2|t3)&1 == 0 {
			continue
		}
		for k, to := range [...]uint16{t0, t1, t2, t3} {
			if to&1 != 0 {
				ix.found(a.ends[to>>1], text, k*step+i+1, spans, bits, l)
			}
		}
	}
	ix.lane(a, text, 4*step, spans, bits, l) // what is left, with the needles that begin before it ends
}

func (ix *index) found(ends []ending, text []byte, end int, spans []span, bits []uint64, l letters) {
	for _, e := range ends {
		if bits[e.bit>>6]>>(e.bit&63)&1 != 0 {
			continue
		}
		n := &ix.needles[e.needle]
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
		if p.matches(t) {
			setBit(bits, p.bit)
		}
	}
}

func (p *pattern) matches(text []byte) bool {
	switch {
	case p.dfa != nil && isASCII(text):
		return p.dfa.match(text)
	case p.letters == asIs:
		return p.re.Match(text)
	}
	return p.re.MatchString(p.letters.apply(string(text)))
}

// scratch is what a scan of a text that is not ASCII needs.
type scratch struct {
	wide  []byte
	moved []span
	cuts  []int // where spans begin and end, in the text
	ends  []int // and in wide
}

func setBit(bits []uint64, i int)      { bits[i>>6] |= 1 << (i & 63) }
func hasBit(bits []uint64, i int) bool { return bits[i>>6]>>(i&63)&1 != 0 }

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
