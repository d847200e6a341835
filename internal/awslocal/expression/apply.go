package expression

import (
	"maps"
	"slices"
)

// Why an update that parses may yet fail on the item it meets.
func errMissing() error {
	return errorf("the provided expression refers to an attribute that does not exist in the item")
}

func errWrongKind() error {
	return errorf("an operand in the update expression has an incorrect data type")
}

func errBadPath() error {
	return errorf("the document path provided in the update expression is invalid for update")
}

// assignedValue works out the right side of SET.
func assignedValue(from operand, it Item) (Value, error) {
	switch o := from.(type) {
	case sum:
		return arithmetic(o.left, o.right, it, decimal.add)
	case difference:
		return arithmetic(o.left, o.right, it, func(a, b decimal) (decimal, error) { return a.add(b.neg()) })
	case ifNotExists:
		if v, ok := o.at.eval(it); ok {
			return v, nil
		}
		return assignedValue(o.otherwise, it)
	case listAppend:
		first, err := assignedValue(o.first, it)
		if err != nil {
			return Value{}, err
		}
		second, err := assignedValue(o.second, it)
		if err != nil {
			return Value{}, err
		}
		if first.kind != List || second.kind != List {
			return Value{}, errWrongKind()
		}
		return Value{kind: List, list: slices.Concat(first.list, second.list)}, nil
	}
	v, ok := from.eval(it)
	if !ok {
		return Value{}, errMissing()
	}
	return v, nil
}

func arithmetic(left, right operand, it Item, op func(a, b decimal) (decimal, error)) (Value, error) {
	l, err := assignedValue(left, it)
	if err != nil {
		return Value{}, err
	}
	r, err := assignedValue(right, it)
	if err != nil {
		return Value{}, err
	}
	if l.kind != Number || r.kind != Number {
		return Value{}, errWrongKind()
	}
	n, err := op(l.num, r.num)
	if err != nil {
		return Value{}, errorf("%v", err)
	}
	return Value{kind: Number, num: n, text: n.String()}, nil
}

// The operands that only assignedValue knows are operands so that a SET can
// hold them beside paths and values.
func (o sum) eval(it Item) (Value, bool)         { return evalAssigned(o, it) }
func (o difference) eval(it Item) (Value, bool)  { return evalAssigned(o, it) }
func (o ifNotExists) eval(it Item) (Value, bool) { return evalAssigned(o, it) }
func (o listAppend) eval(it Item) (Value, bool)  { return evalAssigned(o, it) }

func evalAssigned(o operand, it Item) (Value, bool) {
	v, err := assignedValue(o, it)
	return v, err == nil
}

// addTo carries out ADD: a number grows, a set takes members in; either begins
// to exist where there is nothing.
func addTo(out, old Item, a assignment) error {
	v, _ := a.from.eval(old)
	was, ok := a.at.eval(old)
	switch {
	case !ok:
	case was.kind != v.kind:
		return errWrongKind()
	case v.kind == Number:
		n, err := was.num.add(v.num)
		if err != nil {
			return errorf("%v", err)
		}
		v = Value{kind: Number, num: n, text: n.String()}
	default:
		members := slices.Concat(was.list, v.list)
		slices.SortFunc(members, Compare)
		v.list = slices.CompactFunc(members, Value.Equal)
	}
	return place(out, a.at, &v)
}

// deleteFrom carries out DELETE: a set loses members, and is gone with its last.
func deleteFrom(out, old Item, a assignment) error {
	v, _ := a.from.eval(old)
	was, ok := a.at.eval(old)
	if !ok {
		return nil
	}
	if was.kind != v.kind {
		return errWrongKind()
	}
	left := slices.DeleteFunc(slices.Clone(was.list), func(m Value) bool { return slices.ContainsFunc(v.list, m.Equal) })
	if len(left) == 0 {
		return place(out, a.at, nil)
	}
	return place(out, a.at, &Value{kind: was.kind, list: left})
}

// place puts v at a path of it, or removes what is there (nil). it is the
// caller's own; what it holds is shared, so the way down is copied.
func place(it Item, at path, v *Value) error {
	root, err := Value{kind: Map, m: it}.place(at, v)
	if err != nil {
		return err
	}
	if _, ok := root.m[at[0].name]; !ok {
		delete(it, at[0].name)
		return nil
	}
	it[at[0].name] = root.m[at[0].name]
	return nil
}

func (v Value) place(at path, what *Value) (Value, error) {
	s := at[0]
	if s.name != "" && v.kind != Map || s.name == "" && v.kind != List {
		return Value{}, errBadPath()
	}
	if len(at) > 1 {
		inner, ok := v.child(s)
		if !ok {
			return Value{}, errBadPath()
		}
		placed, err := inner.place(at[1:], what)
		if err != nil {
			return Value{}, err
		}
		what = &placed
	}
	if s.name == "" {
		return Value{kind: List, list: placeInList(v.list, s.index, what)}, nil
	}
	m := maps.Clone(v.m)
	if what == nil {
		delete(m, s.name)
	} else {
		m[s.name] = *what
	}
	return Value{kind: Map, m: m}, nil
}

// placeInList returns a changed copy. Beyond the end, setting appends and
// removing does nothing.
func placeInList(list []Value, index int, what *Value) []Value {
	list = slices.Clone(list)
	switch {
	case index >= len(list) && what != nil:
		return append(list, *what)
	case index >= len(list):
		return list
	case what == nil:
		return slices.Delete(list, index, index+1)
	}
	list[index] = *what
	return list
}
