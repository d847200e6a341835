package filter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/expr-lang/expr/vm"
	"pgregory.net/rapid"

	"weir/internal/cloudfront"
)

// plainMatch is what Match has to equal: expr, asked for every filter.
func plainMatch(s *Set, r *cloudfront.Record, facts *Facts) []uint16 {
	var out []uint16
	var machine vm.VM
	e := s.newEnv(r, facts)
	for i, x := range s.filters {
		if holds, _ := x.plainHolds(&machine, e); holds {
			out = append(out, uint16(i))
		}
	}
	return out
}

// snippets are pieces of paths, queries, user agents that say something to the filters.
var snippets = []string{
	"/", "/", "a", "b", "index", ".php", ".PHP", ".js", ".jpg", ".env", ".", "..", "?", "?", "&", "=", "-", "x=1", "%25", "%2525",
	"%2541", "%2520", "%20", "+", "%", "%2", "%zz", "%0A", "%C5%BF", "%E2%84%AA", "%C4%B1", "%FF", "%C3", "é", "K", "k", "S", "s", "word", "WORD", "wORD",
	"b0t", "_", "123", "1234567", "admin", "wp-login", "${jndi:", "%2524%257Bjndi:", "../", "foo?bar", "foo", "bar",
}

func drawText(t *rapid.T, label string) string {
	text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(snippets), 0, 6).Draw(t, label), "")
	if text == "-" {
		return ""
	}
	return strings.ReplaceAll(text, "\t", "")
}

func drawHit(t *rapid.T) hit {
	stem := drawText(t, "stem")
	if rapid.IntRange(0, 9).Draw(t, "rooted") > 0 {
		stem = "/" + stem
	}
	stem, rest, _ := strings.Cut(stem, "?")
	query := ""
	if rapid.Bool().Draw(t, "has query") {
		query = drawText(t, "query") + rest
	}
	return hit{
		stem: stem, query: query, agent: drawText(t, "agent"), referer: drawText(t, "referer"),
		status: rapid.SampledFrom([]string{"200", "404", "403", "000"}).Draw(t, "status"),
		method: rapid.SampledFrom([]string{"GET", "POST", "HEAD"}).Draw(t, "method"),
		host:   rapid.SampledFrom([]string{"", "www.example.com"}).Draw(t, "host"),
		asn:    rapid.SampledFrom([]string{"", "64496"}).Draw(t, "asn"),
	}
}

var textFields = []string{
	"evt.Meta.http_path", "evt.Meta.http_path", "evt.Meta.http_path", "evt.Parsed.request", "evt.Parsed.http_args", "evt.Parsed.file_name", "evt.Parsed.file_dir",
	"evt.Parsed.file_frag", "evt.Parsed.file_ext", "evt.Parsed.http_user_agent", "evt.Parsed.http_referer", "evt.Meta.http_status",
	"evt.Parsed.verb", "evt.Parsed.http_version", "evt.Parsed.target_fqdn", "evt.Parsed.static_ressource", "evt.Meta.http_args_len",
	"evt.Meta.service", "evt.Meta.sub_type", "evt.Meta.ASNNumber", "evt.Parsed.sc_bytes",
}

var literals = []string{
	"a", "K", "k", "s", "S", "WORD", "word", ".PHP", ".php", "/", "?", "foo?", "?bar", "foo?bar", "/a?b", "a?b?c", "", "index.php", "${jndi:", " ", "%41", "A",
	"404", "200", "GET", "true", "false", "ſ", "ı", "é", "\xff", "/A/", "/admin", "../", ".", "x=1", "/index.php?x=1", "http",
}

var patterns = []string{
	`word`, `(?i)word`, `^/a`, `\.php$`, `\bb0t\b`, `\bword`, `foo\?bar`, `[0-9]+`, `^[0-9]+$`, `(foo|bar)`, `a.*b`, `/a[^/]*\?`, `^$`, `(?i)k`, `\bfoo\?`, `x=.*(;|%3b)`,
	`^/$`, `k|K|word`, `(admin){1,2}`, `.`, `é`, `(?s)a.b`,
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func drawTextExpr(t *rapid.T, depth int) string {
	if len := rapid.IntRange(0, 5).Draw(t, "form"); depth > 0 && len < 3 {
		f := rapid.SampledFrom([]string{"Upper", "Lower", "PathUnescape", "QueryUnescape", "TrimSpace", "upper"}).Draw(t, "function")
		return f + "(" + drawTextExpr(t, depth-1) + ")"
	}
	return rapid.SampledFrom(textFields).Draw(t, "field")
}

func drawLiteral(t *rapid.T) string {
	text := quote(rapid.SampledFrom(literals).Draw(t, "literal"))
	return rapid.SampledFrom([]string{text, text, "Upper(" + text + ")", "Lower(" + text + ")"}).Draw(t, "literal form")
}

func drawBool(t *rapid.T, depth int) string {
	if depth > 0 {
		a := func() string { return drawBool(t, depth-1) }
		switch rapid.IntRange(0, 8).Draw(t, "junction") {
		case 0, 1:
			return "(" + a() + " && " + a() + ")"
		case 2, 3:
			return "(" + a() + " || " + a() + ")"
		case 4:
			return "!(" + a() + ")"
		case 5:
			return "(" + a() + " ? " + a() + " : " + a() + ")"
		case 6:
			return "(if " + a() + " { " + a() + " } else { " + a() + " })"
		}
	}
	x := drawTextExpr(t, 2)
	switch rapid.IntRange(0, 14).Draw(t, "atom") {
	case 0, 1, 2:
		return x + " contains " + drawLiteral(t)
	case 3:
		return x + " startsWith " + drawLiteral(t)
	case 4:
		return x + " endsWith " + drawLiteral(t)
	case 5:
		return x + rapid.SampledFrom([]string{" == ", " != "}).Draw(t, "equality") + drawLiteral(t)
	case 6:
		return x + rapid.SampledFrom([]string{" in ", " not in "}).Draw(t, "in") + "[" + drawLiteral(t) + ", " + drawLiteral(t) + "]"
	case 7, 8:
		return x + " matches " + quote(rapid.SampledFrom(patterns).Draw(t, "pattern"))
	case 9:
		f := rapid.SampledFrom([]string{"len", "int"}).Draw(t, "number")
		return f + "(" + x + ") " + rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "order") + " " +
			fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "limit"))
	case 10:
		return rapid.SampledFrom([]string{"any", "all", "none"}).Draw(t, "closure") + "(File(\"words\"), {" + x +
			rapid.SampledFrom([]string{" contains #", " contains Upper(#)", " == #", " endsWith Lower(#)"}).Draw(t, "closure body") + "})"
	case 11:
		return "RegexpInFile(" + x + `, "regexps")`
	case 12:
		return rapid.SampledFrom([]string{`LookupFile(` + x + `, "map") != ""`, `LookupFile(` + x + `, "map") == "t2"`, `LookupFile(` + x + `, "map") == ""`}).Draw(t, "look-up")
	case 13:
		return rapid.SampledFrom([]string{"weir.login", "weir.denied", x + " != nil", x + " == " + drawTextExpr(t, 1), `evt.SetMeta("cve", ` + x + ")"}).Draw(t, "odd one")
	}
	return "(let v = " + x + "; v contains " + drawLiteral(t) + " || v == " + drawLiteral(t) + ")"
}

func testData(name string) (*Data, error) {
	switch name {
	case "words":
		return ParseData(name, "string", strings.NewReader("# no\nfoo\nWORD\n\n/admin\nıx\n"))
	case "regexps":
		return ParseData(name, "regexp", strings.NewReader("\\bb0t\\b\n\\bword\\b\nfo+\\?bar\nfoo.*bar\n(?i)index\\.php\n"))
	case "map":
		return ParseData(name, "map", strings.NewReader(`{"pattern":"/a","tag":"t1","type":"equals"}
{"pattern":"word","tag":"t2","type":"contains"}
{"pattern":"foo[?]b","tag":"t3","type":"regex"}`))
	}
	return nil, fmt.Errorf("no data file %q", name)
}

var testFacts = []string{"weir.login", "weir.denied"}

func TestMatchIsExpr(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "filters")
		var sources []Source
		for i := range n {
			sources = append(sources, Source{Text: drawBool(t, 3), Name: fmt.Sprint(i), File: "f", Line: 1, Data: testData})
		}
		s, err := Compile(sources, nil, Options{Facts: testFacts})
		if err != nil {
			t.Fatalf("%v", err)
		}
		m := s.NewMatcher()
		var hits []hit
		for range 4 {
			hits = append(hits, drawHit(t))
		}
		hits = append(hits, hits...) // from the caches
		for _, h := range hits {
			var facts Facts
			facts[0] = rapid.Uint64Range(0, 3).Draw(t, "facts")
			r := h.record(t)
			got, want := indexes(m.Match(r, &facts)), plainMatch(s, r, &facts)
			if !slices.Equal(got, want) {
				var text strings.Builder
				for i, src := range sources {
					text.WriteString(fmt.Sprintf("%d: %s\n   %s\n", i, src.Text, s.formulas[i].root))
				}
				t.Fatalf("%+v: compiled %v, expr %v of\n%s", h, got, want, text.String())
			}
		}
	})
}

// TestHubIsExpr holds the hub's filters to expr.
func TestHubIsExpr(t *testing.T) {
	filters, values := hubSources(t)
	s, err := Compile(filters, values, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := s.NewMatcher()
	rapid.Check(t, func(t *rapid.T) {
		h := drawHit(t)
		r := h.record(t)
		var facts Facts
		if got, want := indexes(m.Match(r, &facts)), plainMatch(s, r, &facts); !slices.Equal(got, want) {
			t.Fatalf("%+v: compiled %v, expr %v", h, got, want)
		}
	})
}
