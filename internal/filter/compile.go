package filter

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// A sym is what is known of a subexpression's value before there is a record.
type sym struct {
	kind symKind
	val  any // symConst

	// symBool: when it is true, and when it is false. An expression that fails is
	// neither, so that the whole filter comes out as expr has it, in which "a and b"
	// never looks at b when a is false. fails = nil: neither is impossible.
	t, f *node

	field fieldID
	chain chain                              // symText
	str   func(field string) (string, bool)  // symString; and of symText
	num   func(field string) (int, bool)     // symInt
	float func(field string) (float64, bool) // symFloat
	data  *Data                              // symLookUp
	about string
}

type symKind uint8

const (
	symUnknown symKind = iota
	symConst
	symBool
	symText   // a field, or what a chain makes of it
	symString // what a function makes of one field
	symInt
	symFloat
	symLookUp // the tag of the row of data that fits a text
)

func known(v any) sym { return sym{kind: symConst, val: v} }

func truth(t *node) sym { return sym{kind: symBool, t: t, f: not(t)} }

var unknown = sym{kind: symUnknown}

// maxWork bounds how many subexpressions are looked at for one filter, in which a
// closure is run once for each element of its list.
const maxWork = 20_000

type tooMuch struct{}

var errBadArgument = errors.New("an argument of another type")

// A compiler turns one expression into a formula.
type compiler struct {
	x     *expression
	facts map[string]int
	meta  map[string]bool // keys that the expression itself sets
	vars  []variable
	items []any // elements that '#' stands for, innermost last
	work  int
	fault error
	why   string // the first thing that could not be compiled
}

type variable struct {
	name  string
	value sym
}

// compile returns the formula of a filter; its unknown parts are for expr. why is the
// first thing that could not be compiled. The error is a regular expression that is none.
func (x *expression) compile(facts []string) (n *node, why string, err error) {
	c := &compiler{x: x, facts: make(map[string]int, len(facts)), meta: map[string]bool{}}
	for i, name := range facts {
		c.facts[name] = i
	}
	c.findSetMeta(x.root)
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(tooMuch); !ok {
				panic(p)
			}
			n, why, err = isUnknown, "it is too large", nil
		}
	}()
	s := c.boolean(c.eval(x.root))
	return s.t, c.why, c.fault
}

func (c *compiler) give(n ast.Node) sym {
	if c.why == "" {
		c.why = n.String()
	}
	return unknown
}

// boolean makes a sym a truth.
func (c *compiler) boolean(s sym) sym {
	switch s.kind {
	case symBool:
		return s
	case symConst:
		if b, ok := s.val.(bool); ok {
			return truth(constant(b))
		}
	}
	return sym{kind: symBool, t: isUnknown, f: isUnknown}
}

func (c *compiler) eval(n ast.Node) sym {
	if c.work++; c.work > maxWork {
		panic(tooMuch{})
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return known(nil)
	case *ast.BoolNode:
		return known(n.Value)
	case *ast.StringNode:
		return known(n.Value)
	case *ast.IntegerNode:
		return known(n.Value)
	case *ast.FloatNode:
		return known(n.Value)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.IdentifierNode:
		for _, v := range slices.Backward(c.vars) {
			if v.name == n.Value {
				return v.value
			}
		}
	case *ast.PointerNode:
		if n.Name == "" && len(c.items) > 0 {
			return known(c.items[len(c.items)-1])
		}
	case *ast.ChainNode:
		return c.eval(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.VariableDeclaratorNode:
		value := c.eval(n.Value)
		c.vars = append(c.vars, variable{n.Name, value})
		out := c.eval(n.Expr)
		c.vars = c.vars[:len(c.vars)-1]
		return out
	case *ast.SequenceNode:
		if len(n.Nodes) == 1 {
			return c.eval(n.Nodes[0])
		}
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.builtin(n)
	}
	return c.give(n)
}

func (c *compiler) array(n *ast.ArrayNode) sym {
	list := make([]any, len(n.Nodes))
	for i, element := range n.Nodes {
		s := c.eval(element)
		if s.kind != symConst {
			return c.give(n)
		}
		list[i] = s.val
	}
	return known(list)
}

func (c *compiler) member(n *ast.MemberNode) sym {
	name, ok := property(n)
	if !ok {
		return c.give(n)
	}
	switch base := n.Node.(type) {
	case *ast.IdentifierNode:
		if base.Value == "weir" {
			i, ok := c.facts["weir."+name]
			if !ok {
				return c.give(n)
			}
			return truth(&node{op: opIs, atom: &atom{fact: i, about: "weir." + name}})
		}
	case *ast.MemberNode:
		in, ok := eventMap(base)
		if !ok {
			break
		}
		if in == "Meta" && (c.meta[name] || c.meta[""]) {
			return c.give(n)
		}
		if text, ok := constFields[in+"."+name]; ok {
			return known(text)
		}
		field, ok := fieldOf(in, name)
		switch {
		case !ok:
		case field == fieldNone:
			return known("")
		default:
			return textOf(field, chain{}, "evt."+in+"."+name)
		}
	case *ast.PointerNode:
		if s := c.eval(base); s.kind == symConst {
			if row, ok := s.val.(map[string]string); ok {
				return known(row[name])
			}
		}
	}
	return c.give(n)
}

func textOf(field fieldID, ch chain, about string) sym {
	return sym{kind: symText, field: field, chain: ch, about: about, str: func(s string) (string, bool) { return ch.apply(s), true }}
}

// findSetMeta notes which keys of Meta the expression sets; "" stands for any.
func (c *compiler) findSetMeta(n ast.Node) {
	if call, ok := n.(*ast.CallNode); ok {
		if m, ok := call.Callee.(*ast.MemberNode); ok {
			if name, _ := property(m); name == "SetMeta" && len(call.Arguments) == 2 {
				key, _ := call.Arguments[0].(*ast.StringNode)
				if key == nil {
					c.meta[""] = true
				} else {
					c.meta[key.Value] = true
				}
			}
		}
	}
	for child := range children(n) {
		c.findSetMeta(child)
	}
}

func (c *compiler) unary(n *ast.UnaryNode) sym {
	s := c.eval(n.Node)
	switch n.Operator {
	case "!", "not":
		b := c.boolean(s)
		return sym{kind: symBool, t: b.f, f: b.t}
	case "-":
		if i, ok := s.val.(int); ok && s.kind == symConst {
			return known(-i)
		}
	case "+":
		if s.kind == symConst {
			return s
		}
	}
	return c.give(n)
}

func (c *compiler) conditional(n *ast.ConditionalNode) sym {
	cond := c.boolean(c.eval(n.Cond))
	yes, no := c.eval(n.Exp1), c.eval(n.Exp2)
	switch {
	case cond.t.op == opTrue:
		return yes
	case cond.f.op == opTrue:
		return no
	}
	if !isTruth(yes) || !isTruth(no) {
		return c.give(n)
	}
	yes, no = c.boolean(yes), c.boolean(no)
	return sym{
		kind: symBool,
		t:    or(and(cond.t, yes.t), and(cond.f, no.t)),
		f:    or(and(cond.t, yes.f), and(cond.f, no.f)),
	}
}

// isTruth tells whether a sym is a boolean. What is unknown may be one.
func isTruth(s sym) bool {
	if s.kind == symConst {
		_, ok := s.val.(bool)
		return ok
	}
	return s.kind == symBool || s.kind == symUnknown
}

// bothWays is "a and b" as expr has it, or, with true and false exchanged, "a or b".
func bothWays(a, b sym) sym {
	if a.sure() {
		return sym{kind: symBool, t: and(a.t, b.t), f: or(a.f, b.f)}
	}
	return sym{kind: symBool, t: and(a.t, b.t), f: or(a.f, and(a.t, b.f))}
}

// sure tells whether a truth is always true or false, so that the order in which it is
// looked at makes no difference.
func (s sym) sure() bool {
	sure := true
	check := func(a **atom) { sure = sure && ((*a).test == nil || (*a).fact == always) }
	s.t.atoms(check)
	s.f.atoms(check)
	return sure && !s.unknown()
}

func (s sym) swapped() sym { return sym{kind: symBool, t: s.f, f: s.t} }

// always marks a test that never fails.
const always = -2

// test makes a truth of a function of one field.
func test(field fieldID, about string, fails bool, f func(string) (bool, bool)) sym {
	a := atom{fact: always, field: field, about: about, test: f, want: true}
	if !fails {
		return truth(&node{op: opIs, atom: &a})
	}
	a.fact = -1
	b := a
	b.want = false
	return sym{kind: symBool, t: &node{op: opIs, atom: &a}, f: &node{op: opIs, atom: &b}}
}

// search makes a truth of what is looked for in a text.
func search(text sym, about string, literals []literal, regexps []*regexp.Regexp) sym {
	literals = slices.DeleteFunc(slices.Clone(literals), func(l literal) bool { return !text.chain.letters.can(l.text) })
	for _, l := range literals {
		if l.text == "" {
			if !l.start || !l.end {
				return truth(isTrue)
			}
			return searchEmpty(text, about, literals, regexps)
		}
	}
	if len(literals) == 0 && len(regexps) == 0 {
		return truth(isFalse)
	}
	return truth(&node{op: opIs, atom: &atom{
		fact: -1, field: text.field, chain: text.chain, literals: literals, regexps: regexps, about: about,
	}})
}

// searchEmpty is a search in which one of the literals is the empty text.
func searchEmpty(text sym, about string, literals []literal, regexps []*regexp.Regexp) sym {
	rest := slices.DeleteFunc(slices.Clone(literals), func(l literal) bool { return l.text == "" })
	other := search(text, about, rest, regexps)
	empty := test(text.field, text.about+` == ""`, false, func(s string) (bool, bool) { return s == "", true })
	return truth(or(empty.t, other.t)) // no chain makes a text empty, or an empty text anything else
}

// builtin compiles expr's own functions.
func (c *compiler) builtin(n *ast.BuiltinNode) sym {
	switch n.Name {
	case "any", "all", "none":
		return c.closure(n)
	case "len", "int", "upper", "lower":
		if len(n.Arguments) != 1 {
			break
		}
		s := c.eval(n.Arguments[0])
		switch n.Name {
		case "upper":
			return c.stringHelper(n, "Upper", s)
		case "lower":
			return c.stringHelper(n, "Lower", s)
		case "len":
			return c.length(n, s)
		default:
			return c.integer(n, s)
		}
	}
	return c.give(n)
}

func (c *compiler) length(n ast.Node, s sym) sym {
	switch v := s.val.(type) {
	case string:
		return known(utf8.RuneCountInString(v))
	case []any:
		return known(len(v))
	}
	if s.str == nil {
		return c.give(n)
	}
	return sym{kind: symInt, field: s.field, about: "len(" + s.about + ")", num: func(field string) (int, bool) {
		text, ok := s.str(field)
		return utf8.RuneCountInString(text), ok
	}}
}

func (c *compiler) integer(n ast.Node, s sym) sym {
	if i, ok := s.val.(int); ok {
		return known(i)
	}
	if s.kind == symInt {
		return s
	}
	if s.str == nil {
		return c.give(n)
	}
	return sym{kind: symInt, field: s.field, about: "int(" + s.about + ")", num: func(field string) (int, bool) {
		text, ok := s.str(field)
		i, err := strconv.Atoi(text)
		return i, ok && err == nil
	}}
}

// closure compiles any, all and none over a list that is known.
func (c *compiler) closure(n *ast.BuiltinNode) sym {
	if len(n.Arguments) != 2 {
		return c.give(n)
	}
	list, ok := elements(c.eval(n.Arguments[0]))
	predicate, isPredicate := n.Arguments[1].(*ast.PredicateNode)
	if !ok || !isPredicate {
		return c.give(n)
	}
	each := make([]sym, len(list))
	for i, item := range list {
		c.items = append(c.items, item)
		each[i] = c.boolean(c.eval(predicate.Node))
		c.items = c.items[:len(c.items)-1]
	}
	if n.Name == "all" {
		return allOf(each)
	}
	for i := range each {
		each[i] = each[i].swapped()
	}
	none := allOf(each)
	if n.Name == "none" {
		return none
	}
	return none.swapped()
}

// allOf is "a and b and ...".
func allOf(each []sym) sym {
	sure := true
	for _, s := range each {
		sure = sure && s.sure()
	}
	if sure {
		ts, fs := make([]*node, len(each)), make([]*node, len(each))
		for i, s := range each {
			ts[i], fs[i] = s.t, s.f
		}
		return sym{kind: symBool, t: and(ts...), f: or(fs...)}
	}
	out := truth(isTrue)
	for _, s := range slices.Backward(each) {
		out = bothWays(s, out)
	}
	return out
}

func elements(s sym) ([]any, bool) {
	if s.kind != symConst {
		return nil, false
	}
	switch list := s.val.(type) {
	case []any:
		return list, true
	case []string:
		out := make([]any, len(list))
		for i, v := range list {
			out[i] = v
		}
		return out, true
	case []map[string]string:
		out := make([]any, len(list))
		for i, v := range list {
			out[i] = v
		}
		return out, true
	}
	return nil, false
}
