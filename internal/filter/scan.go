package filter

import (
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"
)

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
