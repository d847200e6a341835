package filter

import (
	"slices"
	"strings"
	"testing"
)

func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		`evt.Meta.http_path contains "a"`, `any(File("words"), {Upper(evt.Parsed.http_args) contains Upper(#)})`,
		`let x = 1; x == 1`, `((((((((true))))))))`, `!!!!!!true`, `evt.Meta.service == 'http' ? weir.login : false`,
		`int(evt.Meta.http_args_len) >= 7`, `evt.Parsed.file_name matches '['`, `count([1, 2], # > 1) == 1`, `1..1000000 == nil`,
		`any(1..100000, any(1..100000, # == 1))`, `evt.Meta["service"] == "http"`, `evt?.Meta?.service == "http"`, `[1, 2][5] == 1`,
		`any(FileMap("map"), {#.pattern == evt.Meta.http_path})`, `1 / 0 == 1`, `-9223372036854775808 == int("1")`,
	} {
		f.Add(text)
	}
	h := hit{stem: "/a/b.php", query: "x=%2541&y=2", agent: "Mozilla/5.0%20b0t", referer: "https://a/", status: "404"}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 500 || strings.Contains(text, "..") && len(text) > 60 { // long lists take the VM long, and prove nothing
			return
		}
		s, err := Compile([]Source{{Text: text, Data: testData, File: "f", Line: 1}}, nil, Options{Facts: testFacts})
		if err != nil {
			return
		}
		if strings.Contains(text, "rand") || strings.Contains(text, "date") {
			return
		}
		r := h.record(t)
		var facts Facts
		if got, want := indexes(s.NewMatcher().Match(r, &facts)), plainMatch(s, r, &facts); !slices.Equal(got, want) {
			t.Errorf("%s: compiled %v, expr %v", text, got, want)
		}
	})
}

// TestDeepNesting: what a person would never write is refused, and takes no time.
func TestDeepNesting(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 8000) + "true" + strings.Repeat(")", 8000), strings.Repeat("!", 16000) + "true",
		strings.Repeat("true ? true : ", 1000) + "true", strings.Repeat("let x = true; ", 1000) + "x",
		strings.Repeat("not ", 4000) + "true", strings.Repeat("any([1], {", 1000) + "true" + strings.Repeat("})", 1000),
		strings.Repeat("true && ", 2100) + "true", "true" + strings.Repeat(" ", 20000),
	} {
		if _, err := Compile([]Source{{Text: text, File: "f", Line: 1}}, nil, Options{}); err == nil && len(text) > maxText {
			t.Errorf("%.20q...: no error", text)
		}
	}
}
