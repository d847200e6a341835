package cloudfront

import (
	"bytes"
	"encoding/binary"
)

// stops says where columns end: stop i+1 is the offset of the tab behind column i, or the
// length of the line behind the last one. Stop 0 is -1, so that every column begins one
// byte behind a stop.
//
// An offset is kept modulo 64 KiB, as nearly every line is shorter; of longer ones wraps
// says how often to add it.
type stops struct {
	low   [2*maxStops + room]byte // little-endian
	wraps [MaxLine >> 16]uint8    // of long lines: the first stop from which on to add once more
}

const (
	maxStops = NumFields + 1

	// maxNear is the length up to which a line is not long: its offsets, and -1, are
	// different in 16 bits.
	maxNear = 1<<16 - 2

	// Stops are noted in fours, whether there are so many or not.
	room = 8
)

func (s *stops) set(i uint, offset int) {
	binary.LittleEndian.PutUint16(s.low[2*i:], uint16(offset))
}

// near returns the ends of column i of a line that is not long.
func (s *stops) near(i uint) (start, end uint16) {
	both := (*[4]byte)(s.low[2*i:])
	// Not one load of both: they may just have been stored one by one, and a processor
	// waits for such stores to reach the cache.
	start = binary.LittleEndian.Uint16(both[:2])
	end = binary.LittleEndian.Uint16(both[2:])
	return start + 1, end
}

// far returns a stop of a long line.
func (s *stops) far(i uint) (offset int) {
	if i == 0 {
		return -1
	}
	offset = int(binary.LittleEndian.Uint16(s.low[2*i:]))
	for _, w := range s.wraps {
		if i >= uint(w) {
			offset += 1 << 16
		}
	}
	return offset
}

// split notes where the columns of line end and returns how many there are, but never
// more than NumFields+2: no format takes as many. It also tells whether the line holds
// a NUL.
func (s *stops) split(line []byte) (columns int, nul bool) {
	s.set(0, -1)
	if len(line) <= maxNear {
		if tabs, nul, ok := s.blocks(line); ok {
			s.set(uint(tabs)+1, len(line))
			return tabs + 1, nul
		}
	}
	return s.tabs(line) + 1, bytes.IndexByte(line, 0) >= 0
}

// tabs notes and counts the tabs of line, one search a tab. It is the way for long lines,
// for short ones, and for those with raw bytes that CloudFront would have escaped: neither
// is met often.
func (s *stops) tabs(line []byte) (n int) {
	for i := range s.wraps {
		s.wraps[i] = uint8(maxStops + 1)
	}
	for end, wraps := -1, 0; n < maxStops; {
		length := bytes.IndexByte(line[end+1:], '\t')
		last := length < 0
		if last {
			length = len(line) - end - 1
		}
		end += 1 + length
		n++
		s.set(uint(n), end)
		for ; wraps < end>>16; wraps++ {
			s.wraps[wraps] = uint8(n)
		}
		if last {
			return n - 1
		}
	}
	return n // too many columns for any format
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)
