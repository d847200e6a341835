//go:build goexperiment.simd && amd64

package cloudfront

import "simd/archsimd"

var hasAVX2 = archsimd.X86.AVX2()

// blocks notes and counts the tabs of line; ok is false when it cannot.
func (s *stops) blocks(line []byte) (n int, nul, ok bool) {
	if !hasAVX2 {
		n, ok = s.suspects(line)
		return n, false, ok
	}
	return s.vectorBlocks(line)
}

// vectorBlocks notes and counts the tabs of line and tells whether it holds a NUL; ok is
// false when the line is too short, or has too many tabs to note them all.
func (s *stops) vectorBlocks(line []byte) (n int, nul, ok bool) {
	last := len(line) - blockSize
	if last < 0 {
		return 0, false, false
	}
	tab := archsimd.BroadcastUint8x32('\t')
	least := tab // of all bytes, in each place; a tab is less than any that matters but a NUL
	next := uint(1)
	for base := 0; base < len(line); base += blockSize {
		at := min(base, last)
		b := (*[blockSize]byte)(line[at:])
		low := archsimd.LoadUint8x32((*[32]byte)(b[:32]))
		high := archsimd.LoadUint8x32((*[32]byte)(b[32:]))
		least = least.Min(low).Min(high)
		m := uint64(low.Equal(tab).ToBits()) | uint64(high.Equal(tab).ToBits())<<32
		m >>= uint(base-at) & 63
		for m != 0 {
			if next >= uint(maxStops) {
				return 0, false, false
			}
			s[next] = int32(base + lowestBit(m))
			next++
			m &= m - 1
		}
	}
	nul = least.Equal(archsimd.Uint8x32{}).ToBits() != 0
	archsimd.ClearAVXUpperBits()
	return int(next) - 1, nul, true
}
