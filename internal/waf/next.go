package waf

import (
	"cmp"
	"slices"
	"time"
)

// verb is what a step does.
type verb uint8

const (
	doWait    verb = iota // until step.until, or until something changed
	doLook                // pass over everything in force: look
	doList                // one page of ListIPSets: listed
	doGet                 // GetIPSet of step.set: got, absent or unread
	doWrite               // UpdateIPSet as in step.write: wrote or failed
	doAdopt               // hand step.orphans over: taken
	doDeposed             // a later leader writes: stop for good
	doFinish              // nothing is left that a last round is for
)

// step is what to do next.
type step struct {
	do      verb
	until   time.Time
	marker  string
	set     *set
	write   *write
	orphans []*entry
	err     error // why it is over
}

// listing is the pass over the pages of ListIPSets.
type listing struct {
	at     time.Time // the next one starts then
	ended  time.Time // the latest one ended then
	marker string    // of its next page
	seen   map[string]summary
	done   bool // one has been finished
}

// summary is what a list says of a set.
type summary struct{ name, id, arn, token, desc string }

// next says what to do at a time. In the last round (drain) pending bans and
// unbans are written, and nothing else is begun.
func (p *plan) next(now time.Time) step {
	if p.deposed != nil {
		return step{do: doDeposed, err: p.deposed}
	}
	if p.round == 0 { // adoption asks what is wanted
		return step{do: doLook}
	}
	p.advance(now)
	for _, s := range p.sets {
		if len(s.bound) > 0 && now.Sub(s.doubt) >= boundFor {
			p.unbind(s)
		}
		if len(s.loose) > 0 && s.known && now.Sub(s.doubt) >= landsFor { // the last reading was too early
			s.known, s.readAfter = false, now
		}
	}
	if st, ok := p.nextOrphans(now); ok {
		return st
	}
	if st, ok := p.nextWrite(now); ok {
		return st
	}
	if st, ok := p.nextRead(now); ok {
		return st
	}
	if p.drain && p.adopted && !p.stale(now) && !p.unread() && !p.waiting() && !p.unproven() {
		return step{do: doFinish}
	}
	return step{do: doWait, until: p.wake(now)}
}

// changed is told that something may have to be written.
func (p *plan) changed() { p.dirty = true }

// nextOrphans hands over what was adopted, once all sets have been read.
func (p *plan) nextOrphans(now time.Time) (step, bool) {
	if len(p.orphans) == 0 || !p.adopted || now.Before(p.orphanAt) {
		return step{}, false
	}
	p.reclaim(now.UnixMilli())
	// Some may have turned out to be wanted, or people's, or are gone.
	p.orphans = slices.DeleteFunc(p.orphans, func(e *entry) bool {
		if p.allowed(e.prefix) {
			p.out(e) // it leaves at once
			e.orphan, e.gone = false, now.UnixMilli()
			p.in(e)
		}
		return !e.orphan || e.home == nil
	})
	if len(p.orphans) == 0 {
		p.orphanErr = nil
		return step{}, false
	}
	return step{do: doAdopt, orphans: p.orphans}, true
}

// taken is told that the orphans were handed over: from now on they are wanted or
// not, like any other entry. An error leaves them where they are.
func (p *plan) taken(orphans []*entry, now time.Time, err error) {
	p.orphanErr = err
	if err != nil {
		p.orphanAt = now.Add(5 * time.Second)
		return
	}
	p.judged = append(p.judged, orphans...)
	p.orphans, p.dirty, p.overflow = nil, true, true
}

// keep lets orphans stay for ever, like entries that people added.
func (p *plan) keep(orphans []*entry) {
	for _, e := range orphans {
		p.own(e, true, false)
	}
	p.orphans = nil
}

// nextWrite gives the next UpdateIPSet, or what has to come before it.
func (p *plan) nextWrite(now time.Time) (step, bool) {
	if !p.adopted && !p.gathered() {
		return step{}, false
	}
	s, since := p.pick(now)
	if p.writes.claim(since); p.dry {
		s = nil
	}
	if free := p.writes.free(now); !free || p.stale(now) {
		if now.Before(p.lookAt(now, free)) {
			return step{}, false
		}
		return step{do: doLook}, true
	}
	for ; s != nil; s, _ = p.pick(now) {
		if p.doubted(s, now) {
			return step{do: doGet, set: s}, p.reads.free(now)
		}
		w := p.compose(s, now)
		if len(w.adds)+len(w.drops) > 0 || len(s.copies) > s.kept || s.unsigned != 0 || s.epoch < p.epoch {
			return step{do: doWrite, write: w}, true
		}
		// What is to leave has to wait for what is to come, and that finds room in
		// another set first, or has to do without.
		s.hold = now.Add(2 * p.writes.interval(now))
		if w.waits {
			continue
		}
		if s.fruitless {
			p.yield(s, now.UnixMilli())
		}
		s.fruitless = !s.fruitless
	}
	return step{}, false
}

// stale reports whether what is in force has to be asked for before a write.
func (p *plan) stale(now time.Time) bool { return p.dirty || !now.Before(p.passAt()) }

// passAt says when a full pass is due by time alone.
func (p *plan) passAt() time.Time {
	if p.lookup != nil {
		return p.passed.Add(passEvery)
	}
	return p.passed.Add(lookEvery)
}

// whole reports whether the next look has to pass over everything.
func (p *plan) whole(now time.Time) bool {
	return p.lookup == nil || p.overflow || p.round == 0 || !now.Before(p.passAt())
}

// lookAt says when to look again. What has changed is looked at soon, also between
// slots: other Writers leave a slot only to whom they know to have older business. A
// full pass costs time when there are many bans, so those are spaced: by ten times
// what the last one took, and widely while no write could follow.
func (p *plan) lookAt(now time.Time, free bool) time.Time {
	gap, whole := lookGap, p.whole(now)
	if whole {
		gap = max(gap, 10*p.took)
	}
	spaced := p.looked.Add(gap)
	switch {
	case p.dirty && p.hurry:
		return p.looked
	case p.dirty && (free || p.drain || !whole):
		return spaced
	case p.dirty:
		return latest(spaced, soonest(p.looked.Add(lookIdle), p.writes.next()))
	}
	return latest(spaced, p.passAt())
}

// nextRead gives the next GetIPSet or ListIPSets.
func (p *plan) nextRead(now time.Time) (step, bool) {
	if slot := p.writes.next(); !p.reads.free(now) || p.writes.since != 0 && slot.After(now) && slot.Sub(now) < readAhead {
		return step{}, false
	}
	for _, s := range p.sets {
		if !s.known && !now.Before(s.readAfter) {
			return step{do: doGet, set: s}, true
		}
	}
	if now.Before(p.listing.at) || p.drain && p.adopted {
		return step{}, false
	}
	return step{do: doList, marker: p.listing.marker}, true
}

// unread reports whether a set has to be read before it can be written.
func (p *plan) unread() bool {
	return slices.ContainsFunc(p.sets, func(s *set) bool { return !s.known && !s.missing })
}

// unproven reports whether some set has to be written for its description's sake.
func (p *plan) unproven() bool {
	return slices.ContainsFunc(p.sets, func(s *set) bool { return s.known && !s.missing && s.unproven() })
}

// wake gives the time of the next step if nothing changes until then.
func (p *plan) wake(now time.Time) time.Time {
	at := now.Add(passEvery)
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	sooner(latest(p.listing.at, p.reads.next()))
	for _, s := range p.sets {
		if len(s.bound) > 0 {
			sooner(s.doubt.Add(boundFor))
		}
		if !s.known {
			sooner(latest(s.readAfter, p.reads.next()))
			continue
		}
		sooner(s.hold)
		sooner(s.readAfter)
		if s.lapsed != 0 {
			sooner(time.UnixMilli(s.lapsed).Add(p.grace))
		}
		if s.unproven() {
			sooner(time.UnixMilli(s.unsigned).Add(signAfter))
		}
	}
	if e := p.ends.top(); e != nil {
		sooner(latest(time.UnixMilli(e.until), p.advanced.Add(endsGap)))
	}
	for i := range p.pools {
		if again := p.pools[i].again; again != 0 {
			sooner(time.UnixMilli(again))
		}
	}
	if len(p.orphans) > 0 {
		sooner(p.orphanAt)
	}
	sooner(p.lookAt(now, p.writes.free(now)))
	sooner(p.writes.next())
	sooner(p.reads.next()) // a doubted set is read before it is written
	return at
}

func latest(list ...time.Time) time.Time  { return slices.MaxFunc(list, time.Time.Compare) }
func soonest(list ...time.Time) time.Time { return slices.MinFunc(list, time.Time.Compare) }

// listed takes one page of the list. The last page ends the pass: sets whose token
// is not ours were written by somebody else and are read; sets not in the list are
// read too, since a list may be behind the times.
func (p *plan) listed(page []summary, marker string, now time.Time) {
	l := &p.listing
	if l.seen == nil {
		l.seen = make(map[string]summary)
	}
	for _, s := range page {
		l.seen[s.id] = s
	}
	p.reading = trouble{}
	if l.marker = marker; marker != "" {
		return
	}
	seen := l.seen
	*l = listing{at: now.Add(p.period), ended: now, done: true}
	for _, s := range p.sets {
		is, ok := seen[s.id]
		p.fence(s, is.desc)
		switch {
		case !ok && !s.missing:
			s.known, s.readAfter = false, now
		case ok && s.missing:
			s.readAfter = now
		case ok && s.known && is.token != s.token && !slices.Contains(s.past, is.token):
			s.known, s.readAfter = false, now
		}
	}
	p.discover(seen)
	if !p.adopted && len(p.sets) == 0 {
		l.at = now.Add(10 * time.Second) // somebody is about to make them
	}
}

// discover takes the sets that a prefix selects and that are new, in their
// names' order, so that a run can be repeated.
func (p *plan) discover(seen map[string]summary) {
	var fresh []summary
	for id, is := range seen {
		if _, selected := p.selection.pool(is.name); selected && p.byID[id] == nil {
			fresh = append(fresh, is)
		}
	}
	slices.SortFunc(fresh, func(a, b summary) int { return cmp.Compare(a.name, b.name) })
	for _, is := range fresh {
		key, _ := p.selection.pool(is.name)
		p.know(&set{name: is.name, id: is.id, arn: is.arn, key: key})
	}
}

// unlisted takes the error of a list, which goes on where it was, later: from the
// start, a list of many pages would hardly ever be finished while every other call
// fails, and two processes would throttle each other for ever. It starts over when
// AWS refuses the marker, or has failed on it again and again.
func (p *plan) unlisted(now time.Time, how outcome, err error) {
	const again = 5
	at := now.Add(p.readFailed(now, how, err))
	if how == throttled || how == ambiguous && p.reading.count%again != 0 {
		p.listing.at = at
		return
	}
	p.listing = listing{at: at, ended: now, done: p.listing.done}
}

// notGot takes the error of a GetIPSet.
func (p *plan) notGot(s *set, now time.Time, how outcome, err error) {
	if how == missing {
		p.absent(s, now)
		return
	}
	s.failures++
	s.err = err
	s.readAfter = now.Add(p.readFailed(now, how, err))
}

// readFailed notes a failure and says when to read again. While nothing can be
// read, all reads together are no more frequent than writes: often enough to
// notice soon that AWS is back. Without rights there is no hurry.
func (p *plan) readFailed(now time.Time, how outcome, err error) time.Duration {
	p.reading.note(now, how, err)
	wait := min(backoff(p.reading.count), max(time.Second, p.writes.interval(now)))
	if how == denied {
		wait = backoff(p.reading.denied)
	}
	p.reads.hold(now.Add(wait))
	return wait
}
