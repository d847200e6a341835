package seeded

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestHashesAreFixed: buckets of a snapshot are found again by hashes. If this has to
// change, so have the formats of what holds them.
func TestHashesAreFixed(t *testing.T) {
	text := make([]byte, 1000)
	for i := range text {
		text[i] = byte(i * i >> 3)
	}
	h := testSeed().Hasher()
	for n, want := range map[int]uint64{
		0:   0xda21f8504e1ee2e2,
		1:   0x9bbff79a02e7e43c,
		3:   0x1aa3fc178d35e187,
		4:   0x1f3ee08da24a681d,
		7:   0x495fc91f93743460,
		8:   0x353a101670d3338f,
		12:  0x8ba162a3c47da6f9,
		16:  0x2307ef18a755ee12,
		17:  0x76dfe58dbbce93dd,
		32:  0xf3698c868181a257,
		33:  0x6506f0c65bb3b17c,
		64:  0x12ebbd7c95bc1036,
		65:  0x61d0888d3d8801ed,
		100: 0x2226dde2ba9204de,
		128: 0x845d9ea063d7aaae,
		129: 0x8181b2444d683a3e,
		192: 0xdfe6deda3e43e052,
		193: 0x7133fd4d9776c4f1,
		256: 0x0cdcf2b58bfd77cd,
		257: 0x745f275c9d9dfd25,
		800: 0x4caf0b8e3577e376,
	} {
		if got := h.Bytes(text[:n]); got != want {
			t.Errorf("the hash of %d bytes is %#x, was %#x: what snapshots hold means nothing any more", n, got, want)
		}
	}
	var all uint64
	for n := range text {
		all = bits.RotateLeft64(all, 1) ^ h.Bytes(text[:n])
	}
	if want := uint64(0xa9261dd2e9605ae7); all != want {
		t.Errorf("the hashes of all lengths join to %#x, and did to %#x", all, want)
	}
}

// plainHash is Bytes, as one would write it with numbers of any size.
func plainHash(h *Hasher, text []byte) uint64 {
	n := len(text)
	word := func(b []byte) *big.Int { return new(big.Int).SetUint64(binary.LittleEndian.Uint64(b)) }
	number := func(x uint64) *big.Int { return new(big.Int).SetUint64(x) }
	cut := func(x *big.Int, n uint) *big.Int {
		return x.And(x, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1)))
	}
	product := func(x, y *big.Int, k pair) *big.Int {
		return x.Mul(cut(x.Add(x, number(k[0])), 64), cut(y.Add(y, number(k[1])), 64))
	}
	folded := func(hi, lo *big.Int, k pair) *big.Int {
		p := new(big.Int).Mul(hi.Xor(hi, number(k[0])), lo.Xor(lo, number(k[1])))
		return cut(new(big.Int).Xor(new(big.Int).Rsh(p, 64), p), 64)
	}
	lanesOf := func(sum *big.Int, text []byte, k []pair) *big.Int {
		for i := range len(text) / 16 {
			sum.Add(sum, product(word(text[16*i:]), word(text[16*i+8:]), k[i]))
		}
		return cut(sum, 128)
	}
	sum := big.NewInt(int64(n))
	switch {
	case n <= 16:
		x, y := big.NewInt(0), big.NewInt(0)
		switch {
		case n >= 8:
			x, y = word(text), word(text[n-8:])
		case n >= 4:
			x, y = number(uint64(binary.LittleEndian.Uint32(text))), number(uint64(binary.LittleEndian.Uint32(text[n-4:])))
		case n > 0:
			x.SetBytes([]byte{text[0], text[n/2], text[n-1]})
		}
		sum = cut(sum.Add(sum, product(x, y, h.lanes[0])), 128)
	case n <= 64: // two pieces, of 16 or of 32 bytes
		size := 16
		if n > 32 {
			size = 32
		}
		sum = lanesOf(sum, append(bytes.Clone(text[:size]), text[n-size:]...), h.lanes[:])
	default:
		rest := text
		for len(rest) > 128 {
			of := lanesOf(new(big.Int), rest[:128], h.lanes[:])
			lo := cut(new(big.Int).Set(of), 64)
			hi := cut(of.Add(of.Rsh(of, 64), sum), 64)
			sum = folded(hi, lo, h.chain)
			rest = rest[128:]
		}
		if len(rest) > 64 {
			sum = lanesOf(sum, rest[:64], h.lanes[:4])
		}
		sum = lanesOf(sum, text[n-64:], h.lanes[4:])
	}
	lo := cut(new(big.Int).Set(sum), 64)
	return folded(sum.Rsh(sum, 64), lo, h.last).Uint64()
}

func TestHashIsThePlainOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Seed
		copy(s[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		text := rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "text")
		h := s.Hasher()
		got := h.Bytes(text)
		if want := plainHash(h, text); got != want {
			t.Fatalf("%#x, want %#x", got, want)
		}
		if of := h.String(string(text)); of != got {
			t.Fatalf("as a string %#x, as bytes %#x", of, got)
		}
		// What lies around a text in memory has no part in it.
		at := rapid.IntRange(0, 20).Draw(t, "at")
		around := append(append(bytes.Repeat([]byte{0xa5}, at), text...), 0xa5)
		if again := s.Hasher().Bytes(around[at : at+len(text)]); again != got {
			t.Fatalf("%#x at another place, %#x at first", again, got)
		}
	})
}

func TestHashAllocatesNothing(t *testing.T) {
	h, text, s := New().Hasher(), make([]byte, 300), string(make([]byte, 300))
	if n := testing.AllocsPerRun(100, func() { sink += h.Bytes(text) + h.String(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// random returns n random bytes; each test has the same.
func random(r *rand.Rand, n int) []byte {
	text := make([]byte, 0, n+8)
	for len(text) < n {
		text = binary.LittleEndian.AppendUint64(text, r.Uint64())
	}
	return text[:n]
}

// TestEachBitOfATextChangesHalfTheHash: whichever bit of a text is another, each bit of the
// hash is another in half of the cases.
func TestEachBitOfATextChangesHalfTheHash(t *testing.T) {
	const rounds = 400
	r := rand.New(rand.NewPCG(1, 2))
	var hashers [64]*Hasher
	for i := range hashers {
		hashers[i] = Seed(random(r, 32)).Hasher()
	}
	for _, n := range []int{1, 3, 4, 7, 8, 12, 16, 17, 33, 64, 65, 100, 128, 129, 200} {
		step := max(1, n*8/60) // not each bit of a long text
		worst, count := 0.0, 0
		var flips [64]int
		for bit := 0; bit < n*8; bit += step {
			var of [64]int
			for i := range rounds {
				h, text := hashers[i%len(hashers)], random(r, n)
				before := h.Bytes(text)
				text[bit/8] ^= 1 << (bit % 8)
				for d := before ^ h.Bytes(text); d != 0; d &= d - 1 {
					of[bits.TrailingZeros64(d)]++
				}
			}
			for i, c := range of {
				flips[i] += c
				worst = max(worst, math.Abs(float64(c)/rounds-0.5))
			}
			count++
		}
		// The standard deviation of a share is 0.5/sqrt(rounds) = 0.025.
		if worst > 0.025*6 {
			t.Errorf("%d bytes: a bit of the hash changes with one of the text in %.3f of the cases", n, 0.5+worst)
		}
		for i, c := range flips {
			if share := float64(c) / float64(rounds*count); math.Abs(share-0.5) > 6*0.5/math.Sqrt(float64(rounds*count)) {
				t.Errorf("%d bytes: bit %d of the hash changes in %.4f of the cases", n, i, share)
			}
		}
	}
}

// TestHashesSpreadEvenly: texts that differ in little, as paths do, by any bits of the hash
// that a table may take.
func TestHashesSpreadEvenly(t *testing.T) {
	const buckets, texts = 1024, 50_000
	h := testSeed().Hasher()
	for name, make := range map[string]func(i int) []byte{
		"numbers":   func(i int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(i)) },
		"high bits": func(i int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(i)<<44) },
		"addresses": func(i int) []byte {
			return binary.BigEndian.AppendUint64([]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0}, uint64(i))
		},
		"paths": func(i int) []byte { return fmtPath("/products/", i, "/reviews.html") },
		"long paths": func(i int) []byte {
			return fmtPath("/static/chunks/app/(dashboard)/settings/", i, "/page-0123456789abcdef0123456789abcdef.js")
		},
		"only length": func(i int) []byte { return bytes.Repeat([]byte{0}, i%4096) },
	} {
		n := texts
		if name == "only length" {
			n = 4096
		}
		for _, shift := range []int{0, 10, 22, 32, 54} {
			var of [buckets]int
			for i := range n {
				of[h.Bytes(make(i))>>shift%buckets]++
			}
			chi := 0.0
			for _, c := range of {
				d := float64(c) - float64(n)/buckets
				chi += d * d / (float64(n) / buckets)
			}
			// Of 1023 degrees of freedom: mean 1023, standard deviation 45.
			if chi > 1023+6*45 || chi < 1023-6*45 {
				t.Errorf("%s, bits from %d: chi square is %.0f", name, shift, chi)
			}
		}
	}
}

func fmtPath(before string, i int, after string) []byte {
	text := []byte(before)
	for n := i; n > 0 || len(text) == len(before); n /= 10 {
		text = append(text, byte('0'+n%10))
	}
	return append(text, after...)
}

// TestNoTextsCollideForEverySeed takes what makes hashes of this kind collide when their
// numbers are known, or are added to texts where others stand: factors that become zero,
// words and lanes that change places, a word that is its complement, bits that cancel
// each other, zeros at the end.
func TestNoTextsCollideForEverySeed(t *testing.T) {
	known := testSeed().Hasher()
	zeroed := func(n, lane int, fill byte) []byte { // the lane's first factor is 0 for those who know the seed
		text := bytes.Repeat([]byte{fill}, n)
		binary.LittleEndian.PutUint64(text[16*lane:], -known.lanes[lane][0])
		return text
	}
	second := func(text []byte, lane int, by byte) []byte {
		text[16*lane+8] ^= by
		return text
	}
	swap := func(text []byte, i, j, size int) []byte {
		text = bytes.Clone(text)
		for k := range size {
			text[i+k], text[j+k] = text[j+k], text[i+k]
		}
		return text
	}
	invert := func(text []byte, words ...int) []byte {
		text = bytes.Clone(text)
		for _, w := range words {
			for k := range 8 {
				text[8*w+k] ^= 0xff
			}
		}
		return text
	}
	top := func(text []byte, words ...int) []byte {
		text = bytes.Clone(text)
		for _, w := range words {
			text[8*w+7] ^= 0x80
		}
		return text
	}
	base := random(rand.New(rand.NewPCG(3, 4)), 512)
	for i := range 4 { // for swaps of blocks and lanes
		copy(base[128*i:], fmtPath("/block", i, ""))
	}
	with := known.Bytes(zeroed(128, 0, 7))
	if with != known.Bytes(second(zeroed(128, 0, 7), 0, 1)) {
		t.Error("one who knows the seed cannot make texts collide: this test proves nothing")
	}
	pairs := [][2][]byte{
		{zeroed(64, 0, 1), second(zeroed(64, 0, 1), 0, 1)},
		{zeroed(128, 3, 1), second(zeroed(128, 3, 1), 3, 1)},
		{zeroed(512, 7, 1), second(zeroed(512, 7, 1), 7, 1)},
		{base, swap(base, 0, 8, 8)},
		{base, swap(base, 0, 16, 16)},
		{base, swap(base, 64, 0, 64)},
		{base, swap(base, 0, 128, 128)},
		{base, swap(base, 128, 256, 128)},
		{base[:64], swap(base[:64], 0, 32, 32)},
		{base, invert(base, 0)},
		{base, invert(base, 0, 1)},
		{base, invert(base, 2, 4)},
		{base, top(base, 0)},
		{base, top(base, 0, 1)},
		{base, top(base, 0, 2)},
		{base, top(base, 0, 16)},
		{base[:16], top(base[:16], 0, 1)},
		{base[:32], top(base[:32], 0, 2)},
		{nil, {0}},
		{{0}, {0, 0}},
		{{0, 0, 0}, {0, 0, 0, 0}},
		{make([]byte, 16), make([]byte, 17)},
		{make([]byte, 64), make([]byte, 65)},
		{make([]byte, 128), make([]byte, 129)},
		{make([]byte, 128), make([]byte, 256)},
		{make([]byte, 256), make([]byte, 384)},
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		h := Seed(random(r, 32)).Hasher()
		for i, p := range pairs {
			if h.Bytes(p[0]) == h.Bytes(p[1]) {
				t.Errorf("pair %d collides", i)
			}
		}
	}
}
