package awslocal

import (
	"crypto/md5"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func (h hashKey) big() *big.Int {
	n := new(big.Int).SetUint64(h.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(h.lo))
}

func drawHashKey(t *rapid.T) hashKey {
	edge := rapid.SampledFrom([]uint64{0, 1, 9, 10, 1<<63 - 1, 1 << 63, ^uint64(0)})
	word := rapid.OneOf(rapid.Uint64(), edge)
	return hashKey{word.Draw(t, "hi"), word.Draw(t, "lo")}
}

func TestHashKeyIsA128BitNumber(t *testing.T) {
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawHashKey(t), drawHashKey(t)
		if a.less(b) != (a.big().Cmp(b.big()) < 0) {
			t.Errorf("less(%s, %s) = %v", a, b, a.less(b))
		}
		next := new(big.Int).Add(a.big(), big.NewInt(1))
		if a.next().big().Cmp(next.Mod(next, space)) != 0 || a.next().prev() != a {
			t.Errorf("next(%s) = %s", a, a.next())
		}
		if a.String() != a.big().String() {
			t.Errorf("text %s, want %s", a, a.big())
		}
		if back, ok := parseHashKey([]byte(a.String())); !ok || back != a {
			t.Errorf("parse(%s) = %v, %v", a, back, ok)
		}
	})
}

func TestParseHashKeyRefuses(t *testing.T) {
	for _, text := range []string{
		"", "-1", "+1", "00", "01", "1.0", "1e3", " 1", "0x1",
		"340282366920938463463374607431768211456", // 2^128
		"340282366920938463463374607431768211460",
		"999999999999999999999999999999999999999",
		"1000000000000000000000000000000000000000",
	} {
		if h, ok := parseHashKey([]byte(text)); ok {
			t.Errorf("parse(%q) = %s", text, h)
		}
	}
}

func TestHashOfIsMD5(t *testing.T) {
	for _, key := range []string{"", "a", "192.0.2.1", "clé"} {
		sum := md5.Sum([]byte(key))
		if want := new(big.Int).SetBytes(sum[:]); hashOf([]byte(key)).big().Cmp(want) != 0 {
			t.Errorf("hash of %q is %s, want %s", key, hashOf([]byte(key)), want)
		}
	}
}

func TestEvenRangesCoverTheSpace(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 64, 1000} {
		ranges := evenRanges(n)
		least := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(int64(n)))
		if ranges[0].start != (hashKey{}) || ranges[n-1].end != (hashKey{^uint64(0), ^uint64(0)}) {
			t.Errorf("%d ranges go from %s to %s", n, ranges[0].start, ranges[n-1].end)
		}
		for i, r := range ranges {
			if i > 0 && ranges[i-1].end.next() != r.start {
				t.Errorf("%d ranges: a gap or an overlap before %s", n, r.start)
			}
			width := new(big.Int).Sub(r.end.big(), r.start.big())
			width.Add(width, big.NewInt(1))
			if d := width.Sub(width, least).Int64(); d != 0 && d != 1 {
				t.Errorf("%d ranges: range %d is %d wider than the narrowest", n, i, d)
			}
		}
	}
	// What a multiple has in common must be common, or resharding would leave slivers.
	if evenRanges(6)[3].start != evenRanges(4)[2].start || evenRanges(9)[3].start != evenRanges(3)[1].start {
		t.Error("borders at the same fraction differ")
	}
}
