package filter

import (
	"slices"
	"strings"
)

// A node is a boolean formula over atoms. There is no node for "not": it is pushed down
// to the atoms when it is made.
type node struct {
	op   op
	atom *atom // of opIs and opNot
	kids []*node
}

type op uint8

const (
	opTrue op = iota
	opFalse
	opUnknown // only expr can tell
	opIs      // the atom holds
	opNot     // the atom does not hold
	opAnd
	opOr
)

var (
	isTrue    = &node{op: opTrue}
	isFalse   = &node{op: opFalse}
	isUnknown = &node{op: opUnknown}
)

func constant(b bool) *node {
	if b {
		return isTrue
	}
	return isFalse
}

func not(n *node) *node {
	switch n.op {
	case opTrue:
		return isFalse
	case opFalse:
		return isTrue
	case opIs:
		return &node{op: opNot, atom: n.atom}
	case opNot:
		return &node{op: opIs, atom: n.atom}
	case opAnd, opOr:
		kids := make([]*node, len(n.kids))
		for i, kid := range n.kids {
			kids[i] = not(kid)
		}
		return join(opAnd+opOr-n.op, kids...)
	}
	return n
}

func and(kids ...*node) *node { return join(opAnd, kids...) }
func or(kids ...*node) *node  { return join(opOr, kids...) }

// join makes a conjunction or a disjunction: flat, without constants, and with the
// literals that are looked for in one text as one atom.
func join(op op, kids ...*node) *node {
	neutral, final := opTrue, opFalse
	if op == opOr {
		neutral, final = opFalse, opTrue
	}
	var flat []*node
	for _, kid := range kids {
		switch kid.op {
		case neutral:
		case final:
			return kid
		case op:
			flat = append(flat, kid.kids...)
		default:
			flat = append(flat, kid)
		}
	}
	if op == opOr {
		flat = mergeLiterals(flat)
	}
	switch len(flat) {
	case 0:
		return &node{op: neutral}
	case 1:
		return flat[0]
	}
	return &node{op: op, kids: flat}
}

func mergeLiterals(kids []*node) []*node {
	var out []*node
	first := map[string]int{} // of a text -> in out
	for _, kid := range kids {
		if kid.op != opIs || !kid.atom.searches() {
			out = append(out, kid)
			continue
		}
		key := kid.atom.subject()
		at, ok := first[key]
		if !ok {
			first[key] = len(out)
			out = append(out, kid)
			continue
		}
		merged := *out[at].atom
		merged.literals = slices.Concat(merged.literals, kid.atom.literals)
		merged.regexps = slices.Concat(merged.regexps, kid.atom.regexps)
		if merged.about != kid.atom.about && len(merged.about) < 1000 {
			merged.about += " or " + kid.atom.about
		}
		out[at] = &node{op: opIs, atom: &merged}
	}
	return out
}

// atoms calls f for every atom of a formula.
func (n *node) atoms(f func(**atom)) {
	if n.atom != nil {
		f(&n.atom)
	}
	for _, kid := range n.kids {
		kid.atoms(f)
	}
}

// unknown tells whether a formula has parts that only expr can tell.
func (n *node) unknown() bool {
	return n.op == opUnknown || slices.ContainsFunc(n.kids, (*node).unknown)
}

// eval evaluates a formula: with unknown parts taken for true it says whether the
// filter may hold, for false whether it must.
func (n *node) eval(bits []uint64, unknown bool) bool {
	switch n.op {
	case opTrue:
		return true
	case opUnknown:
		return unknown
	case opIs:
		return bits[n.atom.bit>>6]>>(n.atom.bit&63)&1 != 0
	case opNot:
		return bits[n.atom.bit>>6]>>(n.atom.bit&63)&1 == 0
	case opAnd:
		for _, kid := range n.kids {
			if !kid.eval(bits, unknown) {
				return false
			}
		}
		return true
	case opOr:
		for _, kid := range n.kids {
			if kid.eval(bits, unknown) {
				return true
			}
		}
	}
	return false
}

// String writes a formula in the words of its atoms.
func (n *node) String() string {
	switch n.op {
	case opTrue:
		return "true"
	case opFalse:
		return "false"
	case opUnknown:
		return "(expr)"
	case opIs:
		return n.atom.String()
	case opNot:
		return "not (" + n.atom.String() + ")"
	}
	word := " and "
	if n.op == opOr {
		word = " or "
	}
	var parts []string
	for _, kid := range n.kids {
		text := kid.String()
		if kid.op == opAnd || kid.op == opOr {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, word)
}

// A formula is a node made ready to be evaluated often. Most are conjunctions, and most
// of these fail at an atom that is easy to see.
type formula struct {
	root    *node
	why     string  // what of it only expr can tell; "" = nothing
	needs   []masks // of the atoms without which it cannot hold, and with which it cannot
	rest    []*node // of the conjunction
	partial bool    // it has parts that only expr can tell
}

type masks struct {
	word      int
	all, none uint64
}

func (f *formula) finish(words int) {
	f.partial = f.root.unknown()
	m := make([]masks, words)
	kids := []*node{f.root}
	if f.root.op == opAnd {
		kids = f.root.kids
	}
	for _, kid := range kids {
		switch kid.op {
		case opIs:
			m[kid.atom.bit>>6].all |= 1 << (kid.atom.bit & 63)
		case opNot:
			m[kid.atom.bit>>6].none |= 1 << (kid.atom.bit & 63)
		default:
			f.rest = append(f.rest, kid)
		}
	}
	for i := range m {
		if m[i].word = i; m[i].all|m[i].none != 0 {
			f.needs = append(f.needs, m[i])
		}
	}
}

// holds tells whether a formula holds, and whether that is for expr to say.
func (f *formula) holds(bits []uint64) (holds, ask bool) {
	for i := range f.needs {
		n := &f.needs[i]
		if w := bits[n.word]; w&n.all != n.all || w&n.none != 0 {
			return false, false
		}
	}
	for _, n := range f.rest {
		if !n.eval(bits, true) {
			return false, false
		}
	}
	if !f.partial {
		return true, false
	}
	for _, n := range f.rest {
		if !n.eval(bits, false) {
			return false, true
		}
	}
	return true, false
}
