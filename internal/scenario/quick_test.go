package scenario

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
)

// TestPathIsReadAsDecoded: a path that is read as it was logged says what it says decoded.
func TestPathIsReadAsDecoded(t *testing.T) {
	set, err := Compile(Catalogue(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, twin := set.NewMatcher(), set.NewMatcher()
	pieces := rapid.SampledFrom([]string{
		"/", ".", "..", "/..", ";", "%", "%25", "%2F", "%252e", "\\", "=", "~", "'", "a", "A", "é",
		"/wp-login.php", "/WP-Login.PHP", "/.env", "/api/", "/a.css", ".js", ".PNG", ".map", "x.php", "/x.PHP/", "/etc/passwd", "/backup.zip", "/1234", "union select 1",
	})
	rapid.Check(t, func(t *rapid.T) {
		path := []byte(strings.Join(rapid.SliceOfN(pieces, 0, 6).Draw(t, "path"), ""))
		text := cloudfront.Decode(nil, path, false)
		want := set.paths.Find(text)&^(pathStatic|pathMedia) | static(text) | findings(twin.scanner.Path(path))
		if got := m.readPath(path); got != want {
			t.Fatalf("%q: facts %x, want %x", path, got, want)
		}
	})
}

// TestBraces: no '{' is missed, however it is escaped.
func TestBraces(t *testing.T) {
	pieces := rapid.SampledFrom([]string{"{", "%7B", "%257b", "7", "B", "b", "%", "{{", "a", "host:", "1234567", "\xff", "\x00", "}", "|"})
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "column"), ""))
		want := bytes.IndexByte(raw, '{') >= 0 || bytes.Contains(bytes.ToLower(raw), []byte("7b"))
		if got := hasBrace(raw); got != want {
			t.Fatalf("%q: %v, want %v", raw, got, want)
		}
	})
}
