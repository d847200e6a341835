package ban

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// entry is one decision in memory, without its context: 200,000 bans with
// twenty requests each would cost gigabytes. It is never changed once it is in
// the index, but for its marks; ending a decision replaces its entry.
type entry struct {
	d           *Decision
	from, until int64 // Unix ms: the event times it covers are [from, until)
	effect      effect
	hit         atomic.Int64 // Unix ms of event time: see Decision.Hit

	stored  bool        // it is in the storage; guarded by Store.mu
	enforce atomic.Bool // stored, or storing it was tried in vain
}

func newEntry(d *Decision) *entry {
	// A record can be ahead of our clock. Were its time taken as the beginning,
	// one far in the future would make a ban that covers nothing.
	return &entry{d: d, from: min(d.At.UnixMilli(), d.Created.UnixMilli()), until: d.Until.UnixMilli(), effect: effectOf(d)}
}

// effect is what a decision does to the requests of its client.
type effect uint8

const (
	passes effect = iota // nothing: it counts them, or is held
	asks                 // lets those through that solve a puzzle
	stops                // all are refused
)

func effectOf(d *Decision) effect {
	switch {
	case d.Held != "" || d.Action == Count:
		return passes
	case d.Action == Block:
		return stops
	}
	return asks
}

// changed returns an entry of d, which is e's decision after a change.
func (e *entry) changed(d *Decision) *entry {
	n := newEntry(d)
	n.stored = e.stored
	n.enforce.Store(e.enforce.Load())
	n.hit.Store(e.hit.Load())
	return n
}

// decision returns what is decided, with what was seen since.
func (e *entry) decision() Decision {
	d := *e.d
	d.Hit = fromMillis(e.hit.Load())
	return d
}

// seen notes a record of the time at. It writes at most once for each second of
// event time: all goroutines read this memory.
func (e *entry) seen(at int64) {
	const finest = 1000 // ms
	if at-e.hit.Load() >= finest {
		e.hit.Store(at)
	}
}

// held is every decision about one prefix that has not been over for longer
// than lateGrace. It is immutable.
type held struct{ entries []*entry }

// covers notes a record of the time at with everything that covers it, and
// reports whether something with the given effect, or a stronger one, does.
func (h *held) covers(at int64, least effect) bool {
	covered := false
	for _, e := range h.entries {
		if e.from <= at && at < e.until {
			e.seen(at)
			covered = covered || e.effect >= least
		}
	}
	return covered
}

// best returns what is to be enforced at now (Unix ms): of the strongest action,
// and of those the longest lasting. It is nil if there is nothing.
func (h *held) best(now int64) *entry { return h.bestOf(now, nil) }

// bestOf is best among the decisions that take lets pass; nil: all.
func (h *held) bestOf(now int64, take func(*Decision) bool) *entry {
	var best *entry
	for _, e := range h.entries {
		if e.until > now && e.d.Held == "" && e.enforce.Load() && (best == nil || e.before(best)) && (take == nil || take(e.d)) {
			best = e
		}
	}
	return best
}

// before reports whether e is to be enforced rather than other.
func (e *entry) before(other *entry) bool {
	if a, b := e.d.Action.strength(), other.d.Action.strength(); a != b {
		return a > b
	}
	return e.until > other.until
}

// index finds decisions by prefix. Readers take no lock: they walk one
// immutable table. Writers hold Store.mu and publish a new table that shares all
// but the changed path with the old one.
type index struct {
	table  atomic.Pointer[bart.Table[*held]]
	blocks atomic.Pointer[blocks] // of the table; marked before the table has it
	gone   int                    // prefixes that were taken out since blocks was built
}

// load takes over a table.
func (x *index) load(t *bart.Table[*held]) {
	x.blocks.Store(newBlocks(t))
	x.table.Store(t)
	x.gone = 0
}

// covers reports whether a decision with the given effect, or a stronger one,
// covers client at the event time at. Most clients have no entry at all and cost
// one look. Where the narrowest prefix has nothing to say about this time, the
// wider ones are asked.
func (x *index) covers(client netip.Prefix, at int64, least effect) bool {
	return x.blocks.Load().has(client.Addr()) && x.look(client, at, least)
}

func (x *index) look(client netip.Prefix, at int64, least effect) bool {
	t := x.table.Load()
	var h *held
	var ok bool
	if client.IsSingleIP() {
		h, ok = t.Lookup(client.Addr()) // the quicker one: IPv4, most of all records
	} else {
		h, ok = t.LookupPrefix(client)
	}
	if !ok {
		return false
	}
	return h.covers(at, least) || coveredWider(t, client, at, least)
}

func coveredWider(t *bart.Table[*held], client netip.Prefix, at int64, least effect) bool {
	for {
		p, h, ok := t.LookupPrefixLPM(client)
		if !ok {
			return false
		}
		if h.covers(at, least) {
			return true
		}
		if p.Bits() == 0 {
			return false
		}
		client = netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
	}
}

func (x *index) get(p netip.Prefix) []*entry {
	if h, ok := x.table.Load().Get(p); ok {
		return h.entries
	}
	return nil
}

// set replaces what is held about p.
func (x *index) set(p netip.Prefix, entries []*entry) {
	t := x.table.Load()
	b := x.blocks.Load()
	if len(entries) == 0 {
		t = t.DeletePersist(p)
		x.table.Store(t)
		if x.gone++; span(p) > maxSpan || x.gone > b.marks/2+minBlockBits/roomyBlocks {
			x.load(t)
		}
		return
	}
	b.add(p)
	t = t.InsertPersist(p, &held{entries})
	x.table.Store(t)
	if b.full() {
		x.load(t)
	}
}

// add puts e beside what is held about its prefix.
func (x *index) add(e *entry) {
	x.set(e.d.Prefix, append(slices.Clone(x.get(e.d.Prefix)), e))
}

// replace puts e in the place of old.
func (x *index) replace(old, e *entry) {
	entries := slices.Clone(x.get(e.d.Prefix))
	i := slices.Index(entries, old)
	if i < 0 {
		panic("BUG: an entry that is not in the index was to be replaced")
	}
	entries[i] = e
	x.set(e.d.Prefix, entries)
}

// covered reports whether every address of p has a decision that may be enforced
// at now (Unix ms), or is listed: one about p or a wider prefix, or several that
// together make up p, since a writer may have merged neighbours in the IP set where
// p was found.
func (x *index) covered(p netip.Prefix, now int64, l *listed) bool {
	t := x.table.Load()
	if l.covers(p) {
		return true
	}
	for _, h := range t.Supernets(p) {
		if h.best(now) != nil {
			return true
		}
	}
	return madeUp(t, p, now, l)
}

// madeUp does the work of covered below p, which nothing covers as a whole.
func madeUp(t *bart.Table[*held], p netip.Prefix, now int64, l *listed) bool {
	if h, ok := t.Get(p); ok && h.best(now) != nil {
		return true
	}
	if _, ok := l.get(p); ok {
		return true
	}
	if p.IsSingleIP() || !narrower(t, p) && !l.narrower(p) {
		return false
	}
	low, high := halves(p)
	return madeUp(t, low, now, l) && madeUp(t, high, now, l)
}

// narrower reports whether t has a prefix within p. It bounds the search: asking
// for any overlap would walk all of an IPv6 /64 because of a wider dead entry.
func narrower(t *bart.Table[*held], p netip.Prefix) bool {
	for range t.Subnets(p) {
		return true
	}
	return false
}

// halves splits p, which holds more than one address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits() + 1
	raw := p.Addr().AsSlice()
	low = netip.PrefixFrom(p.Addr(), bits)
	raw[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	a, _ := netip.AddrFromSlice(raw)
	return low, netip.PrefixFrom(a, bits)
}
