package filter

import (
	"strings"
	"testing"
)

func compileOne(t *testing.T, text string) error {
	t.Helper()
	_, err := Compile([]Source{{Text: text, Name: "test: filter", File: "a.yaml", Line: 7, Data: testData}}, nil, Options{Facts: testFacts})
	return err
}

// TestErrors: what is wrong is named, with its place and what was meant.
func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`evt.Meta.http_pth == "a"`:                             "a.yaml:7: test: filter: at 1:10 of the expression: unknown field evt.Meta.http_pth (nearest: evt.Meta.http_path)",
		"true &&\n evt.Parsed.fil_name == ''":                  "at 2:13 of the expression: unknown field evt.Parsed.fil_name (nearest: evt.Parsed.file_name)",
		`Uper(evt.Meta.http_path) == "A"`:                      "unknown function Uper (nearest: Upper)",
		`evt.Overflow.Whitelisted`:                             "unknown field evt.Overflow",
		`weir.logn`:                                            "unknown field weir.logn (nearest: weir.login)",
		`evt.Meta.http_path`:                                   "expected bool",
		`evt.Meta.http_path matches "["`:                       "missing closing ]",
		`evt.Meta.http_path matches Upper("[")`:                "missing closing ]",
		`any(File("none"), {# == "a"})`:                        `File: no data file "none"`,
		`any(File("map"), {# == "a"})`:                         `"map" holds data of type map, not string`,
		`RegexpInFile(evt.Meta.http_path, evt.Meta.http_path)`: "has to be written out",
		`evt.Meta.http_path contains`:                          "unexpected token EOF",
		``:                                                     "empty",
		`evt.Meta.http_path > 7`:                               "invalid operation",
		`foo == 1`:                                             "unknown name foo",
		`LookupHost("localhost") == []`:                        "unknown function LookupHost",
	} {
		err := compileOne(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	_, err := Compile([]Source{{Text: "foo"}, {Text: "bar"}}, []Source{{Text: "1"}, {Text: "weir.x"}}, Options{})
	for _, want := range []string{"foo", "bar", "expected string", "weir.x"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestParseData(t *testing.T) {
	if _, err := ParseData("f", "regexp", strings.NewReader("a\n#[\n[\n")); err == nil || !strings.Contains(err.Error(), "f:3:") {
		t.Errorf("a bad regular expression: %v", err)
	}
	if _, err := ParseData("f", "map", strings.NewReader(`{"pattern":"a","tag":"b","type":"c"}`)); err == nil {
		t.Error("a row of an unknown type is taken")
	}
	if _, err := ParseData("f", "bots", strings.NewReader("")); err == nil {
		t.Error("data of an unknown type are taken")
	}
}

// TestHelpers pins what CrowdSec's functions answer.
func TestHelpers(t *testing.T) {
	for _, text := range []string{
		`PathUnescape("%41%zz") == "%41%zz"`, `PathUnescape("%41+") == "A+"`, `QueryUnescape("%41+") == "A "`, `QueryUnescape("%4") == "%4"`,
		`JsonExtract('{"a":{"b":[1,"x"]}}', "a.b[1]") == "x"`, `JsonExtract("{", "a") == ""`, `JsonExtract('{"a":1}', "b") == ""`,
		`Atof("1.5") == 1.5`, `Atof("x") == 0`, `IpInRange("192.0.2.1", "192.0.2.0/24")`, `!IpInRange("x", "192.0.2.0/24")`,
		`IsIPV4("192.0.2.1") && !IsIPV6("192.0.2.1") && IsIPV6("2001:db8::1") && !IsIP("a")`, `IpToRange("192.0.2.1", "/24") == "192.0.2.0/24"`,
		`Match("*.php?", "index.phps")`, `!Match("*.php", "index.phps")`, `Match("*", "")`, `Match("a**", "a")`,
		`Get(Split("a,b", ","), 1) == "b"`, `Get(Split("a", ","), 5) == ""`, `Sprintf("%s-%d", "a", 1) == "a-1"`, `ToString(1) == ""`,
		`Fields(" a  b ")[1] == "b"`, `TrimPrefix("abc", "a") == "bc"`, `Replace("aaa", "a", "b", 2) == "bba"`, `Index("abc", "c") == 2`,
		`B64Decode("YQ==") == "a"`, `ExtractQueryParam("/a?b=1&b=2", "b")[1] == "2"`, `len(Distinct(["a", "a"])) == 1`,
		`len(FlattenDistinct(["a", ["a", "b"]])) == 2`, `LookupFile("xwordx", "map") == "t2"`, `LookupFile("/a", "map") == "t1"`,
		`LookupFile("foo?b", "map") == "t3"`, `RegexpInFile("a b0t", "regexps")`, `len(File("words")) == 4`, `FileMap("map")[0].tag == "t1"`,
		`Join(Split("a b", " "), "-") == "a-b"`, `FloatApproxEqual(1.0, 1.0000001)`,
	} {
		s, err := Compile([]Source{{Text: text, Data: testData}}, nil, Options{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var facts Facts
		r := hit{stem: "/"}.record(t)
		if got := indexes(s.NewMatcher().Match(r, &facts)); len(got) != 1 {
			t.Errorf("%s is false", text)
		}
		if got := plainMatch(s, r, &facts); len(got) != 1 {
			t.Errorf("%s is false to expr", text)
		}
	}
}

// TestValues: a value differs exactly when its text does, and 0 is no text.
func TestValues(t *testing.T) {
	texts := []string{
		"evt.Meta.source_ip", "weir.client", "evt.Meta.source_ip + '/' + evt.Parsed.target_fqdn", "evt.Parsed.file_name", "evt.Meta.http_path",
		"evt.Parsed.request", "evt.Parsed.http_args", "weir.fingerprint", "Lower(evt.Parsed.file_name)", "evt.Parsed.http_user_agent", "'all'",
		"evt.Meta.http_args_len", "evt.Parsed.static_ressource",
	}
	var values []Source
	for _, text := range texts {
		values = append(values, Source{Text: text})
	}
	s, err := Compile(nil, values, Options{Values: []string{"weir.fingerprint"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]ValueParts{
		0: {Client: true}, 1: {Client: true}, 2: {Client: true, Rest: true}, 3: {Rest: true}, 7: {Rest: true}, 8: {Rest: true}, 10: {},
	} {
		if got := s.Value(i); got != want {
			t.Errorf("%s: %+v, want %+v", texts[i], got, want)
		}
	}
	m := s.NewMatcher()
	m.Outside = func(int) uint64 { return 42 }
	hits := []hit{
		{stem: "/a/b.php"},
		{stem: "/a/c.php"},
		{stem: "/a/B.php"},
		{stem: "/a/"},
		{stem: "/a/b.php", query: "x=1"},
		{stem: "/a/b.php", query: "x=1?y"},
		{stem: "/a/b.php", host: "www.example.com"},
		{stem: "/%2541", agent: "b"},
		{stem: "/c/b.php", query: "x%2541"},
		{stem: "/a.js", query: "x=1"},
	}
	seen := make([]map[uint64]string, len(texts))
	for _, h := range hits {
		r := h.record(t)
		m.Match(r, &Facts{})
		q := requestOf(r)
		e := q.event()
		for i, text := range map[int]string{
			2: "/" + e.Parsed["target_fqdn"], 3: e.Parsed["file_name"], 4: e.Meta["http_path"], 5: e.Parsed["request"], 6: e.Parsed["http_args"],
			8: strings.ToLower(e.Parsed["file_name"]), 9: e.Meta["http_user_agent"], 11: e.Meta["http_args_len"], 12: e.Parsed["static_ressource"],
		} {
			got, _ := m.Value(i)
			if (got == 0) != (text == "") {
				t.Errorf("%+v: %s of %q is %d", h, texts[i], text, got)
			}
			if seen[i] == nil {
				seen[i] = map[uint64]string{}
			}
			if before, ok := seen[i][got]; ok && before != text {
				t.Errorf("%s: %q and %q have one fingerprint", texts[i], before, text)
			}
			seen[i][got] = text
			distinct := map[string]bool{}
			for _, text := range seen[i] {
				distinct[text] = true
			}
			if len(distinct) != len(seen[i]) {
				t.Errorf("%+v: %s: %q has two fingerprints", h, texts[i], text)
			}
		}
		if got, _ := m.Value(7); got != 42 {
			t.Errorf("weir.fingerprint is %d, want 42", got)
		}
	}
}

func TestQueue(t *testing.T) {
	events := []Event{
		{Time: 1000, Addr: "192.0.2.1", Status: "404", Method: "GET", Path: "/a", Host: "h"},
		{Time: 3000, Addr: "192.0.2.1", Status: "200", Method: "POST", Path: "/login.php", Query: "a=b", Host: "h", UserAgent: "x"},
		{Time: 7000, Addr: "192.0.2.1", Status: "404", Method: "GET", Path: "/c.js", Host: "h"},
	}
	for text, want := range map[string]bool{
		`len(queue.Queue) == 3`: true,
		`any(queue.Queue, {#.Meta.http_status == "200" && #.Parsed.verb == "POST"})`:        true,
		`count(queue.Queue, {.Meta.http_status == "404"}) > 2`:                              false,
		`evt.Meta.http_path == "/c.js" && evt.Parsed.static_ressource == "true"`:            true,
		`queue.Queue[-1].Time - queue.Queue[0].Time > duration("5s")`:                       true,
		`len(Distinct(map(queue.Queue, #.Meta.http_path))) == 3`:                            true,
		`AverageInterval(map(queue.GetQueue(), #.Time)) == duration("3s")`:                  true,
		`MedianInterval(map(queue.Queue, {#.Time})) < duration("2s")`:                       false,
		`leaky.Total_count == 3 && leaky.Last_ts.Sub(leaky.First_ts) == duration("6s")`:     true,
		`queue.Queue[1].Parsed.http_args == "a=b" && queue.Queue[0].Parsed.http_args == ""`: true,
		`queue.Queue[9].Meta.x == ""`:                                                       false,
	} {
		p, err := CompileQueue(Source{Text: text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := p.Holds(events); got != want {
			t.Errorf("%s: %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{`queue.Foo == 1`, `leaky.Foo`, `evt.Meta.foo == ""`, `1`} {
		if _, err := CompileQueue(Source{Text: text}); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}
