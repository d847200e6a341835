//go:build unix

package file

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A named pipe is read as its lines come. When Run is cancelled nothing stays behind,
// since the source opened it and can close it.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, or it would wait for the source to open its end.
	out, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.WriteString(out, "a\nb\npartial"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var c collector
	s := New(path)
	err = s.Run(ctx, func(ctx context.Context, lines [][]byte, arrived []time.Time) error {
		defer cancel()
		return c.handle(ctx, lines, arrived)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if want := []string{"a", "b"}; !slices.Equal(c.lines, want) {
		t.Errorf("got %q, want %q", c.lines, want)
	}
	if _, total := s.Progress(); total != 0 {
		t.Errorf("a pipe has %d bytes in all", total)
	}
}
