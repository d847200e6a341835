package cloudfront

import "bytes"

// maxRounds is how many layers of escaping Decode undoes below the log's own.
const maxRounds = 4

// Unescape appends src to dst with one layer of %XX escapes undone and returns the
// result: the wire form, what the client sent, when src is a column. What is not a
// whole escape stays as it is, and so does '+'. dst must not overlap src. It allocates
// only when dst lacks room for len(src) more bytes.
func Unescape(dst, src []byte) []byte {
	for {
		i := bytes.IndexByte(src, '%')
		if i < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		src = src[i:]
		if len(src) >= 3 {
			if c, ok := unhex(src[1], src[2]); ok {
				dst = append(dst, c)
				src = src[3:]
				continue
			}
		}
		dst = append(dst, '%')
		src = src[1:]
	}
}

// Decode appends the form of a column that patterns are matched against.
func Decode(dst, src []byte, query bool) []byte {
	start := len(dst)
	dst = Unescape(dst, src)
	for range maxRounds {
		n, changed := decodeRound(dst[start:], query)
		dst = dst[:start+n]
		if !changed {
			break
		}
	}
	for i, c := range dst[start:] {
		if 'A' <= c && c <= 'Z' {
			dst[start+i] = c | 0x20
		}
	}
	return dst
}

func decodeRound(b []byte, query bool) (n int, changed bool) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '+' && query:
			c, changed = ' ', true
		case c == '%' && i+2 < len(b):
			if x, ok := unhex(b[i+1], b[i+2]); ok {
				c, changed = x, true
				i += 2
			}
		case c == '\\' && i+3 < len(b) && b[i+1]|0x20 == 'x':
			if x, ok := unhex(b[i+2], b[i+3]); ok {
				c, changed = x, true
				i += 3
			}
		}
		b[n] = c
		n++
	}
	return n, changed
}

func unhex(a, b byte) (byte, bool) {
	x, y := hexDigits[a], hexDigits[b]
	return x<<4 | y&0xf, (x|y)&0xf0 == 0
}

var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xf0
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()
