package scenario

import (
	"bytes"

	"weir/internal/cloudfront"
)

// query returns what a query says. Most queries are words and numbers, which
// cannot hold an attack: those are not even decoded.
func (m *Matcher) query(raw []byte) facts {
	if !isPlain(raw) {
		m.decoded = cloudfront.Decode(m.decoded[:0], raw, true)
		return m.payload(m.decoded)
	}
	return 0
}

func isPlain(query []byte) bool {
	for _, c := range query {
		if !plain[c] {
			return false
		}
	}
	return true
}

// plain bytes make no attack by themselves: an attack needs at least a space, a
// bracket, a quote, a slash or an escape.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = isWord(byte(c)) || bytes.IndexByte([]byte("=&.,:~!@-"), byte(c)) >= 0
	}
	return t
}()

// claims returns what the headers say in which a client may claim anything, other
// than the user agent.
func (m *Matcher) claims(r *cloudfront.Record) facts {
	var f facts
	for _, field := range [...]cloudfront.Field{cloudfront.FieldCSReferer, cloudfront.FieldXForwardedFor} {
		raw := r.Raw(field)
		// Only what can hold a look-up is worth decoding: a '$' or the brackets of a
		// shell function, or an escape of the client's own.
		if bytes.IndexByte(raw, '$') < 0 && !bytes.Contains(raw, []byte("()")) && !bytes.Contains(raw, []byte("%25")) {
			continue
		}
		// On a page whose own address holds the words, everything that it loads
		// carries them as its referer.
		if field == cloudfront.FieldCSReferer && linked(r) != 0 {
			continue
		}
		m.decoded = cloudfront.Decode(m.decoded[:0], raw, false)
		f |= m.set.payloads.find(m.decoded) & hasLookup
	}
	return f
}

// payload returns what a decoded text, in lower case, holds of attacks.
func (m *Matcher) payload(text []byte) facts {
	f := m.set.payloads.find(text)
	if f&hintSQL != 0 && f&hasSQL == 0 {
		m.tokens = appendTokens(m.tokens[:0], text)
		if holdsSQL(m.tokens) {
			f |= hasSQL
		}
	}
	if f&hintMarkup != 0 && holdsMarkup(text) {
		f |= hasMarkup
	}
	return f &^ (hintSQL | hintMarkup)
}
