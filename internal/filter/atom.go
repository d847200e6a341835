package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// An atom is a condition on one field of a record, or a fact. It is either a search,
// whether any of its literals and regular expressions is found in a text made of the
// field, or a test.
type atom struct {
	fact  int     // in Options.Facts, or -1
	field fieldID // when it is no fact
	about string  // what a person reads

	chain    chain // what the field becomes before it is searched
	literals []literal
	regexps  []*regexp.Regexp

	// test tells whether the condition is true of the field, and false if it cannot
	// be evaluated. The atom holds when it can, and result is wanted.
	test func(field string) (result, ok bool)
	want bool

	bit int // in the bits of a record
}

// A literal is a text that is looked for, at an end or anywhere.
type literal struct {
	text       string
	start, end bool // it has to begin, to end the text
}

// A chain says what becomes of a field before it is searched: some layers of escapes
// are undone, and then its letters may change case.
type chain struct {
	unescape string // of 'P', PathUnescape, and 'Q', QueryUnescape
	letters  letters
}

type letters uint8

const (
	asIs letters = iota
	inUpper
	inLower
	numLetters
)

func (l letters) apply(s string) string {
	switch l {
	case inUpper:
		return strings.ToUpper(s)
	case inLower:
		return strings.ToLower(s)
	}
	return s
}

// isOf tells whether a text is in these letters already.
func (l letters) isOf(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			return l.apply(text) == text
		case l == inUpper && 'a' <= c && c <= 'z', l == inLower && 'A' <= c && c <= 'Z':
			return false
		}
	}
	return true
}

func (c chain) undo(s string) string {
	for _, how := range c.unescape {
		if how == 'P' {
			s = pathUnescape(s)
		} else {
			s = queryUnescape(s)
		}
	}
	return s
}

func (c chain) apply(s string) string { return c.letters.apply(c.undo(s)) }

// can tells whether a text in these letters can hold a literal at all.
func (l letters) can(text string) bool {
	for i := range len(text) {
		c := text[i]
		if l == inUpper && 'a' <= c && c <= 'z' || l == inLower && 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func (a *atom) searches() bool { return a.fact < 0 && a.test == nil }

// subject names the text that an atom searches.
func (a *atom) subject() string {
	return fmt.Sprint(a.field, a.chain.unescape, a.chain.letters)
}

// holds is the plain way to evaluate an atom.
func (a *atom) holds(field string) bool {
	if a.test != nil {
		result, ok := a.test(field)
		return ok && result == a.want
	}
	text := a.chain.apply(field)
	return slices.ContainsFunc(a.literals, func(l literal) bool { return l.in(text) }) ||
		slices.ContainsFunc(a.regexps, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}

func (l literal) in(text string) bool {
	switch {
	case l.start && l.end:
		return text == l.text
	case l.start:
		return strings.HasPrefix(text, l.text)
	case l.end:
		return strings.HasSuffix(text, l.text)
	}
	return strings.Contains(text, l.text)
}

// key is the same for atoms that ask the same.
func (a *atom) key() string {
	if !a.searches() {
		return fmt.Sprint(a.fact, a.field, a.about, a.want)
	}
	var b strings.Builder
	b.WriteString(a.subject())
	for _, l := range a.literals {
		fmt.Fprintf(&b, "|%q%v%v", l.text, l.start, l.end)
	}
	for _, re := range a.regexps {
		fmt.Fprintf(&b, "|/%q", re)
	}
	return b.String()
}

// String says what an atom asks.
func (a *atom) String() string {
	if a.test != nil && !a.want {
		return "not (" + a.about + ")"
	}
	return a.about
}
