package filter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Bounds of one expression. The longest of the hub has 1,300 bytes.
const (
	maxText  = 16 << 10
	maxNodes = 4000
	maxDepth = 200
)

// A Source is one expression, and where it stands.
type Source struct {
	Text string
	Name string // what it is of: "http-probing: filter"
	File string
	Line int // in File, counted from 1; of the text's first line

	// Data returns the data file that an expression names. It is only called from
	// Compile. nil: there are none.
	Data func(name string) (*Data, error)
}

// errorAt says what is wrong with a source at a byte of it, or at all of it if loc is nil.
func (s *Source) errorAt(loc *file.Location, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if loc == nil {
		return fmt.Errorf("%s:%d: %s: %s", s.File, s.Line, s.Name, text)
	}
	line, column := 1, 1
	for i, r := range []rune(s.Text) { // expr counts characters
		if i == loc.From {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return fmt.Errorf("%s:%d: %s: at %d:%d of the expression: %s", s.File, s.Line, s.Name, line, column, text)
}

// wrap gives an error of expr, or its panic, a place.
func (s *Source) wrap(err error) error {
	if e, ok := errors.AsType[*file.Error](err); ok {
		return s.errorAt(&e.Location, "%s", e.Message)
	}
	return s.errorAt(nil, "%v", err)
}

// An expression is a source that was parsed and whose types were checked.
type expression struct {
	src     Source
	root    ast.Node
	program *vm.Program
	data    map[string]*Data // the data files that it names
	setMeta bool             // it calls evt.SetMeta
}

// A world is what an expression may speak of.
type world struct {
	env   any
	facts map[string]bool // names such as weir.login
	check func(*checkNames, *ast.MemberNode)
}

// parse reads an expression that gives a value of the kind that want asks for.
func (w *world) parse(src Source, want expr.Option) (x *expression, err error) {
	defer func() {
		if p := recover(); p != nil { // expr has met expressions that it did not expect
			x, err = nil, src.errorAt(nil, "expr cannot read this: %v", p)
		}
	}()
	if len(src.Text) > maxText {
		return nil, src.errorAt(nil, "%d bytes long (at most %d)", len(src.Text), maxText)
	}
	if strings.TrimSpace(src.Text) == "" {
		return nil, src.errorAt(nil, "empty")
	}
	x = &expression{src: src, data: map[string]*Data{}}
	opts := append(helperOptions(x.file), expr.Env(w.env), expr.MaxNodes(maxNodes), expr.DisableBuiltin("now"), want)
	config := conf.CreateNew()
	for _, opt := range opts {
		opt(config)
	}
	delete(config.Builtins, "now")
	tree, err := parser.ParseWithConfig(src.Text, config)
	if err != nil {
		return nil, src.wrap(err)
	}
	if depth(tree.Node) > maxDepth {
		return nil, src.errorAt(nil, "nested deeper than %d", maxDepth)
	}
	x.root = tree.Node
	names := &checkNames{x: x, world: w}
	names.walk()
	if err := errors.Join(names.errs...); err != nil {
		return nil, err
	}
	if x.program, err = expr.Compile(src.Text, opts...); err != nil {
		return nil, src.wrap(err)
	}
	return x, nil
}

// file returns a data file that the check has loaded.
func (x *expression) file(name, kind string) (*Data, error) {
	if d := x.data[name]; d != nil && d.kind == kind {
		return d, nil
	}
	return nil, fmt.Errorf("no data file %.100q of type %s", name, kind)
}

// checkNames finds the names that expr would take for keys of a map that may hold
// anything, and the functions that it does not know.
type checkNames struct {
	x      *expression
	world  *world
	errs   []error
	locals map[string]bool // names of let
}

func (c *checkNames) walk() {
	c.locals = map[string]bool{}
	ast.Walk(&c.x.root, c)
}

func (c *checkNames) fail(n ast.Node, format string, args ...any) {
	loc := n.Location()
	c.errs = append(c.errs, c.x.src.errorAt(&loc, format, args...))
}

// Visit implements ast.Visitor. It sees the inner nodes first.
func (c *checkNames) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		c.world.check(c, n)
	case *ast.CallNode:
		c.call(n)
	}
}

func (c *checkNames) call(n *ast.CallNode) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	if f, ok := dataFunctions[callee.Value]; ok {
		c.loadData(n, f.name, callee.Value, f.kind)
		return
	}
	known := append(functionNames(), builtin.Names...)
	if !slices.Contains(known, callee.Value) {
		c.fail(n, "unknown function %.64s (nearest: %s)", callee.Value, nearest(callee.Value, known))
	}
}

func (c *checkNames) loadData(n *ast.CallNode, at int, function, kind string) {
	if at >= len(n.Arguments) {
		return // expr tells
	}
	lit, ok := n.Arguments[at].(*ast.StringNode)
	if !ok {
		c.fail(n, "%s: the name of a data file has to be written out", function)
		return
	}
	d := c.x.data[lit.Value]
	if d == nil {
		if c.x.src.Data == nil {
			c.fail(n, "%s: there is no data file %.100q", function, lit.Value)
			return
		}
		var err error
		if d, err = c.x.src.Data(lit.Value); err != nil {
			c.fail(n, "%s: %v", function, err)
			return
		}
		c.x.data[lit.Value] = d
	}
	if d.kind != kind {
		c.fail(n, "%s: %.100q holds data of type %s, not %s", function, lit.Value, d.kind, kind)
	}
}

// property returns the name of a member that is written out.
func property(n *ast.MemberNode) (string, bool) {
	s, ok := n.Property.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return s.Value, true
}

// depth returns how deep the nodes of an expression are nested.
func depth(n ast.Node) int {
	deepest := 0
	for child := range children(n) {
		deepest = max(deepest, depth(child))
	}
	return deepest + 1
}

// nearest returns the known name that the fewest edits lead to.
func nearest(name string, known []string) string {
	best, least := "none", len(name)+1
	if len(name) > 64 {
		return best
	}
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// edits counts how many letters to insert, delete or replace turn a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
