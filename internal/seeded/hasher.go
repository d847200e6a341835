package seeded

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// A Hasher hashes texts with the numbers of a Seed. It is immutable: goroutines share it.
//
// It is NH, the sum of products that UMAC is made of: each word of a block is added to a
// secret number of its own, the words of a pair are multiplied to 128 bits, and the
// products added. Whatever two blocks are, their sums are the same under one of 2^64
// secrets. So no text makes a factor zero, or two lanes cancel each other, under every
// secret, as happens to hashes that multiply by constants. The sums of several blocks are
// chained, and the last is folded with two more secret numbers, so that each bit of the
// result hangs on each of the text.
type Hasher struct {
	lanes [lanes]pair
	chain pair
	last  pair
}

// A pair is the two secret numbers of a lane, which is 16 bytes of a block.
type pair [2]uint64

const (
	lanes = 8
	block = 16 * lanes // bytes
)

// Hasher returns the Hasher of a Seed.
func (s Seed) Hasher() *Hasher {
	words := s.Words("hasher", 2*(lanes+2))
	var h Hasher
	for i := range h.lanes {
		h.lanes[i] = pair(words[2*i:])
	}
	h.chain, h.last = pair(words[2*lanes:]), pair(words[2*lanes+2:])
	return &h
}

// String returns the hash of a text: what Bytes returns for the same bytes.
func (h *Hasher) String(text string) uint64 {
	return h.Bytes(unsafe.Slice(unsafe.StringData(text), len(text))) // which only reads them
}

// Bytes returns the hash of a text: 64 bits, each as good as the others.
func (h *Hasher) Bytes(text []byte) uint64 {
	// A text is seldom a multiple of what is read at once, so what is read last may overlap
	// what was read before. Together with the length it still tells all of the text.
	n, k := len(text), &h.lanes
	s := sum{lo: uint64(n)}
	switch {
	case n <= 16:
		x, y := short(text)
		s = s.add(x+k[0][0], y+k[0][1])
	case n <= 32:
		s = s.one(text, &k[0]).one(text[n-16:], &k[1])
	case n <= 64:
		a, b := (*[32]byte)(text), (*[32]byte)(text[n-32:])
		s = s.one(a[:16], &k[0]).one(a[16:], &k[1]).one(b[:16], &k[2]).one(b[16:], &k[3])
	default:
		end := (*[64]byte)(text[n-64:])
		for ; len(text) > block; text = text[block:] {
			b := (*[block]byte)(text)
			of := sum{}.one(b[:16], &k[0]).one(b[16:32], &k[1]).one(b[32:48], &k[2]).one(b[48:64], &k[3])
			of = of.one(b[64:80], &k[4]).one(b[80:96], &k[5]).one(b[96:112], &k[6]).one(b[112:], &k[7])
			s.lo = fold(s.lo+of.hi^h.chain[0], of.lo^h.chain[1])
		}
		if len(text) > 64 {
			b := (*[64]byte)(text)
			s = s.one(b[:16], &k[0]).one(b[16:32], &k[1]).one(b[32:48], &k[2]).one(b[48:], &k[3])
		}
		s = s.one(end[:16], &k[4]).one(end[16:32], &k[5]).one(end[32:48], &k[6]).one(end[48:], &k[7])
	}
	return fold(s.hi^h.last[0], s.lo^h.last[1])
}

// short makes two words of up to 16 bytes. With their number, they tell all of them.
func short(text []byte) (x, y uint64) {
	switch n := len(text); {
	case n >= 8:
		return binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(text)), uint64(binary.LittleEndian.Uint32(text[n-4:]))
	case n > 0:
		return uint64(text[0])<<16 | uint64(text[n/2])<<8 | uint64(text[n-1]), 0
	}
	return 0, 0
}

// A sum of products, of 128 bits.
type sum struct{ hi, lo uint64 }

func (s sum) add(x, y uint64) sum {
	hi, lo := bits.Mul64(x, y)
	lo, carry := bits.Add64(s.lo, lo, 0)
	hi, _ = bits.Add64(s.hi, hi, carry)
	return sum{hi, lo}
}

// one adds the product of a lane, 16 bytes.
func (s sum) one(b []byte, k *pair) sum {
	return s.add(binary.LittleEndian.Uint64(b)+k[0], binary.LittleEndian.Uint64(b[8:])+k[1])
}

// fold mixes two words into one.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
