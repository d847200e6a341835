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
	dots := uint(findDots(low) | findDots(high)<<8)
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

// findDots tells in bit i whether byte i of w is a dot.
func findDots(w uint64) uint64 {
	w ^= '.' * everyByte // a dot becomes 0, the only byte that no sum below lifts to 0x80
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
