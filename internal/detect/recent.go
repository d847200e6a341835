package detect

// recent remembers the latest values of many, in sets of eight, one cache line
// each and the latest value first. What is asked for again becomes the latest;
// what is pushed out of its set is forgotten.
type recent struct{ sets [][ways]uint64 }

const recentSetBytes = ways * 8

// newRecent returns one that takes up to the given bytes of memory.
func newRecent(m *memory, bytes int64) (recent, error) {
	sets, err := take[[ways]uint64](m, int(bytes/recentSetBytes))
	return recent{sets}, err
}

// add remembers a value in the set that its hash selects. It reports whether a
// value that is equal under the mask was there; that one is replaced. Otherwise it
// returns the value that was pushed out, 0 when there was room. No value may be 0
// under the mask.
func (r recent) add(hash, value, mask uint64) (known bool, out uint64) {
	set := r.set(hash)
	for i, v := range set {
		if v&mask == value&mask {
			copy(set[1:i+1], set[:i])
			set[0] = value
			return true, 0
		}
	}
	out = set[ways-1]
	copy(set[1:], set[:ways-1])
	set[0] = value
	return false, out
}

func (r recent) set(hash uint64) *[ways]uint64 {
	return &r.sets[scale(uint32(hash>>32), len(r.sets))]
}

// A distinct value is remembered as 24 bits of its hash, the birth number of its
// bucket and, for the count of what was forgotten too early, when that bucket
// expires: the low 16 bits of a tick, at most nine hours ahead.
const (
	untilBits    = 16
	untilReach   = 1<<(untilBits-1) - 1 // ticks ahead that these bits can tell from the past
	bornMask     = 1<<24 - 1
	distinctMask = ^uint64(1<<untilBits - 1)
)

// distinctHash mixes the hash of a bucket's key with the rest of its ident and a
// value's fingerprint.
func distinctHash(hash uint64, id ident, fingerprint uint32) uint64 {
	return fold(hash^id.rest*0x9e3779b97f4a7c15, 0xd6e8feb86659fd93^uint64(fingerprint)<<16)
}

func distinctValue(hash uint64, born, until uint32) uint64 {
	tag := hash&bornMask | 1
	return tag<<40 | uint64(born)<<untilBits | uint64(uint16(until))
}

// wanted reports whether a distinct value that was pushed out belonged to a
// bucket that still lives at this tick.
func wanted(value uint64, tick uint32) bool {
	return value != 0 && int16(uint16(value)-uint16(tick)) > 0
}

// hush remembers that a client got an alert of a bucket at a time in Unix
// milliseconds, which the hash of both selects. It reports whether that one is
// less than quiet milliseconds from the alert before it; then it remembers nothing.
//
// An entry is 22 bits of the hash and the time, of which 42 bits reach until 2109.
func (r recent) hush(hash uint64, at, quiet int64) bool {
	const timeMask = 1<<42 - 1
	set := r.set(hash)
	value := (hash|1)<<42 | uint64(at) // no entry is 0
	for _, v := range set {
		if v&^timeMask == value&^timeMask && near(int64(v&timeMask), at, quiet) {
			return true
		}
	}
	r.add(hash, value, ^uint64(timeMask))
	return false
}
