package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestClosedLoop: of a log in which the bans are enforced that a replay decided
// on, a replay that begins with them in force makes nothing new.
func TestClosedLoop(t *testing.T) {
	labelled := filepath.Join(sharedDir(t), "labelled")
	python, err := exec.LookPath("python3")
	if err != nil {
		untested(t, "no python3 to enforce bans with: %v", err)
	}
	dir := t.TempDir()
	fields, decisions := filepath.Join(labelled, "fields.txt"), filepath.Join(dir, "decisions.jsonl")
	log := filepath.Join(labelled, "realtime.tsv.gz")
	weir(t, "replay", "-fields", "@"+fields, "-decisions", decisions, log)

	// The script reads no gzip.
	plain, enforced := filepath.Join(dir, "before.tsv"), filepath.Join(dir, "after.tsv")
	gunzip(t, log, plain)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, filepath.Join(labelled, "apply_bans.py"), "--log", plain, "--fields", fields, "--decisions", decisions)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("apply_bans.py: %v\n%s", err, stderr.Bytes())
	}
	var blocked int
	if _, err := fmt.Sscan(stderr.String(), &blocked); err != nil || blocked == 0 {
		t.Fatalf("apply_bans.py enforced no ban: %s", stderr.Bytes())
	}
	if err := os.WriteFile(enforced, stdout.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	for name, log := range map[string]string{"the same log": log, "bans enforced": enforced} {
		fresh := filepath.Join(dir, "fresh.jsonl")
		weir(t, "replay", "-fields", "@"+fields, "-active", decisions, "-decisions", fresh, log)
		if made, err := os.ReadFile(fresh); err != nil || len(made) > 0 {
			t.Errorf("%s, begun with all decisions: it decided (%v)\n%s", name, err, made)
		}
	}
}

// weir runs a command in this process, which must succeed.
func weir(t *testing.T, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), &world{args: args, stdin: new(bytes.Buffer), stdout: &stdout, stderr: &stderr}); code != exitOK {
		t.Fatalf("weir %q: exit code %d\n%s", args, code, stderr.Bytes())
	}
}

func gunzip(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, r); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// sharedDir is the folder with the labelled traffic and the oracle: what
// WEIR_SHARED says, or the one beside the repository.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "labelled")); err != nil {
		untested(t, "no labelled traffic (%v); set WEIR_SHARED to the folder that holds labelled/", err)
	}
	return dir
}

// untested skips a test that misses something, but not in CI, which has it all.
func untested(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT TESTED: "+format, args...)
	}
	t.Skipf("NOT TESTED: "+format, args...)
}
