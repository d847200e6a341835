package filter

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
	"unsafe"
)

// A target evaluates the atoms of path and query. It belongs to one goroutine.
//
// Path and query are looked at one by one where that makes no difference, so that each
// is remembered by itself: the atoms of both together are those of either, and pairs.
// Where the split is not plain to see, they are looked at as one text.
type target struct {
	ix      *index
	plain   []int // views without escapes to undo
	undone  []int // views with some
	joined  bool  // atoms of the whole path may need path and query together, whatever is in them
	maybe   []uint64
	spans   []span
	scratch scratch
	number  [20]byte // of http_args_len
	path    reading  // of the record at hand, as args
	args    reading
	text    []byte
	tmp     []byte
}

// A reading is what is looked at of path or query, once it was asked for.
type reading struct {
	text []byte
	has  bool
}

func (p *reading) forget() { p.has = false }

// looked is looked of the record's column.
func (p *reading) looked(raw []byte) []byte {
	if !p.has {
		p.text, p.has = looked(p.text[:0], raw), true
	}
	return p.text
}

// join makes text of what is looked at of path and query.
func (u *target) join(stem, query []byte) {
	u.text = append(append(u.text[:0], u.path.looked(stem)...), '?')
	u.text = append(u.text, u.args.looked(query)...)
}

// What is known of one part beside its bits.
const (
	isKnown   = 1 << iota // so that no key of a cache is 0
	isOdd                 // the split into path and query is not where it seems to be
	isEscaped             // it holds escapes, once the log's are undone
)

func newTarget(ix *index) *target {
	u := &target{ix: ix, spans: make([]span, len(ix.views)), maybe: make([]uint64, ix.words)}
	for i, v := range ix.views {
		if v.unescape == "" {
			u.plain = append(u.plain, i)
		} else {
			u.undone = append(u.undone, i)
		}
	}
	for _, p := range ix.patterns {
		if ix.views[p.view].field == fieldPath {
			if p.maybe < 0 {
				u.joined = true
			} else {
				setBit(u.maybe, p.maybe)
			}
		}
	}
	for _, a := range ix.tests {
		u.joined = u.joined || a.field == fieldPath
	}
	return u
}

// undoesPath tells whether any atom undoes escapes of the whole path.
func (u *target) undoesPath() bool {
	for _, i := range u.undone {
		if u.ix.views[i].field == fieldPath {
			return true
		}
	}
	return false
}

// A layout is where the fields lie in a text.
type layout struct {
	path, request, dir, name, frag, ext, args span
	hasDir                                    bool
}

// lay splits a path with its query as http-logs does.
func lay(text []byte) layout {
	n := len(text)
	l := layout{path: spanOf(0, n), request: spanOf(0, n), args: spanOf(n, n)} // the others are empty
	lines := bytes.IndexByte(text, '\n') >= 0
	if at := bytes.IndexByte(text, '?'); at >= 0 && !lines {
		at += lastIndexByte(text[at:], '?')
		l.request, l.args = spanOf(0, at), spanOf(at+1, n)
	}
	request := text[:l.request.to]
	if lines {
		l.file(splitFile.FindSubmatchIndex(request))
		return l
	}
	slash := lastIndexByte(request, '/') + 1
	if slash == 0 {
		return l
	}
	end := len(request)
	l.hasDir, l.dir, l.name = true, spanOf(0, slash), spanOf(slash, end)
	dot := lastIndexByte(request[slash:], '.')
	if dot <= 0 {
		dot = end - slash
	}
	l.frag, l.ext = spanOf(slash, slash+dot), spanOf(slash+dot, end)
	return l
}

// lastIndexByte is bytes.LastIndexByte, for long texts.
func lastIndexByte(text []byte, c byte) int {
	const everyByte = 0x0101010101010101
	for len(text) >= 8 {
		w := binary.LittleEndian.Uint64(text[len(text)-8:]) ^ everyByte*uint64(c)
		if (w-everyByte)&^w&(0x80*everyByte) != 0 { // a byte of it is 0
			break
		}
		text = text[:len(text)-8]
	}
	return bytes.LastIndexByte(text, c)
}

// file takes over what the expression of http-logs found.
func (l *layout) file(m []int) {
	if m == nil {
		return
	}
	l.hasDir, l.dir = true, spanOf(m[2], m[3])
	l.frag, l.ext, l.name = spanOf(m[3], m[3]), spanOf(m[3], m[3]), spanOf(m[3], m[3])
	if m[4] >= 0 {
		l.frag, l.ext, l.name = spanOf(m[6], m[7]), spanOf(m[8], m[9]), spanOf(m[6], m[9])
	}
}

func (l *layout) span(f fieldID) span {
	switch f {
	case fieldPath:
		return l.path
	case fieldRequest:
		return l.request
	case fieldDir:
		return l.dir
	case fieldName:
		return l.name
	case fieldFrag:
		return l.frag
	case fieldExt:
		return l.ext
	case fieldArgs:
		return l.args
	}
	return absent
}

// appendUnescaped is pathUnescape into a buffer, or queryUnescape; of the result it makes
// most bytes at most.
func appendUnescaped(dst, src []byte, plus bool, most int) []byte {
	start := len(dst)
	n := start
	dst = slices.Grow(dst, len(src))[:start+len(src)]
	end := start + most
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c == '%' {
			if i+2 >= len(src) {
				return append(dst[:start], src...)
			}
			h, l := hexDigits[src[i+1]], hexDigits[src[i+2]]
			if h|l > 0xf {
				return append(dst[:start], src...)
			}
			c = h<<4 | l
			i += 2
		} else if c == '+' && plus {
			c = ' '
		}
		dst[n] = c
		if n++; n < end {
			continue
		}
		// Enough. But the rest has to be well formed.
		next := bytes.IndexByte(src[i+1:], '%')
		if next < 0 {
			break
		}
		i += next
		n--
	}
	return dst[:n]
}

// hexDigits holds the value of every hexadecimal digit, and more than 0xf for every
// other byte.
var hexDigits = func() (values [256]byte) {
	for i := range values {
		values[i] = 0xf0
	}
	for i, c := range "0123456789abcdef" {
		values[c] = byte(i)
		values[unicode.ToUpper(c)] = byte(i)
	}
	return values
}()

// Of a column of more than maxLooked bytes, as logged, only the first and the last are
// looked at. Atoms are then about these: a client that pads a request to kilobytes may
// hide something between them, and may not make it dear.
const (
	maxLooked  = 1280
	lookedHead = 1024
	lookedTail = maxLooked - lookedHead
)

// looked appends what is looked at of a column, with the log's escapes undone.
func looked(dst, raw []byte) []byte {
	if len(raw) <= maxLooked {
		return wire(dst, raw)
	}
	head, tail := raw[:lookedHead], raw[len(raw)-lookedTail:]
	// An escape that is broken would leave all others as they are.
	if i := bytes.LastIndexByte(head[lookedHead-2:], '%'); i >= 0 {
		head = head[:lookedHead-2+i]
	}
	dst = wire(dst, head)
	if i := bytes.LastIndexByte(dst[len(dst)-2:], '%'); i >= 0 { // one of the client's own
		dst = dst[:len(dst)-2+i]
	}
	if i := bytes.LastIndexByte(raw[len(raw)-lookedTail-2:len(raw)-lookedTail], '%'); i >= 0 {
		tail = tail[i+1:]
	}
	return wire(dst, tail)
}

// wire appends a column with the log's escapes undone. One that is broken leaves all as
// they are.
//
// Texts go by words up to the next escape, whose place is not guessed: where they are dense
// a processor would guess wrong at every other.
func wire(dst, raw []byte) []byte {
	if bytes.IndexByte(raw, '%') < 0 {
		return append(dst, raw...)
	}
	const every, high = 0x0101010101010101, 0x8080808080808080
	start, n := len(dst), len(dst)
	dst = slices.Grow(dst, len(raw))[:start+len(raw)]
	for i := 0; i < len(raw); {
		if i+8 <= len(raw) {
			w := binary.LittleEndian.Uint64(raw[i:])
			binary.LittleEndian.PutUint64(dst[n:], w) // what is behind the escape is written over
			w ^= '%' * every
			at := bits.TrailingZeros64((w-every)&^w&high) >> 3 // 8 if there is none
			i, n = i+at, n+at
			if at == 8 {
				continue
			}
		} else if raw[i] != '%' {
			dst[n] = raw[i]
			i, n = i+1, n+1
			continue
		}
		if i+2 >= len(raw) {
			return append(dst[:start], raw...)
		}
		h, l := hexDigits[raw[i+1]], hexDigits[raw[i+2]]
		if h|l > 0xf {
			return append(dst[:start], raw...)
		}
		dst[n] = h<<4 | l
		i, n = i+3, n+1
	}
	return dst[:n]
}

func flagsOf(text []byte, isStem bool) (flags uint64) {
	flags = isKnown
	if bytes.IndexByte(text, '?') >= 0 || bytes.IndexByte(text, '\n') >= 0 || isStem && bytes.IndexByte(text, '/') < 0 {
		flags |= isOdd
	}
	if bytes.IndexByte(text, '%') >= 0 || bytes.IndexByte(text, '+') >= 0 {
		flags |= isEscaped
	}
	return flags
}

// all evaluates everything of a path with its query, if it has one.
func (u *target) all(text []byte, bits []uint64) {
	l := lay(text)
	escaped := flagsOf(text, false)&isEscaped != 0
	u.place(escaped, func(v *view) span {
		if v.role == whole {
			return l.span(v.field)
		}
		return absent
	})
	u.look(u.ix.machines, text, bits)
	if escaped {
		u.undo(text, &l, bits, func(fieldID) bool { return true })
	}
	u.test(text, &l, bits, func(fieldID) bool { return true })
}

// stem evaluates what can be told of a path that has a query.
func (u *target) stem(text []byte, bits []uint64) {
	l := lay(text)
	escaped := flagsOf(text, true)&isEscaped != 0
	u.place(escaped, func(v *view) span {
		switch {
		case v.role == tail:
			return spanOf(0, len(text))
		case v.role == head || v.field == fieldArgs:
			return absent
		case v.field == fieldPath:
			return span{0, len(text), 0, -1}
		}
		return l.span(v.field)
	})
	u.look(u.ix.machines, text, bits)
	mine := func(f fieldID) bool { return f != fieldPath && f != fieldArgs && f != fieldArgsLen }
	if escaped {
		u.undo(text, &l, bits, mine)
	}
	u.test(text, &l, bits, mine)
}

// query evaluates what can be told of a query that stands behind a path.
func (u *target) query(text []byte, bits []uint64) {
	l := layout{path: absent, request: absent, dir: absent, name: absent, frag: absent, ext: absent, args: spanOf(0, len(text)), hasDir: true}
	escaped := flagsOf(text, false)&isEscaped != 0
	u.place(escaped, func(v *view) span {
		switch {
		case v.role == head || v.field == fieldArgs:
			return spanOf(0, len(text))
		case v.role == whole && v.field == fieldPath:
			return span{0, len(text), -1, len(text)}
		}
		return absent
	})
	u.look(u.ix.machines, text, bits)
	mine := func(f fieldID) bool { return f == fieldArgs || f == fieldArgsLen }
	if escaped {
		u.undo(text, &l, bits, mine)
	}
	u.test(text, &l, bits, mine)
}

// whole evaluates what takes path and query together; bits holds what was found in each.
func (u *target) whole(text []byte, escaped bool, bits []uint64) {
	l := layout{path: spanOf(0, len(text)), request: absent, dir: absent, name: absent, frag: absent, ext: absent, args: absent}
	u.place(escaped, func(v *view) span {
		if v.role == whole && v.field == fieldPath {
			return l.path
		}
		return absent
	})
	u.ix.run(text, u.spans, bits)
	mine := func(f fieldID) bool { return f == fieldPath }
	if escaped {
		u.undo(text, &l, bits, mine)
	}
	u.test(text, &l, bits, mine)
}

// place sets spans: a text without escapes is what undoing them would make of it.
func (u *target) place(escaped bool, at func(*view) span) {
	for i := range u.ix.views {
		v := &u.ix.views[i]
		u.spans[i] = absent
		if v.unescape == "" || !escaped {
			u.spans[i] = at(v)
		}
	}
}

func (u *target) look(machines []*automaton, text []byte, bits []uint64) {
	u.ix.scan(machines, text, u.spans, bits, &u.scratch)
	u.ix.run(text, u.spans, bits)
}

// undo looks at the views for which escapes have to be undone.
func (u *target) undo(text []byte, l *layout, bits []uint64, mine func(fieldID) bool) {
	for _, i := range u.undone {
		v := &u.ix.views[i]
		at := l.span(v.field)
		if v.role != whole || !mine(v.field) || at.from > at.to {
			continue
		}
		u.undoView(i, text, at, bits)
	}
}

// undoView looks at one view of a field, which lies in a text.
func (u *target) undoView(i int, text []byte, at span, bits []uint64) {
	v := &u.ix.views[i]
	t := append(u.tmp[:0], text[at.from:at.to]...)
	for _, how := range v.unescape {
		n := len(t)
		most := n + 1
		if v.prefix > 0 && len(v.unescape) == 1 {
			most = v.prefix
		}
		t = appendUnescaped(t, t[:n], how == 'Q', most)
		t = append(t[:0], t[n:]...)
	}
	u.tmp = t
	if v.prefix > 0 && len(t) > v.prefix {
		t = t[:v.prefix]
	}
	for j := range u.spans {
		u.spans[j] = absent
	}
	u.spans[i] = spanOf(0, len(t))
	u.look(u.ix.own[i], t, bits)
}

// test runs the tests of some fields.
func (u *target) test(text []byte, l *layout, bits []uint64, mine func(fieldID) bool) {
	var args []byte // http_args_len
	for _, a := range u.ix.tests {
		if !mine(a.field) {
			continue
		}
		var holds bool
		switch a.field {
		case fieldArgsLen:
			if args == nil {
				args = u.number[:0]
				if l.hasDir {
					args = strconv.AppendInt(args, int64(utf8.RuneCount(text[l.args.from:l.args.to])), 10)
				}
			}
			holds = a.holds(borrow(args))
		case fieldStatic:
			holds = a.holds(staticText(l, text))
		default:
			at := l.span(a.field)
			if at.from > at.to {
				at = spanOf(0, 0)
			}
			holds = a.holds(borrow(text[at.from:at.to]))
		}
		if holds {
			setBit(bits, a.bit-u.ix.base)
		}
	}
}

func staticText(l *layout, text []byte) string {
	var buf [16]byte
	ext := text[l.ext.from:l.ext.to]
	if len(ext) > len(buf) {
		return "false"
	}
	if upper := appendCase(buf[:0], ext, inUpper); staticExtensions[string(upper)] {
		return "true"
	}
	return "false"
}

// borrow gives a test, as a string, the bytes that it must not keep.
func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
