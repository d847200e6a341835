package filter

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTextIsInLetters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Zé0-9./]*`), rapid.StringMatching(`[a-zÉ\xff]*`)).Draw(t, "text")
		for l := range numLetters {
			if got, want := l.isOf(text), l.apply(text) == text; got != want {
				t.Fatalf("%q in letters %d: %v, want %v", text, l, got, want)
			}
		}
	})
}

func TestLastIndexByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]byte("/.?a\x00\xaf\xff0")), 0, 40).Draw(t, "text")
		for _, c := range []byte("/.?") {
			want := -1
			for i, b := range text {
				if b == c {
					want = i
				}
			}
			if got := lastIndexByte(text, c); got != want {
				t.Fatalf("%q in %q: %d, want %d", c, text, got, want)
			}
		}
	})
}
