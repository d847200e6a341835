package ban

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Shared reports whether other processes work with the same decisions at the same
// time, so that each of them knows what any of them decided.
func (s *Store) Shared() bool { return s.storage.shared() }

// Secret returns the 32 random bytes of that name. Whoever first asks for them has
// them made; every process that uses the same storage gets the same ones, whenever
// it asks. Those of a Store in memory end with it. name is of at most 255 bytes.
func (s *Store) Secret(ctx context.Context, name string) ([32]byte, error) {
	var fresh [32]byte
	rand.Read(fresh[:]) // never returns an error
	secret, err := s.storage.secret(ctx, name, fresh)
	if err != nil {
		return secret, fmt.Errorf("look up the secret %q: %w", name, err)
	}
	return secret, nil
}
