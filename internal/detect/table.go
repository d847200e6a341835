package detect

// A table keeps the buckets of a shard in sets of eight. A set's header, one
// cache line, is enough to find a bucket's place in it and to choose which bucket
// gives way when the set is full: the one that expires first. So a flood of
// clients that are seen once pushes out its own kind, not those who keep coming.
//
// The memory is reserved at once, without pointers, and the system fills it in
// as it is touched.
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

	// spread is how many neighbouring sets the scenarios of one client share. They
	// lie on few pages, and yet a client of many scenarios does not push out its own.
	spread = 4

	headBytes   = ways * 8
	bucketBytes = 64
	setBytes    = headBytes + ways*bucketBytes

	// sweepTurn is in how many batches sweep sees every set once.
	sweepTurn = 1024
)

// A head describes the buckets of one set.
type head struct {
	tags  [ways]uint32 // 0 = free
	until [ways]uint32 // Unix second of expiry
}

// The lowest two bits of a tag are not part of the hash.
const (
	tagLive = 1 << iota // the bucket is counted in live
	tagUsed             // so that no tag is 0
	tagMask = ^uint32(tagLive | tagUsed)
)

// newTable returns a table that takes up to the given bytes.
func newTable(bytes int64) *table {
	sets := int(bytes/setBytes) / spread * spread
	return &table{heads: make([]head, sets), buckets: make([][ways]bucket, sets)}
}

// A place is where a bucket is kept.
type place struct{ set, way int }

func (t *table) bucket(p place) *bucket { return &t.buckets[p.set][p.way] }

// locate returns the set of a key and scenario, and their tag.
func (t *table) locate(hash uint64, scenario uint16) (set int, tag uint32) {
	group := scale(uint32(hash>>32), len(t.heads)/spread)
	tag = (uint32(hash)^uint32(scenario)*0x9e3779b1)&tagMask | tagUsed
	return group*spread + int(scenario)%spread, tag
}

// find returns the place of the bucket of a key and scenario. If there is none,
// the bucket there is one that gave way, to be taken by claim.
func (t *table) find(k key, hash uint64, scenario uint16) (place, bool) {
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
	victim := 0
	for way := range ways {
		if h.tags[way] == 0 {
			return place{set, way}, false
		}
		if h.until[way] < h.until[victim] {
			victim = way
		}
	}
	return place{set, victim}, false
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
	_, tag := t.locate(hash, scenario)
	h.tags[p.way] = tag
	h.until[p.way] = 0
	b := t.bucket(p)
	*b = bucket{hi: k.hi, lo: k.lo, bits: k.bits, scenario: scenario}
	return b
}

// keep notes when the bucket at a place expires.
func (t *table) keep(p place, until uint32) {
	h := &t.heads[p.set]
	h.until[p.way] = until
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
