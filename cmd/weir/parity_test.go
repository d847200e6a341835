package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestParity: the hub's scenarios raise the alerts here that CrowdSec raised on the same
// logs, at the same second and with as many events. On the two logs that are out of
// order CrowdSec misses an attack, and Weir finds it.
func TestParity(t *testing.T) {
	shared := sharedDir(t)
	oracle, hub := filepath.Join(shared, "oracle"), filepath.Join(shared, "hub", "scenarios")
	for _, dir := range []string{oracle, hub} {
		if _, err := os.Stat(dir); err != nil {
			untested(t, "no hub scenarios, or no alerts of CrowdSec: %v", err)
		}
	}
	var stdout, stderr bytes.Buffer
	w := &world{
		args:   []string{"scenarios", "test", "-scenarios", hub, "-detect-ipv6-prefix", "128", oracle, filepath.Join(oracle, "micro")},
		stdout: &stdout, stderr: &stderr,
	}
	run(t.Context(), w)
	var different []string
	for line := range strings.Lines(stdout.String()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "ok ") {
			different = append(different, line)
		}
	}
	want := []string{
		"FAIL A_s3order",
		"unexpected: crowdsecurity/http-probing\tIp\t45.1.1.1\t2026-03-12T15:09:54Z\t2026-03-12T15:10:05Z\t12\ttrue",
		"FAIL B_interleaved",
		"unexpected: crowdsecurity/http-probing\tIp\t45.1.1.2\t2026-03-12T15:10:00Z\t2026-03-12T15:10:05Z\t11\ttrue",
	}
	if !slices.Equal(different, want) || strings.Count(stdout.String(), "ok ") != 13 {
		t.Errorf("it differs in\n%s, want\n%s\n%s", strings.Join(different, "\n"), strings.Join(want, "\n"), stderr.Bytes())
	}
}
