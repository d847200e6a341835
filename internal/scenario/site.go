package scenario

import (
	"sync/atomic"
	"unsafe"

	"weir/internal/prefetch"
)

// A site is what is known of the sites behind the records, learnt from the records
// alone: which paths have been there, and which page stands for those that are not.
// All Matchers of a Set share it. It takes no lock: an entry is one word, and an
// entry that is lost to another costs a little knowledge and nothing else.
type site struct {
	paths []atomic.Uint64 // in groups of siteWays: hash of host and path without its low bits, and when
	pages []atomic.Uint64 // one for each hash of a host: see isStandIn
	doors []atomic.Int64  // one for each hash of a place to sign in: when somebody last did, Unix milliseconds
}

const (
	sitePaths = 1 << 18 // 2 MiB
	sitePages = 1 << 12
	siteDoors = 1 << 10
	siteWays  = 4

	// An entry of paths holds the hour in its lowest bits, counted round.
	hourBits = 16
	hourMask = 1<<hourBits - 1

	// knownHours is for how long a path is known after it was last there.
	knownHours = 24
)

func newSite() *site {
	return &site{paths: make([]atomic.Uint64, sitePaths), pages: make([]atomic.Uint64, sitePages), doors: make([]atomic.Int64, siteDoors)}
}

const msPerHour = 3_600_000

// knows reports whether a path was there within the last day before at, in Unix
// milliseconds.
func (s *site) knows(hash uint64, at int64) bool {
	hour := uint64(at / msPerHour)
	group := s.group(hash)
	for i := range group {
		if v := group[i].Load(); v != 0 && v>>hourBits == hash>>hourBits {
			return age(hour, v) <= knownHours
		}
	}
	return false
}

// renew is knows, and learn if it is known.
func (s *site) renew(hash uint64, at int64) bool {
	hour := uint64(at / msPerHour)
	group := s.group(hash)
	for i := range group {
		if v := group[i].Load(); v != 0 && v>>hourBits == hash>>hourBits {
			ago := age(hour, v)
			if ago > 0 && ago <= knownHours {
				group[i].Store(hash&^hourMask | hour&hourMask)
			}
			return ago <= knownHours
		}
	}
	return false
}

// fetch begins to bring near what knows will ask for.
func (s *site) fetch(hash uint64) { prefetch.Line(unsafe.Pointer(&s.group(hash)[0])) }

// learn remembers that a path was there at a time.
func (s *site) learn(hash uint64, at int64) {
	hour := uint64(at / msPerHour)
	entry := hash&^hourMask | hour&hourMask
	group := s.group(hash)
	oldest := 0
	for i := range group {
		v := group[i].Load()
		if v>>hourBits == hash>>hourBits && v != 0 {
			if ago := age(hour, v); ago > 0 && ago <= hourMask/2 { // an older record does not make it older
				group[i].Store(entry)
			}
			return
		}
		if w := group[oldest].Load(); v == 0 || w != 0 && age(hour, v) > age(hour, w) {
			oldest = i
		}
	}
	group[oldest].Store(entry)
}

// age returns how many hours before hour an entry is from, up to hourMask. One from
// a few hours ahead, as records come out of order, is very old by this count, so
// those are taken for new.
func age(hour, entry uint64) uint64 {
	ago := (hour - entry) & hourMask
	if ago > hourMask-knownHours {
		return 0
	}
	return ago
}

func (s *site) group(hash uint64) []atomic.Uint64 {
	i := hash >> 40 % (sitePaths / siteWays) * siteWays
	return s.paths[i : i+siteWays]
}

// signIn takes note of an attempt to sign in at a place, and reports whether anybody
// did so within the five minutes before: while nobody can, failures say little.
func (s *site) signIn(place uint64, at int64, ok bool) bool {
	const while = 5 * 60 * 1000
	door := &s.doors[place%siteDoors]
	last := door.Load()
	if ok && at > last {
		door.Store(at)
	}
	return at-last <= while && last-at <= while
}

// A page that stands for every path that a host does not have is known by its
// length: it comes again and again for paths that were never there. An entry holds
// the length that came last in its upper bits and, below, how often it came more
// than others did, up to pageSure.
const (
	pageCountBits = 8
	pageSure      = 16
	pageMost      = 64
)

// isStandIn reports whether a page of this length, for a path that is not known, is
// the one that the host gives for any path, and takes note of it.
func (s *site) isStandIn(host uint64, length uint64) bool {
	slot := &s.pages[host%sitePages]
	v := slot.Load()
	last, count := v>>pageCountBits, v&(1<<pageCountBits-1)
	switch {
	case last == length:
		count = min(count+1, pageMost)
	case count > 0:
		count -= 1
		slot.Store(last<<pageCountBits | count)
		return false
	default:
		last, count = length, 1
	}
	slot.Store(last<<pageCountBits | count)
	return count > pageSure
}
