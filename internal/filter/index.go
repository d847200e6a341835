package filter

import (
	"regexp"
	"slices"
	"strings"
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
