package waf

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A writer that meets a later epoch stops and says what helps when no other process
// leads; and that helps.
func TestWhatHelpsAWriterThatIsDeposed(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		ahead := time.Now().Add(time.Hour)
		s.ban(2*time.Hour, v4(1), v4(2))
		f.find("weir-block-v4-0").desc = fmt.Sprintf("weir v1 ep:%d gen:1 n:0 sum:%016x exp:0", ahead.UnixMilli(), 0)
		cfg := s.config(f)
		cfg.Epoch = func() uint64 { return uint64(time.Now().UnixMilli()) }
		w, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Run(t.Context())
		if !errors.Is(err, ErrDeposed) {
			t.Fatalf("it ended with %v", err)
		}
		for _, word := range []string{"weir-block-v4-0", ahead.UTC().Format(time.RFC3339), "clock", "lease table", "another description"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q does not say %q", err, word)
			}
		}
		if len(f.attempts) > 0 {
			t.Errorf("it made %d writes", len(f.attempts))
		}
		other := "edited to have it lead"
		f.edit("weir-block-v4-0", nil, nil, &other)
		w.Reset()
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		expectHeld(t, f, v4(1), v4(2))
	})
}
