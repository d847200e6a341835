package ban

import (
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// entry is one decision in memory, without its context: 200,000 bans with
// twenty requests each would cost gigabytes. It is never changed once it is in
// the index, but for its two marks; ending a decision replaces its entry.
type entry struct {
	d           *Decision
	from, until int64 // Unix ms: the event times it covers are [from, until)

	stored  bool        // it is in the storage; guarded by Store.mu
	enforce atomic.Bool // stored, or storing it was tried in vain
}

func newEntry(d *Decision) *entry {
	// A record can be ahead of our clock. Were its time taken as the beginning,
	// one far in the future would make a ban that covers nothing.
	return &entry{d: d, from: min(d.At.UnixMilli(), d.Created.UnixMilli()), until: d.Until.UnixMilli()}
}

// held is every decision about one prefix that has not been over for longer
// than lateGrace. It is immutable.
type held struct{ entries []*entry }

func (h *held) covers(at int64) bool {
	for _, e := range h.entries {
		if e.from <= at && at < e.until {
			return true
		}
	}
	return false
}

// longest returns the longest lasting decision that may be enforced at now (Unix
// ms), nil if there is none.
func (h *held) longest(now int64) *entry {
	var best *entry
	for _, e := range h.entries {
		if e.until > now && e.enforce.Load() && (best == nil || e.until > best.until) {
			best = e
		}
	}
	return best
}

// index finds decisions by prefix. Readers take no lock: they walk one
// immutable table. Writers hold Store.mu and publish a new table that shares all
// but the changed path with the old one.
type index struct {
	table atomic.Pointer[bart.Table[*held]]
}

// banned reports whether a decision covers client at the event time at. Most
// clients have no entry at all and cost one lookup. Where the narrowest prefix
// has nothing to say about this time, the wider ones are asked.
func (x *index) banned(client netip.Prefix, at int64) bool {
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
	return h.covers(at) || bannedWider(t, client, at)
}

func bannedWider(t *bart.Table[*held], client netip.Prefix, at int64) bool {
	for {
		p, h, ok := t.LookupPrefixLPM(client)
		if !ok {
			return false
		}
		if h.covers(at) {
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
	if len(entries) == 0 {
		x.table.Store(t.DeletePersist(p))
		return
	}
	x.table.Store(t.InsertPersist(p, &held{entries}))
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
// at now (Unix ms): one about p or a wider prefix, or several that together make
// up p, since a writer may have merged neighbours in the IP set where p was found.
func (x *index) covered(p netip.Prefix, now int64) bool {
	t := x.table.Load()
	for _, h := range t.Supernets(p) {
		if h.longest(now) != nil {
			return true
		}
	}
	return madeUp(t, p, now)
}

// madeUp does the work of covered below p, which nothing covers as a whole.
func madeUp(t *bart.Table[*held], p netip.Prefix, now int64) bool {
	if h, ok := t.Get(p); ok && h.longest(now) != nil {
		return true
	}
	if p.IsSingleIP() || !narrower(t, p) {
		return false
	}
	low, high := halves(p)
	return madeUp(t, low, now) && madeUp(t, high, now)
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
