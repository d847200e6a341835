package payload

import (
	"bytes"
	"encoding/binary"

	"weir/internal/match"
)

// A Scanner reads texts one after the other. It holds nothing but scratch, so that
// what it finds depends on the text alone; each goroutine needs one of its own. It
// allocates while it grows to the longest text, and then no more.
type Scanner struct {
	text     []byte // decoded
	short    []byte // condensed
	squashed []byte // with a file's name in its plainest spelling
	tokens   []token
	enough   Finding // of the text at hand: each of these is all that has to be found
}

// New returns a Scanner.
func New() *Scanner {
	return &Scanner{
		text:     make([]byte, 0, maxWhole+64),
		short:    make([]byte, 0, maxWhole+64),
		squashed: make([]byte, 0, maxWhole+64),
		tokens:   make([]token, 0, maxTokens),
	}
}

// All methods take a column as it is logged (see cloudfront.Record.Raw): nil is an
// empty text.

// Path returns what a path holds.
func (s *Scanner) Path(raw []byte) Finding { return s.PathOf(raw, madeOf(raw, &PathBytes)) }

// PathOf is Path where it is known what the path is made of: what PathBytes says of its
// bytes, all together.
func (s *Scanner) PathOf(raw []byte, made uint8) Finding {
	if made&Odd == 0 && !startsSensitive(raw) && (made&Dot == 0 || !bytes.Contains(raw, []byte("/.."))) {
		return 0
	}
	return s.read(raw, inPath)
}

// Query returns what a query, without its '?', holds.
func (s *Scanner) Query(raw []byte) Finding {
	if !hasAny(raw, &oddInQuery) && !(len(raw) < 16 && hasPrefix(raw, "cmd=")) {
		return 0
	}
	return s.read(raw, inQuery)
}

// Header returns what a header holds that people do not write by hand: the referer,
// X-Forwarded-For, cookies.
func (s *Scanner) Header(raw []byte) Finding {
	if !hasAny(raw, &oddInHeader) && !bytes.Contains(raw, []byte("..")) {
		return 0
	}
	return s.read(raw, inHeader)
}

// UserAgent returns what a user agent holds. It is no place for files, templates
// and the like, which programs name in passing: only SQL, script, commands, code
// and look-ups are found.
func (s *Scanner) UserAgent(raw []byte) Finding {
	if !isOddAgent(raw) {
		return 0
	}
	return s.read(raw, inAgent) & agentFindings
}

// read decodes a column and reads it. One that is too long to be read whole is stuffed,
// and made to be dear: reading it ends with the first finding.
func (s *Scanner) read(raw []byte, where place) Finding {
	short, whole := s.condense(raw)
	s.enough = 0
	if !whole {
		s.enough = decisive[where]
	}
	text := s.decode(short, where)
	signs := needles.Find(text)
	found := signs.finding()
	if signs&anyHint == 0 || s.enough&found != 0 {
		return found
	}
	if signs&hintFile != 0 {
		found |= s.files(text, where)
	}
	if signs&hintNull != 0 && cutsShort(text, where) {
		found |= NullByte
	}
	if signs&^(hintFile|hintNull)&anyHint != 0 && s.enough&found == 0 {
		found |= s.values(text, signs)
	}
	return found
}

// decisive says of a place which findings there are as good as any other that its
// reader asks for. Of headers, different readers ask for different ones.
var decisive = [...]Finding{inPath: 1<<numFindings - 1, inQuery: 1<<numFindings - 1, inHeader: 0, inAgent: agentFindings}

const agentFindings = SQL | Script | Command | Code | Lookup | Header

// values reads each parameter of a text closer.
func (s *Scanner) values(text []byte, signs signs) (found Finding) {
	s.tokens = s.tokens[:0]
	for rest, more := text, true; more && s.enough&found == 0; {
		var param []byte
		param, rest, more = bytes.Cut(rest, []byte{nextParam})
		name, value, named := bytes.Cut(param, []byte{nextValue})
		if !named || !isName(name) {
			// The '=' is part of what is written, not the end of a name.
			if named {
				param[len(name)] = '='
			}
			name, value = nil, param
		}
		if signs&hintNoSQL != 0 {
			found |= operators(name, value)
		}
		if signs&hintCommand != 0 && isShell(name, value) {
			found |= Command
		}
		if m := makeup(value); m&^signLow != 0 || signs&hintSQLWords != 0 {
			found |= s.value(value, signs, m)
		}
	}
	return found
}

// value reads one value closer: for each hint, if it holds the signs for it.
func (s *Scanner) value(value []byte, signs signs, m sign) (found Finding) {
	if signs&hintSQL != 0 && (m&signSQL != 0 || signs&hintSQLWords != 0) {
		found |= s.sql(value)
	}
	if signs&hintMarkup != 0 && m&signMarkup != 0 && s.enough&found == 0 && holdsMarkup(value, signs&hintCall != 0) {
		found |= Script
	}
	if signs&hintCommand != 0 && m&signCommand != 0 && s.enough&found == 0 && holdsCommand(value) {
		found |= Command
	}
	if signs&hintTemplate != 0 && m&signTemplate != 0 && s.enough&found == 0 {
		found |= expressions(value)
	}
	if signs&hintBreak != 0 && m&signBreak != 0 && s.enough&found == 0 && splitsHeader(value) {
		found |= Header
	}
	if signs&hintCode != 0 && m&signCode != 0 && s.enough&found == 0 && holdsCode(value) {
		found |= Code
	}
	return found
}

// sign is a set of what a value is made of.
type sign uint8

const (
	signLow      sign = 1 << iota // what stands in names, numbers and sentences
	signSQL                       // quotes, operators, brackets, comments
	signMarkup                    // tags, quotes, calls
	signCommand                   // what a shell has between commands
	signTemplate                  // brackets of expressions
	signBreak                     // line breaks
	signCode                      // calls, objects
)

var signOf = func() (of [256]sign) {
	for _, group := range []struct {
		sign  sign
		bytes string
	}{
		{signSQL, "'\"=<>()#;*|&@`" + "\\"}, {signMarkup, "<'\"`(:[=."}, {signCommand, ";|&`$\n\r<>"}, {signTemplate, "{[@%"}, {signBreak, "\r\n"}, {signCode, "({?"},
	} {
		for i := range len(group.bytes) {
			of[group.bytes[i]] |= group.sign
		}
	}
	for c := range of {
		if match.IsWord(byte(c)) || bytes.IndexByte([]byte(" -.,:"), byte(c)) >= 0 {
			of[c] = signLow
		}
	}
	of['-'] = signLow
	of[':'] = signLow | signMarkup
	return of
}()

// makeup returns what a value is made of.
func makeup(value []byte) (m sign) {
	for _, c := range value {
		m |= signOf[c]
	}
	return m
}

// isName reports whether what stands before the '=' is a parameter's name, and no
// part of an attack that has none.
func isName(name []byte) bool {
	for _, c := range name {
		if !match.IsWord(c) && c < 0x80 && bytes.IndexByte([]byte("-.[]$:/@!~,"), c) < 0 {
			return false
		}
	}
	return true
}

// hasAny reports whether a text holds a byte of a set.
func hasAny(text []byte, set *[256]uint8) bool { return madeOf(text, set)&Odd != 0 }

// What sets of bytes say of one.
const (
	Odd uint8 = 1 << iota // without such a byte there is hardly an attack
	Dot
)

// madeOf returns what a set says of the bytes of a text, up to the first that is odd.
func madeOf(text []byte, set *[256]uint8) (made uint8) {
	for len(text) >= 8 {
		if len(text) > 128 && dull(binary.LittleEndian.Uint64(text)) {
			text = text[8:]
			continue
		}
		t := text[:8]
		made |= set[t[0]] | set[t[1]] | set[t[2]] | set[t[3]] | set[t[4]] | set[t[5]] | set[t[6]] | set[t[7]]
		if made&Odd != 0 {
			return made
		}
		text = text[8:]
	}
	for _, c := range text {
		made |= set[c]
	}
	return made
}

// allBut returns the set of all bytes but letters, digits and some.
func allBut(some string) (set [256]uint8) {
	for c := range set {
		if !match.IsWord(byte(c)) && bytes.IndexByte([]byte(some), byte(c)) < 0 {
			set[c] = Odd
		}
	}
	return set
}

// PathBytes says which bytes of a path, as logged, are Odd, and which is the Dot. What is
// escaped, or may be once more, begins with one that is Odd.
var PathBytes = func() [256]uint8 {
	set := allBut("/-.,:~@=+")
	set['.'] = Dot
	return set
}()

// Without one of these bytes there is no attack in a column. All that CloudFront
// escapes comes with a '%'.
var (
	oddInQuery  = allBut("=&,:~!@-?")
	oddInHeader = allBut("/-.,:~@=+&?; !_")
)

// isOddAgent reports whether a user agent is long, or holds anything that the agents of
// programs do not: of the escapes they have spaces, brackets and bars.
func isOddAgent(raw []byte) bool {
	if len(raw) > maxWhole || hasAny(raw, &oddInAgent) {
		return true
	}
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 {
			return false
		}
		raw = raw[i+1:]
		if len(raw) < 2 || !(raw[0] == '2' && raw[1] == '0' || raw[0] == '5' && (raw[1] == 'B' || raw[1] == 'D')) {
			return true
		}
		raw = raw[2:]
	}
}

var oddInAgent = func() (set [256]uint8) {
	for _, c := range []byte("$*&`\"'<>{}|\\^") {
		set[c] = Odd
	}
	return set
}()
