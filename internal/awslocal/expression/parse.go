package expression

import (
	"maps"
	"slices"
	"strconv"
)

// Placeholders are what stands for names and values in a request's
// expressions. DynamoDB insists that each is used, so use is noted: parse all
// expressions of a request with one Placeholders, then call AllUsed.
type Placeholders struct {
	names  map[string]string
	values map[string]Value
	used   map[string]bool // by placeholder; the first character tells names and values apart
}

// NewPlaceholders checks the maps of a request. A nil map was not sent.
func NewPlaceholders(names map[string]string, values map[string]Value) (*Placeholders, error) {
	if names != nil && len(names) == 0 {
		return nil, errorf("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, errorf("ExpressionAttributeValues must not be empty")
	}
	for alias, name := range names {
		if !isToken(alias, tokenAlias) {
			return nil, errorf("ExpressionAttributeNames contains invalid key: %q", alias)
		}
		if name == "" {
			return nil, errorf("ExpressionAttributeNames contains an empty name for %q", alias)
		}
	}
	for param := range values {
		if !isToken(param, tokenParam) {
			return nil, errorf("ExpressionAttributeValues contains invalid key: %q", param)
		}
	}
	return &Placeholders{names, values, make(map[string]bool)}, nil
}

func isToken(s string, want tokenKind) bool {
	t, n := lexOne(s + " ")
	return t.kind == want && n == len(s)
}

// AllUsed refuses placeholders that no expression has mentioned.
func (p *Placeholders) AllUsed() error {
	unused := func(all []string) []string {
		return slices.DeleteFunc(all, func(name string) bool { return p.used[name] })
	}
	if left := unused(slices.Sorted(maps.Keys(p.names))); len(left) > 0 {
		return errorf("value provided in ExpressionAttributeNames unused in expressions: keys: %q", left)
	}
	if left := unused(slices.Sorted(maps.Keys(p.values))); len(left) > 0 {
		return errorf("value provided in ExpressionAttributeValues unused in expressions: keys: %q", left)
	}
	return nil
}

// Condition parses a Condition-, Filter- or KeyConditionExpression.
func (p *Placeholders) Condition(text string) (*Condition, error) {
	return parse(p, text, func(in *parser) *Condition {
		root := in.condition()
		return &Condition{root, in.attributes}
	})
}

// Update parses an UpdateExpression.
func (p *Placeholders) Update(text string) (*Update, error) {
	return parse(p, text, (*parser).update)
}

// Projection parses a ProjectionExpression.
func (p *Placeholders) Projection(text string) (Projection, error) {
	paths, err := parse(p, text, (*parser).projection)
	return Projection{paths}, err
}

// parser reads one expression. Its methods panic with a *Error, which
// parse turns into an error: a grammar reads better without an if at each step.
type parser struct {
	tokens     []token  // what is left; never empty, the last is tokenEnd
	attributes []string // that the expression mentions
	*Placeholders
}

// parse reads the whole of an expression with the production.
func parse[T any](p *Placeholders, expression string, production func(*parser) T) (out T, err error) {
	if expression == "" {
		return out, errorf("the expression can not be empty")
	}
	tokens, err := lex(expression)
	if err != nil {
		return out, errorf("%v", err)
	}
	defer func() {
		if r := recover(); r != nil {
			bad, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = bad
		}
	}()
	in := &parser{tokens: tokens, Placeholders: p}
	out = production(in)
	in.expect("")
	return out, nil
}

func (p *parser) fail(format string, args ...any) { panic(errorf(format, args...)) }

// peek returns the nth token that is left.
func (p *parser) peek(n int) token { return p.tokens[min(n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes the symbol or keyword if it comes next.
func (p *parser) accept(text string) bool {
	if p.peek(0).is(text) {
		p.next()
		return true
	}
	return false
}

// expect takes the symbol or keyword ("" = the end).
func (p *parser) expect(text string) {
	if text == "" && p.peek(0).kind == tokenEnd || text != "" && p.accept(text) {
		return
	}
	p.fail("syntax error; token: %v, near: %v", p.peek(0), p.peek(1))
}

// name reads one element of a path.
func (p *parser) name() string {
	switch t := p.next(); t.kind {
	case tokenAlias:
		name, ok := p.names[t.text]
		if !ok {
			p.fail("an expression attribute name used in the document path is not defined; attribute name: %s", t.text)
		}
		p.used[t.text] = true
		return name
	case tokenName:
		if isReserved(t.text) {
			p.fail("attribute name is a reserved keyword; reserved keyword: %s", t.text)
		}
		return t.text
	default:
		p.fail("syntax error; token: %v", t)
		return ""
	}
}

// path reads "a.#b[3].c".
func (p *parser) path() path {
	out := path{{name: p.name()}}
	p.attributes = append(p.attributes, out[0].name)
	for {
		switch {
		case p.accept("."):
			out = append(out, step{name: p.name()})
		case p.accept("["):
			t := p.next()
			n, err := strconv.ParseUint(t.text, 10, 31)
			if t.kind != tokenIndex || err != nil {
				p.fail("syntax error; token: %v", t)
			}
			out = append(out, step{index: int(n)})
			p.expect("]")
		default:
			if len(out) > maxNesting {
				p.fail("the document path has too many nesting elements: %d", len(out))
			}
			return out
		}
	}
}

// param reads ":value".
func (p *parser) param() literal {
	t := p.next()
	v, ok := p.values[t.text]
	if t.kind != tokenParam {
		p.fail("syntax error; token: %v", t)
	}
	if !ok {
		p.fail("an expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	p.used[t.text] = true
	return literal(v)
}

// function reads "name(" if it comes next and returns the name, or "".
// Functions, unlike keywords, are spelt in lower case only.
func (p *parser) function() string {
	if p.peek(0).kind != tokenName || !p.peek(1).is("(") {
		return ""
	}
	name := p.next().text
	p.next()
	return name
}

// projection is the production of a ProjectionExpression.
func (p *parser) projection() []path {
	out := []path{p.path()}
	for p.accept(",") {
		out = append(out, p.path())
	}
	if err := checkClashes(out); err != nil {
		panic(err)
	}
	return out
}
