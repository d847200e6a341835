package filter

import (
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
)

// A value is a compiled value expression: the sum of its parts, or, when it is not
// that, an expression for the virtual machine.
type value struct {
	src    Source
	client bool // one of the parts is the client's address
	parts  []part
	plain  *expression
}

// A part is a field of the record, or a value from outside.
type part struct {
	field   fieldID
	outside int // in Options.Values; -1 = none
}

// ValueParts says what a value expression is made of.
type ValueParts struct {
	Client bool // evt.Meta.source_ip or weir.client is a part of it
	Rest   bool // there is more to it, and Matcher.Value is its fingerprint
}

// Value says what value expression i is made of. Of a constant neither is true.
func (s *Set) Value(i int) ValueParts {
	v := s.values[i]
	return ValueParts{Client: v.client, Rest: len(v.parts) > 0 || v.plain != nil}
}

func compileValue(src Source, opt Options) (*value, error) {
	v := &value{src: src}
	world := valueWorld(opt)
	x, err := world.parse(src, expr.AsKind(stringKind))
	if err != nil {
		return nil, err
	}
	if !v.sum(x.root, opt) {
		if usesOutside(x.root) {
			return nil, src.errorAt(nil, "a weir value can only be taken whole, or in a sum")
		}
		v.client, v.parts, v.plain = false, nil, x
	}
	return v, nil
}

// sum takes a sum of fields apart. Constants in it make no difference.
func (v *value) sum(n ast.Node, opt Options) bool {
	switch n := n.(type) {
	case *ast.StringNode:
		return true
	case *ast.BinaryNode:
		return n.Operator == "+" && v.sum(n.Left, opt) && v.sum(n.Right, opt)
	case *ast.MemberNode:
		return v.member(n, opt)
	}
	return false
}

func (v *value) member(n *ast.MemberNode, opt Options) bool {
	name, ok := property(n)
	if !ok {
		return false
	}
	if base, ok := n.Node.(*ast.IdentifierNode); ok && base.Value == "weir" {
		if name == "client" {
			v.client = true
			return true
		}
		at := slices.Index(opt.Values, "weir."+name)
		v.parts = append(v.parts, part{outside: at})
		return at >= 0
	}
	base, ok := n.Node.(*ast.MemberNode)
	if !ok {
		return false
	}
	in, ok := eventMap(base)
	if !ok {
		return false
	}
	field, ok := fieldOf(in, name)
	switch {
	case !ok:
		return false
	case field == fieldAddress:
		v.client = true
	case field != fieldNone:
		v.parts = append(v.parts, part{field: field, outside: -1})
	}
	return true
}

// usesOutside tells whether an expression speaks of anything of ours.
func usesOutside(n ast.Node) bool {
	if id, ok := n.(*ast.IdentifierNode); ok && id.Value == "weir" {
		return true
	}
	for child := range children(n) {
		if usesOutside(child) {
			return true
		}
	}
	return false
}

// A valueEnv is the world of a value.
type valueEnv struct {
	Evt  *event            `expr:"evt"`
	Weir map[string]string `expr:"weir"`
}

func valueWorld(opt Options) *world {
	w := recordWorld(append([]string{"weir.client"}, opt.Values...))
	w.env = valueEnv{}
	return w
}

// fingerprint is the seeded hash of a text; 0 stands for no text.
func (s *Set) fingerprint(text string) uint64 {
	if text == "" {
		return 0
	}
	return max(1, s.hasher.String(text))
}

// Value returns the fingerprint of value i of the record that was matched last,
// without the part that is the client's address: 0 when it is empty. Fingerprints follow
// from the value and Options.Hasher alone.
//
// ok is false when the expression failed: there is no such value of this record.
func (m *Matcher) Value(i int) (fingerprint uint64, ok bool) {
	v := m.set.values[i]
	if v.plain != nil {
		m.runs++
		text, err := v.plain.plainValue(&m.machine, m.plain())
		if err != nil {
			m.faults++
		}
		return m.set.fingerprint(text), err == nil
	}
	var sum uint64
	for _, p := range v.parts {
		sum = mix(sum, m.part(p))
	}
	return sum, true
}

// ValueInterpreted reports whether value i has to be asked of expr's virtual machine.
func (s *Set) ValueInterpreted(i int) bool { return s.values[i].plain != nil }

func (m *Matcher) part(p part) uint64 {
	if p.outside >= 0 {
		if m.Outside == nil {
			return 0
		}
		return m.Outside(p.outside)
	}
	return m.fieldValue(p.field)
}

// fieldValue returns the fingerprint of a field. A column that is the field but for the
// log's escapes stands for it, since CloudFront escapes a text in one way. Values ask for
// the same few fields again and again, of which a client can make each dear.
func (m *Matcher) fieldValue(f fieldID) uint64 {
	if f > lastOfTarget {
		return m.hash(column(m.record, f))
	}
	if m.valued>>f&1 == 0 {
		m.valued |= 1 << f
		m.values[f] = m.targetValue(f)
	}
	return m.values[f]
}

// targetValue is fieldValue of what path and query are made of.
func (m *Matcher) targetValue(f fieldID) uint64 {
	stem, query := m.record.Path(), m.record.Query()
	odd := flagsOf(stem, true) | flagsOf(query, false) // as logged: '?' and '/' are not escaped
	switch {
	case f == fieldPath && len(query) == 0:
		return m.hash(stem)
	case f == fieldPath:
		return mix(m.hash(stem), m.hash(query))
	case odd&(isOdd|isEscaped) != 0:
	case f == fieldRequest:
		return m.hash(stem)
	case f == fieldArgs:
		return m.hash(query)
	}
	if m.valued&isLaid == 0 {
		m.valued |= isLaid
		undo := wire
		if len(stem)+len(query) > maxLooked {
			undo = asLogged
		}
		m.text = undo(m.text[:0], stem)
		if len(query) > 0 {
			m.text = undo(append(m.text, '?'), query)
		}
		m.layout = lay(m.text)
	}
	switch f {
	case fieldArgsLen:
		return m.set.fingerprint(m.plain().Evt.field(f))
	case fieldStatic:
		return m.set.fingerprint(staticText(&m.layout, m.text))
	}
	at := m.layout.span(f)
	return m.hash(m.text[at.from:at.to])
}

// asLogged appends a column with the escapes of the log. It serves for long ones: a value
// that is cut out of it tells apart what it would without escapes, unless the log escapes
// a '/', '.' or '?'.
func asLogged(dst, raw []byte) []byte { return append(dst, raw...) }

// isLaid marks, beside the fields whose fingerprints are known, that text and layout are.
const isLaid = 1 << 31

// hash is fingerprint of bytes.
func (m *Matcher) hash(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	return max(1, m.set.hasher.Bytes(b))
}

// mix adds a fingerprint to others. It is 0 only if all are.
func mix(sum, next uint64) uint64 {
	if sum == 0 {
		return next
	}
	if next == 0 {
		next = 0x9e3779b97f4a7c15
	}
	sum = (sum ^ next>>29) * 0xbf58476d1ce4e5b9
	return max(1, sum^next^sum>>32)
}
