//go:build unix && !solaris && !aix

package ban

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// Two that work on one file would each undo what the other decided, so the second
// is refused, by whatever name it calls the file; unless the first one goes in time.
func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "bans.db"), filepath.Join(dir, "other.db")
	first, err := openFile(t.Context(), path, busyTimeout, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, other); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, other} {
		st, err := openFile(t.Context(), name, time.Millisecond, zap.NewNop())
		if err == nil {
			st.close()
			t.Fatalf("%s is open twice", name)
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openFile(ctx, path, busyTimeout, zap.NewNop()); !errors.Is(err, context.Canceled) {
		t.Errorf("waits on after its context has ended: %v", err)
	}
	opened := make(chan error)
	go func() {
		second, err := openFile(t.Context(), path, time.Minute, zap.NewNop())
		if err == nil {
			err = second.close()
		}
		opened <- err
	}()
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("after the first one has gone: %v", err)
	}
}

// What cannot be opened is locked by nobody.
func TestRefusedFileIsNotLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := openFile(t.Context(), path, time.Millisecond, zap.NewNop()); err == nil || strings.Contains(err.Error(), "another process has it open") {
			t.Fatal(err)
		}
	}
}
