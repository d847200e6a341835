package filter

import (
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
)

// Conditions are what a filter asks of a record, each as it stands in the filter or
// negated. Of alternatives it is those of the one that is nearest to hold.
type Conditions struct{ Met, Unmet []string }

// Why takes filter i apart and says what of it holds of the record that was matched
// last. It asks expr for each condition, so it is slow and for people.
func (m *Matcher) Why(i int) Conditions {
	w := why{m: m, x: m.set.filters[i]}
	return w.ask(m.set.filters[i].root, true)
}

type why struct {
	m *Matcher
	x *expression
}

// ask says what of a node speaks for it being want.
func (w *why) ask(n ast.Node, want bool) Conditions {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return w.ask(n.Node, !want)
		}
	case *ast.BinaryNode:
		and := n.Operator == "&&" || n.Operator == "and"
		if !and && n.Operator != "||" && n.Operator != "or" {
			break
		}
		left, right := w.ask(n.Left, want), w.ask(n.Right, want)
		switch {
		case and == want:
			return Conditions{append(left.Met, right.Met...), append(left.Unmet, right.Unmet...)}
		case len(left.Unmet) < len(right.Unmet), len(left.Unmet) == len(right.Unmet) && len(left.Met) >= len(right.Met):
			return left
		default:
			return right
		}
	}
	text := n.String()
	holds := w.holds(text) == want
	if !want {
		if _, single := n.(*ast.MemberNode); single {
			text = "!" + text
		} else {
			text = "not (" + text + ")"
		}
	}
	if holds {
		return Conditions{Met: []string{text}}
	}
	return Conditions{Unmet: []string{text}}
}

// holds asks expr. A condition that fails, or that makes no sense outside of its
// filter, does not hold.
func (w *why) holds(text string) bool {
	program, err := expr.Compile(text, append(helperOptions(w.x.file), expr.Env(env{}), expr.AsBool())...)
	if err != nil {
		return false
	}
	var machine vm.VM
	part := expression{program: program, setMeta: w.x.setMeta}
	holds, err := part.plainHolds(&machine, w.m.plain())
	return holds && err == nil
}
