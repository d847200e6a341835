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
		high, ok := eightDigits(binary.LittleEndian.Uint64(b))
		// The last five digits follow three zeros where the others were, and the dot.
		w := binary.LittleEndian.Uint64(b[6:])
		w = w&(0xffffff<<40) | w&0xffff0000<<8 | 0x303030
		low, ok2 := eightDigits(w)
		ms = int64(high*100_000 + low)
		return ms, ok && ok2 && minSeconds*1000 <= ms && ms < (maxSeconds+1)*1000
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

// parseDateTime reads a date as 2026-03-12 and a time of day as 15:04:05, in UTC.
func parseDateTime(date, clock []byte) (ms int64, ok bool) {
	days, ok := parseDate(date)
	if !ok || len(clock) != len("15:04:05") || clock[2] != ':' || clock[5] != ':' {
		return 0, false
	}
	hour, ok1 := twoDigits(clock[0], clock[1])
	minute, ok2 := twoDigits(clock[3], clock[4])
	second, ok3 := twoDigits(clock[6], clock[7])
	ms = (int64(days)*86400 + int64(hour*3600+minute*60+second)) * 1000
	return ms, ok1 && ok2 && ok3 && hour < 24 && minute < 60 && second < 60
}

// parseDate reads a date of the years 2000 to 2099 as 2026-03-12 and returns the days
// since 1970.
func parseDate(b []byte) (days int, ok bool) {
	if len(b) != len("2026-03-12") || b[0] != '2' || b[1] != '0' || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	year, ok1 := twoDigits(b[2], b[3])
	month, ok2 := twoDigits(b[5], b[6])
	day, ok3 := twoDigits(b[8], b[9])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 {
		return 0, false
	}
	leap := year&3 == 0 // in these hundred years there is no exception
	length := monthStarts[month] - monthStarts[month-1]
	if leap && month == 2 {
		length++
	}
	days = minSeconds/86400 + year*365 + (year+3)/4 + monthStarts[month-1] + day - 1
	if leap && month > 2 {
		days++
	}
	return days, day <= length
}

// monthStarts are the days of a common year before each month, and after the last.
var monthStarts = [...]int{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365}

func twoDigits(high, low byte) (n int, ok bool) {
	high, low = high-'0', low-'0'
	return int(high)*10 + int(low), max(high, low) <= 9
}

// eightDigits reads the decimal number in the bytes of w, the first in the lowest.
func eightDigits(w uint64) (n uint64, ok bool) {
	w ^= '0' * everyByte // a digit becomes 0 to 9, all else becomes more
	ok = (w+0x76*everyByte|w)&highBits == 0
	// Join neighbours: digits to pairs, pairs to fours, fours to the number.
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
