package detect

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// A key is whom buckets are kept for: a network, or a value. It holds no pointer.
type key struct {
	addr   uint64 // what tells it from others of the family; of a value, what stands for the scenario
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

// clientOf returns the network that is a record's client. It is not valid if no line was
// parsed.
func clientOf(r *cloudfront.Record) netip.Prefix {
	if r.Addr.Is4() {
		return netip.PrefixFrom(r.Addr, 32)
	}
	return r.Client()
}

// networkOf returns the network around a client of which a group counts, false if the
// client's family has none.
func networkOf(client netip.Prefix, g *scenario.Group) (netip.Prefix, bool) {
	n := int(g.V6)
	if client.Addr().Is4() {
		n = int(g.V4)
	}
	network, err := client.Addr().Prefix(min(n, client.Bits()))
	return network, n > 0 && err == nil
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

func (i ident) group() uint32 { return uint32(i.rest >> 32) }

// key returns the key that the bucket of an ident is kept for.
func (i ident) key() key {
	k := key{addr: i.addr, bits: uint8(i.rest >> 8), family: uint8(i.rest) &^ shieldBit}
	if k.family == familyValue {
		k.group = i.group()
	}
	return k
}

func (i ident) isShield() bool { return i.rest&shieldBit != 0 }

// shieldBit of an ident says that it is of what is remembered of the shields that the
// key sent, for all scenarios that have these: a bucket that holds nothing else.
const shieldBit = 1 << 7

// shieldIdent is where the shields of a key are remembered.
func (k key) shieldIdent(shield uint16, group uint32) ident {
	id := k.ident(^shield, group) // so that the table can tell it from the scenario's bucket
	id.rest |= shieldBit
	return id
}

// A hasher spreads keys over shards and sets. Its numbers follow from a secret, so that
// nobody can choose addresses that collide, and that who has the same secret finds what
// was hashed with it. Should keys collide all the same, their buckets are still told apart.
type hasher struct{ a, b, c uint64 }

func newHasher(seed seeded.Seed) hasher {
	words := seed.Words("detect keys", 3)
	return hasher{words[0], words[1], words[2] | 1}
}

// ownerBits are the lowest bits of a key's hash. They say which shard the key belongs to,
// and to which partition, so they are kept of what is remembered of a key by hash alone.
const (
	ownerBits = 24
	ownerMask = 1<<ownerBits - 1
)

// ownedBy returns a hash of the owner of the key with a hash.
func ownedBy(owner, hash uint64) uint64 { return hash&^ownerMask | owner&ownerMask }

// shardOf returns the number of the shard that a key with the hash belongs to, of n.
func shardOf(hash uint64, n int) int { return scale(uint32(hash)<<(32-ownerBits), n) }

// Partition returns what says which part of all keys one with the hash is of, in the
// highest bits: of 512 parts, the highest nine. Neither shards nor sets are chosen by it.
func Partition(hash uint64) uint64 {
	return hash * 0xb5297b & ownerMask << (64 - ownerBits)
}

// key returns the key of a network. It is exact up to 64 bits; of what is longer, the
// halves are mixed in a way that nobody else can compute.
func (h *hasher) key(p netip.Prefix) key {
	if a := p.Addr(); a.Is4() {
		b := a.As4()
		return key{addr: uint64(binary.BigEndian.Uint32(b[:])), bits: uint8(p.Bits()), family: familyIPv4}
	}
	b := p.Addr().As16()
	k := key{addr: binary.BigEndian.Uint64(b[:8]), bits: uint8(p.Bits()), family: familyIPv6}
	if k.bits > 64 {
		k.addr ^= fold(binary.BigEndian.Uint64(b[8:])^h.b, k.addr^h.c)
	}
	return k
}

// client returns the key of a record's client.
func (h *hasher) client(r *cloudfront.Record) key {
	if !r.Addr.Is4() {
		return h.key(r.Client())
	}
	a := r.Addr.As4()
	return key{addr: uint64(binary.BigEndian.Uint32(a[:])), bits: 32, family: familyIPv4}
}

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
