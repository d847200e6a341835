package rekey

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"

	"weir/internal/detect"
	"weir/internal/scenario"
)

// A Reader reads frames. It belongs to one goroutine.
type Reader struct {
	scenarios map[uint64]uint16 // index by digest

	// Of the frame at hand: what is referred to.

	sources   []readSource
	clients   []client
	known     []int // by scenario of the frame: its index here, or -1
	shapes    []readShape
	shapeHits []readHit // of all shapes
	values    []uint32
	texts     [][]byte

	// What events point into, until Reset.

	hits    []scenario.Hit
	columns []byte
	names   map[string]string // of sources
	dropped int

	mostHits, mostColumns int // with those of the frame at hand
}

type readSource struct {
	name string
	last Position
}

type readShape struct {
	status   uint16
	from, to int // its hits
}

type readHit struct {
	hit             scenario.Hit
	group, distinct bool
	known           bool
}

// NewReader returns a Reader of events that are poured with these scenarios, by index.
func NewReader(digests []uint64) *Reader {
	r := &Reader{scenarios: make(map[uint64]uint16, len(digests)), names: map[string]string{}}
	for i, d := range digests {
		r.scenarios[d] = uint16(i)
	}
	return r
}

// maxNames is how many names of sources are kept from frame to frame.
const maxNames = 1 << 12

// Reset makes the memory of all events that were read so far the Reader's again. It returns how
// many hits were left out since the last one, because no scenario here is theirs.
func (r *Reader) Reset() (dropped int) {
	r.hits, r.columns = r.hits[:0], r.columns[:0]
	if len(r.names) > maxNames {
		clear(r.names)
	}
	dropped, r.dropped = r.dropped, 0
	return dropped
}

// amplified is how many hits, and bytes of columns, a frame can stand for by each of its
// bytes, since it may refer to them often.
const amplified = 64

// Read appends the events of a frame. They are good until Reset, though the frame need not be.
// The error is ErrNoFrame or ErrVersion; then nothing is appended. No frame, whoever made it,
// does harm: it makes no more events than it has bytes, of at most so many hits and bytes of
// columns as amplified says.
func (r *Reader) Read(frame []byte, events []Event) ([]Event, error) {
	if len(frame) < head || string(frame[:len(magic)]) != magic {
		return events, ErrNoFrame
	}
	if v := frame[len(magic)]; v != version {
		return events, fmt.Errorf("%w: it is of version %d, and this Weir reads %d", ErrVersion, v, version)
	}
	end := len(frame) - checksum
	if end < head || len(frame) > maxFrame || binary.LittleEndian.Uint32(frame[end:]) != crc32.Checksum(frame[:end], castagnoli) {
		return events, ErrNoFrame
	}
	r.sources, r.clients, r.known, r.shapes = r.sources[:0], r.clients[:0], r.known[:0], r.shapes[:0]
	r.shapeHits, r.values, r.texts = r.shapeHits[:0], r.values[:0], r.texts[:0]
	defer clear(r.texts) // which point into the frame
	r.mostHits, r.mostColumns = len(r.hits)+amplified*len(frame), len(r.columns)+amplified*len(frame)
	first := len(events)
	c := cursor{rest: frame[head:end]}
	of := eventState{source: -1}
	for len(c.rest) > 0 {
		var e Event
		if !r.event(&c, &of, &e) || c.bad {
			clear(events[first:])
			return events[:first], ErrNoFrame
		}
		events = append(events, e)
	}
	return events, nil
}

// An eventState is what is left of the event before.
type eventState struct {
	source        int // -1 = there is none
	client        int // number + 1
	time, arrived int64
}

// event reads one event. It reports false for what no Writer writes.
func (r *Reader) event(c *cursor, of *eventState, e *Event) bool {
	flags := c.byte()
	if flags >= flagsEnd || !r.origin(c, of, flags, e) || !r.client(c, of, flags) {
		return false
	}
	m := &e.Match
	m.Addr, m.Bits = r.clients[of.client-1].addr, r.clients[of.client-1].bits
	of.time += c.signed()
	of.arrived += c.signed()
	m.Time, m.Arrived = of.time, of.arrived
	if m.Time < 0 || m.Time >= maxTime || m.Arrived < 0 || m.Arrived >= maxTime {
		return false
	}
	if flags&flagRequest != 0 {
		for i, b := range c.take(6) {
			m.Request |= uint64(b) << (8 * i)
		}
		if m.Request == 0 {
			return false
		}
	}
	m.Apart = flags&flagApart != 0
	return r.read(c, m) && (flags&flagColumns == 0 || r.readColumns(c, m))
}

// maxTime is the end of time in Unix milliseconds: what package detect has bits for.
const maxTime = 1 << 42

// origin reads where an event comes from.
func (r *Reader) origin(c *cursor, of *eventState, flags byte, e *Event) bool {
	if flags&flagSource != 0 {
		number, isNew := c.reference(len(r.sources))
		if isNew {
			r.sources = append(r.sources, readSource{name: r.name(c.text())})
		}
		of.source = number
	}
	if c.bad || of.source < 0 {
		return false
	}
	s := &r.sources[of.source]
	base := uint64(0)
	if flags&flagSame != 0 {
		base = uint64(s.last.index)
	} else {
		n := int(c.byte())
		if n > sequenceBytes {
			return false
		}
		s.last = s.last.plus(number(c.take(n)))
	}
	if flags&flagIndex != 0 {
		step := c.number()
		if step > math.MaxUint32-base {
			return false
		}
		base += step
	}
	s.last.index = uint32(base)
	e.Source, e.Position = s.name, s.last
	return true
}

// name returns the name of a source, of which there are few.
func (r *Reader) name(text []byte) string {
	if known, ok := r.names[string(text)]; ok {
		return known
	}
	name := string(text)
	r.names[name] = name
	return name
}

func (r *Reader) client(c *cursor, of *eventState, flags byte) bool {
	if flags&flagClient == 0 {
		return of.client > 0
	}
	at, isNew := c.reference(len(r.clients))
	of.client = at + 1
	if !isNew {
		return !c.bad
	}
	who := client{bits: c.byte()}
	if who.bits == 0 {
		who.bits = 32
		if b := c.take(4); len(b) == 4 {
			who.addr = netip.AddrFrom4([4]byte(b))
		}
	} else {
		who.bits--
		if b := c.take(16); len(b) == 16 {
			who.addr = netip.AddrFrom16([16]byte(b))
		}
		if who.addr.Is4In6() || who.bits > 128 {
			return false
		}
	}
	r.clients = append(r.clients, who)
	return !c.bad
}

// read reads what an event hits.
func (r *Reader) read(c *cursor, m *detect.Match) bool {
	at, isNew := c.reference(len(r.shapes))
	if isNew && !r.shape(c) || c.bad {
		return false
	}
	shape := r.shapes[at]
	m.Status = shape.status
	if len(r.hits)+shape.to-shape.from > r.mostHits {
		return false
	}
	from := len(r.hits)
	for i := shape.from; i < shape.to; i++ {
		of := &r.shapeHits[i]
		hit := of.hit
		if of.group {
			hit.Group = r.value(c)
		}
		if of.distinct {
			hit.Distinct = r.value(c)
		}
		if c.bad {
			return false
		}
		if of.known {
			r.hits = append(r.hits, hit)
		} else {
			r.dropped++
		}
	}
	m.Hits = r.hits[from:len(r.hits):len(r.hits)]
	return true
}

// shape reads what is new of shapes.
func (r *Reader) shape(c *cursor) bool {
	status, n := c.number(), c.number()
	if status > 999 || n > uint64(len(c.rest)) {
		return false
	}
	s := readShape{status: uint16(status), from: len(r.shapeHits)}
	before := scenario.Pour
	for range n {
		at, isNew := c.reference(len(r.known))
		if isNew {
			index := -1
			if b := c.take(8); len(b) == 8 {
				if i, ok := r.scenarios[binary.LittleEndian.Uint64(b)]; ok {
					index = int(i)
				}
			}
			r.known = append(r.known, index)
		}
		effect, sample, weight := c.byte(), c.byte(), c.number()
		h := readHit{group: effect&hitGroup != 0, distinct: effect&hitDistinct != 0}
		h.hit.Effect, h.hit.Sample, h.hit.Weight = scenario.Effect(effect&effectMask), sample, uint32(weight)
		if c.bad || effect >= 2*hitDistinct || h.hit.Effect > scenario.Shield || h.hit.Effect < before || weight > math.MaxUint32 {
			return false
		}
		before = h.hit.Effect
		if r.known[at] >= 0 {
			h.known, h.hit.Scenario = true, uint16(r.known[at])
		}
		r.shapeHits = append(r.shapeHits, h)
	}
	s.to = len(r.shapeHits)
	r.shapes = append(r.shapes, s)
	return true
}

func (r *Reader) value(c *cursor) uint32 {
	at, isNew := c.reference(len(r.values))
	if c.bad {
		return 0
	}
	if isNew {
		b := c.take(4)
		if len(b) < 4 {
			return 0
		}
		v := binary.LittleEndian.Uint32(b)
		c.bad = c.bad || v == 0
		r.values = append(r.values, v)
	}
	return r.values[at]
}

func (r *Reader) readColumns(c *cursor, m *detect.Match) bool {
	n := c.number()
	if n == 0 || n > maxColumns {
		return false
	}
	from := len(r.columns)
	for i := range n {
		var text []byte
		if i == n-1 {
			text = c.text()
		} else {
			at, isNew := c.reference(len(r.texts))
			if isNew {
				r.texts = append(r.texts, c.text())
			}
			if c.bad {
				return false
			}
			text = r.texts[at]
		}
		if c.bad || bytes.IndexByte(text, '\t') >= 0 || len(r.columns)-from+len(text) > maxText {
			return false
		}
		r.columns = append(r.columns, text...)
		if i < n-1 {
			r.columns = append(r.columns, '\t')
		}
	}
	if len(r.columns) > r.mostColumns {
		return false
	}
	m.Columns = r.columns[from:len(r.columns):len(r.columns)]
	return true
}

// What a Match has of columns: how many, and bytes of them.
const (
	maxColumns = 16
	maxText    = 4 << 10
)

// A cursor goes through a frame. When something is not there it becomes bad, and what it
// returns from then on is zero.
type cursor struct {
	rest []byte
	bad  bool
}

// take returns the next n bytes.
func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.rest, c.bad = nil, true
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (c *cursor) number() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.rest, c.bad = nil, true
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) signed() int64 {
	v := c.number()
	return int64(v>>1) ^ -int64(v&1)
}

func (c *cursor) text() []byte {
	n := c.number()
	if n > maxText {
		c.rest, c.bad = nil, true
		return nil
	}
	return c.take(int(n))
}

// reference reads a reference to one of n things. It returns the number of the thing, and
// whether that is new and follows.
func (c *cursor) reference(n int) (number int, isNew bool) {
	switch v := c.number(); {
	case c.bad:
		return 0, false
	case v == 0:
		return n, true
	case v > uint64(n):
		c.rest, c.bad = nil, true
		return 0, false
	default:
		return int(v - 1), false
	}
}
