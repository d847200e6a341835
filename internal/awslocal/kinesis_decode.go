package awslocal

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// errJSON is all that is said about a body that is not JSON of the right shape.
var errJSON = errors.New("the body is not JSON of the expected shape")

// jsonCursor walks over JSON text. The actions that carry records are read
// with it, since encoding/json would be most of what a put costs. After the
// first mistake bad stays set, and every method returns at once.
type jsonCursor struct {
	text  []byte
	i     int
	fresh bool // an object or array was just opened
	bad   bool
}

// peek skips white space and returns the next byte, or 0 at the end.
func (c *jsonCursor) peek() byte {
	for ; c.i < len(c.text); c.i++ {
		switch c.text[c.i] {
		case ' ', '\t', '\n', '\r':
		default:
			return c.text[c.i]
		}
	}
	return 0
}

// expect takes one byte.
func (c *jsonCursor) expect(b byte) {
	if c.bad || c.peek() != b {
		c.bad = true
		return
	}
	c.i++
}

// open enters an object ('{') or array ('[').
func (c *jsonCursor) open(b byte) {
	c.expect(b)
	c.fresh = true
}

// more moves to the next element, or leaves what was opened when there is none.
func (c *jsonCursor) more(end byte) bool {
	first := c.fresh
	c.fresh = false
	if c.bad {
		return false
	}
	if c.peek() == end {
		c.i++
		return false
	}
	if !first {
		c.expect(',')
	}
	return !c.bad
}

// member moves to the next member of an object and returns its name.
func (c *jsonCursor) member() (name []byte, ok bool) {
	if !c.more('}') {
		return nil, false
	}
	token, plain := c.string()
	c.expect(':')
	if !plain {
		token = c.unquote(token)
	}
	return token, !c.bad
}

// null takes a null, if one is next.
func (c *jsonCursor) null() bool {
	if c.bad || c.peek() != 'n' || !bytes.HasPrefix(c.text[c.i:], []byte("null")) {
		return false
	}
	c.i += len("null")
	return true
}

// string takes a string and returns what is between its quotes. Plain text has
// no escapes, so that it means itself. The bytes are not checked otherwise.
func (c *jsonCursor) string() (text []byte, plain bool) {
	c.expect('"')
	if c.bad {
		return nil, false
	}
	rest := c.text[c.i:]
	end := bytes.IndexByte(rest, '"')
	plain = true
	if end >= 0 && bytes.IndexByte(rest[:end], '\\') >= 0 {
		plain = false
		end = closingQuote(rest)
	}
	if end < 0 {
		c.bad = true
		return nil, false
	}
	c.i += end + 1
	return rest[:end], plain
}

// closingQuote finds the first quote that is not escaped, or returns -1.
func closingQuote(text []byte) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// unquote undoes the escapes of a string's inside.
func (c *jsonCursor) unquote(token []byte) []byte {
	quoted := slices.Concat([]byte{'"'}, token, []byte{'"'})
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		c.bad = true
	}
	return []byte(s)
}

// skip takes any value.
func (c *jsonCursor) skip() {
	if c.bad {
		return
	}
	c.peek()
	d := json.NewDecoder(bytes.NewReader(c.text[c.i:]))
	var value json.RawMessage
	if d.Decode(&value) != nil {
		c.bad = true
		return
	}
	c.i += int(d.InputOffset())
}

// value takes a string, which may be empty, or a null, which gives nil.
func (c *jsonCursor) value() []byte {
	if c.null() {
		return nil
	}
	text, plain := c.string()
	if !plain || !isCleanText(text) {
		return c.unquote(text)
	}
	return text
}

// done tells whether all of the text was taken without a mistake.
func (c *jsonCursor) done() bool { return !c.bad && c.peek() == 0 && c.i == len(c.text) }

// isCleanText tells whether the inside of a string without escapes is as JSON
// wants it, and so may be copied into an answer as it is.
func isCleanText(text []byte) bool {
	ascii := true
	for _, b := range text {
		if b < 0x20 {
			return false
		}
		ascii = ascii && b < utf8.RuneSelf
	}
	return ascii || utf8.Valid(text)
}
