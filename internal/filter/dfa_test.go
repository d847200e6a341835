package filter

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDFAIsRegexp(t *testing.T) {
	pieces := []string{"a", "b", "(a|b)", ".", "a*", "[a-z]+", "(?i:ab)", `\b`, `\B`, "^", "$", "x?", "[^/]+", `\d{1,3}`, "_", "/", `\n`, "A", "(?s:.)", "(ab|/)*"}
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 5).Draw(t, "pattern"), "")
		re, err := regexp.Compile(pattern)
		if err != nil {
			t.Skip()
		}
		l := rapid.SampledFrom([]letters{asIs, inUpper, inLower}).Draw(t, "letters")
		d := newDFA(re, l)
		if d == nil {
			t.Skip()
		}
		for range 5 {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "A", "/", "_", "1", "\n", "-", "x"}), 0, 8).Draw(t, "text"), "")
			if got, want := d.match([]byte(text)), re.MatchString(l.apply(text)); got != want {
				t.Fatalf("%q of %q in letters %d: %v, regexp %v", pattern, text, l, got, want)
			}
		}
	})
}
