package snapshot

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// A file in memory is read as it was written, from wherever.
func TestPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file pages
		var want []byte
		for i, n := range rapid.SliceOfN(rapid.IntRange(0, 3*pageSize/2), 0, 5).Draw(t, "writes") {
			piece := bytes.Repeat([]byte{byte(i + 1)}, n)
			if k, err := file.Write(piece); k != n || err != nil {
				t.Fatalf("wrote %d of %d, %v", k, n, err)
			}
			want = append(want, piece...)
		}
		if file.size != int64(len(want)) {
			t.Fatalf("its size is %d, want %d", file.size, len(want))
		}
		plain := bytes.NewReader(want)
		for range 4 {
			whence := rapid.SampledFrom([]int{io.SeekStart, io.SeekCurrent, io.SeekEnd}).Draw(t, "whence")
			offset := int64(rapid.IntRange(-2*pageSize, 3*pageSize).Draw(t, "offset"))
			at, err := file.Seek(offset, whence)
			wantAt, wantErr := plain.Seek(offset, whence)
			if (err != nil) != (wantErr != nil) || err == nil && at != wantAt {
				t.Fatalf("seek: %d, %v; want %d, %v", at, err, wantAt, wantErr)
			}
			n := rapid.IntRange(0, 2*pageSize).Draw(t, "read")
			got, err := io.ReadAll(io.LimitReader(&file, int64(n)))
			if err != nil {
				t.Fatal(err)
			}
			if rest, _ := io.ReadAll(io.LimitReader(plain, int64(n))); !bytes.Equal(got, rest) {
				t.Fatalf("read %d bytes, want %d, or others", len(got), len(rest))
			}
		}
	})
}
