package ban

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// blocks tells of most clients, with one look, that no decision is about them or about a
// network around them. It has a bit for each IPv4 /24 and IPv6 /48 in which somebody has a
// decision, chosen by a hash that nobody else can compute. A bit may stand for others, too,
// and outlives its decision until the next rebuild: where it is set, the table has to be asked.
type blocks struct {
	words []atomic.Uint64
	shift uint8 // from a hash to the number of a bit
	seed  uint64
	marks int         // bits that are set; owned by the writer
	all   atomic.Bool // some prefix is of too many blocks to mark them
}

const (
	block4, block6 = 24, 48 // bits of a block

	// maxSpan is how many blocks of one prefix are marked: those of an IPv4 /16.
	maxSpan = 1 << 8

	// A set has minBlockBits to maxBlockBits bits, 4 KiB to 1 MiB. It is rebuilt when
	// one in fullBlocks is set, and then has at least roomyBlocks for each that is.
	minBlockBits, maxBlockBits = 1 << 15, 1 << 23
	fullBlocks, roomyBlocks    = 16, 64
)

// newBlocks returns the blocks of all prefixes in a table.
func newBlocks(t *bart.Table[*held]) *blocks {
	n := 0
	for p := range t.All() {
		if s := span(p); s <= maxSpan {
			n += s
		}
	}
	size := minBlockBits
	for size < maxBlockBits && size < n*roomyBlocks {
		size *= 2
	}
	b := &blocks{words: make([]atomic.Uint64, size/64), shift: uint8(64 - bits.Len(uint(size-1))), seed: rand.Uint64()}
	for p := range t.All() {
		b.add(p)
	}
	return b
}

// span returns how many blocks a prefix is of, above maxSpan perhaps less.
func span(p netip.Prefix) int {
	width := block6
	if p.Addr().Is4() {
		width = block4
	}
	return 1 << min(30, max(0, width-p.Bits()))
}

// blockOf returns the number of the block that an address is in.
func blockOf(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]) >> (32 - block4))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8])>>(64-block6) | 1<<63
}

func (b *blocks) place(block uint64) (word *atomic.Uint64, bit uint64) {
	h := (block ^ b.seed) * 0x9e3779b97f4a7c15 >> (b.shift & 63)
	return &b.words[h>>6], 1 << (h & 63)
}

// has reports whether there may be a decision about the address, or a network around it.
func (b *blocks) has(a netip.Addr) bool {
	word, bit := b.place(blockOf(a))
	return word.Load()&bit != 0 || b.all.Load()
}

// add marks the blocks of a prefix.
func (b *blocks) add(p netip.Prefix) {
	n := span(p)
	if n > maxSpan {
		b.all.Store(true)
		return
	}
	first := blockOf(p.Masked().Addr())
	for i := range n {
		if word, bit := b.place(first + uint64(i)); word.Or(bit)&bit == 0 {
			b.marks++
		}
	}
}

// full reports whether more bits would help.
func (b *blocks) full() bool {
	size := len(b.words) * 64
	return size < maxBlockBits && b.marks > size/fullBlocks
}
