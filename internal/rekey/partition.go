package rekey

import (
	"fmt"
	"math/big"

	"weir/internal/detect"
)

// hashBits is the length of the hash keys by which Kinesis deals records to shards. Each
// partition has an equal slice of them, and its records the key in the middle of that: so they
// belong to one shard, however the stream is split and merged.
const hashBits = 128

// hashKeys are the hash keys of partitions, in decimal.
var hashKeys = func() (keys [detect.Partitions]string) {
	for v := range keys {
		keys[v] = middle(v).String()
	}
	return keys
}()

// middle returns the hash key of a partition.
func middle(v int) *big.Int {
	k := big.NewInt(2*int64(v) + 1)
	slice := new(big.Int).Lsh(big.NewInt(1), hashBits)
	slice.Div(slice, big.NewInt(2*detect.Partitions))
	return k.Mul(k, slice)
}

// A Span is a row of partitions: from the first, up to and without the end.
type Span struct{ First, End int }

// SpanOf returns the partitions of a shard, which owns the hash keys from one to another, both
// included, in decimal. It is empty if the shard is too narrow for one.
func SpanOf(from, to string) (Span, error) {
	low, ok1 := new(big.Int).SetString(from, 10)
	high, ok2 := new(big.Int).SetString(to, 10)
	if !ok1 || !ok2 {
		return Span{}, fmt.Errorf("hash keys from %.50q to %.50q are no numbers", from, to)
	}
	var s Span
	for s.First < detect.Partitions && middle(s.First).Cmp(low) < 0 {
		s.First++
	}
	for s.End = s.First; s.End < detect.Partitions && middle(s.End).Cmp(high) <= 0; {
		s.End++
	}
	return s, nil
}

// Has reports whether a partition is one of the Span's.
func (s Span) Has(v int) bool { return s.First <= v && v < s.End }

// partitions is a set of them.
type partitions [detect.Partitions / 64]uint64

func (p *partitions) add(v int) { p[v/64] |= 1 << (v % 64) }

// without takes those of a Span out.
func (p *partitions) without(s Span) {
	for v := s.First; v < s.End; v++ {
		p[v/64] &^= 1 << (v % 64)
	}
}

// first returns the lowest, false if there is none.
func (p *partitions) first() (int, bool) {
	for v := range detect.Partitions {
		if p[v/64]&(1<<(v%64)) != 0 {
			return v, true
		}
	}
	return 0, false
}
