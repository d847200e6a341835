package awslocal

import (
	"cmp"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawSequence(t *rapid.T) sequence {
	return sequence{
		at:    rapid.Int64Range(0, 9_999_999_999_999).Draw(t, "at"),
		shard: rapid.Uint64Range(0, 999_999_999_999).Draw(t, "shard"),
		n:     rapid.Uint64().Draw(t, "n"),
	}
}

func TestSequenceNumbersSortAsNumbersAndStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSequence(t), drawSequence(t)
		if len(a.String()) != 56 || strings.Trim(a.String(), "0123456789") != "" {
			t.Fatalf("%q does not have 56 digits", a)
		}
		if back, ok := parseSequence(a.String()); !ok || back != a {
			t.Fatalf("%s reads back as %+v, %v; was %+v", a, back, ok, a)
		}
		want := cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.shard, b.shard), cmp.Compare(a.n, b.n))
		na, _ := new(big.Int).SetString(a.String(), 10)
		nb, _ := new(big.Int).SetString(b.String(), 10)
		if got := na.Cmp(nb); got != want || strings.Compare(a.String(), b.String()) != want {
			t.Errorf("%s and %s compare as %d, want %d", a, b, got, want)
		}
	})
}

func TestParseSequenceRefuses(t *testing.T) {
	good := sequence{at: 1, shard: 2, n: 3}.String()
	for _, text := range []string{
		"", "0", "TRIM_HORIZON", "SHARD_END", good[1:], good + "0", "5" + good[1:],
		good[:20] + "x" + good[21:],
		good[:len(good)-20] + "99999999999999999999", // n beyond 64 bits
	} {
		if q, ok := parseSequence(text); ok {
			t.Errorf("%q was taken for %+v", text, q)
		}
	}
}
