package filter

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// A dfa tells whether a regular expression matches an ASCII text, with one look-up for
// each byte: what regexp needs for a long text would let a client make its requests
// dear. It is immutable.
type dfa struct {
	class   [utf8.RuneSelf]uint8
	classes int
	next    []uint16 // state*classes + class -> state
	atEnd   []bool   // of a state: whether the text may end here
	dead    int      // the state that nothing leaves; -1 = none
}

const (
	maxDFAStates = 512
	accepts      = 0 // the state of a text in which a match was found
)

// newDFA returns nil when the machine would be too large, or the expression asks for
// lines. letters are those that a text is to be taken in.
func newDFA(re *regexp.Regexp, l letters) *dfa {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil
	}
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		if inst.Op == syntax.InstEmptyWidth && syntax.EmptyOp(inst.Arg)&(syntax.EmptyBeginLine|syntax.EmptyEndLine) != 0 {
			return nil
		}
	}
	b := &dfaBuilder{prog: prog, dfa: &dfa{dead: -1}, states: map[string]uint16{}}
	b.anchored = prog.StartCond()&syntax.EmptyBeginText != 0
	b.classify(l)
	b.add(nfaState{}) // accepts
	b.add(nfaState{first: true})
	for i := 1; i < len(b.list); i++ {
		if len(b.list) > maxDFAStates {
			return nil
		}
		b.expand(i)
	}
	return b.dfa
}

// match tells whether the expression matches a text, which must be ASCII.
func (d *dfa) match(text []byte) bool {
	state := 1
	for _, c := range text {
		state = int(d.next[state*d.classes+int(d.class[c&0x7f])])
		if state == accepts {
			return true
		}
		if state == d.dead {
			return false
		}
	}
	return d.atEnd[state]
}

// An nfaState is where threads of the expression stand between two bytes.
type nfaState struct {
	at    []uint32 // instructions, ascending; the start is always one more
	first bool     // nothing was read yet
	word  bool     // the last byte is part of a word
}

type dfaBuilder struct {
	prog   *syntax.Prog
	dfa    *dfa
	list   []nfaState
	states map[string]uint16
	sample []byte // one byte of each class
	seen   []bool

	anchored bool // no match begins but at the start
}

// classify finds out which bytes no instruction tells apart.
func (b *dfaBuilder) classify(l letters) {
	known := map[string]uint8{}
	for c := range utf8.RuneSelf {
		to := l.apply(string(rune(c)))[0]
		var sign strings.Builder
		if wordByte(to) {
			sign.WriteByte('w')
		}
		for i := range b.prog.Inst {
			if b.steps(uint32(i), to) {
				sign.WriteByte('1')
			} else {
				sign.WriteByte('0')
			}
		}
		class, ok := known[sign.String()]
		if !ok {
			class = uint8(len(known))
			known[sign.String()] = class
			b.sample = append(b.sample, to)
		}
		b.dfa.class[c] = class
	}
	b.dfa.classes = len(known)
}

func (b *dfaBuilder) steps(at uint32, c byte) bool {
	inst := &b.prog.Inst[at]
	switch inst.Op {
	case syntax.InstRuneAny:
		return true
	case syntax.InstRuneAnyNotNL:
		return c != '\n'
	case syntax.InstRune, syntax.InstRune1:
		return inst.MatchRune(rune(c))
	}
	return false
}

func wordByte(c byte) bool { return c < utf8.RuneSelf && syntax.IsWordChar(rune(c)) }

// add returns the number of a state.
func (b *dfaBuilder) add(s nfaState) uint16 {
	var key strings.Builder
	for _, at := range s.at {
		key.WriteRune(rune(at + 2))
	}
	if s.first {
		key.WriteByte(0)
	}
	if s.word {
		key.WriteByte(1)
	}
	if len(b.list) == accepts {
		key.WriteString("accepts")
	}
	if i, ok := b.states[key.String()]; ok {
		return i
	}
	i := uint16(len(b.list))
	b.states[key.String()] = i
	b.list = append(b.list, s)
	b.dfa.atEnd = append(b.dfa.atEnd, i == accepts)
	b.dfa.next = append(b.dfa.next, make([]uint16, b.dfa.classes)...)
	return i
}

// expand works out the transitions of a state.
func (b *dfaBuilder) expand(i int) {
	s := b.list[i]
	_, b.dfa.atEnd[i] = b.follow(s, syntax.EmptyEndText|boundary(s.word, false))
	for class, c := range b.sample {
		word := wordByte(c)
		threads, matched := b.follow(s, boundary(s.word, word))
		to := uint16(accepts)
		if !matched {
			next := nfaState{word: word}
			for _, at := range threads {
				if b.steps(at, c) {
					next.at = append(next.at, b.prog.Inst[at].Out)
				}
			}
			if len(next.at) == 0 && b.anchored {
				next.word = false // all such states are one, which nothing leaves
			}
			slices.Sort(next.at)
			next.at = slices.Compact(next.at)
			to = b.add(next)
			if len(next.at) == 0 && b.anchored {
				b.dfa.dead = int(to)
			}
		}
		b.dfa.next[i*b.dfa.classes+class] = to
	}
}

func boundary(before, behind bool) syntax.EmptyOp {
	if before != behind {
		return syntax.EmptyWordBoundary
	}
	return syntax.EmptyNoWordBoundary
}

// follow returns the instructions that wait for a byte, after all that need none, and
// whether the expression has matched.
func (b *dfaBuilder) follow(s nfaState, empty syntax.EmptyOp) (threads []uint32, matched bool) {
	if s.first {
		empty |= syntax.EmptyBeginText
	}
	b.seen = append(b.seen[:0], make([]bool, len(b.prog.Inst))...)
	var visit func(at uint32)
	visit = func(at uint32) {
		if b.seen[at] {
			return
		}
		b.seen[at] = true
		inst := &b.prog.Inst[at]
		switch inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			visit(inst.Out)
			visit(inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			visit(inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^empty == 0 {
				visit(inst.Out)
			}
		case syntax.InstMatch:
			matched = true
		case syntax.InstFail:
		default:
			threads = append(threads, at)
		}
	}
	for _, at := range s.at {
		visit(at)
	}
	visit(uint32(b.prog.Start))
	return threads, matched
}
