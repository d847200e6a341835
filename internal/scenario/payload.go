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
// bracket, a quote, a dot, a slash or an escape.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = isWord(byte(c)) || bytes.IndexByte([]byte("=&,:~!@-"), byte(c)) >= 0
	}
	return t
}()

// claims returns what the headers say in which a client may claim anything, other
// than the user agent.
func (m *Matcher) claims(r *cloudfront.Record) facts {
	var f facts
	for _, field := range [...]cloudfront.Field{cloudfront.FieldCSReferer, cloudfront.FieldXForwardedFor} {
		raw := r.Raw(field)
		if !hasBrace(raw) {
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

// hasBrace reports whether a column may hold a '{', without which there is no
// look-up and no shell function. CloudFront escapes it, and clients may have before.
func hasBrace(raw []byte) bool {
	if bytes.IndexByte(raw, '%') < 0 {
		return bytes.IndexByte(raw, '{') >= 0
	}
	return bytes.Contains(raw, []byte("7B")) || bytes.Contains(raw, []byte("7b")) || bytes.IndexByte(raw, '{') >= 0
}

// payload returns what a decoded text, in lower case, holds of attacks.
func (m *Matcher) payload(text []byte) facts {
	return m.readCloser(m.set.payloads.find(text), text)
}

// readCloser follows the hints in what was found in a text.
func (m *Matcher) readCloser(f facts, text []byte) facts {
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
