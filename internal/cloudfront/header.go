package cloudfront

import (
	"bytes"
	"iter"
)

// HeaderEntries yields the entries of cs-header-names (names) or of cs-headers
// ("name:value" pairs), in the order in which the viewer sent them, still escaped. Both fields
// are cut at 800 bytes, so the last entry may be cut short, even inside an escape.
//
// The list is cut at its "%0A"s before anything is unescaped: a line break that a client
// wrote into a header is escaped once more and must not start an entry.
func HeaderEntries(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(list) > 0 {
			entry, rest, _ := bytes.Cut(list, []byte("%0A"))
			if len(entry) > 0 && !yield(entry) {
				return
			}
			list = rest
		}
	}
}

// HasHeader tells whether cs-header-names lists a header, in any case. name must be in lower
// case. Where the field is cut or not in the format, a header that was sent can go unseen.
func (r *Record) HasHeader(name string) bool {
	for entry := range HeaderEntries(r.Raw(FieldCSHeaderNames)) {
		if len(entry) == len(name) && equalFold(entry, name) {
			return true
		}
	}
	return false
}

func equalFold(b []byte, lower string) bool {
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
