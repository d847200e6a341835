package cloudfront

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// CloudFront logs bytes up to 0x20, bytes from 0x7f on and <>"#%{}|\^~[]`' as %XX. A
// client's own %22 is therefore logged as %2522. What the client sent, with its own
// escapes, is called the wire form.

// maxRounds is how many layers of the client's own escapes Decode undoes. An attacker
// stacks as many as some server behind CloudFront undoes, which is two or three.
const maxRounds = 4

// Unescape appends src with one layer of escapes undone, which makes the wire form of
// a column, and returns the extended slice. It is the form to show, to count distinct
// values in and to compare with a list.
//
// %XX becomes the byte it stands for, in either case of X. What is not a whole escape
// stays as it is: CloudFront cuts long columns, even within an escape. '+' stays '+'.
//
// src must not overlap what is appended. Nothing is allocated if dst has room for
// len(src) bytes more.
func Unescape(dst, src []byte) []byte {
	i := bytes.IndexByte(src, '%')
	if i < 0 {
		return append(dst, src...)
	}
	n := len(dst)
	dst = slices.Grow(dst, len(src))[:n+len(src)]
	n += copy(dst[n:], src[:i])
	for ; i < len(src); i++ {
		c := src[i]
		if c == '%' && i+2 < len(src) {
			if x, ok := unhex(src[i+1], src[i+2]); ok {
				c = x
				i += 2
			}
		}
		dst[n] = c
		n++
	}
	return dst[:n]
}

// Decode appends src in the form that patterns are matched against, and in no other
// use: it forgets what the client really sent. It returns the extended slice.
//
//   - One layer of escapes is undone as by Unescape, which makes the wire form.
//   - Then, in up to four rounds and until a round changes nothing, every %XX and every
//     \xXX (as some software writes it) becomes the byte it stands for, and in a query
//     every '+' a space. A round does not look at its own results: %2541 is %41 after
//     the first and 'A' after the second.
//   - ASCII letters become lower case. All else is bytes: they may be NUL, or no UTF-8.
//
// src must not overlap what is appended. Nothing is allocated if dst has room for
// len(src) bytes more.
func Decode(dst, src []byte, query bool) []byte {
	start := len(dst)
	dst = Unescape(dst, src)
	// Lower case first: escapes mean the same in either, and most columns hold no more
	// of them, so that this is all there is to do.
	lower(dst[start:])
	for range maxRounds {
		n, changed := decodeRound(dst[start:], query)
		if !changed {
			break
		}
		dst = dst[:start+n]
	}
	return dst
}

// decodeRound undoes one layer of escapes in b, in place, and returns how long it is
// now and whether it is another text.
func decodeRound(b []byte, query bool) (n int, changed bool) {
	n = len(b)
	for _, c := range []byte{'%', '\\', '+'} {
		if i := bytes.IndexByte(b[:n], c); i >= 0 && (c != '+' || query) {
			n = i
		}
	}
	for i := n; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '%' && i+2 < len(b):
			if x, ok := unhex(b[i+1], b[i+2]); ok {
				c, changed = lowerByte(x), true
				i += 2
			}
		case c == '\\' && i+3 < len(b) && b[i+1] == 'x':
			if x, ok := unhex(b[i+2], b[i+3]); ok {
				c, changed = lowerByte(x), true
				i += 3
			}
		case c == '+' && query:
			c, changed = ' ', true
		}
		b[n] = c
		n++
	}
	return n, changed
}

// lower makes ASCII letters lower case, in place, eight at a time.
func lower(b []byte) {
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		low := w &^ highBits
		// The high bit of a byte says: 'A' or above, but not above 'Z', and ASCII.
		upper := (low + (0x80-'A')*everyByte) &^ (low + (0x7f-'Z')*everyByte) &^ w & highBits
		binary.LittleEndian.PutUint64(b, w|upper>>2)
		b = b[8:]
	}
	for i, c := range b {
		b[i] = lowerByte(c)
	}
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 'a' - 'A'
	}
	return c
}

// unhex returns the byte that two hexadecimal digits stand for.
func unhex(high, low byte) (c byte, ok bool) {
	h, l := hexDigits[high], hexDigits[low]
	return h<<4 | l, h|l <= 0xf
}

// hexDigits holds the value of every hexadecimal digit, and more than 0xf for every
// other byte.
var hexDigits = func() (values [256]byte) {
	for i := range values {
		values[i] = 0xf0
	}
	for i := range byte(16) {
		digit := "0123456789abcdef"[i]
		values[digit] = i
		values[bytes.ToUpper([]byte{digit})[0]] = i
	}
	return values
}()
