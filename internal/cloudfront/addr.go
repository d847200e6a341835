package cloudfront

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// parseAddrAt reads the address between start and end of line as parseAddr does. What is
// around it is read along with it, as whole words, and left out of account.
func parseAddrAt(line []byte, start, end uint) (netip.Addr, bool) {
	if start >= 4 && start+64 <= uint(len(line)) {
		around := (*[68]byte)(line[start-4:])
		if v4, ok := parseIPv4Within((*[20]byte)(around[:20]), end-start); ok {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], v4)
			return netip.AddrFrom4(ip), true
		}
		if high, low, ok := parseIPv6Within(around, end-start); ok {
			return addrFrom128(high, low), true // four digits first: no IPv4 address
		}
	}
	return parseAddr(line[start:end])
}

// parseAddr reads an IPv4 or IPv6 address as netip.ParseAddr does, but without zones
// and, for speed, without a string and without an error that would hold on to it.
// An IPv4 address mapped into IPv6 is returned as the IPv4 address it is.
func parseAddr(b []byte) (netip.Addr, bool) {
	if v4, ok := parseIPv4(b); ok {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], v4)
		return netip.AddrFrom4(ip), true
	}
	if high, low, ok := parseIPv6(b); ok {
		return addrFrom128(high, low).Unmap(), true
	}
	return netip.Addr{}, false
}

// parseIPv4 reads four decimal numbers joined by dots.
func parseIPv4(b []byte) (ip uint32, ok bool) {
	var around [20]byte
	copy(around[4:], b)
	return parseIPv4Within(&around, uint(len(b)))
}

// parseIPv4Within reads an IPv4 address that is n bytes of b, behind its first four. The
// lengths of its numbers are as good as random: a loop over bytes would be mispredicted at
// nearly every dot. So the dots are found first, all at once, and then each number as the
// end of four bytes, which may begin before the address.
func parseIPv4Within(b *[20]byte, n uint) (ip uint32, ok bool) {
	if n < uint(len("0.0.0.0")) || n > uint(len("255.255.255.255")) {
		return 0, false
	}
	// Digits have this bit, and dots do not.
	const bit = 0x10
	low := ^binary.LittleEndian.Uint64(b[4:]) & (bit * everyByte)
	high := ^binary.LittleEndian.Uint64(b[12:]) & (bit * everyByte)
	dots := (low*(gatherFactor*0x80/bit)>>56 | high*(gatherFactor*0x80/bit)>>56<<8) & (1<<n - 1)
	dot1 := uint(lowestBit(dots))
	dots &= dots - 1
	dot2 := uint(lowestBit(dots))
	dots &= dots - 1
	dot3 := uint(lowestBit(dots))
	dots &= dots - 1
	// Where a dot is missing or there is one too many, one of these or dots tells.
	n1, n2, n3, n4 := dot1, dot2-dot1-1, dot3-dot2-1, n-dot3-1
	if n1|n2|n3|n4 > 3 || n1 == 0 || dots != 0 ||
		b[4+dot1&15] != '.' || b[4+dot2&15] != '.' || b[4+dot3&15] != '.' {
		return 0, false
	}
	// Two numbers at a time. As none has more than 2 in the place of hundreds, products do
	// not run into the byte of a sum.
	first := uint64(number(b, dot1, n1)) | uint64(number(b, dot2, n2))<<32
	last := uint64(number(b, dot3, n3)) | uint64(number(b, n, n4))<<32
	const above = 0x76767d00 * (1 + 1<<32) // a digit above 9, or 2
	if (first+above|first|(last+above)|last)&highBits != 0 {
		return 0, false
	}
	const weigh = 1 + 10<<8 + 100<<16
	first, last = first*weigh, last*weigh
	v1, v2, v3, v4 := uint8(first>>24), uint8(first>>56), uint8(last>>24), uint8(last>>56)
	if v1 < leastNumber[n1&3] || v2 < leastNumber[n2&3] || v3 < leastNumber[n3&3] || v4 < leastNumber[n4&3] {
		return 0, false
	}
	return uint32(v1)<<24 | uint32(v2)<<16 | uint32(v3)<<8 | uint32(v4), true
}

// number returns the n digits before byte end, of one to three, the last one in the
// highest byte. Zeros take the place of the digits that a shorter number does not have.
func number(b *[20]byte, end, n uint) uint32 {
	return (binary.LittleEndian.Uint32(b[end&15:]) ^ 0x30303030) & digitBytes[n&3]
}

// digitBytes are the bytes of one, two and three digits. Where there is none, the dot
// before is taken for one, and found out.
var digitBytes = [4]uint32{0xff000000, 0xff000000, 0xffff0000, 0xffffff00}

// leastNumber is the least number of one, two and three digits. What is above 255 comes
// out as less than that of three, as there are no more than 299.
var leastNumber = [4]uint8{2: 10, 3: 100}

// findByte tells in bit i whether byte i of w is c, which is ASCII.
func findByte(w uint64, c byte) uint64 {
	w ^= uint64(c) * everyByte // it becomes 0, the only byte that no sum below lifts to 0x80
	return gatherHighBits(^(w&^highBits + (highBits - everyByte) | w))
}

// parseIPv6Within reads an IPv6 address that is n bytes of b, behind its first four, if it
// is one that networks give out, as they are mostly spelled: four digits first, then
// hexadecimal groups only, and a "::" not at the end. Of all else it says that it is not ok.
// As with IPv4, the colons are found first, all at once, then each group as the end of
// four bytes, and two groups are converted together.
func parseIPv6Within(b *[68]byte, n uint) (high, low uint64, ok bool) {
	if n < uint(len("2a00::11")) || n > uint(len("2001:0db8:85a3:0000:0000:8a2e:0370:7334")) || b[4+4] != ':' {
		return 0, 0, false
	}
	var colons uint64
	for at := uint(0); at < n; at += 8 {
		colons |= findByte(binary.LittleEndian.Uint64(b[4+at&56:]), ':') << at
	}
	ends := colons&(1<<n-1) | 1<<n
	parts := uint(bits.OnesCount64(ends))
	if parts > 8 {
		return 0, 0, false
	}
	var groups [8]uint32 // what is not filled in, is zeros
	var start, at, odd uint
	gap := false
	for ends != 0 {
		end := uint(lowestBit(ends))
		ends &= ends - 1
		size := end - start
		start = end + 1
		if size == 0 {
			if gap || end == n {
				return 0, 0, false
			}
			at += 9 - parts
			gap = true
			continue
		}
		odd |= (size - 1) / 4
		groups[at&7] = (binary.LittleEndian.Uint32(b[end&63:]) ^ 0x30303030) & groupBytes[size&7]
		at++
	}
	w0, bad0 := hexGroups(groups[0], groups[1])
	w1, bad1 := hexGroups(groups[2], groups[3])
	w2, bad2 := hexGroups(groups[4], groups[5])
	w3, bad3 := hexGroups(groups[6], groups[7])
	return uint64(w0)<<32 | uint64(w1), uint64(w2)<<32 | uint64(w3), bad0|bad1|bad2|bad3 == 0 && odd == 0 && at == 8
}

// groupBytes are the bytes of one to four hexadecimal digits.
var groupBytes = [8]uint32{1: 0xff000000, 2: 0xffff0000, 3: 0xffffff00, 4: 0xffffffff}

// hexGroups reads two groups of four hexadecimal digits, from which '0' is taken by xor;
// the first digit is in the lowest byte. All else makes bad other than 0.
func hexGroups(first, second uint32) (value uint32, bad uint64) {
	w := uint64(first) | uint64(second)<<32
	letters := w >> 6 & everyByte
	// In either case 'a' is now 0x51, so this makes 10 of it.
	w = w&^(letters<<5) - letters*(0x51-10)
	bad = w&(0xf0*everyByte) | ((w+0x76*everyByte)>>7^letters)&everyByte
	// Join neighbours: digits to bytes, and bytes to the number.
	w = (w<<4 | w>>8) & 0x00ff00ff00ff00ff
	w = (w | w>>8) & 0x0000ffff0000ffff
	return bits.ReverseBytes32(uint32(w | w>>16)), bad
}

// parseIPv6 reads up to eight groups of one to four hexadecimal digits, of which one
// run of zeros may be left out as "::" and the last two be written as IPv4.
func parseIPv6(b []byte) (high, low uint64, ok bool) {
	var headHigh, headLow uint64 // the groups before the "::"
	gap := -1                    // how many they are; -1 while there was no "::"
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap = 0
		b = b[2:]
	}
	groups := 0
	for groups < 8 && (len(b) > 0 || gap < 0) {
		group, digits := hexGroup(b)
		if digits == 0 {
			return 0, 0, false
		}
		if digits < len(b) && b[digits] == '.' {
			v4, ok := parseIPv4(b)
			if !ok || groups > 6 {
				return 0, 0, false
			}
			high, low = high<<32|low>>32, low<<32|uint64(v4)
			groups += 2
			b = nil
			break
		}
		high, low = high<<16|low>>48, low<<16|uint64(group)
		groups++
		if b = b[digits:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return 0, 0, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return 0, 0, false
			}
			b = b[1:]
			headHigh, headLow, gap = high, low, groups
			high, low = 0, 0
		}
	}
	if len(b) > 0 || (gap < 0) != (groups == 8) {
		return 0, 0, false
	}
	if gap > 0 {
		// What came before the gap moves to the front.
		for range 8 - gap {
			headHigh, headLow = headHigh<<16|headLow>>48, headLow<<16
		}
		high, low = high|headHigh, low|headLow
	}
	return high, low, true
}

// hexGroup reads the one to four hexadecimal digits that b begins with; digits is 0
// when there are none or more.
func hexGroup(b []byte) (group uint16, digits int) {
	for digits < len(b) {
		d := hexDigits[b[digits]]
		if d > 0xf {
			break
		}
		if digits == 4 {
			return 0, 0
		}
		group = group<<4 | uint16(d)
		digits++
	}
	return group, digits
}
