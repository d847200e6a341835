package expression

import "slices"

// Key is a table's key attribute.
type Key struct {
	Name string // "" = the table has no such key
	Kind Kind   // String, Number or Binary
}

// Keys reads c as a KeyConditionExpression for a table with these keys: one
// hash key and, of the rows under it, those that inRange holds of. The error
// says why c is no key condition.
func (c *Condition) Keys(hash, sort Key) (key Value, inRange *Condition, err error) {
	tests, err := conjuncts(c.root, nil)
	if err != nil {
		return Value{}, nil, err
	}
	inRange = &Condition{root: every{}}
	seen := make(map[string]bool)
	for _, t := range tests {
		name, values, isEqual, err := keyTest(t)
		if err != nil {
			return Value{}, nil, err
		}
		if seen[name] {
			return Value{}, nil, errorf("KeyConditionExpressions must only contain one condition per key: %s", name)
		}
		seen[name] = true
		switch name {
		case hash.Name:
			if !isEqual {
				return Value{}, nil, errorf("query key condition not supported: %s may only be tested with =", name)
			}
			key, err = values[0], hash.check(values)
		case sort.Name: // a path is never empty, so neither is name
			inRange, err = &Condition{root: t}, sort.check(values)
		default:
			err = errorf("query condition missed key schema element; %s is no key", name)
		}
		if err != nil {
			return Value{}, nil, err
		}
	}
	if !seen[hash.Name] {
		return Value{}, nil, errorf("query condition missed key schema element: %s", hash.Name)
	}
	return key, inRange, nil
}

// check refuses values of another kind than the key's.
func (k Key) check(values []Value) error {
	if slices.ContainsFunc(values, func(v Value) bool { return v.kind != k.Kind }) {
		return errorf("condition parameter type does not match schema type: %s is %s", k.Name, k.Kind)
	}
	return nil
}

// every is true of every item.
type every struct{}

func (every) holds(Item) bool { return true }

// conjuncts takes a chain of ANDs apart.
func conjuncts(c condition, out []condition) ([]condition, error) {
	switch c := c.(type) {
	case group:
		return conjuncts(c.of, out)
	case both:
		out, err := conjuncts(c.left, out)
		if err != nil {
			return nil, err
		}
		return conjuncts(c.right, out)
	case either, neither:
		return nil, errorf("invalid operator used in KeyConditionExpression: OR or NOT")
	default:
		return append(out, c), nil
	}
}

// keyTest takes one test of a key apart: of which attribute, with what values.
func keyTest(c condition) (name string, values []Value, isEqual bool, err error) {
	var at operand
	var with []operand
	switch c := c.(type) {
	case compare:
		if c.op == "<>" {
			return "", nil, false, errorf("unsupported operator on KeyCondition: operator: <>")
		}
		at, with, isEqual = c.left, []operand{c.right}, c.op == "="
		if _, turned := at.(literal); turned {
			at, with = c.right, []operand{c.left}
		}
	case between:
		at, with = c.of, []operand{c.low, c.high}
	case beginsWith:
		at, with = c.of, []operand{c.with}
	default:
		return "", nil, false, errorf("invalid operator used in KeyConditionExpression")
	}
	p, ok := at.(path)
	for _, w := range with {
		v, isValue := w.(literal)
		ok = ok && isValue
		values = append(values, Value(v))
	}
	if !ok || len(p) != 1 {
		return "", nil, false, errorf("KeyConditionExpressions must test a key attribute with a value")
	}
	return p[0].name, values, isEqual, nil
}
