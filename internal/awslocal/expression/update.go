package expression

import (
	"maps"
	"slices"
	"strings"
)

// Update is a parsed UpdateExpression.
type Update struct {
	set     []assignment
	remove  []path
	add     []assignment // right sides are literals
	deletes []assignment // right sides are literals
}

// assignment gives the value of an update operand to a place.
type assignment struct {
	at   path
	from operand
}

// What only the right side of SET may be, besides a path and a value. They
// have a value only in an item where all they refer to is there and of the
// right kind.
type (
	sum         struct{ left, right operand }
	difference  struct{ left, right operand }
	ifNotExists struct {
		at        path
		otherwise operand
	}
	listAppend struct{ first, second operand }
)

// paths returns every place that u changes.
func (u *Update) paths() []path {
	out := slices.Clone(u.remove)
	for _, a := range slices.Concat(u.set, u.add, u.deletes) {
		out = append(out, a.at)
	}
	return out
}

// Changes tells whether u changes the attribute or something in it.
func (u *Update) Changes(attribute string) bool {
	return slices.ContainsFunc(u.paths(), func(p path) bool { return p[0].name == attribute })
}

// Touched returns what of it lies where u makes changes.
func (u *Update) Touched(it Item) Item { return project(it, u.paths()) }

// update is the production of an UpdateExpression.
func (p *parser) update() *Update {
	u := new(Update)
	seen := make(map[string]bool)
	for p.peek(0).kind != tokenEnd {
		section := strings.ToUpper(p.next().text)
		if seen[section] {
			p.fail("the %q section can only be used once in an update expression", section)
		}
		seen[section] = true
		p.section(u, section)
		for p.accept(",") {
			p.section(u, section)
		}
	}
	if err := checkClashes(u.paths()); err != nil {
		panic(err)
	}
	return u
}

// section reads one action of a section.
func (p *parser) section(u *Update, name string) {
	switch name {
	case "SET":
		at := p.path()
		p.expect("=")
		u.set = append(u.set, assignment{at, p.assigned()})
	case "REMOVE":
		u.remove = append(u.remove, p.path())
	case "ADD":
		at, v := p.path(), p.param()
		if v.kind != Number && !v.kind.isSet() {
			p.fail("incorrect operand type for operator or function; operator: ADD, operand type: %s", v.kind)
		}
		u.add = append(u.add, assignment{at, v})
	case "DELETE":
		at, v := p.path(), p.param()
		if !v.kind.isSet() {
			p.fail("incorrect operand type for operator or function; operator: DELETE, operand type: %s", v.kind)
		}
		u.deletes = append(u.deletes, assignment{at, v})
	default:
		p.fail("syntax error; token: %q", name)
	}
}

// assigned reads the right side of SET: an operand, or the sum or difference of two.
// Parentheses may go around the whole of it only.
func (p *parser) assigned() operand {
	if p.accept("(") {
		out := p.assigned()
		p.expect(")")
		return out
	}
	left := p.updateOperand()
	switch {
	case p.accept("+"):
		right := p.updateOperand()
		p.wantKind("+", Number, left, right)
		return sum{left, right}
	case p.accept("-"):
		right := p.updateOperand()
		p.wantKind("-", Number, left, right)
		return difference{left, right}
	default:
		return left
	}
}

func (p *parser) updateOperand() (out operand) {
	if p.peek(0).kind == tokenParam {
		return p.param()
	}
	switch f := p.function(); f {
	case "":
		return p.path()
	case "if_not_exists":
		at := p.document(f)
		p.expect(",")
		out = ifNotExists{at, p.updateOperand()}
	case "list_append":
		first := p.updateOperand()
		p.expect(",")
		second := p.updateOperand()
		p.wantKind(f, List, first, second)
		out = listAppend{first, second}
	default:
		p.fail("invalid function name, or function not allowed here; function: %s", f)
	}
	p.expect(")")
	return out
}

// wantKind refuses values of another kind than the operator works on.
func (p *parser) wantKind(op string, want Kind, operands ...operand) {
	for _, o := range operands {
		if v, ok := o.(literal); ok && v.kind != want {
			p.fail("incorrect operand type for operator or function; operator or function: %s, operand type: %s", op, v.kind)
		}
	}
}

// Apply returns what u makes of an item, which stays as it is. Every right side sees the item as it was.
func (u *Update) Apply(old Item) (Item, error) {
	out := maps.Clone(old)
	if out == nil {
		out = make(Item)
	}
	// In the order of list indexes: elements beyond a list's end are appended
	// lowest first, and removed ones go highest first, since indexes mean the
	// list as it was.
	sets := slices.SortedStableFunc(slices.Values(u.set), func(a, b assignment) int { return a.at.compare(b.at) })
	for _, a := range sets {
		v, err := assignedValue(a.from, old)
		if err == nil {
			err = place(out, a.at, &v)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, a := range u.add {
		if err := addTo(out, old, a); err != nil {
			return nil, err
		}
	}
	for _, a := range u.deletes {
		if err := deleteFrom(out, old, a); err != nil {
			return nil, err
		}
	}
	removes := slices.SortedFunc(slices.Values(u.remove), func(a, b path) int { return b.compare(a) })
	for _, at := range removes {
		if err := place(out, at, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}
