package expression

import (
	"fmt"
	"strings"
)

// tokenKind tells tokens of expressions apart.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenName             // AssignedTo: an attribute, a function or a keyword
	tokenAlias            // #name
	tokenParam            // :value
	tokenIndex            // 12, inside brackets
	tokenSymbol           // ( ) , . [ ] = <> < <= > >= + -
)

type token struct {
	kind tokenKind
	text string
}

// is tells whether t is the symbol, or the keyword in any case.
func (t token) is(text string) bool {
	switch t.kind {
	case tokenSymbol:
		return t.text == text
	case tokenName:
		return strings.EqualFold(t.text, text)
	default:
		return false
	}
}

func (t token) String() string {
	if t.kind == tokenEnd {
		return "<EOF>"
	}
	return t.text
}

// maxExpression is the longest expression, in bytes.
const maxExpression = 4096

// lex cuts an expression into tokens, the last of which is tokenEnd.
func lex(s string) ([]token, error) {
	if len(s) > maxExpression {
		return nil, fmt.Errorf("expression size has exceeded the maximum allowed size; expression size: %d", len(s))
	}
	var out []token
	for i := 0; i < len(s); {
		if strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			i++
			continue
		}
		t, n := lexOne(s[i:])
		if n == 0 {
			return nil, fmt.Errorf("syntax error; token: %.20q", s[i:])
		}
		out = append(out, t)
		i += n
	}
	return append(out, token{}), nil
}

// lexOne returns the token that s begins with and its length, 0 if there is none.
func lexOne(s string) (token, int) {
	digits := func(c byte) bool { return '0' <= c && c <= '9' }
	letters := func(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
	word := func(c byte) bool { return letters(c) || digits(c) }
	switch c := s[0]; {
	case letters(c):
		n := span(s, 0, word)
		return token{tokenName, s[:n]}, n
	case digits(c):
		n := span(s, 0, digits)
		return token{tokenIndex, s[:n]}, n
	case c == '#' || c == ':':
		n := span(s, 1, word)
		if n == 1 {
			return token{}, 0
		}
		if c == '#' {
			return token{tokenAlias, s[:n]}, n
		}
		return token{tokenParam, s[:n]}, n
	}
	for _, symbol := range []string{"<>", "<=", ">=", "=", "<", ">", "(", ")", ",", ".", "[", "]", "+", "-"} {
		if strings.HasPrefix(s, symbol) {
			return token{tokenSymbol, symbol}, len(symbol)
		}
	}
	return token{}, 0
}

// span returns where the run of bytes in the class that starts at from ends.
func span(s string, from int, class func(byte) bool) int {
	for from < len(s) && class(s[from]) {
		from++
	}
	return from
}
