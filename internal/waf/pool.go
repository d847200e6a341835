package waf

import (
	"net/netip"
	"slices"
	"time"
)

// entry is a prefix that is wanted, held by an IP set, or both. Times are Unix
// milliseconds: there may be hundreds of thousands of these.
type entry struct {
	prefix netip.Prefix
	home   *set  // the IP set that holds it; nil = none does
	at     int32 // its index in home.members

	created int64 // as last wanted
	until   int64 // as last wanted, or when it was adopted
	since   int64 // when it was first seen wanted and homeless
	gone    int64 // when it was found unwanted before its time was up; 0 = it was not

	seen     uint32 // the last look at which it was in force
	mark     uint32 // the last reading of home that had it
	admitted bool   // at that look: it may be written
	hand     bool   // people put it there: never removed
	orphan   bool   // a Weir put it there, and nobody has said yet until when
	poison   bool   // the API refused it by name
}

// set is an IP set as the plan knows it.
type set struct {
	name, id, arn string
	key           poolKey // its family is that of the first reading
	adopted       bool    // has been read once; family is known
	known         bool    // members and token are, as far as we can tell, what AWS has
	missing       bool    // AWS says it does not exist

	token     string
	refused   bool                  // AWS did not take token: read before the next write
	past      []string              // the latest tokens that token came after
	desc      string                // description as last read or written
	gen       uint64                // writes, as counted in desc
	members   []*entry              // whose home this is
	copies    map[netip.Prefix]bool // held, but another set is the home. true: people put it in both, keep it; false: a duplicate of ours, drop it
	opaque    []string              // held entries that cannot be read; written back as they are
	tried     map[netip.Prefix]bool // adds that may have landed, or may yet
	readAt    time.Time
	readAfter time.Time // no GetIPSet before this
	hold      time.Time // no UpdateIPSet before this
	contested time.Time // latest conflict
	written   time.Time // latest accepted write
	failures  int       // of reading, in a row
	err       error     // the latest of them
	conflicts int       // in a row
	staleRead int       // in a row

	unsigned int64 // since when desc does not prove what the set holds, Unix ms; 0 = it does

	// Summed up by every look.
	own     int   // entries of ours that stay
	hands   int   // hand-added entries, those in copies and opaque included
	leaving int   // own entries that the next write drops, copies included
	urgent  int64 // oldest unban among them; 0 = none
	lapsed  int64 // oldest expiry among them; 0 = none
}

// join makes s the home of e.
func (s *set) join(e *entry) {
	e.home, e.at, e.since = s, int32(len(s.members)), 0
	s.members = append(s.members, e)
}

// leave takes e out of its home, which it must have.
func (e *entry) leave() {
	s := e.home
	last := s.members[len(s.members)-1]
	s.members[e.at], last.at = last, e.at
	s.members[len(s.members)-1] = nil
	s.members = s.members[:len(s.members)-1]
	e.home = nil
}

// room is how many entries fit once those leaving have left.
func (s *set) room(capacity int) int {
	stay := len(s.members) + len(s.copies) + len(s.opaque) - s.leaving
	return max(0, capacity-stay)
}

// supersede remembers that token is no longer the set's newest. Reads may be
// older than our own writes: this is how such a read is known.
func (s *set) supersede(token string) {
	const remembered = 8
	if len(s.past) == remembered {
		s.past = slices.Delete(s.past, 0, 1)
	}
	s.past = append(s.past, token)
}

// unproven reports whether the set holds bans of ours that its description does
// not prove to be ours.
func (s *set) unproven() bool { return s.unsigned != 0 && s.own > 0 }

// pool is the IP sets of one action and family, and the entries that go into them.
type pool struct {
	key     poolKey
	entries index
	sets    []*set
	loose   []*entry // homeless and in force at the last look
	before  []*entry // scratch: loose of the look before
	most    int      // adds that one write may take; 0 = all. Set while a refused entry is looked for
	tried   int64    // latest write attempt, Unix ms

	// Summed up by every look.
	wanted   int
	enforced int
	hands    int
	pending  int   // wanted, homeless
	oldest   int64 // since when the longest waiting of them waits
	room     int   // of sets that could be written
}

// unplaced is how many wanted entries no set has room for.
func (pl *pool) unplaced() int { return max(0, pl.pending-pl.room) }

// release makes e homeless, or moves it to another set that holds it, and forgets
// it when it was not in force at the last look.
func (p *plan) release(e *entry, now int64) {
	pl := p.pool(e.home)
	e.leave()
	for _, s := range pl.sets {
		if keep, held := s.copies[e.prefix]; held {
			delete(s.copies, e.prefix)
			e.hand = keep
			s.join(e)
			return
		}
	}
	e.hand, e.orphan = false, false
	if e.seen != p.round {
		pl.entries.drop(e.prefix)
		return
	}
	e.since = now
	pl.loose = append(pl.loose, e)
}
