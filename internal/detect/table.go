package detect

// A table keeps the buckets of a shard in sets of eight. A set's head is enough to
// find a bucket's place in it, and to choose which one gives way when the set is
// full: one that has expired, or else the one that runs dry first. So a flood of
// clients that are seen once pushes out its own kind, and not those who keep coming.
type table struct {
	heads   []head
	buckets [][ways]bucket
	births  uint32
	live    int64  // buckets that had not expired when last looked at
	hand    int    // the set that sweep looks at next
	evicted uint64 // buckets that gave way before they had expired
}

const (
	ways = 8

	// spread is how many neighbouring sets the buckets of one client lie in. They
	// share a few pages, and yet a client that hits many scenarios does not push
	// out its own.
	spread = 4

	setBytes = ways * (3*4 + 64)

	// sweepTurn is in how many batches sweep sees every set once.
	sweepTurn = 2048
)

// A head describes the buckets of one set.
type head struct {
	tags  [ways]uint32 // 0 = free
	until [ways]uint32 // Unix second of expiry
	dry   [ways]uint32 // Unix second from which on the bucket is empty
}

// The lowest two bits of a tag are not part of the hash.
const (
	tagLive = 1 << iota // the bucket is counted in live
	tagUsed             // so that no tag is 0
	tagMask = ^uint32(tagLive | tagUsed)
)

// newTable returns a table that takes up to the given bytes of memory.
func newTable(m *memory, bytes int64) (*table, error) {
	sets := int(bytes/setBytes) / spread * spread
	heads, err := take[head](m, sets)
	if err != nil {
		return nil, err
	}
	buckets, err := take[[ways]bucket](m, sets)
	return &table{heads: heads, buckets: buckets}, err
}

// A place is where a bucket is kept.
type place struct{ set, way int }

func (t *table) bucket(p place) *bucket { return &t.buckets[p.set][p.way] }

// locate returns the set of a key and scenario, and their tag.
func (t *table) locate(hash uint64, scenario uint16) (set int, tag uint32) {
	group := scale(uint32(hash>>32), len(t.heads)/spread)
	mixed := uint32(hash) ^ uint32(scenario)*0x9e3779b1
	return group*spread + int(mixed>>2%spread), mixed&tagMask | tagUsed
}

// find returns the place of the bucket of a key and scenario. If there is none, the
// place is that of the bucket that gives way, to be taken by claim. An event of the
// time at asks.
func (t *table) find(k key, hash uint64, scenario uint16, at int64) (place, bool) {
	set, tag := t.locate(hash, scenario)
	h := &t.heads[set]
	for way := range ways {
		if h.tags[way]&^tagLive == tag {
			b := &t.buckets[set][way]
			if b.hi == k.hi && b.lo == k.lo && b.bits == k.bits && b.scenario == scenario {
				return place{set, way}, true
			}
		}
	}
	return place{set, h.victim(seconds(at))}, false
}

// touch reads the head of the set of a key and scenario.
func (t *table) touch(hash uint64, scenario uint16) uint32 {
	set, _ := t.locate(hash, scenario)
	return t.heads[set].tags[0] + t.heads[set].dry[ways-1]
}

// touchBucket reads the bucket of a key and scenario, if there is one.
func (t *table) touchBucket(hash uint64, scenario uint16) uint32 {
	set, tag := t.locate(hash, scenario)
	for way, other := range t.heads[set].tags {
		if other&^tagLive == tag {
			return t.buckets[set][way].count
		}
	}
	return 0
}

// victim returns the way of the bucket that is missed least: a free one, one that
// has expired, the one that will be empty first.
func (h *head) victim(now uint32) int {
	victim, least := 0, int64(1)<<62
	for way := range ways {
		worth := int64(h.dry[way])
		switch {
		case h.tags[way] == 0:
			return way
		case h.until[way] < now:
			worth = int64(h.until[way]) - 1<<32
		}
		if worth < least {
			victim, least = way, worth
		}
	}
	return victim
}

// claim makes an empty bucket for a key and scenario at a place that find
// returned. An event of the time at needs it.
func (t *table) claim(p place, k key, hash uint64, scenario uint16, at int64) *bucket {
	h := &t.heads[p.set]
	if old := h.tags[p.way]; old != 0 {
		if h.until[p.way] >= seconds(at) {
			t.evicted++
		}
		if old&tagLive != 0 {
			t.live--
		}
	}
	_, h.tags[p.way] = t.locate(hash, scenario)
	b := t.bucket(p)
	*b = bucket{hi: k.hi, lo: k.lo, bits: k.bits, scenario: scenario}
	return b
}

// keep notes from when on the bucket at a place is empty, and when it expires.
func (t *table) keep(p place, dry, until uint32) {
	h := &t.heads[p.set]
	h.dry[p.way], h.until[p.way] = dry, until
	if h.tags[p.way]&tagLive == 0 {
		h.tags[p.way] |= tagLive
		t.live++
	}
}

// birth returns a number for a new bucket. Numbers come again after 2^24 births:
// long after the values of the bucket that had it before were pushed out.
func (t *table) birth() uint32 {
	t.births++
	return t.births & bornMask
}

// sweep looks for expired buckets in the next few sets and counts them out. It
// forgets nothing: when buckets are forgotten must not depend on how records
// were cut into batches.
func (t *table) sweep(now int64) {
	second := seconds(now)
	for range len(t.heads)/sweepTurn + 1 {
		h := &t.heads[t.hand]
		for way := range ways {
			if h.tags[way]&tagLive != 0 && h.until[way] < second {
				h.tags[way] &^= tagLive
				t.live--
			}
		}
		if t.hand++; t.hand == len(t.heads) {
			t.hand = 0
		}
	}
}
