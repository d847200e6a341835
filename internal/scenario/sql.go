package scenario

import "slices"

// Words of SQL are also words of English, and people search for "select a gift"
// and "rock 'n' roll". So a text is taken for SQL by its structure: words,
// operators, quotes and comments in an order that sentences do not have.

// A token is one piece of SQL. Below tokenWord it is the byte itself: a bracket,
// a quote, an operator.
type token uint8

const (
	tokenWord token = iota + 128 // a name, or a word that is no keyword
	tokenNumber
	tokenComment // that runs to the end
	tokenEqual   // = < > <> != <=> like between in is regexp
	tokenLogic   // or and xor || &&
	tokenNot
	tokenNull // null true false
	tokenUnion
	tokenAll // all distinct
	tokenSelect
	tokenFrom
	tokenBy // order by, group by
	tokenInto
	tokenStatement // insert update delete drop exec declare ...: begins a statement
	tokenObject    // table database set @: goes on with a statement
	tokenFunction  // sleep benchmark char concat ...: only with a bracket
	tokenVariable  // @name, @@name
)

// maxTokens bounds the work on a hostile text. What comes later is not SQL that
// any parser would still accept as part of a value.
const maxTokens = 512

// appendTokens splits a decoded text, in lower case, into tokens. White space and
// closed comments only separate.
func appendTokens(dst []token, text []byte) []token {
	for i := 0; i < len(text) && len(dst) < maxTokens; {
		c := text[i]
		switch {
		case c <= ' ' || c >= 0x7f:
			i++
		case '0' <= c && c <= '9':
			i = skip(text, i, isNumeric)
			dst = append(dst, tokenNumber)
		case isWord(c):
			end := skip(text, i, isWord)
			dst = append(dst, keyword(text[i:end]))
			i = end
		case c == '@':
			i = skip(text, i, func(c byte) bool { return c == '@' })
			i = skip(text, i, isWord)
			dst = append(dst, tokenVariable)
		case c == '#', c == '-' && at(text, i+1) == '-':
			if ends(text, i) {
				dst = append(dst, tokenComment)
			}
			i += 2
		case c == '/' && at(text, i+1) == '*':
			i = skipComment(text, i)
		case c == '|' && at(text, i+1) == '|', c == '&' && at(text, i+1) == '&':
			dst = append(dst, tokenLogic)
			i += 2
		case c == '=' || c == '<' || c == '>' || c == '!' && at(text, i+1) == '=':
			i = skip(text, i, isComparison)
			dst = append(dst, tokenEqual)
		default:
			dst = append(dst, token(c))
			i++
		}
	}
	return dst
}

func at(text []byte, i int) byte {
	if i < len(text) {
		return text[i]
	}
	return 0
}

func skip(text []byte, i int, while func(byte) bool) int {
	for i < len(text) && while(text[i]) {
		i++
	}
	return i
}

func isNumeric(c byte) bool    { return isWord(c) || c == '.' }
func isComparison(c byte) bool { return c == '=' || c == '<' || c == '>' || c == '!' }

// ends reports whether the comment sign at i ends what came before it: nothing or
// a space follows, the next parameter, or another sign of the kind.
func ends(text []byte, i int) bool {
	if text[i] == '-' {
		i++
	}
	switch c := at(text, i+1); c {
	case 0, ' ', '\t', '\n', '\r', '+', '&', '-', '#', '/', '\'', '"':
		return true
	default:
		return text[i] == '#' && isWord(c) // MySQL needs no space after '#'
	}
}

// skipComment returns where the comment that begins at i ends. The "/*!" of MySQL
// hides words from others that it reads itself, so only the sign is skipped.
func skipComment(text []byte, i int) int {
	if at(text, i+2) == '!' {
		return skip(text, i+3, isNumeric)
	}
	for j := i + 2; j+1 < len(text); j++ {
		if text[j] == '*' && text[j+1] == '/' {
			return j + 2
		}
	}
	return len(text)
}

func keyword(word []byte) token {
	switch string(word) {
	case "or", "and", "xor", "having", "where":
		return tokenLogic
	case "not", "exists":
		return tokenNot
	case "null", "true", "false":
		return tokenNull
	case "like", "rlike", "regexp", "between", "in", "is":
		return tokenEqual
	case "union":
		return tokenUnion
	case "all", "distinct", "top":
		return tokenAll
	case "select":
		return tokenSelect
	case "from":
		return tokenFrom
	case "by":
		return tokenBy
	case "into":
		return tokenInto
	case "insert", "update", "delete", "drop", "alter", "create", "truncate", "exec", "execute", "declare", "shutdown", "waitfor", "grant", "revoke":
		return tokenStatement
	case "table", "schema", "set", "delay", "values", "procedure", "view":
		return tokenObject
	case "sleep", "benchmark", "char", "chr", "concat", "concat_ws", "ascii", "ord", "substr", "substring", "mid", "hex", "unhex", "md5", "sha1",
		"elt", "make_set", "randomblob", "gtid_subset", "xmltype", "binary", "cos", "user", "current_user", "database", "version":
		return tokenFunction
	}
	return tokenWord
}

// holdsSQL reports whether tokens have a structure of SQL in them.
func holdsSQL(tokens []token) bool {
	calls := 0
	var open quotes
	for i, t := range tokens {
		rest := tokens[i+1:]
		switch t {
		case tokenUnion:
			if isUnion(rest) {
				return true
			}
		case tokenSelect:
			if i > 0 && tokens[i-1] == '(' && startsList(rest) {
				return true
			}
		case tokenLogic:
			if isCondition(tokens[:i], rest, open.any()) {
				return true
			}
		case tokenBy:
			if isOrder(rest) {
				return true
			}
		case ';':
			if isStatement(rest) {
				return true
			}
		case tokenComment:
			if closes(tokens[:i], open.any()) {
				return true
			}
		case tokenFunction:
			if peek(rest, 0) == '(' {
				calls++
			}
		default:
			open.see(t)
		}
	}
	// One call is what a manual quotes; a row of them that a comment cuts off, or in
	// a query, is none of it.
	return calls >= 2 && has(tokens, tokenComment, tokenSelect, tokenVariable)
}

// quotes tells which quotes are open. A filter that a site itself takes
// (status='open' or status='new') closes those that it opens; an injection begins by
// closing one that the site opened.
type quotes struct{ single, double, bracket int }

func (q *quotes) see(t token) {
	switch t {
	case '\'':
		q.single++
	case '"':
		q.double++
	case '(':
		q.bracket++
	case ')':
		q.bracket--
	case '&':
		*q = quotes{} // the next parameter
	}
}

func (q *quotes) any() bool { return q.single%2 != 0 || q.double%2 != 0 || q.bracket < 0 }

func peek(tokens []token, i int) token {
	if i < len(tokens) {
		return tokens[i]
	}
	return 0
}

func has(tokens []token, any ...token) bool {
	for _, t := range tokens {
		if slices.Contains(any, t) {
			return true
		}
	}
	return false
}

// past returns what follows the leading tokens of these kinds.
func past(tokens []token, kinds ...token) []token {
	for len(tokens) > 0 && has(tokens[:1], kinds...) {
		tokens = tokens[1:]
	}
	return tokens
}

// isUnion takes what follows "union": "all", brackets, "select" and a list.
func isUnion(rest []token) bool {
	rest = past(rest, tokenAll, '(')
	return peek(rest, 0) == tokenSelect && startsList(rest[1:])
}

// startsList takes what follows "select". A sentence goes on with a word and more
// words; a list begins with a value, or has a comma or "from" behind its name.
func startsList(rest []token) bool {
	rest = past(rest, tokenAll, '(')
	switch peek(rest, 0) {
	case tokenNumber, tokenNull, tokenVariable, tokenSelect, '*', '\'', '"', '`':
		return true
	case tokenFunction:
		return peek(rest, 1) == '(' || peek(rest, 1) == tokenFunction
	case tokenWord:
		switch peek(rest, 1) {
		case ',', tokenFrom, '.':
			return peek(rest, 2) == tokenWord || peek(rest, 2) == tokenFunction || peek(rest, 2) == '*'
		case '(':
			return true
		}
	}
	return false
}

// isOrder takes what follows "order by" or "group by": a column's number, and what
// only somebody who counts columns has behind it.
func isOrder(rest []token) bool {
	next := peek(rest, 2)
	return peek(rest, 0) == tokenNumber &&
		(peek(rest, 1) == tokenComment || peek(rest, 1) == ',' && (next == tokenNumber || next == tokenFunction))
}

// isCondition takes what stands before and behind "or" or "and". It is a condition
// of an injection if it breaks out of a quote or bracket and then compares
// something, or if it compares two values: that is only there to be true.
func isCondition(before, rest []token, open bool) bool {
	last := token(0)
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	brokeOut := open && (last == '\'' || last == '"' || last == ')')
	rest = past(rest, '(')
	negated := peek(rest, 0) == tokenNot
	rest = past(rest, tokenNot, '(')
	first := peek(rest, 0)
	switch {
	case negated && brokeOut && (first == tokenNull || first == tokenSelect || first == tokenNumber):
		return true
	case first == tokenFunction && peek(rest, 1) == '(' && (brokeOut || last == tokenNumber):
		return true
	case first == tokenSelect:
		return (brokeOut || last == tokenNumber) && startsList(rest[1:])
	}
	left, rest := operand(rest)
	if left == 0 || peek(rest, 0) != tokenEqual {
		return false
	}
	right, _ := operand(past(rest, tokenEqual, tokenNot, '('))
	values := left != tokenWord && right != tokenWord && right != 0
	return values || brokeOut
}

// operand takes one value off the tokens: a number, a name, or something quoted, of
// which it returns the quote. It is 0 when there is none.
func operand(tokens []token) (kind token, rest []token) {
	switch t := peek(tokens, 0); t {
	case tokenNumber, tokenWord, tokenNull, tokenVariable:
		return t, tokens[1:]
	case '\'', '"':
		for i := 1; i < len(tokens) && i <= 4; i++ {
			if tokens[i] == t {
				return t, tokens[i+1:]
			}
		}
		return t, tokens[len(tokens):]
	}
	return 0, tokens
}

// isStatement takes what follows a semicolon.
func isStatement(rest []token) bool {
	switch peek(rest, 0) {
	case tokenSelect:
		return startsList(rest[1:])
	case tokenStatement:
		next := peek(rest, 1)
		return next == tokenObject || next == tokenInto || next == tokenFrom || next == tokenVariable || next == tokenComment ||
			next == tokenWord && peek(rest, 2) == tokenObject || next == '('
	}
	return false
}

// closes takes what stands before a comment that cuts off the rest of a statement:
// an end of a quote that the site opened, perhaps with brackets and a semicolon
// behind it; or the brackets of a nested expression.
func closes(before []token, open bool) bool {
	end := len(before)
	for end > 0 && (before[end-1] == ')' || before[end-1] == ';') {
		end--
	}
	if open && end > 0 && (before[end-1] == '\'' || before[end-1] == '"') {
		return true
	}
	return len(before)-end >= 2 && has(before, tokenSelect, tokenFunction, tokenLogic, tokenVariable)
}
