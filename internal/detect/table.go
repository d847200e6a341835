package detect

import (
	"math/bits"
	"unsafe"

	"weir/internal/prefetch"
)

// A table keeps the buckets of a shard in sets of eight. A set's head is enough to
// find a bucket's place in it, and to choose which one gives way when there is no
// room: one that has expired, or else the one that runs dry first. So a flood of
// clients that are seen once pushes out its own kind, and not those who keep coming.
//
// All buckets of one key prefer one set, and one that finds it full goes to another of a
// group of neighbours. Only what a client may have without end, buckets for
// each of many values, is confined to the last set of the group, and there they
// push out each other.
type table struct {
	heads   []head
	buckets [][ways]bucket
	cut     *frozen[bucket] // nil = there is no cut
	births  uint32
	live    int64  // buckets that had not expired when last looked at
	hand    int    // the set that sweep looks at next
	evicted uint64 // buckets that gave way before they had expired
}

const (
	ways = 8

	// spread is how many sets make a group.
	spread = 4

	setBytes = 64 + ways*64

	// sweepTurn is in how many chunks sweep sees every set once.
	sweepTurn = 8192
)

// A head describes the buckets of one set. It is a cache line long.
type head struct {
	dry   [ways]uint32     // tick from which on the bucket is empty
	tags  [ways / 4]uint64 // four of 16 bits in each; 0 = free
	slack [ways]uint16     // from dry to its expiry, in slackTicks, rounded up
}

// slackTicks is the unit of slack: about a minute. What expires more than 48 days
// after it is empty is taken to expire then.
const slackTicks = 64

// The lowest three bits of a tag are not part of the hash.
const (
	tagLive  = 1 << iota // the bucket is counted in live
	tagUsed              // so that no tag is 0
	tagStray             // of the first way: buckets that prefer this set lie in others
	tagMask  = ^uint16(tagLive | tagUsed | tagStray)

	lanes = 1<<48 | 1<<32 | 1<<16 | 1 // the lowest bits of four tags
)

func (h *head) tag(way int) uint16 { return uint16(h.tags[way>>2] >> (way & 3 * 16)) }

func (h *head) setTag(way int, tag uint16) {
	shift := way & 3 * 16
	h.tags[way>>2] = h.tags[way>>2]&^(0xffff<<shift) | uint64(tag)<<shift
}

// free reports whether no bucket is at a way.
func (h *head) free(way int) bool { return h.tag(way)&tagUsed == 0 }

// candidates returns the ways of one word of tags that may have the tag, as the highest
// bits of their lanes. All that have it are among them.
func candidates(word uint64, tag uint16) uint64 {
	differ := word&^((tagLive|tagStray)*lanes) ^ uint64(tag)*lanes
	return (differ - lanes) &^ differ & (1 << 15 * lanes)
}

// wayOf returns the way of the lowest candidate of a word.
func wayOf(word int, candidates uint64) int {
	return word*4 + bits.TrailingZeros64(candidates)/16
}

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

// edit returns the bucket at a place for whoever is about to change it.
func (t *table) edit(p place) *bucket {
	if t.cut != nil {
		t.save(p)
	}
	return t.bucket(p)
}

// save keeps the bucket at a place, which is about to be changed, for the cut.
func (t *table) save(p place) { t.cut.save(p.set*ways + p.way) }

// A spot says where in a table a bucket is looked for.
type spot struct {
	set      uint32 // the one that is looked at first
	tag      uint16
	confined bool // to that set
}

// group returns the first set of a spot's group.
func (s spot) group() int { return int(s.set) / spread * spread }

// locate returns where the bucket of an ident is, whose key has the hash. All buckets of
// a key prefer one set, so that one line says where each of them is.
func (t *table) locate(id ident, hash uint64, confined bool) spot {
	set := uint32(scale(uint32(hash>>32), len(t.heads)/spread) * spread)
	if confined {
		set += spread - 1
	} else {
		set += uint32(hash&0xffff) * (spread - 1) >> 16
	}
	mixed := (uint32(hash) ^ uint32(id.rest>>16)) * 0x9e3779b1 // scenario and a part of the group
	mixed ^= uint32(id.rest>>48) * 0x85ebca6b
	return spot{set, uint16(mixed>>16)&tagMask | tagUsed, confined}
}

// has reports whether there may be a bucket at a spot. Where there is none it mostly says
// so, and quickly.
func (t *table) has(s spot) bool {
	tags := &t.heads[s.set].tags
	return candidates(tags[0], s.tag)|candidates(tags[1], s.tag)|tags[0]&tagStray != 0
}

// find returns the place of the bucket of an ident, if there is one.
func (t *table) find(id ident, s spot) (place, bool) {
	first := int(s.set)
	if way, ok := t.findIn(first, id, s.tag); ok {
		return place{first, way}, true
	}
	if s.confined || t.heads[first].tags[0]&tagStray == 0 {
		return place{}, false
	}
	for set := s.group(); set < s.group()+spread; set++ {
		if set == first {
			continue
		}
		if way, ok := t.findIn(set, id, s.tag); ok {
			return place{set, way}, true
		}
	}
	return place{}, false
}

func (t *table) findIn(set int, id ident, tag uint16) (way int, found bool) {
	for i, word := range t.heads[set].tags {
		for c := candidates(word, tag); c != 0; c &= c - 1 {
			if way := wayOf(i, c); t.buckets[set][way].ident == id {
				return way, true
			}
		}
	}
	return 0, false
}

// fetch fetches the bucket with the tag of a spot, if there is one where it is looked
// for first.
func (t *table) fetch(s spot) {
	for i, word := range t.heads[s.set].tags {
		if c := candidates(word, s.tag); c != 0 {
			prefetch.Line(unsafe.Pointer(&t.buckets[s.set][wayOf(i, c)]))
			return
		}
	}
}

// until returns the tick after which nothing of a bucket matters.
func (h *head) until(way int) uint32 {
	return uint32(min(uint64(h.dry[way])+uint64(h.slack[way])*slackTicks, 1<<32-1))
}

// victim returns the way of the bucket that is missed least, and what it is worth:
// nothing if it is free, less than any other if it has expired, and otherwise the
// more the later it will be empty.
func (h *head) victim(now uint32) (way int, worth int64) {
	victim, least := 0, int64(1)<<62
	for way := range ways {
		if h.free(way) {
			return way, -1 << 62
		}
		worth := int64(h.dry[way])
		if until := h.until(way); until < now {
			worth = int64(until) - 1<<32
		}
		if worth < least {
			victim, least = way, worth
		}
	}
	return victim, least
}

// claim makes an empty bucket for an ident that find did not find. An event of the
// time at needs it.
func (t *table) claim(id ident, s spot, at int64) (place, *bucket) {
	now := ticks(at)
	p := place{set: int(s.set)}
	way, least := t.heads[s.set].victim(now)
	p.way = way
	for set := s.group(); set < s.group()+spread && least >= 0 && !s.confined; set++ {
		if set == int(s.set) {
			continue
		}
		if way, worth := t.heads[set].victim(now); worth < least {
			p, least = place{set, way}, worth
		}
	}
	h := &t.heads[p.set]
	old := h.tag(p.way)
	if old&tagUsed != 0 && least >= 0 {
		t.evicted++
	}
	if old&tagLive != 0 {
		t.live--
	}
	h.setTag(p.way, s.tag|old&tagStray)
	if p.set != int(s.set) {
		t.heads[s.set].tags[0] |= tagStray
	}
	b := t.edit(p)
	*b = bucket{ident: id}
	return p, b
}

// keep notes from when on the bucket at a place is empty, and when it expires.
func (t *table) keep(p place, dry, until uint32) {
	h := &t.heads[p.set]
	h.dry[p.way] = dry
	h.slack[p.way] = uint16(min((until-dry+slackTicks-1)/slackTicks, 1<<16-1))
	if tag := h.tag(p.way); tag&tagLive == 0 {
		h.setTag(p.way, tag|tagLive)
		t.live++
	}
}

// birth returns a number for a new bucket, which is never 0. Numbers come again after
// 2^22 births: long after the values of the bucket that had it before were pushed out.
func (t *table) birth() uint32 {
	if t.births++; t.births > bornMask {
		t.births = 1
	}
	return t.births
}

// sweep looks for expired buckets in the next few sets and counts them out. It
// forgets nothing: when buckets are forgotten must not depend on how records
// were cut into chunks.
func (t *table) sweep(now int64) {
	tick := ticks(now)
	for range len(t.heads)/sweepTurn + 1 {
		h := &t.heads[t.hand]
		for way := range ways {
			if tag := h.tag(way); tag&tagLive != 0 && h.until(way) < tick {
				h.setTag(way, tag&^tagLive)
				t.live--
			}
		}
		if t.hand++; t.hand == len(t.heads) {
			t.hand = 0
		}
	}
}
