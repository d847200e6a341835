//go:build goexperiment.simd && amd64

package cloudfront

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// checkVector compares the vector splitter with one search a tab.
func checkVector(t interface{ Fatalf(string, ...any) }, line []byte) {
	var want, got stops
	tabs := want.tabs(line)
	n, nul, ok := got.vectorBlocks(line)
	if !ok {
		if len(line) >= blockSize && tabs < maxStops-1 {
			t.Fatalf("%q: given up at %d tabs", line, tabs)
		}
		return
	}
	gotLow, wantLow := got.low[2:2+2*n], want.low[2:2+2*tabs]
	if !bytes.Equal(gotLow, wantLow) || nul != (bytes.IndexByte(line, 0) >= 0) {
		t.Fatalf("%q: %d tabs at %v, nul %v; want %d at %v", line, n, gotLow, nul, tabs, wantLow)
	}
}

func TestVectorTwin(t *testing.T) {
	if !hasAVX2 {
		t.Skip("NOT TESTED: this processor has no AVX2")
	}
	kinds := drawRaw(formats(t)["usual"])
	rapid.Check(t, func(t *rapid.T) { checkVector(t, kinds.Draw(t, "line")) })
}

// Every length around a block, with a byte of each kind at each place.
func TestVectorPlaces(t *testing.T) {
	if !hasAVX2 {
		t.Skip("NOT TESTED: this processor has no AVX2")
	}
	for length := range 3*blockSize + 2 {
		for at := range length {
			for _, b := range []byte{'\t', 0, 8, 10, 0x89, 0xff} {
				line := bytes.Repeat([]byte{'a'}, length)
				line[at] = b
				checkVector(t, line)
			}
		}
	}
}

// Without AVX2, the portable splitter does the same.
func TestVectorFallback(t *testing.T) {
	format := formats(t)["usual"]
	defer func(was bool) { hasAVX2 = was }(hasAVX2)
	hasAVX2 = false
	rapid.Check(t, func(t *rapid.T) { checkTwin(t, format, drawLine(t, format)) })
}
