package cloudfront

import (
	"bytes"
	"net/netip"
)

func parseTime(b []byte) (int64, bool) {
	var sec, ms int64
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if i == 10 {
			return 0, false
		}
		sec = sec*10 + int64(b[i]-'0')
	}
	if sec < 946684800 || sec >= 4102444800 {
		return 0, false
	}
	if i == len(b) {
		return sec * 1000, true
	}
	if b[i] != '.' || i+1 == len(b) {
		return 0, false
	}
	scale := int64(100)
	for _, c := range b[i+1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		ms += int64(c-'0') * scale
		scale /= 10
	}
	return sec*1000 + ms, true
}

func parseStatus(b []byte) (uint16, bool) {
	if len(b) != 3 {
		return 0, false
	}
	x, y, z := b[0]-'0', b[1]-'0', b[2]-'0'
	return uint16(x)*100 + uint16(y)*10 + uint16(z), x <= 9 && y <= 9 && z <= 9
}

func isProtocol(b []byte) bool { return len(b) > 5 && bytes.HasPrefix(b, []byte("HTTP/")) }

func parseAddr(b []byte) (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(b))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}
