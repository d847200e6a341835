//go:build goexperiment.simd && amd64

package cloudfront

import (
	"encoding/binary"
	"math/bits"
	"simd/archsimd"
)

var hasAVX2 = archsimd.X86.AVX2()

// blocks notes and counts the tabs of line; ok is false when it cannot.
func (s *stops) blocks(line []byte) (n int, nul, ok bool) {
	if !hasAVX2 {
		n, ok = s.wordBlocks(line)
		return n, false, ok
	}
	return s.vectorBlocks(line)
}

// A line is searched in blocks of 64 bytes; the last overlaps the one before.
const blockSize = 64

// vectorBlocks notes and counts the tabs of line and tells whether it holds a NUL; ok is
// false when the line is long or short, or has too many tabs to note them all.
//
// How many tabs a block has, if any, is as good as random. So four are noted, whether
// there are so many or not, and the next block's are noted over those that were none.
func (s *stops) vectorBlocks(line []byte) (n int, nul, ok bool) {
	last := len(line) - blockSize
	if last < 0 || len(line) > maxNear {
		return 0, false, false
	}
	tab := archsimd.BroadcastUint8x32('\t')
	least := tab // of all bytes, in each place; a tab is less than any that matters but a NUL
	next, end := uint(2), uint(2)
	at := 0
	for ; at < last; at += blockSize {
		b := (*[blockSize]byte)(line[at:])
		low := archsimd.LoadUint8x32((*[32]byte)(b[:32]))
		high := archsimd.LoadUint8x32((*[32]byte)(b[32:]))
		least = least.Min(low.Min(high))
		m := uint64(low.Equal(tab).ToBits()) | uint64(high.Equal(tab).ToBits())<<32
		for end += 2 * uint(bits.OnesCount64(m)); m != 0; next += room {
			if next > uint(len(s.low)-room) {
				archsimd.ClearAVXUpperBits()
				return 0, false, false
			}
			four := (*[room]byte)(s.low[next:])
			m = noteTwo((*[4]byte)(four[:4]), uint16(at), m)
			m = noteTwo((*[4]byte)(four[4:]), uint16(at), m)
		}
		next = end
	}
	b := (*[blockSize]byte)(line[last:])
	low := archsimd.LoadUint8x32((*[32]byte)(b[:32]))
	high := archsimd.LoadUint8x32((*[32]byte)(b[32:]))
	least = least.Min(low.Min(high))
	m := uint64(low.Equal(tab).ToBits()) | uint64(high.Equal(tab).ToBits())<<32
	nul = least.Equal(archsimd.Uint8x32{}).ToBits() != 0
	archsimd.ClearAVXUpperBits()
	m >>= uint(at-last) % blockSize
	for end += 2 * uint(bits.OnesCount64(m)); m != 0; next += room {
		if next > uint(len(s.low)-room) {
			return 0, false, false
		}
		four := (*[room]byte)(s.low[next:])
		m = noteTwo((*[4]byte)(four[:4]), uint16(at), m)
		m = noteTwo((*[4]byte)(four[4:]), uint16(at), m)
	}
	return int(end)/2 - 1, nul, true
}

// noteTwo notes the lowest two bits of m, which stand for the bytes from base on, and
// returns m without them. Where there are fewer, anything is noted.
func noteTwo(low *[4]byte, base uint16, m uint64) uint64 {
	binary.LittleEndian.PutUint16(low[:2], base+uint16(lowestBit(m)))
	m &= m - 1
	binary.LittleEndian.PutUint16(low[2:], base+uint16(lowestBit(m)))
	return m & (m - 1)
}
