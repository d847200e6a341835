package detect

// recent remembers the latest values of many, in sets of eight, one cache line
// each and the latest value first. What is asked for again becomes the latest;
// what is pushed out of its set is forgotten.
type recent struct {
	sets [][ways]uint64
	cut  *frozen[[ways]uint64] // nil = there is no cut
}

const recentSetBytes = ways * 8

// newRecent returns one that takes up to the given bytes of memory.
func newRecent(m *memory, bytes int64) (recent, error) {
	sets, err := take[[ways]uint64](m, int(bytes/recentSetBytes))
	return recent{sets: sets}, err
}

// add remembers a value in the set that its hash selects. It reports whether a
// value that is equal under the mask was there; that one is replaced. Otherwise it
// returns the value that was pushed out, 0 when there was room. No value may be 0
// under the mask.
func (r *recent) add(hash, value, mask uint64) (known bool, out uint64) {
	set := r.set(hash)
	if r.cut != nil {
		r.cut.save(r.index(hash))
	}
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

func (r *recent) set(hash uint64) *[ways]uint64 { return &r.sets[r.index(hash)] }

func (r *recent) index(hash uint64) int { return scale(uint32(hash>>32), len(r.sets)) }

// A distinct value is remembered as its fingerprint, the birth number of its bucket and,
// for the count of what was forgotten too early, when that bucket expires: 10 bits of a
// tick, to about a minute, at most nine hours ahead.
const (
	untilBits    = 10
	untilUnit    = 6                                   // bits of a tick that are left out
	untilReach   = (1<<(untilBits-1) - 1) << untilUnit // ticks ahead that these bits can tell from the past
	bornMask     = 1<<(32-untilBits) - 1
	distinctMask = ^uint64(1<<untilBits - 1)
)

// distinctHash mixes the hash of a bucket's key with the rest of its ident and a
// value's fingerprint.
func distinctHash(hash uint64, id ident, fingerprint uint32) uint64 {
	return distinctOf(distinctOwner(hash, id), fingerprint)
}

func distinctOwner(hash uint64, id ident) uint64 { return hash ^ id.rest*0x9e3779b97f4a7c15 }

func distinctOf(owner uint64, fingerprint uint32) uint64 {
	return fold(owner, 0xd6e8feb86659fd93^uint64(fingerprint)<<16)
}

func distinctValue(fingerprint, born, until uint32) uint64 {
	return uint64(fingerprint)<<32 | uint64(born)<<untilBits | uint64(until>>untilUnit)&^distinctMask
}

// wanted reports whether a distinct value that was pushed out belonged to a
// bucket that still lives at this tick.
func wanted(value uint64, tick uint32) bool {
	const top = 16 - untilBits
	return value != 0 && int16(uint16(value)<<top-uint16(tick>>untilUnit)<<top) > 0
}

// A notice says when a client got an alert of a bucket with members. It takes two values
// of a set, so that half as many are remembered.
type notice struct {
	who  uint64 // hash of the bucket's key and the client, owned by the key; it selects the set
	when uint64 // 22 bits of another hash of the two, and the time in Unix milliseconds, of which 42 bits reach until 2109
}

const noticeTime = 1<<42 - 1

// newNotice returns the notice of a client for the bucket of a key, by their hashes.
func newNotice(key, client uint64, at int64) notice {
	who := fold(key^0x9e3779b97f4a7c15, client)
	return notice{ownedBy(key, who), (who|1)<<42 | uint64(at)&noticeTime} // it is not zero
}

// notify remembers a notice. It reports whether the one before it is less than quiet
// milliseconds from it; then it remembers nothing.
func (r *recent) notify(n notice, quiet int64) bool {
	set := r.set(n.who)
	if r.cut != nil {
		r.cut.save(r.index(n.who))
	}
	from := ways - 2
	for i := 0; i < ways; i += 2 {
		if set[i] != n.who || (set[i+1]^n.when)&^noticeTime != 0 {
			continue
		}
		if near(int64(set[i+1]&noticeTime), int64(n.when&noticeTime), quiet) {
			return true
		}
		from = i
		break
	}
	copy(set[2:], set[:from])
	set[0], set[1] = n.who, n.when
	return false
}
