package awslocal

// sequence is a record's place in its stream. Its text has 56 digits, as many
// as the service's own, and sorts (as a number and as a string) by time, then
// by shard, then by the record's number in the shard. A child shard has a
// higher index than its parents and opens no earlier than they close, so what
// a child holds sorts behind all that its parents hold.
type sequence struct {
	at    int64  // Unix milliseconds; never falls within a shard
	shard uint64 // index of the shard in its stream
	n     uint64 // records of a shard count from 1; 0 is where the shard opens
}

// The digits of a sequence number: a lead that keeps the length constant, then
// time, shard and number.
const (
	sequenceLead = "49"
	timeDigits   = 13
	shardDigits  = 12
	numberDigits = 29
	sequenceLen  = len(sequenceLead) + timeDigits + shardDigits + numberDigits
)

func (q sequence) append(dst []byte) []byte {
	dst = append(dst, sequenceLead...)
	dst = appendPadded(dst, uint64(q.at), timeDigits)
	dst = appendPadded(dst, q.shard, shardDigits)
	return appendPadded(dst, q.n, numberDigits)
}

func (q sequence) String() string { return string(q.append(make([]byte, 0, sequenceLen))) }

// parseSequence reads a sequence number that a stand-in made.
func parseSequence(text string) (q sequence, ok bool) {
	if len(text) != sequenceLen || text[:len(sequenceLead)] != sequenceLead {
		return q, false
	}
	text = text[len(sequenceLead):]
	at, ok1 := parseDigits(text[:timeDigits])
	index, ok2 := parseDigits(text[timeDigits : timeDigits+shardDigits])
	n, ok3 := parseDigits(text[timeDigits+shardDigits:])
	return sequence{int64(at), index, n}, ok1 && ok2 && ok3
}

// appendPadded writes v with leading zeros. Digits that do not fit are cut off
// at the front.
func appendPadded(dst []byte, v uint64, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; v > 0 && i >= len(dst)-width; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// parseDigits reads a padded number of any width that fits 64 bits.
func parseDigits(text string) (v uint64, ok bool) {
	for i := range len(text) {
		digit := uint64(text[i] - '0')
		if digit > 9 || v > (1<<64-1-digit)/10 {
			return 0, false
		}
		v = v*10 + digit
	}
	return v, true
}
