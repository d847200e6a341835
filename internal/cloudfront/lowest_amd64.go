//go:build !amd64.v3

package cloudfront

import "math/bits"

// lowestBit returns the place of the lowest bit of m. Without the word of the build that
// the processor has TZCNT, Go takes BSF, which is slow on many; POPCNT is not.
func lowestBit(m uint64) int { return bits.OnesCount64(m^(m-1)) - 1 }
