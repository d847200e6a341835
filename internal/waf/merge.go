package waf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// handful is how many of our entries people may take out of a set at once and
// have it count as unbans. More than that is a tool putting back what it thinks
// the set should hold, and bans are restored.
const handful = 100

// reading is what GetIPSet said.
type reading struct {
	token, desc string
	family      family
	held        []netip.Prefix
	opaque      []string // what is no prefix
}

// merged is what a reading brought to light.
type merged struct {
	landed  []*entry       // written by a call of ours that seemed to fail
	removed []netip.Prefix // bans in force that a person took out
	strange int            // entries that people added
	drift   bool           // others had changed the set, beyond what we had been about to
}

// got takes a reading. An old one, from before a write of ours, is not believed:
// by it everything just written would look taken out by hand.
func (p *plan) got(s *set, r reading, now time.Time) merged {
	const disbelief = 5 // readings in a row
	p.fence(s, r.desc)
	for _, token := range s.past {
		if r.token == token && s.staleRead < disbelief {
			s.staleRead++
			s.readAfter = now.Add(time.Second)
			return merged{}
		}
	}
	if !s.adopted {
		s.key.family = r.family
		p.pool(s).add(s)
		p.served()
	}
	var m merged
	if s.adopted && s.first == nil {
		if m = p.absorb(s, r, false, now); m.drift {
			p.repairs++
		}
	} else { // what is wanted of its pool is known when the next pass has seen that it has a set
		s.first = &r
	}
	if r.token != s.token { // a write of ours with the old token can land no more
		s.supersede(s.token)
		s.tried = nil
	}
	if r.token != s.token || now.Sub(s.doubt) >= landsFor {
		p.fasten(s, now.UnixMilli())
	}
	s.token, s.desc, s.readAt = r.token, r.desc, now
	s.adopted, s.known, s.missing, s.refused = true, true, false, false
	s.staleRead, s.failures, s.err = 0, 0, nil
	p.reading = trouble{}
	p.unbind(s)
	p.pool(s).moved = true
	p.hurry = p.hurry || now.Sub(s.contested) < contestedFor // it may have been read for a write
	return m
}

// settle takes what new sets hold, after a full pass that knew of them. At start
// all sets are read before any is: which pools have sets decides where bans go.
func (p *plan) settle(now time.Time) {
	if !p.adopted && !p.gathered() {
		return
	}
	some := false
	for _, s := range p.sets {
		if s.first != nil {
			r := s.first
			s.first = nil
			p.strange += p.absorb(s, *r, true, now).strange
		}
		some = some || s.adopted
	}
	if p.adopted || !some {
		return
	}
	p.adopted, p.adoptedAt = true, now
	if len(p.selection.ARNs) > 0 {
		p.listing.at = now.Add(p.period)
	}
}

// gathered reports whether every set has been read, or does not exist.
func (p *plan) gathered() bool {
	if len(p.sets) == 0 || len(p.selection.Prefixes) > 0 && !p.listing.done {
		return false
	}
	return !slices.ContainsFunc(p.sets, func(s *set) bool { return !s.adopted && !s.missing })
}

// fence stops the plan for good when a description bears a higher epoch: there is a
// later leader, and what this one knows is out of date. A dry run leads nobody, and
// looks on.
func (p *plan) fence(s *set, desc string) {
	if d, ok := parseDescription(desc); ok && d.epoch > p.epoch && !p.dry {
		p.deposed = fmt.Errorf("IP set %s bears epoch %s, this writer's is %s: %w; if no other process leads, as when a clock was ahead or the lease table was deleted, "+
			"this one can lead once its epoch is greater, or sooner if the IP set is given another description and its addresses as they are",
			s.name, epochText(d.epoch), epochText(p.epoch), ErrDeposed)
	}
}

// epochText gives an epoch and, where it is one, the time that it stands for.
func epochText(epoch uint64) string {
	const first, last = 500_000_000_000, 5_000_000_000_000 // Unix ms, of 1985 and 2128
	if epoch < first || epoch > last {
		return strconv.FormatUint(epoch, 10)
	}
	return fmt.Sprintf("%d (%s)", epoch, time.UnixMilli(int64(epoch)).UTC().Format(time.RFC3339))
}

// served notes that a pool may have got its first set or lost its last one: what is
// in force may belong elsewhere now.
func (p *plan) served() { p.dirty, p.overflow = true, true }

// absorb is the three-way merge: what we knew the set to hold (its members), what
// it holds (r), and what we want (which the next looks see to). Whose an entry is
// that we did not know of:
//
//   - ours, when a write of ours may have put it there after all;
//   - ours, when the description proves that a Weir wrote it; unless it is wanted
//     it is an orphan, which stays until somebody says how long;
//   - ours, when it is wanted, or was until lately, and this is the first reading;
//   - otherwise a person's: it stays until a person takes it out.
func (p *plan) absorb(s *set, r reading, first bool, now time.Time) merged {
	ms := now.UnixMilli()
	pl := p.pool(s)
	ev := examine(r.desc, r.held, r.opaque)
	s.gen, s.epoch = max(s.gen, ev.d.gen), ev.d.epoch
	s.opaque = r.opaque
	if s.unsigned = 0; !ev.weir || ev.added.IsValid() {
		s.unsigned = ms
	}
	var m merged
	p.readings++
	copies := s.copies
	s.copies, s.kept, s.resum = nil, 0, true
	for _, x := range r.held {
		e := pl.entries.get(x)
		if e != nil && e.home == s {
			e.mark = p.readings
			continue
		}
		keep, was := copies[x]
		ours := was && !keep || s.tried[x] || ev.ours(x)
		if first && !ours && !ev.hands(x) { // wanted here, or by another pool since a moment
			ours = e != nil && e.wanted && !e.poison || e == nil && p.elsewhere(&entry{prefix: x, pool: pl}) != nil
		}
		if s.tried[x] && e != nil && e.home == nil {
			m.landed = e.newly(m.landed)
		}
		leftover := !ours && first && !ev.hands(x) && p.endedLately(x, now)
		if !ours && !was && !leftover {
			m.strange++
		}
		if e = p.place(s, x, e, ours || leftover, ms); e.orphan && (s.tried[x] || leftover) {
			p.out(e) // written a moment ago and ended since: nobody has to be asked
			e.orphan = false
			p.in(e)
		}
	}
	var missed []*entry
	for _, e := range s.members {
		if e.mark != p.readings {
			missed = append(missed, e)
		}
	}
	m.drift = m.strange > 0
	for _, e := range missed {
		m.drift = m.drift || !e.class.leaves() && !e.loose
		if !e.hand && e.wanted && !e.poison {
			m.removed = append(m.removed, e.bans()...)
		}
		p.release(e, ms)
	}
	if !p.removals || first || s.desc == "" || r.desc != s.desc || len(m.removed) > handful {
		m.removed = nil
	}
	return m
}

// endedLately reports whether a ban of x is known to have ended so lately that an IP
// set may hold it still: somebody who is to remove such entries was there within
// that time, or they are few.
func (p *plan) endedLately(x netip.Prefix, now time.Time) bool {
	const lately = time.Hour
	if p.ended == nil {
		return false
	}
	at, ok := p.ended(x)
	return ok && now.Sub(at) < lately
}

// place takes an entry that s was not known to hold. ours: a Weir wrote it.
func (p *plan) place(s *set, x netip.Prefix, e *entry, ours bool, now int64) *entry {
	pl := p.pool(s)
	switch {
	case e == nil:
		e = &entry{prefix: x, pool: pl, until: now, mark: p.readings, hand: !ours, orphan: ours}
		pl.entries.put(e)
		p.in(e)
		p.join(s, e, now)
		if heir := p.elsewhere(e); ours && heir != nil {
			p.succeed(e, heir, now)
		} else if e.orphan {
			p.orphans = append(p.orphans, e)
		}
	case e.home == nil:
		p.own(e, !ours, false)
		p.join(s, e, now)
	case !e.hand && (!ours || s.name < e.home.name):
		// People's copy outlives ours; and of two of ours, every Writer drops the
		// same one: two that drop one each would leave none.
		other := e.home
		p.leave(e)
		other.copy(x, false)
		p.own(e, !ours, e.orphan && ours)
		p.join(s, e, now)
	default:
		s.copy(x, !ours)
	}
	return e
}

// own notes whose e is.
func (p *plan) own(e *entry, hand, orphan bool) {
	p.out(e)
	e.mark, e.hand, e.orphan = p.readings, hand, orphan
	p.in(e)
}

// absent takes AWS's word that a set does not exist. What it held is homeless
// from now on, and goes into other sets.
func (p *plan) absent(s *set, now time.Time) {
	for len(s.members) > 0 {
		p.release(s.members[0], now.UnixMilli())
	}
	p.unbind(s)
	pl := p.pool(s)
	pl.sets = slices.DeleteFunc(pl.sets, func(other *set) bool { return other == s })
	pl.moved = true
	p.served()
	*s = set{name: s.name, id: s.id, arn: s.arn, key: s.key, missing: true, readAfter: now.Add(p.period)}
	p.dirty = true
	if _, listed := p.selection.pool(s.name); listed { // its owner deleted it: one set less
		delete(p.byID, s.id)
		p.sets = slices.DeleteFunc(slices.Clone(p.sets), func(other *set) bool { return other == s })
		p.listing.at = now
	}
}

// elsewhere gives the entry of another pool that wants the prefix of e.
func (p *plan) elsewhere(e *entry) *entry {
	for pl := range p.poolsOf(e.pool.key.family) {
		if other := pl.entries.get(e.prefix); other != nil && other != e && other.wanted && !other.made {
			return other
		}
	}
	return nil
}
