package seeded

import (
	"fmt"
	"hash/maphash"
	"testing"
)

// BenchmarkBytes compares with what texts of one process are hashed with.
func BenchmarkBytes(b *testing.B) {
	h, seed := New().Hasher(), maphash.MakeSeed()
	text := make([]byte, 1024)
	for _, n := range []int{8, 16, 30, 45, 60, 80, 100, 200, 400, 800} {
		b.Run(fmt.Sprintf("%dB/maphash", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				sink += maphash.Bytes(seed, text[i&127:][:n])
			}
		})
		b.Run(fmt.Sprintf("%dB/seeded", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				sink += h.Bytes(text[i&127:][:n])
			}
		})
	}
	// Lengths as they come: a processor does not guess the next one.
	lengths := [256]int{}
	for i := range lengths {
		lengths[i] = 8 + i*i*37%97
	}
	b.Run("mixed/maphash", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			sink += maphash.Bytes(seed, text[i&127:][:lengths[i&255]])
		}
	})
	b.Run("mixed/seeded", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			sink += h.Bytes(text[i&127:][:lengths[i&255]])
		}
	})
}

var sink uint64
