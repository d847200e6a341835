package payload

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// scanAll is everything that a Scanner says of a column.
func scanAll(s *Scanner, raw []byte) [4]Finding {
	return [4]Finding{s.Path(raw), s.Query(raw), s.Header(raw), s.UserAgent(raw)}
}

// TestVerdictsFollowFromTheText holds a Scanner that has read much against one that
// has read nothing, and looks whether it leaves the text alone.
func TestVerdictsFollowFromTheText(t *testing.T) {
	old := New()
	all := append(cases(t, "attacks.txt"), cases(t, "innocents.txt")...)
	rapid.Check(t, func(t *rapid.T) {
		var raw []byte
		for range rapid.IntRange(1, 4).Draw(t, "pieces") {
			raw = append(raw, rapid.SampledFrom(all).Draw(t, "case").raw()...)
			raw = append(raw, rapid.SampledFrom([]string{"", "&", "=", "%2500", "&x=", ";%20", "%25"}).Draw(t, "glue")...)
		}
		raw = raw[rapid.IntRange(0, len(raw)).Draw(t, "cut"):]
		before := bytes.Clone(raw)
		got, want := scanAll(old, raw), scanAll(New(), raw)
		if got != want {
			t.Fatalf("%q: %v, a fresh scanner says %v", raw, got, want)
		}
		if !bytes.Equal(raw, before) {
			t.Fatalf("%q became %q", before, raw)
		}
	})
}

// escape is url.QueryEscape with %20 for a space: a '+' that is escaped again may be
// either.
func escape(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }

// evasions write an attack otherwise and mean the same.
var evasions = map[string]func(t *rapid.T, value string) string{
	"escaped twice": func(_ *rapid.T, value string) string { return url.QueryEscape(escape(value)) },
	"escaped three times": func(_ *rapid.T, value string) string {
		return url.QueryEscape(url.QueryEscape(escape(value)))
	},
	"all bytes escaped": func(_ *rapid.T, value string) (wire string) {
		for _, c := range []byte(value) {
			wire += fmt.Sprintf("%%%02x", c)
		}
		return wire
	},
	"%u escapes": func(_ *rapid.T, value string) (wire string) {
		for _, r := range value {
			wire += fmt.Sprintf("%%u%04X", min(r, 0xffff))
		}
		return wire
	},
	"full width": func(_ *rapid.T, value string) (wire string) {
		for _, r := range value {
			if r > ' ' && r < 0x7f {
				r += 0xfee0
			}
			wire += string(r)
		}
		return url.QueryEscape(wire)
	},
	"overlong": func(_ *rapid.T, value string) (wire string) {
		for _, c := range []byte(value) {
			if c < 0x80 {
				wire += fmt.Sprintf("%%%02X%%%02X", 0xc0|c>>6, 0x80|c&0x3f)
			} else {
				wire += fmt.Sprintf("%%%02X", c)
			}
		}
		return wire
	},
	"behind kilobytes of letters": func(t *rapid.T, value string) string {
		n := rapid.IntRange(0, 7000).Draw(t, "padding")
		return "x&pad=" + strings.Repeat("abcDEF0123456789", n/16) + "&id=" + url.QueryEscape(value)
	},
	"before kilobytes of letters": func(t *rapid.T, value string) string {
		n := rapid.IntRange(0, 7000).Draw(t, "padding")
		return url.QueryEscape(value) + "&pad=" + strings.Repeat("abcDEF0123456789", n/16)
	},
	"among other parameters": func(_ *rapid.T, value string) string {
		return "7&name=x+y&id=" + url.QueryEscape(value) + "&sort=price&b=1.5"
	},
}

// TestEvasions: whoever finds an attack finds it in each of its disguises.
func TestEvasions(t *testing.T) {
	var attacks []testCase
	for _, c := range cases(t, "attacks.txt") {
		// What already is one of the disguises is not put into another.
		if c.where == 'v' && !strings.ContainsAny(c.text, "%&\\") && isASCII(c.text) {
			attacks = append(attacks, c)
		}
	}
	s := New()
	for name, evade := range evasions {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := rapid.SampledFrom(attacks).Draw(t, "attack")
				raw := logged("id=" + evade(t, c.text))
				if len(raw) > maxWhole && !strings.Contains(name, "kilobytes") {
					t.Skip("too long to be read whole")
				}
				if got := s.Query(raw); got&ParseFinding(c.section) == 0 {
					t.Fatalf("%v: found %v in %s", c, got, raw)
				}
			})
		})
	}
}

// TestPaddingHidesNothing: the longest attacks fit beside padding of any length.
func TestPaddingHidesNothing(t *testing.T) {
	s := New()
	for _, c := range cases(t, "attacks.txt") {
		if c.where != 'v' || strings.ContainsAny(c.text, "%&\\") || !isASCII(c.text) {
			continue
		}
		for _, n := range []int{0, 32, 128, 224, 304, 400, 512, 2048, 7000} {
			pad := strings.Repeat("abcDEF01", n/8)
			for _, query := range []string{
				"x&pad=" + pad + "&id=" + url.QueryEscape(c.text),
				"id=" + url.QueryEscape(c.text) + "&pad=" + pad,
				"x&pad=" + pad + "&id=" + url.QueryEscape(c.text) + "&pad2=" + pad,
			} {
				if got := s.Query(logged(query)); got&ParseFinding(c.section) == 0 {
					t.Errorf("%v: found %v in %s", c, got, logged(query))
				}
			}
		}
	}
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
}

// TestInnocentsStayInnocent: innocents do not become guilty by standing in a long
// query or beside another innocent.
func TestInnocentsStayInnocent(t *testing.T) {
	var innocents []testCase
	for _, c := range cases(t, "innocents.txt") {
		if c.where == 'v' || c.where == 'q' {
			innocents = append(innocents, c)
		}
	}
	s := New()
	rapid.Check(t, func(t *rapid.T) {
		var raw []byte
		for range rapid.IntRange(1, 3).Draw(t, "pieces") {
			raw = append(raw, rapid.SampledFrom(innocents).Draw(t, "case").raw()...)
			raw = append(raw, '&')
		}
		if got := s.Query(raw); len(raw) <= maxWhole && got != 0 {
			t.Fatalf("found %v in %s", got, raw)
		}
	})
}

// TestLongInnocents: what is made of a long text by leaving things out is no attack.
func TestLongInnocents(t *testing.T) {
	s := New()
	for _, c := range cases(t, "innocents.txt") {
		// A sentence said twice is not one, nor is a statement.
		if c.where != 'v' || strings.Contains(c.section, "questions") || strings.HasPrefix(strings.ToLower(c.text), "select ") {
			continue
		}
		for _, glue := range []string{" ", ", ", " or ", " and ", ";", "&x=", "\n", "|"} {
			for _, n := range []int{2, 4, 7, 11, 17, 26, 38} {
				text := strings.Repeat(c.text+glue, n)
				if raw := logged("q=" + url.QueryEscape(text)); len(raw) < 8000 {
					if got := s.Query(raw); got != 0 && s.Query(logged("q="+url.QueryEscape(c.text+glue+c.text))) == 0 {
						t.Errorf("%v, %d times with %q: found %v", c, n, glue, got)
						break
					}
				}
			}
		}
	}
}

// TestLongStatement: a console's statement is whole however long it is.
func TestLongStatement(t *testing.T) {
	s := New()
	for n := range 60 {
		var columns, values []string
		for i := range n {
			columns = append(columns, fmt.Sprintf("t.column_%d", i*7919%1000))
			values = append(values, fmt.Sprintf("'value %d'", i*104729%1000))
		}
		text := "SELECT a, " + strings.Join(append(columns, "b"), ", ") + " FROM t WHERE c IN (" + strings.Join(append(values, "'x'"), ", ") + ") AND d = 'y' ORDER BY a LIMIT 10"
		if got := s.Query(logged("sql=" + url.QueryEscape(text))); got != 0 {
			t.Errorf("%s: found %v", text, got)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var columns [][]byte
	for _, c := range append(cases(t, "attacks.txt"), cases(t, "innocents.txt")...) {
		columns = append(columns, c.raw())
	}
	for _, query := range hostile {
		columns = append(columns, logged(query))
	}
	s := New()
	run := func() {
		for _, raw := range columns {
			scanAll(s, raw)
		}
	}
	run()
	if n := testing.AllocsPerRun(3, run); n != 0 {
		t.Errorf("%v allocations in %d columns", n, len(columns))
	}
}

// TestWorkIsBounded: of a text of any length no more is read than the limits say.
func TestWorkIsBounded(t *testing.T) {
	s := New()
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SliceOfN(rapid.SampledFrom([]byte("a1'%(;<&=/.+-Z25")), 1, 40).Draw(t, "piece")
		raw := bytes.Repeat(piece, rapid.IntRange(1, 400).Draw(t, "times"))
		short, _ := s.condense(raw)
		if len(raw) <= maxWhole {
			if !bytes.Equal(short, raw) {
				t.Fatalf("%q became %q", raw, short)
			}
		} else if len(short) > maxWhole+2*keptRun {
			t.Fatalf("%d bytes are read of %q", len(short), raw)
		}
		scanAll(s, raw)
		if len(s.tokens) > maxTokens || cap(s.text) > 4*len(raw)+4*maxWhole {
			t.Fatalf("%d tokens, %d bytes of scratch for %d bytes", len(s.tokens), cap(s.text), len(raw))
		}
	})
}

func TestFindingNames(t *testing.T) {
	if got := (SQL | Lookup).String(); got != "sql|lookup" {
		t.Errorf("%q", got)
	}
	if got := Finding(0).String(); got != "-" {
		t.Errorf("%q", got)
	}
	for i := range numFindings {
		if f := Finding(1 << i); ParseFinding(f.String()) != f {
			t.Errorf("%v is not read back", f)
		}
	}
	if ParseFinding("") != 0 || ParseFinding("x") != 0 {
		t.Error("what is no name is a kind")
	}
}

func TestLists(t *testing.T) {
	for _, name := range RestrictedFiles() {
		if name == "" || name != strings.ToLower(name) {
			t.Errorf("restricted file %q", name)
		}
	}
	if len(RestrictedFiles()) < 400 || len(shellCommands) < 500 || len(phpFunctions) < 200 || sensitive.Len() < 800 {
		t.Errorf("a list is short: %d restricted files, %d commands, %d functions, %d names", len(RestrictedFiles()), len(shellCommands), len(phpFunctions), sensitive.Len())
	}
}

func FuzzScanner(f *testing.F) {
	for _, c := range append(cases(f, "attacks.txt"), cases(f, "innocents.txt")...) {
		f.Add(c.raw())
	}
	for _, query := range hostile {
		f.Add(logged(query)[:2000])
	}
	s := New()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 20_000 {
			return
		}
		if got, again := scanAll(s, raw), scanAll(New(), raw); got != again {
			t.Errorf("%q: %v, and %v", raw, got, again)
		}
	})
}
