package payload

// A decoded text is what its escapes stand for, in lower case, with marks of our own
// that no escape can make: the separators that the client wrote between parameters,
// and cutOff.
const (
	nextParam = 0x01 // the '&' before the next parameter
	nextValue = 0x02 // the first '=' in a parameter
)

// maxRounds is how many layers of the client's own escapes are undone.
const maxRounds = 4

// place is where a text stands, which says how it is cut into parameters.
type place uint8

const (
	inPath place = iota
	inQuery
	inHeader
	inAgent
)

// decode returns what a column says. It stays good until the next call.
//
// CloudFront's own escapes are undone in the same pass as the client's first layer:
// what is logged as %2527 was sent as %27 and means a quote.
func (s *Scanner) decode(raw []byte, where place) []byte {
	if cap(s.text) < len(raw) {
		s.text = make([]byte, 0, 2*len(raw))
	}
	text := s.text[:len(raw)]
	n, named := 0, where != inQuery
	var seen byte
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' && i+2 < len(raw) && hexValue[raw[i+1]]|hexValue[raw[i+2]] <= 0xf {
			c = hexValue[raw[i+1]]<<4 | hexValue[raw[i+2]]
			i += 2
			if c == '%' && i+2 < len(raw) && hexValue[raw[i+1]]|hexValue[raw[i+2]] <= 0xf {
				c = plainByte(hexValue[raw[i+1]]<<4 | hexValue[raw[i+2]])
				i += 2
				seen |= special[c]
				text[n] = c
				n++
				continue
			}
		}
		if special[c]|marked[c] != 0 {
			seen |= special[c]
			switch {
			case c == cutOff && raw[i] == cutOff:
			case c == nextParam || c == nextValue || c == cutOff:
				c = ' '
			case where == inHeader && c == ' ' && n > 0 && text[n-1] == ';':
				text[n-1], c = nextParam, nextParam
			case where == inHeader && c == '&':
				c = nextParam
			case where == inPath && c == '+':
				c = ' '
			case where != inQuery:
			case c == '&':
				c, named = nextParam, false
			case c == '=' && !named:
				c, named = nextValue, true
			case c == '+':
				c = ' '
			}
		}
		text[n] = lowered[c]
		n++
	}
	text = text[:n]
	if seen&mayEscape != 0 {
		for range maxRounds - 1 {
			n, changed := decodeRound(text, where == inQuery)
			text = text[:n]
			if !changed {
				break
			}
		}
	}
	if seen != 0 {
		if n := firstFolded(text); n < len(text) {
			text = text[:fold(text, n)]
		}
	}
	return text
}

// What a byte may be the beginning of.
const (
	mayEscape = 1 << iota
	mayFold
)

// special holds what each byte of a text once undone may be the beginning of.
var special = func() (set [256]byte) {
	for c := range set {
		if c >= 0x80 || c == '&' {
			set[c] = mayFold
		}
	}
	set['%'], set['\\'] = mayEscape, mayEscape|mayFold
	return set
}()

// marked holds the bytes that separate parameters somewhere.
var marked = [256]byte{'&': 1, '=': 1, '+': 1, ' ': 1, nextParam: 1, nextValue: 1, cutOff: 1}

// decodeRound undoes one layer of escapes in place: %XX and %uXXXX of URLs, \xXX and
// \uXXXX of programs. It returns how long the text is now and whether it is another.
// What an escape makes is not looked at again in the same round. In a query that is
// escaped once more, a '+' is a space once more.
func decodeRound(b []byte, query bool) (n int, changed bool) {
	for n < len(b) {
		if special[b[n]]&mayEscape != 0 {
			if _, size := escaped(b[n:]); size > 0 {
				break
			}
		}
		n++
	}
	if n == len(b) {
		return n, false
	}
	if query {
		for i, c := range b[:n] {
			if c == '+' {
				b[i] = ' '
			}
		}
	}
	for i := n; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '%' || c == '\\':
			if x, size := escaped(b[i:]); size > 0 {
				c = x
				i += size - 1
			}
		case c == '+' && query:
			c = ' '
		}
		b[n] = c
		n++
	}
	return n, true
}

// escaped returns the byte that an escape at the beginning of b stands for, and how
// long the escape is; 0 if there is none. Characters that some servers take for an
// ASCII one are that one, and all others 0xff.
func escaped(b []byte) (c byte, size int) {
	at := 1
	switch {
	case len(b) < 3:
		return 0, 0
	case b[1] == 'u' && len(b) >= 6:
		if hexValue[b[2]]|hexValue[b[3]]|hexValue[b[4]]|hexValue[b[5]] > 0xf {
			return 0, 0
		}
		r := rune(hexValue[b[2]])<<12 | rune(hexValue[b[3]])<<8 | rune(hexValue[b[4]])<<4 | rune(hexValue[b[5]])
		return plainByte(asciiLike(r)), 6
	case b[0] == '\\' && b[1] == 'x' && len(b) >= 4:
		at = 2
	case b[0] == '\\':
		return 0, 0
	}
	if hexValue[b[at]]|hexValue[b[at+1]] > 0xf {
		return 0, 0
	}
	return plainByte(hexValue[b[at]]<<4 | hexValue[b[at+1]]), at + 2
}

// plainByte returns a byte that an escape stood for as it appears in the text.
func plainByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == nextParam || c == nextValue || c == cutOff:
		return ' '
	}
	return c
}

// asciiLike returns the ASCII character that servers make of one that looks like it.
func asciiLike(r rune) byte {
	switch {
	case r < 0x80:
		return byte(r)
	case 0xff01 <= r && r <= 0xff5e: // full width
		return byte(r - 0xfee0)
	case r == 0x560a, r == 0x560d: // whoever keeps the low byte alone makes line breaks of them
		return byte(r)
	case r == 0x131:
		return 'i'
	case r == 0x17f:
		return 's'
	case r == 0x212a:
		return 'k'
	case r == 0x2215 || r == 0x2044 || r == 0x29f8:
		return '/'
	case r == 0x2216 || r == 0x29f5 || r == 0xfe68:
		return '\\'
	case r == 0x2b9 || r == 0x2bc || r == 0x2c8 || r == 0x2032:
		return '\''
	case r == 0x2ba || r == 0x2dd:
		return '"'
	case r == 0x2329 || r == 0x3008:
		return '<'
	case r == 0x232a || r == 0x3009:
		return '>'
	case r == 0xa0 || r == 0x3000:
		return ' '
	}
	return 0xff
}

// firstFolded returns where fold has something to do, and len(text) if nowhere.
func firstFolded(text []byte) int {
	for i, c := range text {
		if c >= 0x80 || c == '&' {
			return i
		}
	}
	return len(text)
}

// fold replaces what stands for an ASCII character in place, from n on, and returns
// how long the text is now: characters that look like one, UTF-8 that is longer than
// it must be, and HTML's &#39; and &lt;.
func fold(text []byte, n int) int {
	for i := n; i < len(text); {
		c, size := text[i], 1
		switch {
		case c == '&':
			c, size = entity(text[i:])
		case c >= 0xc0:
			c, size = unfolded(text[i:])
		}
		switch {
		case size == 1:
			text[n] = c
			n++
		case c != 0xff:
			text[n] = plainByte(c)
			n++
		default:
			n += copy(text[n:], text[i:i+size])
		}
		i += size
	}
	return n
}

// unfolded returns what a UTF-8 sequence at the beginning of b stands for and how
// long it is: an ASCII character, or 0xff for any other.
func unfolded(b []byte) (c byte, size int) {
	switch {
	case b[0] < 0xc2 && len(b) >= 2: // longer than it must be, even if the second byte is broken
		return (b[0]&1)<<6 | b[1]&0x3f, 2
	case b[0] < 0xe0 && len(b) >= 2 && b[1]&0xc0 == 0x80:
		return asciiLike(rune(b[0]&0x1f)<<6 | rune(b[1]&0x3f)), 2
	case 0xe0 <= b[0] && b[0] < 0xf0 && len(b) >= 3 && b[1]&0xc0 == 0x80 && b[2]&0xc0 == 0x80:
		return asciiLike(rune(b[0]&0xf)<<12 | rune(b[1]&0x3f)<<6 | rune(b[2]&0x3f)), 3
	case b[0] == 0xf0 && len(b) >= 4 && b[1] == 0x80 && b[2]&0xc0 == 0x80 && b[3]&0xc0 == 0x80:
		return asciiLike(rune(b[2]&0x3f)<<6 | rune(b[3]&0x3f)), 4
	}
	return b[0], 1
}

// entity returns what an HTML entity at the beginning of b stands for and how long
// it is, and '&' and 1 if there is none that matters.
func entity(b []byte) (c byte, size int) {
	if len(b) < 4 || b[1] != '#' && !opensEntity[b[1]] {
		return '&', 1
	}
	for _, e := range [...]struct {
		name string
		c    byte
	}{{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&colon;", ':'}, {"&lpar;", '('}, {"&tab;", '\t'}, {"&newline;", '\n'}} {
		if e.name[1] == b[1] && hasPrefix(b, e.name) {
			return e.c, len(e.name)
		}
	}
	if b[1] != '#' {
		return '&', 1
	}
	value, i, base := rune(0), 2, rune(10)
	if b[2] == 'x' {
		i, base = 3, 16
	}
	first := i
	for i < len(b) && i < first+8 && rune(hexValue[b[i]]) < base {
		value = min(value*base+rune(hexValue[b[i]]), 0x10ffff)
		i++
	}
	if i == first {
		return '&', 1
	}
	if i < len(b) && b[i] == ';' {
		i++
	}
	if c := asciiLike(value); c != 0xff {
		return c, i
	}
	return '&', 1
}

// opensEntity holds the first letters of the entities above.
var opensEntity = [256]bool{'l': true, 'g': true, 'q': true, 'a': true, 'c': true, 't': true, 'n': true}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// lowered holds the lower case of every ASCII letter, and every other byte.
var lowered = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
		if 'A' <= c && c <= 'Z' {
			t[c] |= 0x20
		}
	}
	return t
}()

// hexValue holds the value of every hexadecimal digit, and more than 0xf for every
// other byte.
var hexValue = func() (values [256]byte) {
	for i := range values {
		values[i] = 0xf0
	}
	for i := range byte(16) {
		values["0123456789abcdef"[i]] = i
		values["0123456789ABCDEF"[i]] = i
	}
	return values
}()
