package scenario

import (
	"bufio"
	"bytes"
	_ "embed"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/cases.txt
var casesFile []byte

// A testCase is a line of testdata/cases.txt.
type testCase struct {
	scenario string // or "nothing"
	match    bool
	request  string
}

func cases(t testing.TB) []testCase {
	t.Helper()
	var all []testCase
	section := ""
	for scanner := bufio.NewScanner(bytes.NewReader(casesFile)); scanner.Scan(); {
		line := scanner.Text()
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case line[0] == '+' || line[0] == '-':
			all = append(all, testCase{section, line[0] == '+', line[2:]})
		default:
			t.Fatalf("testdata/cases.txt: %q is no case", line)
		}
	}
	return all
}

func TestCases(t *testing.T) {
	set := testSet(t)
	m := set.NewMatcher()
	for _, c := range cases(t) {
		set.site = newSite() // nothing is known of the site
		r := parseRequest(t, c.request)
		if status, ok := r.with["before"]; ok {
			first := r.but("names", browserNames)
			first.status = status
			m.Match(first.record(t), nil)
		}
		names := hitNames(m, r.record(t))
		if c.scenario == "nothing" {
			names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "http-flood") })
			if len(names) > 0 {
				t.Errorf("%s: matches %v, want nothing", c.request, names)
			}
		} else if got := slices.Contains(names, c.scenario); got != c.match {
			t.Errorf("%s: %s is %v, want %v", c.request, c.scenario, got, c.match)
		}
	}
}

func TestEveryScenarioHasCases(t *testing.T) {
	for _, s := range Catalogue() {
		for _, match := range []bool{true, false} {
			if !slices.ContainsFunc(cases(t), func(c testCase) bool { return c.scenario == s.Name && c.match == match }) {
				t.Errorf("%s: no case of match = %v", s.Name, match)
			}
		}
	}
}

func TestCatalogueIsSortedAndDescribed(t *testing.T) {
	list := Catalogue()
	if !slices.IsSortedFunc(list, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	for _, s := range list {
		if len(s.Description) < 60 || !strings.HasSuffix(s.Description, ".") {
			t.Errorf("%s: description %q says too little", s.Name, s.Description)
		}
	}
	list[0].Name = "changed"
	if Catalogue()[0].Name == "changed" {
		t.Error("the list is not the caller's own")
	}
}

func TestCatalogueIsComplete(t *testing.T) {
	for _, s := range Catalogue() {
		if s.Ban == 0 || s.Action == "" || !s.Remediation || s.Labels["behavior"] == "" || s.Origin != "built-in" {
			t.Errorf("%s: ban %v, action %q, remediation %v, behavior %q, origin %q", s.Name, s.Ban, s.Action, s.Remediation, s.Labels["behavior"], s.Origin)
		}
	}
}
