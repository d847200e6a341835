package cloudfront

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"unsafe"
)

// addrFrom128 returns the IPv6 address of 128 bits.
//
// netip takes it as an array only and copies that, and a copy of what has just been
// written as two words waits for both to reach the cache: it costs a fifth of parsing a
// line. So the words are put where netip.Addr has them, which beginsWithWords makes
// sure of; else the array is made.
func addrFrom128(high, low uint64) netip.Addr {
	a := netip.IPv6Unspecified()
	if addrBeginsWithWords {
		*(*[2]uint64)(unsafe.Pointer(&a)) = [2]uint64{high, low}
		return a
	}
	return addrFromArray(high, low)
}

func addrFromArray(high, low uint64) netip.Addr {
	var ip [16]byte
	binary.BigEndian.PutUint64(ip[:8], high)
	binary.BigEndian.PutUint64(ip[8:], low)
	return netip.AddrFrom16(ip)
}

var addrBeginsWithWords = beginsWithWords(reflect.TypeFor[netip.Addr]())

// beginsWithWords tells whether a struct begins with a struct of two 64-bit numbers and
// nothing else.
func beginsWithWords(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() == 0 {
		return false
	}
	words := t.Field(0).Type
	return words.Kind() == reflect.Struct && words.NumField() == 2 &&
		words.Field(0).Type.Kind() == reflect.Uint64 && words.Field(1).Type.Kind() == reflect.Uint64
}
