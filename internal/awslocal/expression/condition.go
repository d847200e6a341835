package expression

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Condition is a parsed Condition-, Filter- or KeyConditionExpression.
type Condition struct {
	root       condition
	attributes []string
}

// Mentions tells whether c is about the attribute or something in it.
func (c *Condition) Mentions(attribute string) bool { return slices.Contains(c.attributes, attribute) }

// Holds tells whether the condition is true of an item; nil stands for an item
// that does not exist.
func (c *Condition) Holds(it Item) bool { return c.root.holds(it) }

// condition is true or false of an item.
type condition interface{ holds(it Item) bool }

// operand has a value in an item, or none.
type operand interface{ eval(it Item) (Value, bool) }

type (
	group   struct{ of condition } // in parentheses
	either  struct{ left, right condition }
	both    struct{ left, right condition }
	neither struct{ of condition } // NOT
	compare struct {
		op          string // = <> < <= > >=
		left, right operand
	}
	between struct{ of, low, high operand }
	oneOf   struct {
		of   operand
		list []operand
	}
	exists  struct{ at path }
	hasType struct {
		at   path
		kind Kind
	}
	beginsWith struct{ of, with operand }
	contains   struct{ of, what operand }

	literal Value
	sizeOf  struct{ of operand }
)

func (l literal) eval(Item) (Value, bool) { return Value(l), true }

func (c group) holds(it Item) bool   { return c.of.holds(it) }
func (c either) holds(it Item) bool  { return c.left.holds(it) || c.right.holds(it) }
func (c both) holds(it Item) bool    { return c.left.holds(it) && c.right.holds(it) }
func (c neither) holds(it Item) bool { return !c.of.holds(it) }

func (c compare) holds(it Item) bool {
	left, haveLeft := c.left.eval(it)
	right, haveRight := c.right.eval(it)
	switch found := haveLeft && haveRight; c.op {
	case "=":
		return found && left.Equal(right)
	case "<>": // also true of an attribute that is not there
		return !found || !left.Equal(right)
	default:
		return found && ordered(left, c.op, right)
	}
}

// ordered compares scalars of the same kind; others have no order, so that
// every comparison of them is false.
func ordered(left Value, op string, right Value) bool {
	if left.kind != right.kind || !left.kind.isScalar() {
		return false
	}
	c := Compare(left, right)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	panic("BUG: no comparator " + op)
}

func (k Kind) isScalar() bool { return k == String || k == Number || k == Binary }

func (c between) holds(it Item) bool {
	return compare{">=", c.of, c.low}.holds(it) && compare{"<=", c.of, c.high}.holds(it)
}

func (c oneOf) holds(it Item) bool {
	return slices.ContainsFunc(c.list, func(o operand) bool { return compare{"=", c.of, o}.holds(it) })
}

func (c exists) holds(it Item) bool {
	_, ok := c.at.eval(it)
	return ok
}

func (c hasType) holds(it Item) bool {
	v, ok := c.at.eval(it)
	return ok && v.kind == c.kind
}

func (c beginsWith) holds(it Item) bool {
	v, ok := c.of.eval(it)
	with, ok2 := c.with.eval(it)
	return ok && ok2 && v.kind == with.kind &&
		(v.kind == String || v.kind == Binary) && strings.HasPrefix(v.text, with.text)
}

func (c contains) holds(it Item) bool {
	v, ok := c.of.eval(it)
	what, ok2 := c.what.eval(it)
	switch {
	case !ok || !ok2:
		return false
	case v.kind == String || v.kind == Binary:
		return v.kind == what.kind && strings.Contains(v.text, what.text)
	case v.kind == List || v.kind.isSet():
		return slices.ContainsFunc(v.list, what.Equal)
	default:
		return false
	}
}

func (s sizeOf) eval(it Item) (Value, bool) {
	v, ok := s.of.eval(it)
	if !ok {
		return Value{}, false
	}
	switch v.kind {
	case String:
		return number(utf8.RuneCountInString(v.text)), true
	case Binary:
		return number(len(v.text)), true
	case Map:
		return number(len(v.m)), true
	case Number, Bool, Null:
		return Value{}, false
	default:
		return number(len(v.list)), true
	}
}

func number(n int) Value {
	v, err := parseScalar(Number, strconv.Itoa(n))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}
