package seeded

import (
	"fmt"
	"strings"
	"testing"
)

// testSeed is a Seed that anybody knows.
func testSeed() Seed {
	var s Seed
	copy(s[:], "a secret that nobody should have")
	return s
}

func TestNewIsRandom(t *testing.T) {
	a, b := New(), New()
	if a == b || a == (Seed{}) {
		t.Errorf("two new seeds: %x and %x", a[:], b[:])
	}
}

// TestWordsAreFixed: what was hashed with them is kept in snapshots.
func TestWordsAreFixed(t *testing.T) {
	got := fmt.Sprintf("%016x", testSeed().Words("test", 3))
	if want := "[10b5d24f1b3caade a222dac6207edb30 eeb9a54f1a57dace]"; got != want {
		t.Errorf("words are %s, were %s: what snapshots hold means nothing any more", got, want)
	}
}

func TestWordsAreOfTheirPurpose(t *testing.T) {
	seen := make(map[uint64]string)
	for _, s := range []Seed{testSeed(), {}, {1}, {31: 1}} {
		for _, purpose := range []string{"", "a", "b", "hasher"} {
			for i, w := range s.Words(purpose, 40) {
				from := fmt.Sprintf("%x %s %d", s[:], purpose, i)
				if other, is := seen[w]; is {
					t.Fatalf("%s and %s are both %x", from, other, w)
				}
				seen[w] = from
			}
		}
	}
	long, short := testSeed().Words("a", 1020), testSeed().Words("a", 1)
	if len(long) != 1020 || long[0] != short[0] {
		t.Errorf("the first of %d words is %x, alone %x", len(long), long[0], short[0])
	}
}

func TestSeedIsNotPrinted(t *testing.T) {
	s := testSeed()
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%s %v %+v", s, s, s)} {
		if strings.Contains(text, "secret") || strings.Contains(text, "115") {
			t.Errorf("printed: %s", text)
		}
	}
	if fmt.Sprint(Seed{}) == fmt.Sprint(s) {
		t.Error("one cannot see whether there is a seed")
	}
}
