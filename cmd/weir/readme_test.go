package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"weir/internal/scenario"
)

var update = flag.Bool("update", false, "write the tables of scenarios and their words into README.md")

// TestReadme: what stands between the markers in README.md is what the program says.
func TestReadme(t *testing.T) {
	const path = "../../README.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, part := range []struct{ name, want string }{
		{"scenarios", scenarioTable()},
		{"facts", factTable("fact", scenario.Facts())},
		{"values", factTable("value", scenario.Values())},
	} {
		begin, end := "<!-- "+part.name+" -->\n", "<!-- /"+part.name+" -->"
		before, rest, found := strings.Cut(text, begin)
		table, after, closed := strings.Cut(rest, end)
		switch {
		case !found || !closed:
			t.Errorf("README.md has no lines %q and %q", begin, end)
		case table != part.want && !*update:
			t.Errorf("the %s in README.md are out of date: run \"make docs\". They should be\n%s", part.name, part.want)
		default:
			text = before + begin + part.want + end + after
		}
	}
	if *update && text != string(raw) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func factTable(title string, list []scenario.Fact) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | what it says |\n|---|---|\n", title)
	for _, f := range list {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, f.Meaning)
	}
	return b.String()
}

func scenarioTable() string {
	var b strings.Builder
	b.WriteString("| scenario | capacity | leak | what it catches |\n|---|---|---|---|\n")
	for _, s := range scenario.Catalogue() {
		capacity, leak := "-", "-"
		if s.Kind == scenario.Leaky {
			capacity, leak = fmt.Sprint(s.Capacity), scenario.FormatDuration(s.Leak)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, capacity, leak, strings.ReplaceAll(s.Description, "|", "\\|"))
	}
	return b.String()
}
