package detect

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"weir/internal/scenario"
)

// A key is whom buckets are kept for: a network, or a value. It holds no pointer.
type key struct {
	addr   uint64 // the first half of an IPv6 address, an IPv4 address, or the number of a scenario
	group  uint32 // of a value
	bits   uint8  // of the network
	family uint8
}

// The families of keys.
const (
	familyIPv6 = iota
	familyIPv4
	familyValue // a value of one scenario, whoever the client is
)

// clientBits is how much of an IPv6 address tells clients apart.
const clientBits = 64

// clientOf returns the key of a record's client. The address must not be an
// IPv6-mapped one; the parser unmaps them.
func clientOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{addr: uint64(binary.BigEndian.Uint32(b[:])), bits: 32, family: familyIPv4}
	}
	b := a.As16()
	return key{addr: binary.BigEndian.Uint64(b[:8]), bits: clientBits, family: familyIPv6}
}

// network returns the key of the network around a client, false if the client's
// family has none.
func (k key) network(g *scenario.Group) (key, bool) {
	n, all := g.V6, uint8(clientBits)
	if k.family == familyIPv4 {
		n, all = g.V4, 32
	}
	if n == 0 {
		return key{}, false
	}
	k.bits = min(n, all)
	k.addr &= ^uint64(0) << (all - k.bits)
	return k, true
}

// prefix returns the network of a key that is not a value's.
func (k key) prefix() netip.Prefix {
	if k.family == familyIPv4 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(k.addr))
		return netip.PrefixFrom(netip.AddrFrom4(a), int(k.bits))
	}
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], k.addr)
	return netip.PrefixFrom(netip.AddrFrom16(a), int(k.bits))
}

// An ident is exactly one bucket: a key, its scenario, and what beside the key the
// bucket is for.
type ident struct {
	addr uint64
	rest uint64 // group, scenario, bits, family
}

func (k key) ident(scenario uint16, group uint32) ident {
	return ident{k.addr, uint64(group)<<32 | uint64(scenario)<<16 | uint64(k.bits)<<8 | uint64(k.family)}
}

func (i ident) scenario() uint16 { return uint16(i.rest >> 16) }

// A hasher spreads keys over shards and sets. Its numbers are the process's own, so
// that nobody can choose addresses that collide. Should keys collide all the same,
// their buckets are still told apart.
type hasher struct{ a, b, c uint64 }

func newHasher() hasher { return hasher{rand.Uint64(), rand.Uint64(), rand.Uint64() | 1} }

func (h *hasher) hash(k key) uint64 {
	rest := uint64(k.group)<<32 | uint64(k.bits)<<8 | uint64(k.family)
	return fold(fold(k.addr^h.a, rest^h.b)^h.a, h.c)
}

// fold mixes two words into one.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// scale maps 32 random bits evenly onto 0 to n-1 without a division.
func scale(random uint32, n int) int {
	return int(uint64(random) * uint64(n) >> 32)
}
