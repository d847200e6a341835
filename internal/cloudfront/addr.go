package cloudfront

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

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
		var ip [16]byte
		binary.BigEndian.PutUint64(ip[:8], high)
		binary.BigEndian.PutUint64(ip[8:], low)
		return netip.AddrFrom16(ip).Unmap(), true
	}
	return netip.Addr{}, false
}

// parseIPv4 reads four decimal numbers joined by dots. Their lengths are as good as
// random: a loop over bytes would be mispredicted at nearly every dot. So the dots are
// found first, all at once, and then each number by itself, as the end of some word.
func parseIPv4(b []byte) (ip uint32, ok bool) {
	if len(b) < len("0.0.0.0") || len(b) > len("255.255.255.255") {
		return 0, false
	}
	low, high, last := words(b)
	dots := uint(findByte(low, '.') | findByte(high, '.')<<8)
	dot1 := uint(bits.TrailingZeros(dots))
	dots &= dots - 1
	dot2 := uint(bits.TrailingZeros(dots))
	dots &= dots - 1
	dot3 := uint(bits.TrailingZeros(dots))
	// The second number ends within the first 8 bytes, the third within 4 to 11. Where
	// a dot is missing or misplaced, a length is out of range, and where there is one
	// too many, the fourth number has it: so the words do not matter then.
	n1, ok1 := number(low<<((8-dot1)*8&63), dot1)
	n2, ok2 := number(low<<((8-dot2)*8&63), dot2-dot1-1)
	n3, ok3 := number((low>>32|high<<32)<<((12-dot3)*8&63), dot3-dot2-1)
	n4, ok4 := number(last, uint(len(b))-dot3-1)
	return n1<<24 | n2<<16 | n3<<8 | n4, ok1 && ok2 && ok3 && ok4
}

// words returns the up to 16 bytes of b, followed by zeros, as two words with the first
// byte lowest, and b's last 8 bytes as a third, preceded by zeros if there are fewer.
func words(b []byte) (low, high, last uint64) {
	if len(b) < 8 {
		for i, c := range b {
			low |= uint64(c) << (i * 8)
		}
		return low, 0, low << ((8 - len(b)) * 8 & 63)
	}
	low = binary.LittleEndian.Uint64(b)
	last = binary.LittleEndian.Uint64(b[len(b)-8:])
	return low, last >> 8 >> ((15 - len(b)) * 8 & 63), last
}

// findByte tells in bit i whether byte i of w is c, which is ASCII.
func findByte(w uint64, c byte) uint64 {
	w ^= uint64(c) * everyByte // it becomes 0, the only byte that no sum below lifts to 0x80
	return gatherHighBits(^(w&^highBits + (highBits - everyByte) | w))
}

// number reads the n digits that are the highest bytes of w. It has one to three of
// them, is at most 255, and does not begin with a zero that it could do without.
func number(w uint64, n uint) (value uint32, ok bool) {
	// Zeros take the place of the digits that a shorter number does not have.
	digits := uint32((w^'0'*everyByte)>>40) &^ (0xffffff >> (n * 8 & 31))
	value = digits&0xff*100 + digits>>8&0xff*10 + digits>>16
	notDigits := (digits + 0x767676 | digits) & 0x808080
	return value, n-1 <= 2 && notDigits == 0 && value >= leastNumber[n&3] && value <= 255
}

// leastNumber is the least number of one, two and three digits.
var leastNumber = [4]uint32{2: 10, 3: 100}

// parseIPv6 reads an IPv6 address in any spelling.
func parseIPv6(b []byte) (high, low uint64, ok bool) {
	if high, low, ok = parseUsualIPv6(b); ok {
		return high, low, true
	}
	return parseAnyIPv6(b)
}

// parseUsualIPv6 reads the addresses that networks give out, as they are mostly spelled:
// four digits first, then hexadecimal groups only, and a "::" not at the end. Of all else
// it says that it is not ok. As with IPv4, the colons are found first, all at once, then
// each group as the end of four bytes, and two groups are converted together.
func parseUsualIPv6(b []byte) (high, low uint64, ok bool) {
	if len(b) < len("2a00::11") || len(b) > len("2001:0db8:85a3:0000:0000:8a2e:0370:7334") || b[4] != ':' {
		return 0, 0, false
	}
	ends := findColons(b) | 1<<len(b)
	parts := bits.OnesCount64(ends)
	if parts > 8 {
		return 0, 0, false
	}
	const zeros = 0x30303030
	groups := [8]uint32{zeros, zeros, zeros, zeros, zeros, zeros, zeros, zeros}
	start, at, gap := 0, uint(0), false
	for ends != 0 {
		end := lowestBit(ends)
		ends &= ends - 1
		n := uint(end - start)
		start = end + 1
		if n-1 > 3 || end < 4 || end > len(b) {
			if n != 0 || at == 0 || gap || end == len(b) {
				return 0, 0, false
			}
			at += uint(9 - parts)
			gap = true
			continue
		}
		// Zeros take the place of the digits that a shorter group does not have.
		w := binary.LittleEndian.Uint32(b[end-4 : end : end])
		groups[at&7] = w ^ (w^zeros)&(1<<((32-n*8)&31)-1)
		at++
	}
	w0, ok0 := hexGroups(groups[0], groups[1])
	w1, ok1 := hexGroups(groups[2], groups[3])
	w2, ok2 := hexGroups(groups[4], groups[5])
	w3, ok3 := hexGroups(groups[6], groups[7])
	return uint64(w0)<<32 | uint64(w1), uint64(w2)<<32 | uint64(w3), ok0 && ok1 && ok2 && ok3 && at == 8
}

// hexGroups reads two groups of four hexadecimal digits; the first digit is in the lowest
// byte.
func hexGroups(first, second uint32) (value uint32, ok bool) {
	w := uint64(first) | uint64(second)<<32
	letters := w >> 6 & everyByte
	lower := w | letters<<5
	// The high bit of a byte says: from '0' but not above '9', or from 'a' but not above 'f'.
	digit := (w + (0x80-'0')*everyByte) &^ (w + (0x7f-'9')*everyByte)
	letter := (lower + (0x80-'a')*everyByte) &^ (lower + (0x7f-'f')*everyByte)
	ok = (digit|letter)&^w&highBits == highBits
	w = w&(0xf*everyByte) + letters*9
	// Join neighbours: digits to bytes, and bytes to the number.
	w = (w<<4 | w>>8) & 0x00ff00ff00ff00ff
	w = (w | w>>8) & 0x0000ffff0000ffff
	return bits.ReverseBytes32(uint32(w | w>>16)), ok
}

// findColons tells in bit i whether byte i of b, which has 8 to 64, is a colon.
func findColons(b []byte) uint64 {
	last := len(b) - 8
	colons := findByte(binary.LittleEndian.Uint64(b[last:]), ':') << last
	for at := 0; at < last; at += 8 {
		colons |= findByte(binary.LittleEndian.Uint64(b[at:]), ':') << at
	}
	return colons
}

// parseAnyIPv6 reads up to eight groups of one to four hexadecimal digits, of which one
// run of zeros may be left out as "::" and the last two be written as IPv4.
func parseAnyIPv6(b []byte) (high, low uint64, ok bool) {
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
