package cloudfront

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	percentEscape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	anyEscape     = regexp.MustCompile(`%[0-9A-Fa-f]{2}|\\[xX][0-9A-Fa-f]{2}`)
	anyOrPlus     = regexp.MustCompile(`%[0-9A-Fa-f]{2}|\\[xX][0-9A-Fa-f]{2}|\+`)
)

// undo replaces what the expression finds by the byte it stands for.
func undo(escape *regexp.Regexp, s []byte) []byte {
	return escape.ReplaceAllFunc(s, func(e []byte) []byte {
		if len(e) == 1 {
			return []byte{' '}
		}
		n, err := strconv.ParseUint(string(e[len(e)-2:]), 16, 8)
		if err != nil {
			panic(err)
		}
		return []byte{byte(n)}
	})
}

func decodeTwin(s []byte, query bool) []byte {
	escape := anyEscape
	if query {
		escape = anyOrPlus
	}
	s = undo(percentEscape, s)
	for range 4 {
		s = undo(escape, s)
	}
	lower := bytes.Clone(s)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] += 'a' - 'A'
		}
	}
	return lower
}

func checkUnescape(t interface{ Fatalf(string, ...any) }, src []byte) {
	before := bytes.Clone(src)
	got := Unescape([]byte("kept"), src)
	if want := append([]byte("kept"), undo(percentEscape, src)...); !bytes.Equal(got, want) {
		t.Fatalf("Unescape(%q) = %q, want %q", src, got, want)
	}
	if !bytes.Equal(src, before) {
		t.Fatalf("Unescape(%q) changed its source to %q", before, src)
	}
}

func checkDecode(t interface{ Fatalf(string, ...any) }, src []byte, query bool) {
	before := bytes.Clone(src)
	got := Decode([]byte("Kept%41"), src, query)
	if want := append([]byte("Kept%41"), decodeTwin(src, query)...); !bytes.Equal(got, want) {
		t.Fatalf("Decode(%q, %v) = %q, want %q", src, query, got, want)
	}
	if !bytes.Equal(src, before) {
		t.Fatalf("Decode(%q) changed its source to %q", before, src)
	}
	// Where the rounds sufficed, the result is at rest.
	got = got[len("Kept%41"):]
	if n, changed := decodeRound(bytes.Clone(got), query); !changed {
		if n != len(got) {
			t.Fatalf("decodeRound(%q) changed nothing and returns length %d", got, n)
		}
		if again := Decode(nil, got, query); !bytes.Equal(again, got) {
			t.Fatalf("Decode(%q) = %q, which is %q when decoded again", src, got, again)
		}
	}
}

func TestUnescape(t *testing.T) {
	for src, want := range map[string]string{
		"":                              "",
		"plain":                         "plain",
		"a%20b":                         "a b",
		"a+b":                           "a+b",
		"%2522":                         "%22",
		"%252e%252e%252f":               "%2e%2e%2f",
		"%C3%A4%c3%a4":                  "ää",
		"%":                             "%",
		"%2":                            "%2",
		"%%20":                          "% ",
		"%2%20":                         "%2 ",
		"%zz%G0%0G":                     "%zz%G0%0G",
		"100%":                          "100%",
		"%00%09%0A%FF":                  "\x00\t\n\xff",
		`\x20`:                          `\x20`,
		"cut%2":                         "cut%2",
		"Mozilla/5.0%20(X11;%20Linux)%": "Mozilla/5.0 (X11; Linux)%",
	} {
		if got := Unescape(nil, []byte(src)); string(got) != want {
			t.Errorf("Unescape(%q) = %q, want %q", src, got, want)
		}
		checkUnescape(t, []byte(src))
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct{ src, path, query string }{
		{"", "", ""},
		{"/Index.HTML", "/index.html", "/index.html"},
		{"a+b", "a+b", "a b"},
		{"a%2Bb", "a+b", "a b"},   // the client sent a plus
		{"a%252Bb", "a+b", "a b"}, // it sent an escaped plus: some server may decode twice
		{"%2541", "a", "a"},       // 'A' comes out of an escape in lower case too
		{"%252527", "'", "'"},     // three layers
		{`%5Cx41\x2e`, "a.", "a."},
		{`\X2E\x`, `.\x`, `.\x`},
		{`\x5cx41`, "a", "a"},
		{"%5C%78%34%31", "a", "a"},
		{"%c3%84", "\xc3\x84", "\xc3\x84"}, // Ä: only ASCII has its case changed
		{"/x%2500.php", "/x\x00.php", "/x\x00.php"},
		{"100%25", "100%", "100%"},
		{"%25zz%", "%zz%", "%zz%"},
		{"%", "%", "%"},
		{`\`, `\`, `\`},
		{"ABCDEFGHIJKLMNOPQRSTUVWXYZ@[`{", "abcdefghijklmnopqrstuvwxyz@[`{", "abcdefghijklmnopqrstuvwxyz@[`{"},
	} {
		for query, want := range map[bool]string{false: c.path, true: c.query} {
			if got := Decode(nil, []byte(c.src), query); string(got) != want {
				t.Errorf("Decode(%q, %v) = %q, want %q", c.src, query, got, want)
			}
			checkDecode(t, []byte(c.src), query)
		}
	}
}

// The log's own layer and four more are undone; a fifth is not.
func TestDecodeRounds(t *testing.T) {
	escape := func(layers int) string { return "%" + strings.Repeat("25", layers-1) + "27" }
	for layers := 1; layers <= 5; layers++ {
		if got := Decode(nil, []byte(escape(layers)), false); string(got) != "'" {
			t.Errorf("%d layers: %q", layers, got)
		}
	}
	if got := Decode(nil, []byte(escape(6)), false); string(got) != "%27" {
		t.Errorf("6 layers: %q", got)
	}
}

// escapeText draws texts that are mostly escapes, whole and torn, in layers.
func escapeText() *rapid.Generator[[]byte] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"%", "%25", "%2", "5", "2", "B", "b", "+", "%2B", `\`, `\x`, `\X4`, "%5C", "x", "41", "4", "A", "Z", "[", "@", "\xff", "%C3"}),
		rapid.StringMatching(`[ -~]{1,12}`),
		rapid.StringMatching(`%(25){0,6}[0-9A-Fa-f]{2}`),
	)
	return rapid.Map(rapid.SliceOfN(piece, 0, 12), func(p []string) []byte { return []byte(strings.Join(p, "")) })
}

func TestEscapeTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := escapeText().Draw(t, "text")
		checkUnescape(t, src)
		checkDecode(t, src, false)
		checkDecode(t, src, true)
	})
}

func TestLower(t *testing.T) {
	for c := range 256 {
		for n := range 18 {
			b := bytes.Repeat([]byte{byte(c)}, n)
			lower(b)
			if want := bytes.Repeat([]byte{lowerByte(byte(c))}, n); !bytes.Equal(b, want) {
				t.Fatalf("%d times %#x: got %q, want %q", n, c, b, want)
			}
		}
	}
}

// Both work in the room that dst has, and nothing is allocated.
func TestEscapesAllocateNothing(t *testing.T) {
	src := []byte(strings.Repeat("Ab%2541+%5Cx41%", 20))
	dst := make([]byte, 0, len(src))
	if n := testing.AllocsPerRun(100, func() { Unescape(dst, src) }); n != 0 {
		t.Errorf("Unescape: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { Decode(dst, src, true) }); n != 0 {
		t.Errorf("Decode: %v allocations", n)
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", "%", "%2", "%25", "%2522", "a%zz%41%4", "+%2B"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) { checkUnescape(t, src) })
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "%252541", `%5Cx41`, "a+b%2Bc", "%2525252525252527", "\xff%C3%84", `\x5C\x5cx41`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, src []byte, query bool) { checkDecode(t, src, query) })
}
