package waf

import (
	"cmp"
	"slices"
)

// pool is the IP sets of one action and family, and the entries that go into them.
type pool struct {
	key     poolKey
	entries index
	sets    []*set // by name

	count     [classes]int
	wanted    int              // bans in force that may be written
	enforced  int              // of them held, or under something that is
	pending   []*entry         // in no order
	oldest    int64            // since when the longest waiting of pending waits; 0 = to be found out
	spilled   order            // the most valuable first
	poison    map[*entry]int64 // those shut out, and since when, Unix ms
	worst     order            // enforced entries that may be evicted, the least valuable first; kept while ranking
	ranking   bool
	displaced []*entry // those that give their room to others, and some that have done so
	moved     bool     // something changed since the last balance
	again     int64    // when the next balance is due though nothing moves, Unix ms; 0 = never
	bundled   int64    // latest attempt to stand wider entries for narrow ones, Unix ms

	awaited int64 // since when another pool's entry has waited for what is pending here, Unix ms; 0 = none does

	most  int   // adds that one write may take; 0 = all. Set while a refused entry is looked for
	tried int64 // latest write attempt, Unix ms
}

func (pl *pool) init(key poolKey) {
	*pl = pool{key: key, entries: newIndex(), poison: make(map[*entry]int64)}
	rank := func(e *entry) *int32 { return &e.rank }
	pl.spilled = order{first: func(a, b *entry) bool { return value(a, b) > 0 }, place: rank}
	pl.worst = order{first: func(a, b *entry) bool { return value(a, b) < 0 }, place: rank}
}

// value compares what two entries are worth where room is short: the more severe
// one more, then the one that was seen last, then the one that lasts longest.
func value(a, b *entry) int {
	return cmp.Or(boolCompare(a.manual, b.manual), cmp.Compare(a.severity, b.severity), cmp.Compare(a.hit, b.hit), cmp.Compare(a.until, b.until), b.prefix.Compare(a.prefix))
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// since gives when the longest waiting pending entry began to wait; 0 = none does.
func (pl *pool) since() int64 {
	if pl.oldest == 0 {
		for _, e := range pl.pending {
			pl.oldest = earliest(pl.oldest, min(e.since, e.created))
		}
	}
	return pl.oldest
}

// room is how many entries fit into the sets, once those leaving have left. A set
// that is about to be read counts by what it held.
func (pl *pool) room(capacity int) int {
	room := 0
	for _, s := range pl.sets {
		room += s.room(capacity)
	}
	return room
}

func (pl *pool) hands() int {
	n := 0
	for _, s := range pl.sets {
		n += s.hands()
	}
	return n
}

// add takes a set that has been read for the first time.
func (pl *pool) add(s *set) {
	pl.sets = append(pl.sets, s)
	slices.SortFunc(pl.sets, func(a, b *set) int { return cmp.Compare(a.name, b.name) })
	pl.moved = true
}

// pool gives the pool that a set belongs to, once it has been read.
func (p *plan) pool(s *set) *pool { return &p.pools[s.key.index()] }
