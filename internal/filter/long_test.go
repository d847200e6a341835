package filter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLongTexts: texts that are scanned in lanes are found in as short ones are, up to
// the length that is looked at whole.
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
			b := strings.Join(seed, "")
			b = strings.Repeat(b, rapid.IntRange(1, max(1, (maxLooked-50)/len(b))).Draw(t, "times"))
			at := rapid.IntRange(0, len(b)).Draw(t, "at")
			return b[:at] + rapid.SampledFrom(needles).Draw(t, "needle") + b[at:]
		}
		h := hit{stem: "/" + strings.ReplaceAll(text("stem"), "?", ""), query: text("query"), agent: text("agent")}
		r := h.record(t)
		var facts Facts
		if got, want := indexes(m.Match(r, &facts)), plainMatch(s, r, &facts); !slices.Equal(got, want) {
			t.Fatalf("%+v: compiled %v, expr %v", h, got, want)
		}
	})
}

// TestEndsOfLongTexts: of a text of any length the ends are looked at, whatever is cut
// apart there, and values tell apart what differs anywhere.
func TestEndsOfLongTexts(t *testing.T) {
	var sources, values []Source
	source := func(text string) Source { return Source{Text: text, File: "f", Line: 1} }
	for _, field := range []string{"Meta.http_path", "Parsed.request", "Parsed.http_args", "Parsed.http_user_agent"} {
		sources = append(sources, source("PathUnescape(evt."+field+`) contains "n'le"`))
		values = append(values, source("evt."+field))
	}
	s, err := Compile(sources, values, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := s.NewMatcher()
	for _, piece := range []string{"a", "%2527", "%27", "/b", "%", "\\"} {
		for n := range 20 {
			pad := strings.Repeat("x", n) + strings.Repeat(piece, 3*maxLooked/len(piece))
			if piece == "%" {
				pad = strings.Repeat("%25", maxLooked)
			}
			for _, long := range []string{"/n%2527le" + pad, "/" + pad + "n%2527le"} {
				if piece == "%" {
					long = strings.Replace(long, "%2527", "%27", 1) // nothing else can be undone
				}
				h := hit{stem: long, query: long, agent: long}
				var facts Facts
				if got := indexes(m.Match(h.record(t), &facts)); len(got) != len(sources) {
					t.Fatalf("of %d filters %v hold: %.40s ... %s", len(sources), got, long, long[len(long)-20:])
				}
				var seen [][]uint64
				for _, middle := range []string{"1", "2", "%2531"} {
					other := long[:len(long)/2] + "/" + middle + long[len(long)/2:]
					m.Match(hit{stem: other, query: other, agent: other}.record(t), &facts)
					var all []uint64
					for i := range values {
						value, _ := m.Value(i)
						all = append(all, value)
					}
					for _, before := range seen {
						for i := range all {
							if all[i] == before[i] {
								t.Fatalf("%s is the same for two texts", values[i].Text)
							}
						}
					}
					seen = append(seen, all)
				}
			}
		}
	}
}

// TestWire: escapes of the log are undone as they are one byte at a time.
func TestWire(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"%2", "%", "%25", "%2e", "%0A", "%fF", "%zz", "a", "../", "1234567", "12345678", "abcdefghijklmnopq", "+", "\xff"})
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "column"), ""))
		before := []byte(rapid.SampledFrom([]string{"", "/path?"}).Draw(t, "before"))
		want := appendUnescaped(bytes.Clone(before), raw, false, len(raw)+1)
		if got := wire(before, raw); !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", raw, got, want)
		}
	})
}
