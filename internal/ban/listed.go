package ban

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
)

// listed is what imported lists hold, packed: eight bytes for an IPv4 prefix, since
// lists have a million of them. It is immutable; the zero value is empty.
type listed struct {
	v4    []uint64 // sorted: address, bits, list
	v6    []listed6
	bits4 uint64    // bit n: some IPv4 prefix has n bits
	bits6 [3]uint64 // bit n, of all three: some IPv6 prefix has n bits
}

// listed6 is an IPv6 prefix of the list of that number.
type listed6 struct {
	hi, lo uint64
	bits   uint8
	list   uint8
}

// maxLists is how many lists there may be: their numbers have eight bits.
const maxLists = 1 << 8

const (
	addressShift = 32
	bitsShift    = 24
)

func pack4(p netip.Prefix, list uint8) uint64 {
	a := p.Addr().As4()
	return uint64(binary.BigEndian.Uint32(a[:]))<<addressShift | uint64(p.Bits())<<bitsShift | uint64(list)
}

func unpack4(v uint64) (netip.Prefix, uint8) {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(v>>addressShift))
	return netip.PrefixFrom(netip.AddrFrom4(a), int(v>>bitsShift&0xff)), uint8(v)
}

func pack6(p netip.Prefix, list uint8) listed6 {
	a := p.Addr().As16()
	return listed6{hi: binary.BigEndian.Uint64(a[:8]), lo: binary.BigEndian.Uint64(a[8:]), bits: uint8(p.Bits()), list: list}
}

func (e listed6) unpack() (netip.Prefix, uint8) {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], e.hi)
	binary.BigEndian.PutUint64(a[8:], e.lo)
	return netip.PrefixFrom(netip.AddrFrom16(a), int(e.bits)), e.list
}

func (e listed6) compare(f listed6) int {
	return cmp.Or(cmp.Compare(e.hi, f.hi), cmp.Compare(e.lo, f.lo), cmp.Compare(e.bits, f.bits), cmp.Compare(e.list, f.list))
}

// add appends a prefix; settle has to follow.
func (l *listed) add(p netip.Prefix, list uint8) {
	if p.Addr().Is4() {
		l.v4 = append(l.v4, pack4(p, list))
	} else {
		l.v6 = append(l.v6, pack6(p, list))
	}
}

// settle sorts what was added. Of a prefix in several lists the first list is kept.
func (l *listed) settle() {
	slices.Sort(l.v4)
	l.v4 = slices.Clone(slices.CompactFunc(l.v4, func(a, b uint64) bool { return a>>bitsShift == b>>bitsShift }))
	slices.SortFunc(l.v6, listed6.compare)
	l.v6 = slices.Clone(slices.CompactFunc(l.v6, func(a, b listed6) bool { return a.hi == b.hi && a.lo == b.lo && a.bits == b.bits }))
	for _, v := range l.v4 {
		l.bits4 |= 1 << (v >> bitsShift & 0xff)
	}
	for i := range l.v6 {
		l.bits6[l.v6[i].bits/64] |= 1 << (l.v6[i].bits % 64)
	}
}

func (l *listed) size() int { return len(l.v4) + len(l.v6) }

// join returns what any of several lists holds.
func join(parts []*listed) *listed {
	if len(parts) == 1 {
		return parts[0]
	}
	all := new(listed)
	for _, p := range parts {
		all.v4 = append(all.v4, p.v4...)
		all.v6 = append(all.v6, p.v6...)
	}
	all.settle()
	return all
}

// get returns which list holds exactly p.
func (l *listed) get(p netip.Prefix) (list uint8, ok bool) {
	if p.Addr().Is4() {
		want := pack4(p, 0) // sorts before it, whatever its list
		i, _ := slices.BinarySearch(l.v4, want)
		if i == len(l.v4) || l.v4[i]>>bitsShift != want>>bitsShift {
			return 0, false
		}
		return uint8(l.v4[i]), true
	}
	want := pack6(p, 0)
	i, _ := slices.BinarySearchFunc(l.v6, want, listed6.compare)
	if i == len(l.v6) {
		return 0, false
	}
	found := l.v6[i]
	return found.list, found.hi == want.hi && found.lo == want.lo && found.bits == want.bits
}

// supernets yields what is listed and contains all of p, the narrowest first, and
// by which list. It looks for one prefix of each length that is listed at all.
func (l *listed) supernets(p netip.Prefix) iter.Seq2[netip.Prefix, uint8] {
	return func(yield func(netip.Prefix, uint8) bool) {
		for n := p.Bits(); n >= 0; n-- {
			if p.Addr().Is4() && l.bits4>>n&1 == 0 || p.Addr().Is6() && l.bits6[n/64]>>(n%64)&1 == 0 {
				continue
			}
			wider := netip.PrefixFrom(p.Addr(), n).Masked()
			if list, ok := l.get(wider); ok && !yield(wider, list) {
				return
			}
		}
	}
}

// covers reports whether something listed contains all of p. It allocates nothing.
func (l *listed) covers(p netip.Prefix) bool {
	if l.size() == 0 {
		return false
	}
	for range l.supernets(p) {
		return true
	}
	return false
}

// narrower reports whether something listed lies within p.
func (l *listed) narrower(p netip.Prefix) bool {
	if p.Addr().Is4() {
		first := pack4(p, 0)
		last := first>>addressShift + 1<<(32-p.Bits()) // the first address behind p
		i, _ := slices.BinarySearch(l.v4, first)
		return i < len(l.v4) && l.v4[i]>>addressShift < last
	}
	i, _ := slices.BinarySearchFunc(l.v6, pack6(p, 0), listed6.compare)
	if i == len(l.v6) {
		return false
	}
	found, _ := l.v6[i].unpack()
	return p.Contains(found.Addr())
}

// within yields what is listed and lies within p, p itself left out.
func (l *listed) within(p netip.Prefix) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		if p.Addr().Is4() {
			i, _ := slices.BinarySearch(l.v4, pack4(p, 0))
			for _, v := range l.v4[i:] {
				q, _ := unpack4(v)
				if !p.Contains(q.Addr()) || q != p && !yield(q) {
					return
				}
			}
			return
		}
		i, _ := slices.BinarySearchFunc(l.v6, pack6(p, 0), listed6.compare)
		for _, e := range l.v6[i:] {
			q, _ := e.unpack()
			if !p.Contains(q.Addr()) || q != p && !yield(q) {
				return
			}
		}
	}
}

// all yields every prefix, in their order, with its list.
func (l *listed) all() iter.Seq2[netip.Prefix, uint8] {
	return func(yield func(netip.Prefix, uint8) bool) {
		for _, v := range l.v4 {
			if !yield(unpack4(v)) {
				return
			}
		}
		for _, e := range l.v6 {
			if !yield(e.unpack()) {
				return
			}
		}
	}
}

// differing returns the prefixes that only one of two holds, or that another list
// holds: most at most.
func (l *listed) differing(m *listed, most int) []netip.Prefix {
	var out []netip.Prefix
	for _, v := range apart(l.v4, m.v4, cmp.Compare[uint64], most) {
		p, _ := unpack4(v)
		out = append(out, p)
	}
	for _, e := range apart(l.v6, m.v6, listed6.compare, most-len(out)) {
		p, _ := e.unpack()
		out = append(out, p)
	}
	return out
}

// apart returns what only one of two sorted slices has: most at most.
func apart[T any](a, b []T, compare func(T, T) int, most int) (out []T) {
	for len(a)+len(b) > 0 && len(out) < most {
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = compare(a[0], b[0])
		}
		switch {
		case order < 0:
			out, a = append(out, a[0]), a[1:]
		case order > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return out
}
