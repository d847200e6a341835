package awslocal

import (
	"crypto/md5"
	"encoding/binary"
	"math/big"
	"math/bits"
)

// hashKey is a point in the 128-bit space that a stream's shards divide.
type hashKey struct{ hi, lo uint64 }

// hashOf is where a partition key falls: its MD5, as the service defines it.
func hashOf(partitionKey []byte) hashKey {
	sum := md5.Sum(partitionKey)
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

func (h hashKey) less(other hashKey) bool {
	return h.hi < other.hi || h.hi == other.hi && h.lo < other.lo
}

// next is h + 1. Past the end it wraps to 0.
func (h hashKey) next() hashKey {
	lo, carry := bits.Add64(h.lo, 1, 0)
	return hashKey{h.hi + carry, lo}
}

// prev is h - 1. Below 0 it wraps to the end.
func (h hashKey) prev() hashKey {
	lo, borrow := bits.Sub64(h.lo, 1, 0)
	return hashKey{h.hi - borrow, lo}
}

// String is the key as the API writes it, in decimal.
func (h hashKey) String() string {
	n := new(big.Int).SetUint64(h.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(h.lo)).String()
}

// parseHashKey reads a decimal key. It refuses leading zeros and what is
// beyond 2^128 - 1.
func parseHashKey(text []byte) (hashKey, bool) {
	if len(text) == 0 || len(text) > 39 || text[0] == '0' && len(text) > 1 {
		return hashKey{}, false
	}
	var h hashKey
	for _, c := range text {
		if c < '0' || c > '9' {
			return hashKey{}, false
		}
		over, hi := bits.Mul64(h.hi, 10)
		carry, lo := bits.Mul64(h.lo, 10)
		lo, c1 := bits.Add64(lo, uint64(c-'0'), 0)
		hi, c2 := bits.Add64(hi, carry, c1)
		if over != 0 || c2 != 0 {
			return hashKey{}, false
		}
		h = hashKey{hi, lo}
	}
	return h, true
}

// hashRange is a shard's part of the space; both ends belong to it.
type hashRange struct{ start, end hashKey }

// meets tells whether other begins where r ends.
func (r hashRange) meets(other hashRange) bool {
	return r.end.less(other.start) && r.end.next() == other.start
}

// evenRanges divides the whole space into n ranges of equal width, give or
// take one key.
func evenRanges(n int) []hashRange {
	out := make([]hashRange, n)
	for i := range out {
		out[i] = hashRange{start: nth(i, n), end: nth(i+1, n).prev()}
	}
	return out
}

// nth is i/n of the space, rounded down. The whole wraps to 0.
func nth(i, n int) hashKey {
	at := new(big.Int).Lsh(big.NewInt(int64(i)), 128)
	at.Div(at, big.NewInt(int64(n)))
	lo := new(big.Int).And(at, new(big.Int).SetUint64(^uint64(0)))
	hi := at.Rsh(at, 64)
	return hashKey{hi.And(hi, new(big.Int).SetUint64(^uint64(0))).Uint64(), lo.Uint64()}
}
