package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLongTexts: texts that are scanned in lanes are found in as short ones are.
func TestLongTexts(t *testing.T) {
	var sources []Source
	add := func(format string, args ...any) {
		sources = append(sources, Source{Text: fmt.Sprintf(format, args...), File: "f", Line: 1})
	}
	needles := []string{"abcabd", "bb", "cab/", "dddd?c", "x%41", "/abcab", "cccccccccccccccccccccccccccc"}
	for _, n := range needles {
		add(`evt.Meta.http_path contains %q`, n)
		add(`Upper(evt.Parsed.http_args) contains %q`, strings.ToUpper(n))
		add(`Lower(evt.Parsed.request) endsWith %q`, n)
		add(`PathUnescape(evt.Meta.http_path) contains %q`, n)
		add(`evt.Parsed.http_user_agent matches %q`, `\b`+strings.ReplaceAll(n, "?", `\?`)+`\b`)
		add(`QueryUnescape(evt.Meta.http_path) startsWith %q`, n)
	}
	s, err := Compile(sources, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := s.NewMatcher()
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string {
			seed := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "/", "abc", "%2541", "x", "?", "%C3%A9", "cccc"}), 1, 12).Draw(t, label)
			b := strings.Repeat(strings.Join(seed, ""), rapid.IntRange(1, 200).Draw(t, "times"))
			at := rapid.IntRange(0, len(b)).Draw(t, "at")
			return b[:at] + rapid.SampledFrom(needles).Draw(t, "needle") + b[at:]
		}
		h := hit{stem: "/" + strings.ReplaceAll(text("stem"), "?", ""), query: text("query"), agent: text("agent")}
		r := h.record(t)
		var facts Facts
		if got, want := m.Match(r, &facts, nil), plainMatch(s, r, &facts); !slices.Equal(got, want) {
			t.Fatalf("%+v: compiled %v, expr %v", h, got, want)
		}
	})
}
