package filter

import (
	"slices"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	s, err := Compile([]Source{
		{Text: `evt.Meta.http_status in ["404", "403"] && int(evt.Meta.http_args_len) > 7 && !weir.login && evt.Meta.service == "http"`},
		{Text: `evt.Meta.http_status == "404" && evt.Parsed.sc_content_type startsWith "text/"`},
		{Text: `evt.Meta.http_status == "404" && evt.Time.Year() == 1999`},
	}, nil, Options{Facts: testFacts})
	if err != nil {
		t.Fatal(err)
	}
	if e := s.Explain(0); e.Interpreted != "" || strings.Contains(e.Formula, "service") {
		t.Errorf("%+v: nothing of it is for expr, and what is always true is left out", e)
	}
	if e := s.Explain(1); !strings.Contains(e.Interpreted, "sc_content_type") {
		t.Errorf("%+v does not say what is interpreted", e)
	}
	if n := s.Interpreted(); n != 2 {
		t.Errorf("%d filters interpreted, want 2", n)
	}
	r := hit{stem: "/a", status: "200"}.record(t)
	var facts Facts
	facts.Set(0)
	want := []Condition{
		{`evt.Meta.http_status in ["404", "403"]`, false, "200"}, {`int(evt.Meta.http_args_len) > 7`, false, "0"}, {"weir.login", true, ""},
	}
	if got := s.Conditions(0, r, &facts); !slices.Equal(got, want) {
		t.Errorf("conditions %+v, want %+v", got, want)
	}
	m := s.NewMatcher()
	if got := indexes(m.Match(r, &facts)); len(got) != 0 {
		t.Errorf("%v hold", got)
	}
	if runs, _ := m.Counts(); runs != 0 {
		t.Errorf("%d runs for a record that the compiled part rules out", runs)
	}
	m.Match(hit{stem: "/a", status: "404"}.record(t), &facts)
	if runs, faults := m.Counts(); runs != 2 || faults != 0 {
		t.Errorf("%d runs, %d faults, want 2 and 0", runs, faults)
	}
	if i := slices.IndexFunc(s.Event(r), func(f EventField) bool { return f == EventField{"evt.Parsed.file_name", "a"} }); i < 0 {
		t.Errorf("no file_name in %v", s.Event(r))
	}
}
