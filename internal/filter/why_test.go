package filter

import (
	"slices"
	"testing"
)

func TestWhy(t *testing.T) {
	facts := []string{"weir.a", "weir.b", "weir.c"}
	for _, tt := range []struct {
		filter     string
		facts      []int // that hold
		met, unmet []string
	}{
		{"weir.a && weir.b", []int{0}, []string{"weir.a"}, []string{"weir.b"}},
		{"weir.a && !weir.b", []int{0, 1}, []string{"weir.a"}, []string{"!weir.b"}},
		{"weir.a && weir.b || weir.c", nil, nil, []string{"weir.c"}},
		{"weir.a && weir.b || weir.c", []int{0, 1}, []string{"weir.a", "weir.b"}, nil},
		{"!(weir.a || weir.b)", []int{1}, []string{"!weir.a"}, []string{"!weir.b"}},
		{"not (weir.a and weir.b)", []int{0, 1}, nil, []string{"!weir.a"}},
		{`evt.Meta.http_verb == "GET" && evt.Meta.http_status in ["404"]`, nil, []string{`evt.Meta.http_verb == "GET"`}, []string{`evt.Meta.http_status in ["404"]`}},
		{`weir.a && !(evt.Meta.http_verb == "GET")`, []int{0}, []string{"weir.a"}, []string{`not (evt.Meta.http_verb == "GET")`}},
		{`weir.a && (let path = evt.Meta.http_path; path startsWith "/")`, []int{0}, []string{"weir.a", `let path = evt.Meta.http_path; path startsWith "/"`}, nil},
	} {
		set, err := Compile([]Source{{Text: tt.filter, Name: "test", File: "test", Line: 1}}, nil, Options{Facts: facts})
		if err != nil {
			t.Fatal(err)
		}
		m := set.NewMatcher()
		var f Facts
		for _, i := range tt.facts {
			f.Set(i)
		}
		holds := len(indexes(m.Match(hit{stem: "/a", host: "www.example.com"}.record(t), &f))) == 1
		got := m.Why(0)
		if !slices.Equal(got.Met, tt.met) || !slices.Equal(got.Unmet, tt.unmet) {
			t.Errorf("%s with %v: met %q, unmet %q; want %q and %q", tt.filter, tt.facts, got.Met, got.Unmet, tt.met, tt.unmet)
		}
		if holds != (len(got.Unmet) == 0) {
			t.Errorf("%s with %v: it holds: %v, unmet %q", tt.filter, tt.facts, holds, got.Unmet)
		}
	}
}
