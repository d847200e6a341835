package payload

import "bytes"

// Each rule here looks at one token and what stands around it.

// isUnion takes a "union" and what follows it: "all", brackets, "select" and a list.
func (r *sqlReader) isUnion(i int, rest []token) bool {
	rest = past(rest, &quantity)
	if peek(rest, 0) != kindSelect {
		return false
	}
	last := r.kindAt(i - 1)
	broke := last == '\'' || last == '"' || last == ')' || last == kindNumber || last == kindNull || last == kindProof
	if !r.startsList(rest[1:], broke) {
		return false
	}
	return broke || !r.isSentence()
}

// startsList takes what follows "select". A sentence goes on with a word and more
// words; a list begins with a value, or has a comma and "from" behind its name.
// broke says that the select is where a sentence would not have one.
func (r *sqlReader) startsList(rest []token, broke bool) bool {
	rest = past(rest, &quantity)
	next := peek(rest, 1)
	switch peek(rest, 0) {
	case kindNumber:
		return next != kindWord && next != kindObject || broke && r.hasFrom(rest[1:])
	case kindNull, kindVariable, kindSelect, kindProof, '*', '`', kindCase, '-', '~', '!', '@':
		return true
	case '\'', '"':
		return true
	case kindFunction, kindTimer, kindNiladic:
		return next == '(' || next == kindFunction || next == kindFrom && broke
	case kindNot:
		return next == '('
	case kindWord, kindObject:
		switch next {
		case ',', '.', kindBars:
			return r.hasFrom(rest[1:]) || broke && peek(rest, 2) != kindWord
		case kindFrom:
			return broke && (peek(rest, 2) == kindWord || peek(rest, 2) == kindProof || peek(rest, 2) == '`') || peek(rest, 2) == kindProof
		case '(':
			return true
		}
	}
	return false
}

// hasFrom reports whether a list goes on to a "from".
func (r *sqlReader) hasFrom(rest []token) bool {
	for _, t := range rest[:min(len(rest), 24)] {
		if t.kind == kindFrom {
			return true
		}
	}
	return false
}

// isOrder takes what follows "order by" or "group by": a column's number, and what
// only somebody who counts columns has before or behind it.
func (r *sqlReader) isOrder(i int, rest []token) bool {
	if r.cut || peek(rest, 0) != kindNumber {
		return false
	}
	next := peek(rest, 2)
	switch peek(rest, 1) {
	case kindComment:
		return true
	case ',':
		return next == kindNumber || next == kindFunction || next == kindTimer
	case 0:
		return r.wordAt(i-1, "order", "group") && (i == 2 && r.kindAt(0) == kindNumber || r.brokeOut(i-1))
	}
	return false
}

// isCondition takes an "or" or "and" and what follows it. It is a condition of an
// injection if it breaks out of a quote or bracket and then compares something, or
// if it compares two values: that is only there to be true.
func (r *sqlReader) isCondition(i int, rest []token) bool {
	last := r.kindAt(i - 1)
	broke := r.brokeOut(i)
	number := last == kindNumber || last == kindNull
	if r.tokens[i].kind == kindBars && broke {
		switch peek(rest, 0) { // '||'a'||' '||(select ...
		case '\'', '"', '(', kindFunction, kindTimer, kindNiladic, kindProof:
			return last != ')'
		}
	}
	rest = past(rest, &signOnly)
	negated := peek(rest, 0) == kindNot
	rest = past(rest, &signsNot)
	first, next := peek(rest, 0), peek(rest, 1)
	switch {
	case negated && broke && (first == kindNull || first == kindSelect || first == kindNumber):
		return true
	case first == kindFunction || first == kindTimer || first == kindProof:
		if next == '(' {
			return broke || number && (first != kindFunction || !r.isSentence())
		}
	case first == kindNiladic && next == '(' && peek(rest, 2) == ')':
		return broke || number
	case first == kindSelect:
		return (broke || number) && r.startsList(rest[1:], true)
	case first == kindCase:
		return broke || number
	}
	if broke && first == '\'' && (r.kindAt(i-2) == kindWord || r.kindAt(i-2) == kindNumber) && r.tokens[i].from == r.tokens[i-1].to && rest[0].from == r.tokens[i].to {
		return true // a'or'a
	}
	left, leftText, rest := r.operand(rest)
	switch {
	case left == 0:
		return false
	case peek(rest, 0) != kindEqual:
		// "or 1", "or true": true by itself. Something must cut off the rest, or the
		// value begins with the quote that it ends.
		alone := left == kindNumber || left == kindNull
		cut := peek(rest, 0) == kindComment
		return alone && (broke && (cut || peek(rest, 0) == 0 && i == 1) || cut && (number || i == 0))
	}
	right, rightText, _ := r.operand(past(rest, &comparison))
	switch {
	case broke:
		return true
	case right == 0 || r.tokens[i].kind == kindBars && !number:
		return false
	case left == kindNumber && right == kindNumber, left == kindNull && right == kindNull:
		return !r.isSentence()
	case quoted(left) && quoted(right):
		return bytes.Equal(leftText, rightText)
	}
	return false
}

// operand takes one value off the tokens: a number, a name, or something quoted, of
// which it returns the quote. It is 0 when there is none.
func (r *sqlReader) operand(tokens []token) (k kind, text []byte, rest []token) {
	switch k = peek(tokens, 0); k {
	case kindNumber, kindWord, kindNull, kindVariable, kindNiladic:
		return k, r.word(tokens[0]), tokens[1:]
	case '\'', '"', '`':
		for i := 1; i < len(tokens) && i <= 6; i++ {
			if tokens[i].kind == k {
				return k, r.text[tokens[0].to:tokens[i].from], tokens[i+1:]
			}
		}
		if len(tokens) == 1 {
			return k, nil, nil
		}
		return k, r.text[tokens[0].to:tokens[len(tokens)-1].to], nil
	}
	return 0, nil, tokens
}

// joins reports whether a quote at i ends one of the site's and goes straight on to
// compare or add: '='  a'='a  '+(select ...  ' and
func (r *sqlReader) joins(i int) bool {
	if r.cut {
		return false
	}
	k := r.tokens[i].kind
	if k == '\'' && r.single > 0 || k == '"' && r.double > 0 {
		return false
	}
	rest := r.tokens[i+1:]
	next := peek(rest, 1)
	switch peek(rest, 0) {
	case kindEqual:
		// '=' and a'='a: the value compared is what the site's own quote ends.
		return next == k && i <= 1 && k == '\'' || (next == kindNumber || next == '(') && peek(rest, 2) == kindComment
	case '+', '-', '*', '^', '|', '/', '%':
		switch next {
		case kindTimer, kindProof:
			return true
		case kindFunction, kindNiladic:
			return peek(rest, 2) == '(' && k == '\''
		case '(':
			return peek(rest, 2) == kindSelect || peek(rest, 2) == kindCase
		}
	}
	return false
}

// isTimer takes a function that lets time pass and what follows it. It has a number,
// and stands where a value does: what a manual quotes stands in a sentence, and a
// program's call has its object before it.
func (r *sqlReader) isTimer(i int, rest []token) bool {
	if peek(rest, 0) != '(' {
		return false
	}
	if k := peek(rest, 1); k != kindNumber && k != '(' && k != '\'' {
		return false
	}
	switch r.kindAt(i - 1) {
	case '\'', '"', '(', ',', '=', kindEqual, '-', '+', '*', '/', '^', '|', kindBars, kindLogic, kindSelect, kindNumber, ';':
	default:
		return false
	}
	return (i > 1 || r.kindAt(0) == kindSelect) && !r.isSentence() || r.kindAt(i-1) == '\'' || r.kindAt(i-1) == '"'
}

// isStatement takes what follows a semicolon.
func isStatement(rest []token) bool {
	next, third := peek(rest, 1), peek(rest, 2)
	switch peek(rest, 0) {
	case kindSelect:
		switch next {
		case kindNumber, kindNull, kindVariable, kindTimer, kindProof, '*', '\'':
			return true
		case kindFunction, kindNiladic, kindCase:
			return third == '(' || next == kindCase
		}
	case kindStatement:
		switch next {
		case kindObject:
			// "; drop table lamps" goes on with a name, and "; update set" with nothing.
			return third == kindWord || third == kindVariable || quoted(third) || third == '`' || third == '.' || third == 0
		case kindInto, kindVariable, kindComment, kindFrom:
			return true
		case '@':
			return true
		case kindWord:
			return third == kindObject && peek(rest, 3) != 0
		}
	}
	return false
}

// cuts takes the sign of a comment at i that cuts off the rest of a statement. Before
// it stands the end of a quote that the site opened, perhaps with brackets and a
// semicolon behind it; or the brackets of a nested expression.
func (r *sqlReader) cuts(i int) bool {
	end := i
	for end > 0 && (r.kindAt(end-1) == ')' || r.kindAt(end-1) == ';') {
		end--
	}
	quote := r.kindAt(end - 1)
	switch r.kindAt(end - 2) {
	case '(', kindEqual, ',', '[', '{', ':':
		quote = 0 // it opens what is quoted
	}
	if r.cut || r.kindAt(i+1) == quote && i == 1 {
		quote = 0 // "--"
	}
	switch quote {
	case '\'':
		if r.single%2 != 0 {
			return r.single == 1 || r.text[r.tokens[end-1].to-1] == '\''
		}
	case '"':
		if r.double%2 != 0 {
			return true
		}
	}
	return i-end >= 2 && (r.weight > 0 || r.calls > 0) && !r.isSentence()
}

// isCutOff reports whether a value breaks out of a quote with an operator and ends with
// the sign of a comment, whatever is between: x'|email--  y'collate nocase--
func (r *sqlReader) isCutOff() bool {
	last := len(r.tokens) - 1
	if r.cut || r.tokens[last].kind != kindComment || r.single%2 == 0 && r.double%2 == 0 || last > 12 {
		return false
	}
	if end := r.tokens[last].from; end == 0 || isBlank(r.text[end-1]) {
		return false
	}
	for i := range last {
		if !quoted(r.tokens[i].kind) {
			continue
		}
		switch r.kindAt(i + 1) {
		case kindEqual, kindLogic, kindBars, kindNot, '|', '-', '+', '*', '/', '^', '%', '&':
			return r.kindAt(i+2) != kindComment
		}
		return r.wordAt(i+1, "collate", "glob", "mod", "notnull", "isnull", "sounds", "match", "escape", "div")
	}
	return false
}
