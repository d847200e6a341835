package ban

import (
	"testing"
)

// A secret is made once, whoever asks and when.
func storageSecrets(t *testing.T, st storage) {
	a, b := [32]byte{1}, [32]byte{2}
	for _, ask := range []struct {
		name        string
		fresh, want [32]byte
	}{{"seed", a, a}, {"seed", b, a}, {"other", b, b}, {"seed", b, a}} {
		if got, err := st.secret(t.Context(), ask.name, ask.fresh); err != nil || got != ask.want {
			t.Errorf("%s: %v, %v; want %v", ask.name, got, err, ask.want)
		}
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Config{})
	if s.Shared() {
		t.Error("a file is shared")
	}
	first, err := s.Secret(t.Context(), "seed")
	if err != nil || first == [32]byte{} {
		t.Fatal(first, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, Config{})
	if again, err := s.Secret(t.Context(), "seed"); err != nil || again != first {
		t.Errorf("after a restart: %v, %v", again, err)
	}
	if other, err := s.Secret(t.Context(), "other"); err != nil || other == first {
		t.Errorf("of another name: %v, %v", other, err)
	}
}
