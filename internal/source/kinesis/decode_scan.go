package kinesis

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// A span is where the inside of a string lies in a body.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// spans is what scan finds of a record. What is not in has is not set.
type spans struct {
	has               members
	data, key, number span
	arrived           int64 // Unix milliseconds
	encryption        types.EncryptionType
}

// answer is what scan finds beside the records.
type answer struct {
	has    members
	behind int64
	next   span
}

// members says which members of an object were there.
type members uint8

const (
	hasData members = 1 << iota
	hasKey
	hasNumber
	hasArrived
	hasEncryption
	hasRecords
	hasBehind
	hasNext
)

// scan walks over an answer to GetRecords and notes what is where. It changes
// nothing, and tells whether the answer is of the usual kind: else it may still be
// a good one, which is for the SDK to say. The data are not looked at.
func (p *page) scan() bool {
	p.spans, p.found = p.spans[:0], answer{}
	var habits [8]habit
	c := cursor{text: p.body, habits: habits[:0]}
	if !c.take('{') {
		return false
	}
	for first := true; ; first = false {
		name, more := c.member(first)
		if !more {
			return !c.odd
		}
		switch string(name) {
		case "Records":
			c.once(&p.found.has, hasRecords)
			p.scanRecords(&c)
		case "MillisBehindLatest":
			c.once(&p.found.has, hasBehind)
			p.found.behind = c.integer()
		case "NextShardIterator":
			if c.peek() == 'n' { // the shard has ended
				c.literal("null")
				break
			}
			c.once(&p.found.has, hasNext)
			p.found.next = c.string()
		case "ChildShards":
			return false
		default:
			c.skip()
		}
	}
}

func (p *page) scanRecords(c *cursor) {
	if !c.take('[') {
		return
	}
	if c.peek() == ']' {
		c.i++
		return
	}
	for {
		p.spans = append(p.spans, spans{})
		p.spans[len(p.spans)-1].scan(c)
		switch c.peek() {
		case ',':
			c.i++
		case ']':
			c.i++
			return
		default:
			c.odd = true
		}
		if c.odd {
			return
		}
	}
}

// scan notes one record.
func (s *spans) scan(c *cursor) {
	if !c.take('{') {
		return
	}
	for n := 0; ; n++ {
		m, more := c.recordMember(n)
		if !more {
			return
		}
		c.once(&s.has, m)
		switch m {
		case hasData:
			s.data = c.blob()
		case hasNumber:
			s.number = c.string()
		case hasArrived:
			s.arrived = c.millis()
		case hasKey:
			s.key = c.string()
		case hasEncryption:
			at := c.string()
			switch string(c.text[at.from:at.to]) {
			case string(types.EncryptionTypeNone):
				s.encryption = types.EncryptionTypeNone
			case string(types.EncryptionTypeKms):
				s.encryption = types.EncryptionTypeKms
			default:
				c.odd = true
			}
		default:
			c.skip()
		}
	}
}

// habit is how one member of a record began.
type habit struct {
	text   []byte // from behind the value before it to its own
	member members
}

// recordMember is member for the nth member of a record, counted from 0: none of
// the bits is one that a record does not have. Records are all written alike, so it
// mostly takes one look at how the nth member of an earlier one began.
func (c *cursor) recordMember(n int) (m members, more bool) {
	known := n < len(c.habits)
	if known && !c.odd && bytes.HasPrefix(c.text[c.i:], c.habits[n].text) {
		c.i += len(c.habits[n].text)
		return c.habits[n].member, true
	}
	from := c.i
	name, more := c.member(n == 0)
	if !more {
		return 0, false
	}
	switch string(name) {
	case "Data":
		m = hasData
	case "SequenceNumber":
		m = hasNumber
	case "ApproximateArrivalTimestamp":
		m = hasArrived
	case "PartitionKey":
		m = hasKey
	case "EncryptionType":
		m = hasEncryption
	}
	if !c.odd && n < cap(c.habits) {
		c.habits = append(c.habits[:n], habit{c.text[from:c.i], m})
	}
	return m, true
}

// A cursor walks over JSON text. Once it has met something unusual, odd stays set
// and where it stands means nothing; every method returns soon.
type cursor struct {
	text   []byte
	i      int
	odd    bool
	habits []habit // of records' members, by place
}

// peek skips white space and returns the next byte, or 0 at the end.
func (c *cursor) peek() byte {
	for ; c.i < len(c.text); c.i++ {
		b := c.text[c.i]
		if b > ' ' || b != ' ' && b != '\t' && b != '\n' && b != '\r' {
			return b
		}
	}
	return 0
}

// take goes past one byte, which must be the next.
func (c *cursor) take(b byte) bool {
	if c.odd || c.peek() != b {
		c.odd = true
		return false
	}
	c.i++
	return true
}

// once notes that a member is there, for the first time. No member is none.
func (c *cursor) once(has *members, m members) {
	c.odd = c.odd || *has&m != 0
	*has |= m
}

// member goes to the value of an object's next member and returns the name, or
// goes past the object's end.
func (c *cursor) member(first bool) (name []byte, more bool) {
	if c.odd {
		return nil, false
	}
	switch b := c.peek(); {
	case b == '}':
		c.i++
		return nil, false
	case !first && b == ',':
		c.i++
	case !first:
		c.odd = true
	}
	at := c.string()
	return c.text[at.from:at.to], c.take(':')
}

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// string goes past a string that means what it says: without an escape. It finds
// the end, or what must not be there, in eight bytes at a time.
func (c *cursor) string() span {
	if !c.take('"') {
		return span{}
	}
	from, i := c.i, c.i
	for ; i+8 <= len(c.text); i += 8 {
		v := binary.LittleEndian.Uint64(c.text[i:])
		quote, escape := v^eachByte*'"', v^eachByte*'\\'
		// The lowest bit is right. A byte that borrows makes the next look special, too.
		if m := ((v-eachByte*' ')&^v | (quote-eachByte)&^quote | (escape-eachByte)&^escape) & highBits; m != 0 {
			i += bits.TrailingZeros64(m) / 8
			break
		}
	}
	for ; i < len(c.text); i++ {
		switch b := c.text[i]; {
		case b == '"':
			c.i = i + 1
			return span{from, i}
		case b == '\\' || b < ' ':
			c.odd = true
			return span{}
		}
	}
	c.odd = true
	return span{}
}

// blob goes past a string of base64 without an escape, as string does, but leaves
// whatever else JSON does not allow in it for the decoding to find.
func (c *cursor) blob() span {
	if !c.take('"') {
		return span{}
	}
	rest := c.text[c.i:]
	n := bytes.IndexByte(rest, '"')
	if n < 0 || bytes.IndexByte(rest[:n], '\\') >= 0 {
		c.odd = true
		return span{}
	}
	at := span{c.i, c.i + n}
	c.i += n + 1
	return at
}

// literal goes past null, true or false.
func (c *cursor) literal(text string) {
	if c.odd || len(c.text)-c.i < len(text) || string(c.text[c.i:c.i+len(text)]) != text {
		c.odd = true
		return
	}
	c.i += len(text)
}

// skip goes past a value that nobody asked for, if it is a simple one.
func (c *cursor) skip() {
	switch c.peek() {
	case '"':
		c.string()
	case 'n':
		c.literal("null")
	case 't':
		c.literal("true")
	case 'f':
		c.literal("false")
	default:
		c.number()
	}
}
