package rekey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"weir/internal/detect"
)

// seen knows of each source how far each partition has it. Sources are read in order, and
// their events put in order: what is not beyond that came before.
type seen struct {
	sources map[string]*seenSource
}

type seenSource struct {
	latest    int64 // event time of the latest of its events, Unix milliseconds
	positions [detect.Partitions]Position
}

func newSeen() *seen { return &seen{sources: make(map[string]*seenSource)} }

// seenFor is for how long a source is remembered after its latest event, in the time of the
// events. Nobody sends anything again of a shard that was read to its end.
const seenFor = 8 * 24 * 3600 * 1000 // milliseconds

// advance notes an event of a partition, and reports false if it came before.
func (s *seen) advance(e *Event, v int) bool {
	from := s.sources[e.Source]
	if from == nil {
		from = &seenSource{}
		s.sources[e.Source] = from
	}
	if e.Position.Compare(from.positions[v]) <= 0 {
		return false
	}
	from.positions[v] = e.Position
	from.latest = max(from.latest, e.Match.Time)
	return true
}

// clone returns a copy, without what is not worth it.
func (s *seen) clone() *seen {
	var now int64
	for _, from := range s.sources {
		now = max(now, from.latest)
	}
	c := newSeen()
	for name, from := range s.sources {
		if from.latest >= now-seenFor {
			c.sources[name] = new(*from)
		}
	}
	return c
}

// seenMagic begins what WriteTo writes: length of the rest, number of sources, and of each its
// name, latest and the partitions with their positions.
const seenMagic = "weir seen 1\n"

// What is believed to be what is seen: bytes, and sources.
const (
	maxSeen    = 64 << 20
	maxSources = 1 << 13
)

// WriteTo writes what is seen.
func (s *seen) WriteTo(w io.Writer) (int64, error) {
	b := binary.AppendUvarint(nil, uint64(len(s.sources)))
	for name, from := range s.sources {
		b = appendText(b, name)
		b = binary.AppendVarint(b, from.latest)
		at := len(b)
		b = append(b, 0, 0)
		for v, p := range from.positions {
			if p == (Position{}) {
				continue
			}
			b = appendNumber(binary.AppendUvarint(b, uint64(v)), p.sequence)
			b = binary.AppendUvarint(b, uint64(p.index))
			binary.LittleEndian.PutUint16(b[at:], binary.LittleEndian.Uint16(b[at:])+1)
		}
	}
	head := binary.LittleEndian.AppendUint64([]byte(seenMagic), uint64(len(b)))
	n, err := w.Write(slices.Concat(head, b))
	return int64(n), err
}

var errSeen = errors.New("this is no list of what was seen")

// read adds what WriteTo wrote, of the partitions of a Span. It reads no further.
func (s *seen) read(r io.Reader, of Span) error {
	head := make([]byte, len(seenMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("%w: %w", errSeen, err)
	}
	size := binary.LittleEndian.Uint64(head[len(seenMagic):])
	if string(head[:len(seenMagic)]) != seenMagic || size > maxSeen {
		return errSeen
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil || uint64(len(b)) != size {
		return fmt.Errorf("%w: it ends early: %w", errSeen, err)
	}
	c := cursor{rest: b}
	for n := c.number(); n > 0 && !c.bad; n-- {
		s.readSource(&c, of)
	}
	if c.bad || len(c.rest) > 0 {
		return errSeen
	}
	return nil
}

func (s *seen) readSource(c *cursor, of Span) {
	name, latest := string(c.text()), c.signed()
	count := c.take(2)
	if c.bad {
		return
	}
	from := s.sources[name]
	if from == nil {
		if len(s.sources) == maxSources {
			c.bad = true
			return
		}
		from = &seenSource{}
		s.sources[name] = from
	}
	from.latest = max(from.latest, latest)
	for n := binary.LittleEndian.Uint16(count); n > 0 && !c.bad; n-- {
		v := c.number()
		length := int(c.byte())
		if length > sequenceBytes || v >= detect.Partitions {
			c.bad = true
			return
		}
		p := Position{sequence: number(c.take(length)), index: uint32(c.number())}
		if !c.bad && of.Has(int(v)) && p.Compare(from.positions[v]) > 0 {
			from.positions[v] = p
		}
	}
}
