package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"weir/internal/scenario"
)

var update = flag.Bool("update", false, "write the table of scenarios into README.md")

// TestReadme: the table between the markers in README.md is the catalogue.
func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- scenarios -->\n", "<!-- /scenarios -->"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("README.md has no lines %q and %q", begin, end)
	}
	want := scenarioTable()
	if table == want {
		return
	}
	if !*update {
		t.Fatalf("the scenarios in README.md are out of date: run \"make docs\". They should be\n%s", want)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func scenarioTable() string {
	var b strings.Builder
	b.WriteString("| scenario | capacity | leak | what it catches |\n|---|---|---|---|\n")
	for _, s := range scenario.Catalogue() {
		capacity, leak := "-", "-"
		if s.Kind == scenario.Leaky {
			capacity, leak = fmt.Sprint(s.Capacity), s.Leak.String()
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, capacity, leak, strings.ReplaceAll(s.Description, "|", "\\|"))
	}
	return b.String()
}
