package payload

import (
	"bytes"

	"weir/internal/match"
)

// Words of SQL are also words of English, and people search for "select a gift"
// and "rock 'n' roll". So a value is taken for SQL by its structure: words,
// operators, quotes and comments in an order that sentences do not have, and that
// leaves the value the site meant. A statement that stands alone leaves nothing.

// sql returns SQL if a value holds an injection.
func (s *Scanner) sql(value []byte) Finding {
	before := len(s.tokens)
	s.tokens = appendTokens(s.tokens, value)
	tokens := s.tokens[before:]
	if len(tokens) < 2 {
		return 0
	}
	r := sqlReader{text: value, tokens: tokens, cut: value[0] == cutOff}
	cutEnd := value[len(value)-1] == cutOff
	if tokens[0].kind == kindSelect && r.isWhole(cutEnd) {
		return 0
	}
	if r.read() {
		return SQL
	}
	return 0
}

// A sqlReader reads the tokens of one value.
type sqlReader struct {
	text   []byte
	tokens []token

	single, double int // quotes so far
	bracket        int // open brackets so far, below 0 if more were closed
	calls          int // functions called so far
	proofs         int // of kindProof and kindVariable so far
	weight         int // tokens so far that only SQL has: select, union, comments, calls
	sentence       int8
	cut            bool // the beginning was left out: it is not known which quotes are open
}

// isWhole reports whether a value that begins with "select" is a whole statement, as
// consoles and their links have it: it ends no quote but its own, and nothing is cut
// off or waited for.
func (r *sqlReader) isWhole(cutEnd bool) bool {
	single, double, from := 0, 0, false
	for i, t := range r.tokens {
		switch t.kind {
		case '\'':
			single++
		case '"':
			double++
		case kindFrom:
			from = true
		case kindProof, kindTimer, kindVariable, kindUnion, kindInto:
			return false
		case kindComment:
			if i < len(r.tokens)-1 {
				return false
			}
		}
	}
	return from && (cutEnd || single%2 == 0 && double%2 == 0)
}

// read reports whether the tokens hold an injection.
func (r *sqlReader) read() bool {
	for i, t := range r.tokens {
		rest := r.tokens[i+1:]
		switch t.kind {
		case '\'', '"':
			if r.joins(i) {
				return true
			}
			if t.kind == '"' {
				r.double++
			} else {
				r.single++
			}
		case '(':
			r.bracket++
		case ')':
			r.bracket--
		case kindUnion:
			if r.isUnion(i, rest) {
				return true
			}
		case kindSelect:
			r.weight++
			if i > 0 && (r.kindAt(i-1) == '(' || r.kindAt(i-1) == '\'' && i > 1) && r.startsList(rest, true) {
				return true
			}
		case kindLogic, kindBars:
			if r.isCondition(i, rest) {
				return true
			}
		case kindBy:
			if r.isOrder(i, rest) {
				return true
			}
		case ';':
			if isStatement(rest) {
				return true
			}
		case kindComment:
			if r.cuts(i) {
				return true
			}
			r.weight++
		case kindTimer:
			if r.isTimer(i, rest) {
				return true
			}
		case ':':
			if r.kindAt(i-1) == ':' && r.wordAt(i+1, "jsonb", "json", "int", "text", "regclass", "varchar", "numeric") {
				r.proofs++
			}
		case kindFunction:
			if peek(rest, 0) == '(' {
				r.calls++
			}
		case kindProof, kindVariable:
			r.proofs++
		case kindInto:
			if r.wordAt(i+1, "outfile", "dumpfile") && quoted(peek(rest, 1)) {
				return true
			}
		case kindStatement:
			if r.wordAt(i, "waitfor") && peek(rest, 0) == kindObject && quoted(peek(rest, 1)) {
				return true
			}
			if r.brokeOut(i) && isStatement(r.tokens[i:]) {
				return true
			}
		case kindCase:
			if r.wordAt(i+1, "when") && (peek(rest, 1) == '(' || peek(rest, 1) == kindNumber) && i > 0 && !r.isSentence() {
				return true
			}
		}
	}
	if r.isCutOff() {
		return true
	}
	// A name that no site takes proves nothing in a sentence about it. Beside anything
	// else that only SQL has, it does.
	if r.proofs > 0 && (r.weight > 0 || r.calls > 0 || !r.cut && (r.bracket < 0 || r.single%2 != 0) || r.proofs > 1 || r.opens()) && !r.isSentence() {
		return true
	}
	// One call is what a manual quotes; a row of them that is cut off is none.
	return r.calls >= 2 && r.weight > 0 && !r.isSentence()
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
	for i := 0; i < last; i++ {
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

// opens reports whether a value begins as an injection does: it ends a quote or
// number and goes on with an operator.
func (r *sqlReader) opens() bool {
	first, second := r.kindAt(0), r.kindAt(1)
	switch {
	case quoted(first) || first == ')' || first == kindLogic:
		return true
	case first == kindNumber || first == '-' && second == kindNumber:
		return true
	}
	return false
}

func quoted(k kind) bool { return k == '\'' || k == '"' }

func (r *sqlReader) kindAt(i int) kind {
	if i < 0 {
		return 0
	}
	return peek(r.tokens, i)
}

func peek(tokens []token, i int) kind {
	if i < len(tokens) {
		return tokens[i].kind
	}
	return 0
}

func (r *sqlReader) word(t token) []byte { return r.text[t.from:t.to] }

func (r *sqlReader) wordAt(i int, words ...string) bool {
	if i < 0 || i >= len(r.tokens) {
		return false
	}
	for _, w := range words {
		if string(r.word(r.tokens[i])) == w {
			return true
		}
	}
	return false
}

// brokeOut reports whether what stands before a token ends a quote that the site
// opened, or a bracket. A filter that a site itself takes (status='open' or
// status='new') closes those that it opens.
func (r *sqlReader) brokeOut(i int) bool {
	if r.cut {
		return false
	}
	switch r.kindAt(i - 1) {
	case '\'':
		return r.single%2 != 0
	case '"':
		return r.double%2 != 0
	case ')':
		if r.bracket < 0 {
			return true
		}
		for i--; i > 0 && r.kindAt(i) == ')'; i-- {
		}
		return r.kindAt(i) == '\'' && r.single%2 != 0 || r.kindAt(i) == '"' && r.double%2 != 0
	}
	return false
}

// A kindSet is a set of kinds.
type kindSet [256]bool

func kindsOf(kinds ...kind) (set kindSet) {
	for _, k := range kinds {
		set[k] = true
	}
	return set
}

// What stands before an operand, or before what is selected, and changes nothing.
var (
	signOnly   = kindsOf('(', '-', '+', '!', '~')
	signsNot   = kindsOf(kindNot, '(', '-', '+', '!', '~')
	comparison = kindsOf(kindEqual, kindNot, '(', '-', '+')
	quantity   = kindsOf(kindAll, '(')
)

// past returns what follows the leading tokens of these kinds.
func past(tokens []token, kinds *kindSet) []token {
	for len(tokens) > 0 && kinds[tokens[0].kind] {
		tokens = tokens[1:]
	}
	return tokens
}

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

// isSentence reports whether a value reads like a sentence about SQL: it has words
// that questions and headings have.
func (r *sqlReader) isSentence() bool {
	if r.sentence == 0 {
		r.sentence = -1
		if isProse(r.text) {
			r.sentence = 1
		}
	}
	return r.sentence > 0
}

// isProse reports whether a text has two words that sentences have and attacks have
// not. It is asked only of what has not broken out of a quote.
func isProse(text []byte) bool {
	found := 0
	for i := 0; i < len(text); i++ {
		if !isLetter(text[i]) {
			continue
		}
		end := skipWord(text, i)
		if (i == 0 || text[i-1] == ' ') && (end == len(text) || match.IsWord(text[end-1]) && (text[end] == ' ' || text[end] == ',' || text[end] == '?')) {
			switch string(text[i:end]) {
			case "how", "what", "why", "when", "does", "do", "the", "to", "of", "for", "with", "are", "my", "your", "this", "that", "can", "use", "using", "tutorial",
				"example", "examples", "explained", "mean", "means", "vs", "guide", "prevent", "avoid", "you", "it", "about", "error", "difference", "work", "works", "help", "learn", "best", "sql", "mysql", "postgres", "injection":
				if found++; found == 2 {
					return true
				}
			}
		}
		i = end
	}
	return false
}
