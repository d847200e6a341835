//go:build !(goexperiment.simd && amd64)

package cloudfront

// blocks notes and counts the tabs of line; ok is false when it cannot.
func (s *stops) blocks(line []byte) (n int, nul, ok bool) {
	n, ok = s.wordBlocks(line)
	return n, false, ok
}
