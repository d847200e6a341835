package expression

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A step goes from a value to one that it holds: by name, or by place in a list.
type step struct {
	name  string // "" for a list's index, since names are never empty
	index int
}

// path is a document path: where in an item a value is.
type path []step

func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// compare orders paths so that of two indexes in a list the lower comes first.
func (p path) compare(o path) int {
	return slices.CompareFunc(p, o, func(a, b step) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.index - b.index
	})
}

// eval finds the value at p.
func (p path) eval(it Item) (Value, bool) {
	at := Value{kind: Map, m: it}
	for _, s := range p {
		next, ok := at.child(s)
		if !ok {
			return Value{}, false
		}
		at = next
	}
	return at, true
}

// child returns the value one step into v.
func (v Value) child(s step) (Value, bool) {
	if s.name != "" {
		c, ok := v.m[s.name] // nil unless v is a map
		return c, ok
	}
	if v.kind != List || s.index >= len(v.list) {
		return Value{}, false
	}
	return v.list[s.index], true
}

// clashes tells how two paths of one expression get in each other's way, or "".
func (p path) clashes(o path) string {
	for i := range min(len(p), len(o)) {
		a, b := p[i], o[i]
		if (a.name == "") != (b.name == "") {
			return "conflict" // one takes it for a list, the other for a map
		}
		if a != b {
			return ""
		}
	}
	return "overlap"
}

// checkClashes refuses paths of which one says where another already is.
func checkClashes(paths []path) error {
	for i, p := range paths {
		for _, o := range paths[:i] {
			if how := p.clashes(o); how != "" {
				return errorf("two document paths %s with each other: %v, %v", how, o, p)
			}
		}
	}
	return nil
}

// Projection is a parsed ProjectionExpression.
type Projection struct{ paths []path }

// Of returns what of it the projection names.
func (p Projection) Of(it Item) Item { return project(it, p.paths) }

// project returns what of it lies at the paths, in the shape it has there;
// lists close up.
func project(it Item, paths []path) Item {
	v, ok := Value{kind: Map, m: it}.project(paths)
	if !ok {
		return Item{}
	}
	return v.m
}

func (v Value) project(paths []path) (Value, bool) {
	under := make(map[step][]path)
	for _, p := range paths {
		if len(p) == 0 {
			return v, true
		}
		under[p[0]] = append(under[p[0]], p[1:])
	}
	out := Value{kind: v.kind}
	if v.kind == Map {
		out.m = make(map[string]Value)
	}
	// Sorted, so that a list keeps its order.
	for _, s := range slices.SortedFunc(maps.Keys(under), func(a, b step) int { return path{a}.compare(path{b}) }) {
		c, ok := v.child(s)
		if !ok {
			continue
		}
		if c, ok = c.project(under[s]); !ok {
			continue
		}
		if v.kind == Map {
			out.m[s.name] = c
		} else {
			out.list = append(out.list, c)
		}
	}
	return out, len(out.m) > 0 || len(out.list) > 0
}
