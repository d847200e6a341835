package rekey

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"weir/internal/detect"
)

// A Writer makes frames. It belongs to one goroutine.
type Writer struct {
	digests []uint64 // of scenarios, by index
	buf     []byte
	events  int

	sources   map[string]int // index in positions
	positions []Position     // by source: of the event before
	clients   map[client]int
	scenarios map[uint16]int
	shapes    map[string]int
	values    map[uint32]int
	texts     map[string]int

	source        int // of the event before, as what follows
	client        client
	time, arrived int64

	shape []byte // scratch
}

type client struct {
	addr netip.Addr
	bits uint8
}

// NewWriter returns a Writer of events that hit scenarios with these digests, by index.
func NewWriter(digests []uint64) *Writer {
	w := &Writer{
		digests: digests, sources: map[string]int{}, clients: map[client]int{}, scenarios: map[uint16]int{},
		shapes: map[string]int{}, values: map[uint32]int{}, texts: map[string]int{},
	}
	w.Reset()
	return w
}

// Reset begins a new frame.
func (w *Writer) Reset() {
	w.buf = append(append(w.buf[:0], magic...), version)
	w.events = 0
	clear(w.sources)
	w.positions = w.positions[:0]
	clear(w.clients)
	clear(w.scenarios)
	clear(w.shapes)
	clear(w.values)
	clear(w.texts)
	w.source, w.client, w.time, w.arrived = -1, client{}, 0, 0
}

// Len returns how many bytes the frame has, and Events how many events.
func (w *Writer) Len() int    { return len(w.buf) + checksum }
func (w *Writer) Events() int { return w.events }

// Add writes an event, unless the frame gets too long by it: then it reports false, and only
// Frame may be called.
func (w *Writer) Add(source string, p Position, m *detect.Match) bool {
	before := len(w.buf)
	w.add(source, p, m)
	if w.Len() > FrameSize && w.events > 0 {
		w.buf = w.buf[:before]
		return false
	}
	w.events++
	return true
}

func (w *Writer) add(source string, p Position, m *detect.Match) {
	at := len(w.buf)
	w.buf = append(w.buf, 0)
	flags := byte(0)
	number, known := w.sources[source]
	if !known || number != w.source {
		flags |= flagSource
		if w.buf = appendReference(w.buf, number, known); !known {
			number = len(w.positions)
			w.sources[source] = number
			w.positions = append(w.positions, Position{})
			w.buf = appendText(w.buf, source)
		}
	}
	w.source = number
	last := &w.positions[number]
	index := p.index
	if known && p.sequence == last.sequence && p.index >= last.index {
		flags |= flagSame
		index -= last.index
	} else {
		w.buf = appendNumber(w.buf, p.minus(*last))
	}
	*last = p
	if index != 0 {
		flags |= flagIndex
		w.buf = binary.AppendUvarint(w.buf, uint64(index))
	}
	if c := (client{m.Addr, m.Bits}); c != w.client {
		flags |= flagClient
		w.client = c
		w.addClient(c)
	}
	w.buf = binary.AppendVarint(w.buf, m.Time-w.time)
	w.buf = binary.AppendVarint(w.buf, m.Arrived-w.arrived)
	w.time, w.arrived = m.Time, m.Arrived
	if m.Request != 0 {
		flags |= flagRequest
		w.buf = append(w.buf, byte(m.Request), byte(m.Request>>8), byte(m.Request>>16), byte(m.Request>>24), byte(m.Request>>32), byte(m.Request>>40))
	}
	w.addHits(m)
	if len(m.Columns) > 0 {
		flags |= flagColumns
		w.addColumns(m.Columns)
	}
	if m.Apart {
		flags |= flagApart
	}
	w.buf[at] = flags
}

func (w *Writer) addClient(c client) {
	number, known := w.clients[c]
	if w.buf = appendReference(w.buf, number, known); known {
		return
	}
	w.clients[c] = len(w.clients)
	if c.addr.Is4() {
		a := c.addr.As4()
		w.buf = append(append(w.buf, 0), a[:]...)
		return
	}
	a := c.addr.As16()
	w.buf = append(append(w.buf, 1+c.bits), a[:]...)
}

func (w *Writer) addHits(m *detect.Match) {
	s := w.shape[:0]
	s = binary.AppendUvarint(s, uint64(m.Status))
	s = binary.AppendUvarint(s, uint64(len(m.Hits)))
	for i := range m.Hits {
		h := &m.Hits[i]
		effect := byte(h.Effect)
		if h.Group != 0 {
			effect |= hitGroup
		}
		if h.Distinct != 0 {
			effect |= hitDistinct
		}
		s = binary.LittleEndian.AppendUint16(s, h.Scenario)
		s = append(s, effect, h.Sample)
		s = binary.AppendUvarint(s, uint64(h.Weight))
	}
	w.shape = s
	number, known := w.shapes[string(s)]
	if w.buf = appendReference(w.buf, number, known); !known {
		w.shapes[string(s)] = len(w.shapes)
		w.addShape(m)
	}
	for i := range m.Hits {
		for _, v := range [2]uint32{m.Hits[i].Group, m.Hits[i].Distinct} {
			if v == 0 {
				continue
			}
			number, known := w.values[v]
			if w.buf = appendReference(w.buf, number, known); !known {
				w.values[v] = len(w.values)
				w.buf = binary.LittleEndian.AppendUint32(w.buf, v)
			}
		}
	}
}

// addShape writes what the scratch stands for.
func (w *Writer) addShape(m *detect.Match) {
	w.buf = binary.AppendUvarint(w.buf, uint64(m.Status))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(m.Hits)))
	for i := range m.Hits {
		h := &m.Hits[i]
		number, known := w.scenarios[h.Scenario]
		if w.buf = appendReference(w.buf, number, known); !known {
			w.scenarios[h.Scenario] = len(w.scenarios)
			w.buf = binary.LittleEndian.AppendUint64(w.buf, w.digests[h.Scenario])
		}
		effect := byte(h.Effect)
		if h.Group != 0 {
			effect |= hitGroup
		}
		if h.Distinct != 0 {
			effect |= hitDistinct
		}
		w.buf = append(w.buf, effect, h.Sample)
		w.buf = binary.AppendUvarint(w.buf, uint64(h.Weight))
	}
}

func (w *Writer) addColumns(columns []byte) {
	w.buf = binary.AppendUvarint(w.buf, uint64(bytes.Count(columns, tab)+1))
	for {
		i := bytes.IndexByte(columns, '\t')
		if i < 0 {
			w.buf = appendText(w.buf, columns)
			return
		}
		number, known := w.texts[string(columns[:i])]
		if w.buf = appendReference(w.buf, number, known); !known {
			w.texts[string(columns[:i])] = len(w.texts)
			w.buf = appendText(w.buf, columns[:i])
		}
		columns = columns[i+1:]
	}
}

var tab = []byte{'\t'}

// Frame ends the frame and returns it. It is good until the Writer is reset.
func (w *Writer) Frame() []byte {
	w.buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(w.buf, castagnoli))
	return w.buf
}

// appendReference writes the reference to a thing, which has the number if it is known.
func appendReference(b []byte, number int, known bool) []byte {
	if !known {
		return append(b, 0)
	}
	return binary.AppendUvarint(b, uint64(number)+1)
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}
