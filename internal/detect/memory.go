package detect

import "unsafe"

// A memory is where a shard's tables lie: outside of Go's heap, so that a large
// budget does not make the collector wait for as much garbage, and so that pages
// which are never used never exist. Nothing in it may hold a pointer.
type memory struct{ regions [][]byte }

// take returns n zero values of T in memory of their own.
func take[T any](m *memory, n int) ([]T, error) {
	var zero T
	region, err := mapRegion(n * int(unsafe.Sizeof(zero)))
	if err != nil {
		return nil, err
	}
	m.regions = append(m.regions, region)
	// A region begins at a page, which suits every T, and is as long as n of them.
	// It is not Go's, so it neither moves nor goes before free.
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(region))), n), nil
}

// free gives everything back. Whatever take returned must not be used any more.
func (m *memory) free() {
	for _, region := range m.regions {
		unmapRegion(region)
	}
	m.regions = nil
}
