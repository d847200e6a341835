package cloudfront

import (
	"bytes"
	"iter"
)

// HeaderEntries yields the entries of a cs-header-names column (names) or of a cs-headers
// column ("name:value"), in the order in which the viewer sent them and still escaped.
// Both columns end after 800 bytes, so that the last entry may be cut, even within an
// escape.
//
// The column is taken apart at each "%0A" before anything is unescaped. A line break that
// a client put into a header is escaped twice and so cannot pass for another entry.
//
// That a cookie was sent is known from the names alone: cs-cookie may be "-" all the same.
func HeaderEntries(column []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := column; len(rest) > 0; {
			var entry []byte
			entry, rest, _ = bytes.Cut(rest, []byte("%0A"))
			if len(entry) > 0 && !yield(entry) {
				return
			}
		}
	}
}
