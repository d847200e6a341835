// Package seeded hashes texts with a secret that outlives a process.
//
// What is kept of a text between records, or handed from one task to another, is
// its fingerprint. Two tasks, and a task and its successor, have to agree on it,
// so it follows from the text and the secret alone: not from the process, nor from
// the architecture. And nobody who sends requests may choose texts that collide,
// so without the secret no two texts can be found that do.
package seeded

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// A Seed is the secret. Whoever knows it can make collisions, so it belongs where
// decisions belong, and in no log. The zero Seed stands for none.
type Seed [32]byte

// New returns a random Seed.
func New() Seed {
	var s Seed
	rand.Read(s[:]) // never fails
	return s
}

// String keeps a secret out of logs.
func (s Seed) String() string {
	if s == (Seed{}) {
		return "no seed"
	}
	return "a seed"
}

// Words returns n random numbers, up to 1020, that follow from the Seed and a purpose.
// Those of one purpose tell nothing about those of another, or about the Seed.
func (s Seed) Words(purpose string, n int) []uint64 {
	raw, err := hkdf.Expand(sha256.New, s[:], "weir "+purpose, 8*n)
	if err != nil {
		panic("BUG: seeded: " + err.Error())
	}
	words := make([]uint64, n)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return words
}
