package cloudfront

import "encoding/binary"

// The seconds that a record's time must lie in: from 2000 to 2099. What lies
// outside is another column's number.
const (
	minSeconds = 946_684_800
	maxSeconds = 4_102_444_799
)

// parseTime reads epoch seconds with any number of decimals, as Unix milliseconds,
// cutting off what is finer.
func parseTime(b []byte) (ms int64, ok bool) {
	if len(b) == 14 && b[10] == '.' { // 1684226820.937, as nearly every record has it
		high, ok1 := eightDigits(b)
		low := uint64(b[8]-'0')*10 + uint64(b[9]-'0')
		milli := uint64(b[11]-'0')*100 + uint64(b[12]-'0')*10 + uint64(b[13]-'0')
		digits := max(b[8]-'0', b[9]-'0', b[11]-'0', b[12]-'0', b[13]-'0') <= 9
		sec := high*100 + low
		return int64(sec*1000 + milli), ok1 && digits && minSeconds <= sec && sec <= maxSeconds
	}
	var sec int64
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		if sec = sec*10 + int64(b[i]-'0'); sec > maxSeconds {
			return 0, false
		}
	}
	if sec < minSeconds {
		return 0, false
	}
	ms = sec * 1000
	if i == len(b) {
		return ms, true
	}
	decimals := b[i+1:]
	if b[i] != '.' || len(decimals) == 0 {
		return 0, false
	}
	for unit := int64(100); len(decimals) > 0; unit /= 10 {
		if decimals[0]-'0' > 9 {
			return 0, false
		}
		ms += unit * int64(decimals[0]-'0')
		decimals = decimals[1:]
	}
	return ms, true
}

// eightDigits reads the decimal number in the first eight bytes of b.
func eightDigits(b []byte) (n uint64, ok bool) {
	const zeros = '0' * everyByte
	w := binary.LittleEndian.Uint64(b) ^ zeros // a digit becomes 0 to 9, all else becomes more
	ok = (w+0x76*everyByte|w)&highBits == 0
	// Join neighbours: digits to pairs, pairs to fours, fours to the number. The first
	// digit is in the lowest byte.
	w = w*10 + w>>8
	w = (w&0x000000ff000000ff*(100+1_000_000<<32) + w>>16&0x000000ff000000ff*(1+10_000<<32)) >> 32
	return w, ok
}

// parseStatus reads exactly three digits.
func parseStatus(b []byte) (status uint16, ok bool) {
	if len(b) != 3 {
		return 0, false
	}
	x, y, z := b[0]-'0', b[1]-'0', b[2]-'0'
	return uint16(x)*100 + uint16(y)*10 + uint16(z), max(x, y, z) <= 9
}

// isProtocol tells whether b is HTTP of some version.
func isProtocol(b []byte) bool { return len(b) > 5 && string(b[:5]) == "HTTP/" }
