//go:build !unix

package detect

import "unsafe"

// mapRegion takes from Go's heap where there is nothing better. The words make
// the region begin where any type may lie.
func mapRegion(bytes int) ([]byte, error) {
	words := make([]uint64, (bytes+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), bytes), nil
}

func unmapRegion([]byte) {}
