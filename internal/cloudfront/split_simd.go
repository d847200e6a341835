//go:build goexperiment.simd && amd64

package cloudfront

import (
	"encoding/binary"
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
func (s *stops) vectorBlocks(line []byte) (n int, nul, ok bool) {
	last := len(line) - blockSize
	if last < 0 || len(line) > maxNear {
		return 0, false, false
	}
	tab := archsimd.BroadcastUint8x32('\t')
	least := tab // of all bytes, in each place; a tab is less than any that matters but a NUL
	next := uint(2)
	base := 0
	for ; base < last; base += blockSize {
		b := (*[blockSize]byte)(line[base:])
		low := archsimd.LoadUint8x32((*[32]byte)(b[:32]))
		high := archsimd.LoadUint8x32((*[32]byte)(b[32:]))
		least = least.Min(low.Min(high))
		m := uint64(low.Equal(tab).ToBits()) | uint64(high.Equal(tab).ToBits())<<32
		if next = s.note(next, base, m); next == 0 {
			return 0, false, false
		}
	}
	b := (*[blockSize]byte)(line[last:])
	low := archsimd.LoadUint8x32((*[32]byte)(b[:32]))
	high := archsimd.LoadUint8x32((*[32]byte)(b[32:]))
	least = least.Min(low.Min(high))
	nul = least.Equal(archsimd.Uint8x32{}).ToBits() != 0
	m := uint64(low.Equal(tab).ToBits()) | uint64(high.Equal(tab).ToBits())<<32
	archsimd.ClearAVXUpperBits()
	if next = s.note(next, base, m>>(uint(base-last)&63)); next == 0 {
		return 0, false, false
	}
	return int(next)/2 - 1, nul, true
}

// note notes the bits of m, which stand for the bytes from base on, from stop next/2 on.
// It returns the next one, or 0 if there are too many.
func (s *stops) note(next uint, base int, m uint64) uint {
	for m != 0 {
		if next > uint(len(s.low)-room) {
			return 0
		}
		binary.LittleEndian.PutUint16(s.low[next:], uint16(base+lowestBit(m)))
		next += 2
		m &= m - 1
	}
	return next
}
