package cloudfront

import (
	"bytes"
	"encoding/binary"
)

// stops says where columns end: stops[i+1] is the offset of the tab behind column i,
// or the length of the line behind the last one. stops[0] is -1, so that every
// column begins one byte behind a stop.
type stops [maxStops]int32

const maxStops = NumFields + 1

// split notes where the columns of line end and returns how many there are, but never
// more than NumFields+2: no format takes as many. It also tells whether the line holds
// a NUL.
func (s *stops) split(line []byte) (columns int, nul bool) {
	s[0] = -1
	tabs, nul, ok := s.blocks(line)
	if !ok {
		tabs = s.tabs(line)
		nul = bytes.IndexByte(line, 0) >= 0
	}
	return tabs + 1, nul
}

// tabs notes and counts the tabs of line, one search a tab. It is the way for short lines,
// and for those with raw bytes that CloudFront would have escaped: neither is met often.
func (s *stops) tabs(line []byte) (n int) {
	end := -1
	for {
		length := bytes.IndexByte(line[end+1:], '\t')
		if length < 0 {
			return n
		}
		if n++; n == maxStops {
			return n // too many columns for any format
		}
		end += 1 + length
		s[n] = int32(end)
	}
}

// A line is searched in blocks of 64 bytes; the last overlaps the one before.
const blockSize = 64

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// suspects notes and counts the bytes of line that are not printable ASCII, and tells
// whether they are tabs and nothing else. No tab and no NUL is missed, though some of the
// others may be: that is what makes it fast. It gives up on short lines and on too many
// suspects, and then tells nothing.
func (s *stops) suspects(line []byte) (n int, tabs bool) {
	last := len(line) - blockSize
	if last < 0 {
		return 0, false
	}
	next := uint(1)
	var other byte
	for base := 0; base < len(line); base += blockSize {
		// The last block overlaps the one before; what both hold is shifted out.
		at := min(base, last)
		b := (*[blockSize]byte)(line[at:])
		if raise(b[0:])&raise(b[8:])&raise(b[16:])&raise(b[24:])&
			raise(b[32:])&raise(b[40:])&raise(b[48:])&raise(b[56:])&highBits == highBits {
			continue // the middle of a long column
		}
		m := printable(b[0:]) | printable(b[8:])<<8
		m |= printable(b[16:])<<16 | printable(b[24:])<<24
		m |= printable(b[32:])<<32 | printable(b[40:])<<40
		m |= printable(b[48:])<<48 | printable(b[56:])<<56
		m = ^m >> (uint(base-at) & 63)
		for m != 0 {
			if next >= uint(maxStops) {
				return 0, false
			}
			suspect := base + lowestBit(m)
			other |= line[suspect] ^ '\t'
			s[next] = int32(suspect)
			next++
			m &= m - 1
		}
	}
	return int(next) - 1, other == 0
}

// printable tells in bit i whether byte i of the first eight is printable ASCII, as far
// as raise can tell.
func printable(b []byte) uint64 { return gatherHighBits(raise(b)) }

// raise adds 0x60 to each of the first eight bytes, which sets the high bit of those
// from 0x20 to 0x9f. Those from 0xa0 up overflow and push their neighbour by one, which
// can make a printable byte of an 0x1f, but not of a tab or a NUL.
func raise(b []byte) uint64 { return binary.LittleEndian.Uint64(b) + 0x60*everyByte }

// gatherHighBits returns the high bits of the eight bytes of w, the lowest byte's first.
func gatherHighBits(w uint64) uint64 { return w & highBits * 0x0002040810204081 >> 56 }
