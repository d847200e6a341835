//go:build !amd64 || amd64.v3

package cloudfront

import "math/bits"

// lowestBit returns the place of the lowest bit of m.
func lowestBit(m uint64) int { return bits.TrailingZeros64(m) }
