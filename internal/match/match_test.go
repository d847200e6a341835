package match

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A place is a needle, found.
type place struct{ index, end int }

// findSlowly is what Next does, in the plainest way.
func findSlowly(needles []Needle[uint64], text string) (found []place) {
	for end := 1; end <= len(text); end++ {
		var here []place
		for i, n := range needles {
			if strings.HasSuffix(text[:end], n.Text) && standsSlowly(n.Edge, text[:end-len(n.Text)], text[end:]) {
				here = append(here, place{i, end})
			}
		}
		slices.SortStableFunc(here, func(a, b place) int { return len(needles[b.index].Text) - len(needles[a.index].Text) })
		found = append(found, here...)
	}
	return found
}

func standsSlowly(e Edge, before, after string) bool {
	word := func(s string) bool {
		return s != "" && strings.Contains("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", s)
	}
	last, first := "", ""
	if before != "" {
		last = before[len(before)-1:]
	}
	if after != "" {
		first = after[:1]
	}
	return !(e&WordStart != 0 && word(last)) && !(e&WordEnd != 0 && word(first)) &&
		!(e&AtStart != 0 && before != "") && !(e&AtEnd != 0 && after != "")
}

// Few letters, so that needles overlap, hold each other and nearly occur.
var fewLetters = rapid.StringOfN(rapid.SampledFrom([]rune("ab/. ")), 1, 6, -1)

func drawNeedles(t *rapid.T) []Needle[uint64] {
	texts := rapid.SliceOfN(fewLetters, 1, 12).Draw(t, "needles")
	needles := make([]Needle[uint64], len(texts))
	for i, text := range texts {
		needles[i] = Needle[uint64]{text, 1 << i, Edge(rapid.IntRange(0, 15).Draw(t, "edge"))}
	}
	return needles
}

func TestFindsWhatASlowSearchFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		needles := drawNeedles(t)
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab/. \x00ZA")), 0, 40, -1).Draw(t, "text")
		a, read := New(needles), text
		if rapid.Bool().Draw(t, "folded") {
			a, read = NewFolded(needles), strings.ToLower(text)
		}
		want := findSlowly(needles, read)
		var got []place
		var flags uint64
		var c Cursor
		for {
			index, ok := a.Next([]byte(text), &c)
			if !ok {
				break
			}
			got = append(got, place{index, c.At()})
			flags |= a.Needle(index).Flags
		}
		if !slices.Equal(got, want) {
			t.Fatalf("found %v in %q, want %v", got, text, want)
		}
		if found := a.Find([]byte(text)); found != flags {
			t.Fatalf("found %b in %q, want %b", found, text, flags)
		}
		kinds := [256]uint8{'a': 1, '.': 2, 'Z': 4}
		want8 := uint8(0)
		for i := range len(text) {
			want8 |= kinds[text[i]]
		}
		if found, made := a.FindOf([]byte(text), &kinds); found != flags || made != want8 {
			t.Fatalf("found %b in %q, made of %b, want %b and %b", found, text, made, flags, want8)
		}
	})
}

func TestManyNeedles(t *testing.T) {
	var needles []Needle[uint8]
	for a := range 26 {
		for b := range 26 {
			for c := range 60 {
				needles = append(needles, Needle[uint8]{Text: string([]byte{byte('a' + a), byte('a' + b), byte(0x80 + c), 'x', 'y'}), Flags: 1})
			}
		}
	}
	a := New(needles)
	for i, n := range needles {
		var c Cursor
		if got, ok := a.Next([]byte("zz"+n.Text), &c); !ok || got != i {
			t.Fatalf("%q: needle %d, %v", n.Text, got, ok)
		}
	}
}

func TestEmptyNeedlePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an empty needle, which would be found everywhere, is accepted")
		}
	}()
	New([]Needle[uint8]{{Text: "a"}, {Text: ""}})
}

func TestNothingIsAllocated(t *testing.T) {
	a := New([]Needle[uint8]{{Text: "ab", Flags: 1}, {Text: "b", Flags: 2}})
	text := []byte(strings.Repeat("aab", 50))
	n := testing.AllocsPerRun(10, func() {
		a.Find(text)
		var c Cursor
		for ok := true; ok; {
			_, ok = a.Next(text, &c)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFind(b *testing.B) {
	a := New([]Needle[uint8]{{Text: "select", Flags: 1}, {Text: "../", Flags: 2}, {Text: "etc/passwd", Flags: 2}})
	text := []byte(strings.Repeat("/products/selection/12345?page=7&sort=price", 4))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		a.Find(text)
	}
}
