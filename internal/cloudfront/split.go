package cloudfront

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// stops says where columns end: stops[i+1] is the offset of the tab behind column i,
// or the length of the line behind the last one. stops[0] is -1, so that every
// column begins one byte behind a stop.
type stops [NumFields + 1]int32

// split finds the n-1 tabs of a line that is known to have exactly that many. It
// reports false if the line holds a NUL.
func (s *stops) split(line []byte, n int) bool {
	s[0] = -1
	// Tabs and NULs are always among the suspects. So with as many suspects as
	// tabs, each is a tab, and there is no NUL.
	if s.suspects(line) != n-1 {
		if bytes.IndexByte(line, 0) >= 0 {
			return false
		}
		s.tabs(line)
	}
	s[n] = int32(len(line))
	return true
}

// tabs notes every tab of the line, one search a tab: the way for short lines and for
// those with bytes that CloudFront escapes, which do not occur in great number.
func (s *stops) tabs(line []byte) {
	end := -1
	for i := 1; ; i++ {
		length := bytes.IndexByte(line[end+1:], '\t')
		if length < 0 {
			return
		}
		end += 1 + length
		s[i] = int32(end)
	}
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// suspects notes where the line holds a byte that is not printable ASCII and returns
// how many there are, or -1 if there are too many or the line is too short. No tab
// and no NUL is missed, but some of the others may be: that is what makes it fast.
func (s *stops) suspects(line []byte) int {
	last := len(line) - 64
	if last < 0 {
		return -1
	}
	n := uint(1)
	for base := 0; base < len(line); base += 64 {
		// The last block overlaps the one before; what both hold is shifted out.
		at := min(base, last)
		b := (*[64]byte)(line[at:])
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
			if n >= uint(len(s)) {
				return -1
			}
			s[n] = int32(base + bits.TrailingZeros64(m))
			n++
			m &= m - 1
		}
	}
	return int(n) - 1
}

// printable tells in bit i whether byte i of the first eight is printable ASCII.
func printable(b []byte) uint64 { return gatherHighBits(raise(b)) }

// raise adds 0x60 to each of the first eight bytes, which sets the high bit of those
// from 0x20 to 0x9f. Those from 0xa0 up overflow and push their neighbour by one, which
// can make a printable byte of an 0x1f, but not of a tab or a NUL.
func raise(b []byte) uint64 { return binary.LittleEndian.Uint64(b) + 0x60*everyByte }

// gatherHighBits returns the high bits of the eight bytes of w, the lowest byte's first.
func gatherHighBits(w uint64) uint64 { return w & highBits * 0x0002040810204081 >> 56 }
