package filter

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// say writes an expression with what its variables, and '#', stand for: it names one
// condition and no other.
func (c *compiler) say(n ast.Node) string {
	var undo []func()
	var walk func(ast.Node)
	walk = func(n ast.Node) {
		switch n := n.(type) {
		case *ast.PointerNode:
			if name := n.Name; name == "" && len(c.items) > 0 {
				n.Name = fmt.Sprintf("%q", c.items[len(c.items)-1])
				undo = append(undo, func() { n.Name = name })
			}
		case *ast.IdentifierNode:
			for _, v := range slices.Backward(c.vars) {
				if name := n.Value; v.name == name {
					n.Value = v.value.about
					if v.value.kind == symConst {
						n.Value = fmt.Sprintf("%q", v.value.val)
					}
					undo = append(undo, func() { n.Value = name })
					break
				}
			}
		}
		for child := range children(n) {
			walk(child)
		}
	}
	walk(n)
	defer func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}()
	return n.String()
}

func (c *compiler) binary(n *ast.BinaryNode) sym {
	switch n.Operator {
	case "and", "&&":
		return bothWays(c.boolean(c.eval(n.Left)), c.boolean(c.eval(n.Right)))
	case "or", "||":
		return bothWays(c.boolean(c.eval(n.Left)).swapped(), c.boolean(c.eval(n.Right)).swapped()).swapped()
	}
	l, r := c.eval(n.Left), c.eval(n.Right)
	if n.Operator == "not in" { // expr's parser writes not (a in b)
		return c.give(n)
	}
	out := c.operate(n, l, r)
	if out.kind == symUnknown {
		return c.give(n)
	}
	return out
}

func (c *compiler) operate(n *ast.BinaryNode, l, r sym) sym {
	if n.Operator == "!=" {
		eq := c.equal(n, l, r)
		if eq.kind != symBool {
			return unknown
		}
		return eq.swapped()
	}
	if n.Operator == "==" {
		return c.equal(n, l, r)
	}
	switch n.Operator {
	case "contains", "startsWith", "endsWith", "matches":
		return c.find(n, l, r)
	case "in":
		return c.in(n, l, r)
	case "<", "<=", ">", ">=":
		return c.order(n, l, r)
	case "+":
		if a, ok := l.val.(string); ok {
			if b, ok := r.val.(string); ok {
				return known(a + b)
			}
		}
	}
	return unknown
}

// equal compiles ==.
func (c *compiler) equal(n ast.Node, l, r sym) sym {
	if l.kind == symConst && r.kind == symConst {
		if a, ok := l.val.(string); ok {
			b, isText := r.val.(string)
			return truth(constant(isText && a == b))
		}
		if l.val == nil || r.val == nil {
			return truth(constant(l.val == nil && r.val == nil))
		}
		return c.order(n, l, r)
	}
	if l.kind == symConst {
		l, r = r, l
	}
	if r.kind == symConst && r.val == nil { // no field is nil
		return truth(isFalse)
	}
	switch l.kind {
	case symBool:
		if r.kind == symConst || r.kind == symBool {
			r = c.boolean(r)
			if l.unknown() || r.unknown() {
				return unknown
			}
			return sym{kind: symBool, t: or(and(l.t, r.t), and(l.f, r.f)), f: or(and(l.t, r.f), and(l.f, r.t))}
		}
	case symText:
		if text, ok := r.val.(string); ok {
			return search(l, n.String(), []literal{{text, true, true}}, nil)
		}
		if l.chain.letters == asIs {
			l, r = r, l
		}
		if r.kind == symText && l.field == r.field && l.chain.unescape+r.chain.unescape == "" && r.chain.letters == asIs {
			return test(l.field, c.say(n), false, func(s string) (bool, bool) { return l.chain.letters.isOf(s), true })
		}
	case symLookUp:
		if text, ok := r.val.(string); ok {
			return lookUpIs(l, text, c.say(n))
		}
	case symInt, symFloat:
		return c.order(n, l, r)
	}
	return compareTexts(c.say(n), l, r, func(a, b string) bool { return a == b })
}

func (s sym) unknown() bool { return s.t.unknown() || s.f.unknown() }

// text returns a function that makes the value of a sym of one field.
func (s sym) text() func(string) (string, bool) {
	if v, ok := s.val.(string); ok && s.kind == symConst {
		return func(string) (string, bool) { return v, true }
	}
	return s.str
}

// compareTexts compiles an operator between two texts of the same field.
func compareTexts(about string, l, r sym, f func(a, b string) bool) sym {
	a, b := l.text(), r.text()
	field := max(l.field, r.field)
	if a == nil || b == nil || l.str != nil && r.str != nil && l.field != r.field {
		return unknown
	}
	return test(field, about, l.kind == symString || r.kind == symString, func(s string) (bool, bool) {
		x, ok := a(s)
		if !ok {
			return false, false
		}
		y, ok := b(s)
		return ok && f(x, y), ok
	})
}

// find compiles the operators that look for a text or a pattern in another.
func (c *compiler) find(n *ast.BinaryNode, l, r sym) sym {
	pattern, fixed := r.val.(string)
	if n.Operator == "matches" {
		if !fixed {
			return unknown
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			loc := n.Right.Location()
			c.fault = c.x.src.errorAt(&loc, "%v", err)
			return truth(isFalse)
		}
		if l.kind == symText {
			return search(l, n.String(), nil, []*regexp.Regexp{re})
		}
		return c.findIn(n, l, r, func(s, _ string) bool { return re.MatchString(s) })
	}
	if fixed && l.kind == symText {
		return search(l, n.String(), []literal{{pattern, n.Operator == "startsWith", n.Operator == "endsWith"}}, nil)
	}
	switch n.Operator {
	case "contains":
		return c.findIn(n, l, r, strings.Contains)
	case "startsWith":
		return c.findIn(n, l, r, strings.HasPrefix)
	}
	return c.findIn(n, l, r, strings.HasSuffix)
}

func (c *compiler) findIn(n ast.Node, l, r sym, f func(string, string) bool) sym {
	a, ok := l.val.(string)
	b, ok2 := r.val.(string)
	if ok && ok2 && l.kind == symConst && r.kind == symConst {
		return truth(constant(f(a, b)))
	}
	return compareTexts(c.say(n), l, r, f)
}

// in compiles whether a value is among those of a list that is known.
func (c *compiler) in(n ast.Node, l, r sym) sym {
	list, ok := elements(r)
	if !ok {
		return unknown
	}
	switch l.kind {
	case symConst:
		text, ok := l.val.(string)
		if !ok {
			return unknown
		}
		return truth(constant(slices.Contains(list, any(text))))
	case symText:
		var literals []literal
		for _, v := range list {
			if text, ok := v.(string); ok {
				literals = append(literals, literal{text, true, true})
			}
		}
		return search(l, n.String(), literals, nil)
	}
	return unknown
}

// order compiles comparisons of numbers.
func (c *compiler) order(n ast.Node, l, r sym) sym {
	b, ok := n.(*ast.BinaryNode)
	if !ok {
		return unknown
	}
	fits := func(sign int) bool {
		switch b.Operator {
		case "<":
			return sign < 0
		case "<=":
			return sign <= 0
		case ">":
			return sign > 0
		case ">=":
			return sign >= 0
		}
		return sign == 0
	}
	if b.Operator == "!=" {
		fits = func(sign int) bool { return sign == 0 } // the caller turns it round
	}
	li, lok := l.val.(int)
	ri, rok := r.val.(int)
	switch {
	case lok && rok:
		return truth(constant(fits(cmp.Compare(li, ri))))
	case l.kind == symInt && rok:
		return test(l.field, c.say(n), true, func(s string) (bool, bool) {
			i, ok := l.num(s)
			return ok && fits(cmp.Compare(i, ri)), ok
		})
	case r.kind == symInt && lok:
		return test(r.field, c.say(n), true, func(s string) (bool, bool) {
			i, ok := r.num(s)
			return ok && fits(cmp.Compare(li, i)), ok
		})
	case l.kind == symFloat && r.kind == symConst:
		want, ok := number(r.val)
		if !ok {
			return unknown
		}
		return test(l.field, c.say(n), true, func(s string) (bool, bool) {
			f, ok := l.float(s)
			if f != f { // nothing is less, equal or greater
				return false, ok
			}
			return ok && fits(cmp.Compare(f, want)), ok
		})
	}
	return unknown
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// call compiles functions of CrowdSec's.
func (c *compiler) call(n *ast.CallNode) sym {
	if m, ok := n.Callee.(*ast.MemberNode); ok {
		return c.method(n, m)
	}
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.give(n)
	}
	args := make([]sym, len(n.Arguments))
	for i, arg := range n.Arguments {
		args[i] = c.eval(arg)
		if args[i].kind == symUnknown {
			return c.give(n)
		}
	}
	switch {
	case stringHelpers[id.Value] != nil && len(args) == 1:
		return c.stringHelper(n, id.Value, args[0])
	case dataFunctions[id.Value].kind != "":
		return c.dataCall(n, id.Value, args)
	}
	for _, h := range helpers {
		if h.name == id.Value {
			return c.helper(n, h, args)
		}
	}
	return c.give(n)
}

func (c *compiler) method(n *ast.CallNode, m *ast.MemberNode) sym {
	name, _ := property(m)
	base, ok := m.Node.(*ast.IdentifierNode)
	if !ok || base.Value != "evt" || name != "SetMeta" {
		return c.give(n)
	}
	for _, arg := range n.Arguments {
		switch c.eval(arg).kind {
		case symConst, symText, symLookUp:
		default:
			return c.give(n) // it might fail
		}
	}
	return known(true)
}

func (c *compiler) stringHelper(n ast.Node, name string, s sym) sym {
	f := stringHelpers[name]
	if text, ok := s.val.(string); ok && s.kind == symConst {
		return known(f(text))
	}
	if s.str == nil {
		return c.give(n)
	}
	about := name + "(" + s.about + ")"
	if s.kind == symText && s.chain.letters == asIs {
		next := s.chain
		switch name {
		case "Upper":
			next.letters = inUpper
		case "Lower":
			next.letters = inLower
		case "PathUnescape":
			next.unescape += "P"
		case "QueryUnescape":
			next.unescape += "Q"
		}
		if next != s.chain {
			return textOf(s.field, next, about)
		}
	}
	return sym{kind: symString, field: s.field, about: about, str: func(field string) (string, bool) {
		text, ok := s.str(field)
		return f(text), ok
	}}
}

func (c *compiler) dataCall(n *ast.CallNode, name string, args []sym) sym {
	at := dataFunctions[name]
	if at.name >= len(args) {
		return c.give(n)
	}
	file, _ := args[at.name].val.(string)
	d, err := c.x.file(file, at.kind)
	if err != nil {
		return c.give(n)
	}
	switch name {
	case "File":
		return known(d.lines)
	case "FileMap":
		return known(d.rows)
	}
	s := args[0]
	text, fixed := s.val.(string)
	switch {
	case name == "RegexpInFile" && fixed:
		return truth(constant(d.matchesRegexp(text)))
	case name == "RegexpInFile" && s.kind == symText:
		return search(s, n.String(), nil, d.regexps)
	case name == "LookupFile" && fixed:
		return known(d.lookUp(text))
	case name == "LookupFile" && s.kind == symText:
		return sym{kind: symLookUp, field: s.field, chain: s.chain, data: d, about: n.String()}
	}
	return c.give(n)
}

// lookUpIs compiles a comparison of the result of LookupFile: whether there is any, or
// which it is.
func lookUpIs(s sym, tag, about string) sym {
	if tag != "" {
		return test(s.field, about, false, func(field string) (bool, bool) { return s.data.lookUp(s.chain.apply(field)) == tag, true })
	}
	var literals []literal
	var regexps []*regexp.Regexp
	for _, row := range s.data.rows {
		switch row["type"] {
		case "equals":
			literals = append(literals, literal{row["pattern"], true, true})
		case "contains":
			literals = append(literals, literal{text: row["pattern"]})
		default:
			regexps = append(regexps, regexp.MustCompile(row["pattern"]))
		}
	}
	found := search(s, "not "+strconv.Quote(about), literals, regexps)
	found.t.atoms(func(a **atom) { (*a).about = s.about + ` != ""` })
	return found.swapped()
}

// helper compiles a function of which one argument at most is not known.
func (c *compiler) helper(n ast.Node, h helper, args []sym) sym {
	values := make([]any, len(args))
	at := -1
	for i, arg := range args {
		switch {
		case arg.kind == symConst:
			values[i] = arg.val
		case arg.str != nil && at < 0:
			at = i
		default:
			return c.give(n)
		}
	}
	if at < 0 {
		out, err := call(h, values)
		if err != nil {
			return c.give(n)
		}
		return known(out)
	}
	arg := args[at]
	do := func(field string) (any, bool) {
		text, ok := arg.str(field)
		if !ok {
			return nil, false
		}
		all := slices.Clone(values)
		all[at] = text
		out, err := call(h, all)
		return out, err == nil
	}
	out := sym{field: arg.field, about: n.String()}
	switch reflect.TypeOf(h.typ).Elem().Out(0).Kind() {
	case reflect.String:
		out.kind, out.str = symString, func(s string) (string, bool) { v, ok := do(s); t, _ := v.(string); return t, ok }
	case reflect.Int:
		out.kind, out.num = symInt, func(s string) (int, bool) { v, ok := do(s); i, _ := v.(int); return i, ok }
	case reflect.Float64:
		out.kind, out.float = symFloat, func(s string) (float64, bool) { v, ok := do(s); f, _ := v.(float64); return f, ok }
	case reflect.Bool:
		return test(arg.field, c.say(n), true, func(s string) (bool, bool) { v, ok := do(s); b, _ := v.(bool); return b, ok })
	default:
		return c.give(n)
	}
	return out
}

// call runs a helper. A list or number of another type than it wants is its fault.
func call(h helper, args []any) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, errBadArgument
		}
	}()
	return h.call(args...)
}
