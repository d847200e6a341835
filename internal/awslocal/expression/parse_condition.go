package expression

import (
	"slices"
	"strings"
)

// maxIn is how many values IN may list.
const maxIn = 100

// condition is the production of Condition-, Filter- and KeyConditionExpression:
// OR binds looser than AND, AND looser than NOT.
func (p *parser) condition() condition {
	left := p.conjunction()
	for p.accept("OR") {
		left = either{left, p.conjunction()}
	}
	return left
}

func (p *parser) conjunction() condition {
	left := p.negation()
	for p.accept("AND") {
		left = both{left, p.negation()}
	}
	return left
}

func (p *parser) negation() condition {
	if p.accept("NOT") {
		return neither{p.negation()}
	}
	if p.accept("(") {
		inner := p.condition()
		p.expect(")")
		if _, twice := inner.(group); twice {
			p.fail("the expression has redundant parentheses")
		}
		return group{inner}
	}
	return p.predicate()
}

// predicate reads a function that is true or false, or a comparison.
func (p *parser) predicate() condition {
	if p.peek(0).text != "size" || !p.peek(1).is("(") {
		if f := p.function(); f != "" {
			return p.test(f)
		}
	}
	of := p.operand()
	switch op := p.next(); {
	case op.kind == tokenSymbol && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, op.text):
		right := p.operand()
		p.checkOperands(op.text, of, right)
		return compare{op.text, of, right}
	case op.is("BETWEEN"):
		low := p.operand()
		p.expect("AND")
		high := p.operand()
		p.checkOperands("BETWEEN", of, low, high)
		p.checkBounds(low, high)
		return between{of, low, high}
	case op.is("IN"):
		p.expect("(")
		list := []operand{p.operand()}
		for p.accept(",") {
			list = append(list, p.operand())
		}
		p.expect(")")
		if len(list) > maxIn {
			p.fail("too many operands for IN: %d", len(list))
		}
		p.checkOperands("IN", of, list...)
		return oneOf{of, list}
	default:
		p.fail("syntax error; token: %v", op)
		return nil
	}
}

// test reads the arguments of a function that is true or false.
func (p *parser) test(name string) (out condition) {
	switch name {
	case "attribute_exists":
		out = exists{p.document(name)}
	case "attribute_not_exists":
		out = neither{exists{p.document(name)}}
	case "attribute_type":
		at := p.document(name)
		p.expect(",")
		out = hasType{at, p.typeName()}
	case "begins_with":
		of := p.operand()
		p.expect(",")
		with := p.operand()
		p.checkOperands(name, of, with)
		out = beginsWith{of, with}
	case "contains":
		of := p.operand()
		p.expect(",")
		what := p.operand()
		p.checkOperands(name, of, what)
		out = contains{of, what}
	default:
		p.fail("invalid function name, or function not allowed here; function: %s", name)
	}
	p.expect(")")
	return out
}

// document reads a function's argument that must be a path.
func (p *parser) document(function string) path {
	if p.peek(0).kind == tokenParam {
		p.fail("operator or function requires a document path; operator or function: %s", function)
	}
	return p.path()
}

func (p *parser) typeName() Kind {
	v := p.param()
	name := Kind(v.text)
	known := []Kind{
		String, Number, Binary, Bool, Null,
		Map, List, StringSet, NumberSet, BinarySet,
	}
	if v.kind != String || !slices.Contains(known, name) {
		p.fail("invalid attribute type name found; type: %.20q", v.text)
	}
	return name
}

// operand reads a path, a value or size(...).
func (p *parser) operand() operand {
	if p.peek(0).kind == tokenParam {
		return p.param()
	}
	switch f := p.function(); f {
	case "":
		return p.path()
	case "size":
		of := p.operand()
		if _, nested := of.(sizeOf); nested {
			p.fail("the function is not allowed to be used this way in an expression; function: size")
		}
		if v, ok := of.(literal); ok && !slices.Contains([]Kind{String, Binary, Map, List}, v.kind) && !v.kind.isSet() {
			p.fail("incorrect operand type for operator or function; operator or function: size, operand type: %s", v.kind)
		}
		p.expect(")")
		return sizeOf{of}
	default:
		p.fail("invalid function name, or function not allowed here; function: %s", f)
		return nil
	}
}

// checkOperands refuses what can be known to be senseless without an item: a
// path compared with itself, and a value of a kind that the operator is never
// true of.
func (p *parser) checkOperands(op string, of operand, others ...operand) {
	for _, o := range others {
		a, isPath := of.(path)
		b, isPath2 := o.(path)
		if isPath && isPath2 && a.compare(b) == 0 {
			p.fail("the first operand must be distinct from the remaining operands; operator: %s, first operand: %v", op, a)
		}
	}
	var wanted []Kind
	switch {
	case op == "begins_with":
		wanted = []Kind{String, Binary}
	case op == "BETWEEN" || strings.ContainsAny(op, "<>") && op != "<>":
		wanted = []Kind{String, Number, Binary}
	default:
		return
	}
	for _, o := range append([]operand{of}, others...) {
		v, ok := o.(literal)
		if _, isSize := o.(sizeOf); isSize {
			v, ok = literal{kind: Number}, true
		}
		if ok && !slices.Contains(wanted, v.kind) {
			p.fail("incorrect operand type for operator or function; operator or function: %s, operand type: %s", op, v.kind)
		}
	}
}

// checkBounds refuses a BETWEEN that is false of everything.
func (p *parser) checkBounds(low, high operand) {
	l, ok := low.(literal)
	h, ok2 := high.(literal)
	switch {
	case !ok || !ok2:
	case l.kind != h.kind:
		p.fail("the BETWEEN operator requires same data type for lower and upper bounds; %s, %s", l.kind, h.kind)
	case Compare(Value(l), Value(h)) > 0:
		p.fail("the BETWEEN operator requires upper bound to be greater than or equal to lower bound")
	}
}
