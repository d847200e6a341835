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
// expires: the low 16 bits of a Unix second, at most nine hours ahead.
const (
	untilBits    = 16
	untilReach   = 1<<(untilBits-1) - 1 // seconds ahead that these bits can tell from the past
	bornMask     = 1<<24 - 1
	distinctMask = ^uint64(1<<untilBits - 1)
)

// distinctHash mixes a key's hash with the scenario and a value's fingerprint.
func distinctHash(hash uint64, scenario uint16, fingerprint uint32) uint64 {
	h := (hash ^ uint64(fingerprint)<<16 ^ uint64(scenario)) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	return h * 0xd6e8feb86659fd93
}

func distinctValue(hash uint64, born, until uint32) uint64 {
	tag := hash&bornMask | 1
	return tag<<40 | uint64(born)<<untilBits | uint64(uint16(until))
}

// wanted reports whether a distinct value that was pushed out belonged to a
// bucket that still lives at this Unix second.
func wanted(value uint64, second uint32) bool {
	return value != 0 && int16(uint16(value)-uint16(second)) > 0
}
