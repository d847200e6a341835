package payload

import "weir/internal/match"

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
