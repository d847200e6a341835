package agent

import (
	"bytes"

	"weir/internal/match"
)

// A needle is a text to be found in a user agent, and what is then true.
type needle struct {
	text string // in lower case
	edge match.Edge

	kind    Kind
	marks   mark
	product product // its version follows the needle
	crawler Crawler
}

// product is a name with a version behind it, as user agents string them together.
type product uint8

const (
	noProduct product = iota
	mozilla
	appleWebKit
	chrome
	edg
	opr
	presto // Opera until 12
	samsung
	firefox
	revision // rv: of Gecko
	version  // Version/, of Safari
	safari
	iosShell // Chrome, Firefox, Edge on iOS
	msie
	trident
	products
)

// mark is what else matters about a browser.
type mark uint8

const (
	embedded mark = 1 << iota // in a television, a console, a car: old as its device, and alive
	niche                     // an engine that does not keep up with the version that it names
)

// findings is what the needles in a user agent say of it.
type findings struct {
	kind     Kind
	marks    mark
	products uint32           // bit p: product p is named
	versions [products]uint16 // major versions, of the first time that a product is named; 0 = unknown
	crawler  Crawler          // the first in the table of those named
}

// A lexicon finds needles.
type lexicon struct {
	automaton *match.Automaton[uint8]
	needles   []needle
}

func newLexicon(needles []needle) *lexicon {
	texts := make([]match.Needle[uint8], len(needles))
	for i, n := range needles {
		texts[i] = match.Needle[uint8]{Text: n.text, Edge: n.edge}
	}
	return &lexicon{automaton: match.New(texts), needles: needles}
}

// find returns what the needles in a text say of it.
func (l *lexicon) find(text []byte) (f findings) {
	var cursor match.Cursor
	for {
		index, ok := l.automaton.Next(text, &cursor)
		if !ok {
			return f
		}
		n := &l.needles[index]
		f.kind |= n.kind
		f.marks |= n.marks
		if n.crawler != 0 && (f.crawler == 0 || n.crawler < f.crawler) && !isLikeness(text[:cursor.At()-len(n.text)]) {
			f.crawler = n.crawler
		}
		if p := n.product; p != noProduct && !f.has(p) {
			f.products |= 1 << p
			f.versions[p] = major(text[cursor.At():])
		}
	}
}

func (f *findings) has(p product) bool { return f.products&(1<<p) != 0 }

// isLikeness reports whether a crawler's name is only compared with: "TelegramBot (like
// TwitterBot)".
func isLikeness(before []byte) bool { return bytes.HasSuffix(before, []byte("like ")) }

// major reads the number that text begins with.
func major(text []byte) (n uint16) {
	for i := 0; i < len(text) && i < 4 && text[i]-'0' <= 9; i++ {
		n = n*10 + uint16(text[i]-'0')
	}
	return n
}
