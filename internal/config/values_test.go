package config

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of settings into README.md")

// TestReadme: the table between the markers in README.md is the one that the
// settings give.
func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- settings -->\n", "<!-- /settings -->"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("README.md has no lines %q and %q", begin, end)
	}
	if table == Markdown() {
		return
	}
	if !*update {
		t.Fatalf("the settings in README.md are out of date: run \"make docs\". They should be\n%s", Markdown())
	}
	if err := os.WriteFile(path, []byte(before+begin+Markdown()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMarkdown(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(Markdown(), "\n"), "\n")
	if got, want := len(lines), 2+len(new(Config).settings()); got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
	for _, line := range lines {
		if strings.Count(line, "|") != 5 {
			t.Errorf("%q is not a row of four cells", line)
		}
	}
	for _, want := range []string{
		"| `WEIR_KINESIS_POLL` | `200ms` | a duration from 200ms to 10s | time between two reads",
		"| `WEIR_API_TOKEN` or `WEIR_API_TOKEN_FILE` |  | printable ASCII",
	} {
		if !strings.Contains(Markdown(), "\n"+want) {
			t.Errorf("no row starts with %q", want)
		}
	}
}

func TestHelp(t *testing.T) {
	_, fs := register()
	var b strings.Builder
	fs.SetOutput(&b)
	fs.PrintDefaults()
	for _, want := range []string{
		"  -stop-timeout duration\n    \thow long an orderly stop may take; the task's stopTimeout should be longer; a duration from 15s to 1m50s (WEIR_STOP_TIMEOUT) (default 20s)\n",
		"  -kinesis-stream name\n    \tthe stream that CloudFront writes its real-time log to; the name or ARN of a Kinesis data stream (WEIR_KINESIS_STREAM)\n",
		"  -kinesis-max-records number\n",
		"  -logger-format value\n    \tform of a log line; json or console (WEIR_LOGGER_FORMAT) (default json)\n",
		"  -api-token-file file\n    \tfile that holds the bearer token that the API asks for; needed where it listens beyond this machine; printable ASCII characters without white space (WEIR_API_TOKEN_FILE, or itself in WEIR_API_TOKEN)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("-help does not say\n%s\nbut\n%s", want, b.String())
		}
	}
}
