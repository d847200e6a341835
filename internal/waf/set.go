package waf

import (
	"net/netip"
	"slices"
	"time"
)

// set is an IP set as the plan knows it.
type set struct {
	name, id, arn string
	key           poolKey // its family is that of the first reading
	adopted       bool    // has been read once
	known         bool    // members and token are, as far as we can tell, what AWS has
	missing       bool    // AWS says it does not exist

	first     *reading // what it held at first, until it is known what is wanted of it
	token     string
	refused   bool                  // AWS did not take token: read before the next write
	past      []string              // the latest tokens that token came after
	desc      string                // description as last read or written
	gen       uint64                // writes, as counted in desc
	epoch     uint64                // of the leader that wrote desc
	members   []*entry              // whose home this is
	copies    map[netip.Prefix]bool // held, but another set is the home. true: people put it in both, keep it; false: a duplicate of ours, drop it
	kept      int                   // copies that are true
	opaque    []string              // held entries that cannot be read; written back as they are
	bound     []*entry              // that unanswered writes may have brought
	loose     []*entry              // that they may have taken out
	tried     map[netip.Prefix]bool // adds that may have landed, or may yet
	readAt    time.Time
	doubt     time.Time // latest unanswered write
	readAfter time.Time // no GetIPSet before this
	hold      time.Time // no UpdateIPSet before this
	contested time.Time // latest conflict
	written   time.Time // latest accepted write
	fruitless bool      // the latest attempt to put a write together came to nothing
	failures  int       // of reading, in a row
	err       error     // the latest of them
	conflicts int       // in a row
	staleRead int       // in a row

	unsigned int64 // since when desc does not prove what the set holds, Unix ms; 0 = it does

	count  [classes]int // members by class
	urgent int64        // oldest unban among them; 0 = none
	lapsed int64        // oldest expiry among them and the copies to drop; 0 = none
	resum  bool         // the two have to be found out anew
}

// join makes s the home of e.
func (p *plan) join(s *set, e *entry, now int64) {
	p.out(e)
	e.home, e.at, e.since, e.bound, e.loose = s, int32(len(s.members)), 0, nil, false
	e.spilled = false
	s.members = append(s.members, e)
	p.in(e)
	p.shelter(e, now)
}

// leave takes e out of its home, which it must have.
func (p *plan) leave(e *entry) {
	p.out(e)
	e.home.members = unlist(e.home.members, e)
	e.home, e.loose = nil, false
	p.in(e)
	p.shelter(e, 0)
}

// copy notes that s holds an entry whose home is another set.
func (s *set) copy(x netip.Prefix, keep bool) {
	if s.copies == nil {
		s.copies = make(map[netip.Prefix]bool)
	}
	s.uncopy(x)
	if s.copies[x] = keep; keep {
		s.kept++
	}
	s.resum = true
}

func (s *set) uncopy(x netip.Prefix) {
	if s.copies[x] {
		s.kept--
	}
	delete(s.copies, x)
	s.resum = true
}

// leaving is how many entries the next write drops.
func (s *set) leaving() int {
	return s.count[yielding] + s.count[lapsed] + s.count[lifted] + len(s.copies) - s.kept
}

// hands is how many entries people have put there.
func (s *set) hands() int { return s.count[foreign] + s.kept + len(s.opaque) }

// held is how many entries the set holds.
func (s *set) held() int { return len(s.members) + len(s.copies) + len(s.opaque) }

// room is how many entries fit once those leaving have left.
func (s *set) room(capacity int) int { return max(0, capacity-s.held()+s.leaving()) }

// sum finds urgent and lapsed out anew, where they may have changed.
func (s *set) sum() {
	if !s.resum {
		return
	}
	s.resum, s.urgent, s.lapsed = false, 0, 0
	for _, e := range s.members {
		switch e.class {
		case lapsed:
			s.lapsed = earliest(s.lapsed, e.until)
		case lifted:
			s.urgent = earliest(s.urgent, e.gone)
		}
	}
	if len(s.copies) > s.kept {
		s.lapsed = earliest(s.lapsed, s.readAt.UnixMilli())
	}
}

// overdue is how many bans that ended or were lifted before a time, in Unix ms, the
// set holds all the same.
func (s *set) overdue(before int64) int {
	s.sum()
	if due := earliest(s.lapsed, s.urgent); due == 0 || due >= before {
		return 0
	}
	n := 0
	for _, e := range s.members {
		if e.class == lapsed && e.until < before || e.class == lifted && e.gone < before {
			n++
		}
	}
	return n
}

// bind keeps the entries of an unanswered write for their set until that has been
// read: otherwise set after set would get a copy of them.
func (p *plan) bind(s *set, entries []*entry) {
	for _, e := range entries {
		p.out(e)
		e.bound = s
		p.in(e)
	}
	s.bound = append(s.bound, entries...)
}

// unbind ends that.
func (p *plan) unbind(s *set) {
	for _, e := range s.bound {
		if e.bound == s && e.class == bound {
			p.out(e)
			e.bound = nil
			p.in(e)
		}
	}
	s.bound = nil
}

// loosen notes that an unanswered write may have taken entries out of their set: whoever
// is banned again meanwhile is not let go elsewhere because of them.
func (p *plan) loosen(s *set, entries []*entry, now int64) {
	for _, e := range entries {
		if e.home != s || e.loose {
			continue
		}
		p.out(e)
		e.loose = true
		p.in(e)
		p.retell(e)
		s.loose = append(s.loose, e)
		if e.wanted { // again, since the write was put together
			p.detain(e, now)
		}
	}
}

// fasten ends that: it is known what s holds.
func (p *plan) fasten(s *set, now int64) {
	list := s.loose
	s.loose = nil
	for _, e := range list {
		if e.home != s || !e.loose {
			continue
		}
		p.out(e)
		e.loose = false
		p.in(e)
		p.shelter(e, now)
	}
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
func (s *set) unproven() bool {
	return s.unsigned != 0 && s.count[enforced]+s.count[staying]+s.count[yielding] > 0
}

// release makes e homeless, or moves it to another set of its pool that holds it,
// and forgets it when nobody wants it.
func (p *plan) release(e *entry, now int64) {
	p.leave(e)
	for _, s := range e.pool.sets {
		keep, held := s.copies[e.prefix]
		if !held {
			continue
		}
		s.uncopy(e.prefix)
		p.out(e)
		e.hand = keep
		p.in(e)
		p.join(s, e, now)
		return
	}
	p.out(e)
	if e.displaced {
		e.spilled, e.moved = true, now
	}
	e.hand, e.split, e.orphan, e.displaced, e.heir, e.since, e.rest = false, false, false, false, nil, now, nil
	p.in(e)
	p.forget(e)
}
