package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// literal is what grep looks for: a word that attackers ask for.
const literal = "wp-login.php"

// measureGrep runs the real grep over the same lines in a file and sets its CPU time
// against the way of a record, which begins in memory.
func measureGrep(t *table, sets []catalogue, c *costs, lines [][]byte, rounds int) error {
	grep, err := exec.LookPath("grep")
	if err != nil {
		t.skip(rowGrep, "there is no grep on this machine")
		return nil
	}
	dir, err := os.MkdirTemp("", "hotpath")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "log")
	if err := os.WriteFile(name, append(bytes.Join(lines, []byte{'\n'}), '\n'), 0o600); err != nil {
		return err
	}
	var ns []float64
	for range rounds {
		cmd := exec.Command(grep, "-c", literal, name)
		cmd.Env = append(os.Environ(), "LC_ALL=C") // its fastest
		if out, err := cmd.Output(); err != nil && len(out) == 0 {
			return fmt.Errorf("grep -c: %w", err)
		}
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		ns = append(ns, float64(used.Nanoseconds())/float64(len(lines)))
	}
	for i := range sets {
		t.set(rowGrep, i, median(c.whole[i].ns)/median(ns))
	}
	t.note("grep -c %s takes %.0f ns a line, reading the file and starting included.", literal, median(ns))
	return nil
}
