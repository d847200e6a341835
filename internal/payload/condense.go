package payload

import "encoding/binary"

// Limits of what is read of a column, in bytes as logged.
const (
	maxWhole = 512 // a text up to this long, condensed, is read whole
	maxHead  = 128 // of a longer one, condensed: from its beginning
	maxTail  = 96  // and from its end
	keptRun  = 16  // of a plain stretch, at either end
)

// condense returns what is read of a column, and whether that is all that matters of it. A text that is not too long is
// returned as it is. Of a longer one long stretches of letters and digits, in which
// nothing begins or ends, are cut out but for their ends: so an attack behind
// kilobytes of padding stays in sight. If that is still too long, its beginning and
// its end are read: somebody who stuffs a request with what looks like an attack
// can hide one in the middle of it.
func (s *Scanner) condense(raw []byte) (short []byte, complete bool) {
	if len(raw) <= maxWhole {
		return raw, true
	}
	head, rest := appendHead(s.short[:0], raw, maxHead)
	whole, more := appendHead(head, raw[rest:], maxWhole)
	if rest+more == len(raw) {
		s.short = whole
		return whole, true
	}
	// The end begins in the middle of something: what is open there is unknown.
	head = append(whole[:len(head)], cutOff, '&', cutOff)
	n := len(head)
	s.short = appendTail(head, raw[rest:])
	// It does not begin within an escape.
	tail := s.short[n:]
	for i, c := range tail[:min(len(tail), keptRun)] {
		if c == '%' || c == '&' || c == '+' {
			return append(s.short[:n], tail[i:]...), false
		}
	}
	return s.short, false
}

// cutOff begins a value whose beginning was left out, and ends one whose end was.
// CloudFront escapes the byte, so that only condense can make it.
const cutOff = 0x03

// appendHead condenses the beginning of a text until dst has as many bytes as the
// limit, or up to 2*keptRun more, and returns how far it came.
func appendHead(dst, raw []byte, limit int) (short []byte, read int) {
	i := 0
	for i+8 <= len(raw) && len(dst) < limit {
		w := binary.LittleEndian.Uint64(raw[i:])
		if dull(w) {
			if n := dullRun(raw[i:]); n > 2*keptRun {
				dst = append(dst, raw[i:i+keptRun]...)
				dst = append(dst, raw[i+n-keptRun:i+n]...)
				i += n
				continue
			}
		}
		dst = binary.LittleEndian.AppendUint64(dst, w)
		i += 8
	}
	if len(dst) < limit {
		dst = append(dst, raw[i:]...)
		i = len(raw)
	}
	return dst, i
}

// appendTail condenses the end of a text. Going backwards it collects pieces until
// there are maxTail bytes.
func appendTail(dst, raw []byte) []byte {
	if len(raw) <= maxTail {
		return append(dst, raw...)
	}
	var pieces [maxTail/8 + 2]struct{ from, to int }
	n, size, end := 0, 0, len(raw)
	add := func(from, to int) {
		pieces[n].from, pieces[n].to = from, to
		n++
		size += to - from
	}
	for end > 0 && size < maxTail && n+2 <= len(pieces) {
		if run := dullRunBack(raw[:end]); run > 2*keptRun {
			add(end-keptRun, end)
			add(end-run, end-run+keptRun)
			end -= run
			continue
		}
		add(max(end-8, 0), end)
		end = max(end-8, 0)
	}
	for n--; n >= 0; n-- {
		dst = append(dst, raw[pieces[n].from:pieces[n].to]...)
	}
	return dst
}

// dullRun returns how many bytes at the beginning of a text are dull, in steps of eight.
func dullRun(text []byte) int {
	n := 0
	for n+8 <= len(text) && dull(binary.LittleEndian.Uint64(text[n:])) {
		n += 8
	}
	return n
}

// dullRunBack is dullRun from the end.
func dullRunBack(text []byte) int {
	n := 0
	for n+8 <= len(text) && dull(binary.LittleEndian.Uint64(text[len(text)-n-8:])) {
		n += 8
	}
	return n
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// dull reports whether all of eight bytes are '0' or above, ASCII, and none is a
// ';': letters, digits and what neither opens nor ends anything (":<=>?@[\]^_`{|}~",
// of which CloudFront escapes all that matter).
func dull(w uint64) bool {
	semicolon := w ^ ';'*everyByte
	low := (w&^highBits + (0x80-'0')*everyByte) & highBits    // high bit set: '0' or above
	none := (semicolon&^highBits + 0x7f*everyByte) & highBits // high bit set: not ';'
	return w&highBits == 0 && low&none == highBits
}
