package rekey

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"weir/internal/scenario"
)

// Digests returns what stands for the scenarios of a Set in frames, by index: for their names
// and what their hits mean. How many hits make an alert is no part of it, so that tasks with
// different numbers can work side by side.
func Digests(set *scenario.Set) []uint64 {
	list := make([]uint64, set.Len())
	for i := range list {
		s := set.At(i)
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %x", s.Name, s.Meaning()))
		list[i] = binary.LittleEndian.Uint64(sum[:])
	}
	return list
}
