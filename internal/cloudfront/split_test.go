package cloudfront

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawRaw makes lines for splitters: of columns, and of any bytes.
func drawRaw(format *Format) *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.SampledFrom([]byte("\t\tab\x00\x08\x0a\x1f\xff")), 0, 300),
		rapid.SliceOfN(rapid.SampledFrom([]byte("\tabcdef")), 0, 300),
		rapid.SliceOfN(rapid.Byte(), 0, 700),
		rapid.Custom(func(t *rapid.T) []byte { return drawLine(t, format) }),
		rapid.Custom(func(t *rapid.T) []byte {
			piece := strings.Repeat("x", rapid.IntRange(0, 200).Draw(t, "column")) + "\t"
			return []byte(strings.Repeat(piece, rapid.IntRange(0, 80).Draw(t, "columns")))
		}),
	)
}

// checkWords compares the splitter of words with one search a tab.
func checkWords(t interface{ Fatalf(string, ...any) }, line []byte) {
	var want, got stops
	tabs := want.tabs(line)
	n, ok := got.wordBlocks(line)
	if !ok {
		if len(line) >= groupSize && len(line) <= maxWords && tabs < maxStops && isPrintable(line) && !bytes.Contains(line, []byte("\t\t")) {
			t.Fatalf("%q: given up at %d tabs", line, tabs)
		}
		return
	}
	gotLow, wantLow := got.low[2:2+2*n], want.low[2:2+2*tabs]
	if !bytes.Equal(gotLow, wantLow) || bytes.IndexByte(line, 0) >= 0 {
		t.Fatalf("%q: %d tabs at %v; want %d at %v", line, n, gotLow, tabs, wantLow)
	}
}

// isPrintable tells whether a line is of tabs and printable ASCII alone, as CloudFront's are.
func isPrintable(line []byte) bool {
	return !bytes.ContainsFunc(line, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') })
}

func TestWordsTwin(t *testing.T) {
	kinds := drawRaw(formats(t)["usual"])
	rapid.Check(t, func(t *rapid.T) { checkWords(t, kinds.Draw(t, "line")) })
}

// Every length around a group, with a byte of each kind at each place.
func TestWordsPlaces(t *testing.T) {
	for length := range 3*groupSize + 2 {
		for at := range length {
			for _, b := range []byte{'\t', 0, 8, 10, 0x1f, 0x89, 0x9f, 0xa0, 0xff} {
				line := bytes.Repeat([]byte{'a'}, length)
				line[at] = b
				checkWords(t, line)
				line[0], line[length-1] = '\t', '\t'
				checkWords(t, line)
			}
		}
	}
}

// Where a line becomes long, and where its offsets take another 64 KiB, nothing changes.
func TestLongLines(t *testing.T) {
	format := formats(t)["usual"]
	short := goodColumns(format)
	for _, length := range []int{1<<16 - 3, maxNear, maxNear + 1, 1 << 16, 1<<16 + 1, 1 << 17, 3<<16 - 1, 3 << 16, MaxLine - 1, MaxLine} {
		for _, wide := range []int{0, 7, len(short) / 2, len(short) - 1} {
			for _, end := range []string{"", "\t"} {
				columns := goodColumns(format)
				line := strings.Join(columns, "\t") + end
				if wide == 0 { // the first columns are checked: nearly all is in the others
					half := (length - len(line)) / 2
					columns[7] += strings.Repeat("x", half)
					columns[20] += strings.Repeat("y", length-len(line)-half)
				} else {
					columns[wide] += strings.Repeat("z", length-len(line))
				}
				line = strings.Join(columns, "\t") + end
				if len(line) != length {
					t.Fatalf("the line is %d bytes long, not %d", len(line), length)
				}
				t.Run(fmt.Sprint(length, wide, len(end)), func(t *testing.T) { checkTwin(t, format, []byte(line)) })
			}
		}
	}
}

// All lengths of columns together.
func TestLongLinesTwin(t *testing.T) {
	format := formats(t)["usual"]
	rapid.Check(t, func(t *rapid.T) {
		columns := goodColumns(format)
		for range rapid.IntRange(1, 6).Draw(t, "wide") {
			i := rapid.IntRange(0, len(columns)-1).Draw(t, "column")
			columns[i] += strings.Repeat("w", rapid.IntRange(0, 1<<16+2).Draw(t, "length"))
		}
		checkTwin(t, format, []byte(strings.Join(columns, "\t")))
	})
}
