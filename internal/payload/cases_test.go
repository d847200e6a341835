package payload

import (
	"net/url"
	"os"
	"strings"
	"testing"
)

// A testCase is a line of testdata.
type testCase struct {
	section string // what is between the brackets above it
	line    string
	where   byte
	text    string
}

func (c testCase) String() string { return "[" + c.section + "] " + c.line }

// raw returns the column as CloudFront logs it.
func (c testCase) raw() []byte {
	if c.where == 'v' {
		value := strings.ReplaceAll(url.QueryEscape(c.text), "%250A", "%0A")
		return logged("id=" + value)
	}
	return logged(c.text)
}

func (c testCase) scan(s *Scanner) Finding {
	switch c.where {
	case 'v', 'q':
		return s.Query(c.raw())
	case 'p':
		return s.Path(c.raw())
	case 'h':
		return s.Header(c.raw())
	case 'a':
		return s.UserAgent(c.raw())
	}
	panic("BUG: " + c.line)
}

func cases(t testing.TB, name string) (list []testCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case len(line) > 2 && line[1] == ' ':
			list = append(list, testCase{section, line, line[0], line[2:]})
		default:
			t.Fatalf("%s: %q is no case", name, line)
		}
	}
	return list
}

func TestAttacks(t *testing.T) {
	s := New()
	n := 0
	for _, c := range cases(t, "attacks.txt") {
		want := ParseFinding(c.section)
		if want == 0 {
			t.Fatalf("%q is no kind of attack", c.section)
		}
		n++
		if got := c.scan(s); got&want == 0 {
			t.Errorf("%v: found %v (%s)", c, got, c.raw())
		}
	}
	t.Logf("%d attacks", n)
}

func TestInnocents(t *testing.T) {
	s := New()
	n := 0
	for _, c := range cases(t, "innocents.txt") {
		n++
		if got := c.scan(s); got != 0 {
			t.Errorf("%v: found %v (%s)", c, got, c.raw())
		}
	}
	t.Logf("%d innocents", n)
}
