package waf

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// ledger is what is in force in a simulated day, and what was: it decides nothing,
// remembers everything, and all processes read it.
type ledger struct {
	t  *testing.T
	mu sync.Mutex

	bans  map[netip.Prefix]Entry
	over  map[netip.Prefix]Entry     // the latest that ended; Until is when
	was   map[netip.Prefix]Entry     // the latest that another took the place of; Until is when
	allow map[netip.Prefix]time.Time // since when
	taken map[netip.Prefix]time.Time // out of a set by a person
	early map[netip.Prefix]time.Time // ended before its time, or replaced
	lost  time.Time                  // when everything was forgotten last, but by the auditor

	journal []netip.Prefix
	trimmed uint64 // entries of the journal that are forgotten
	wake    []*subscription
	full    func() bool // whether the disk is, now
}

func newLedger(t *testing.T) *ledger {
	return &ledger{
		t: t, bans: make(map[netip.Prefix]Entry), over: make(map[netip.Prefix]Entry), was: make(map[netip.Prefix]Entry),
		allow: make(map[netip.Prefix]time.Time), taken: make(map[netip.Prefix]time.Time), early: make(map[netip.Prefix]time.Time),
		full: func() bool { return false },
	}
}

// changed tells every process. l.mu is held.
func (l *ledger) changed(list ...netip.Prefix) {
	l.journal = append(l.journal, list...)
	if n := len(l.journal); n > 64 {
		l.journal, l.trimmed = l.journal[n-32:], l.trimmed+uint64(n-32)
	}
	for _, s := range l.wake {
		time.AfterFunc(time.Until(s.own.after(time.Now())), func() {
			select {
			case s.c <- struct{}{}:
			default:
			}
		})
	}
}

// subscription is a Writer's to what changes: it hears of it in a moment of its own.
type subscription struct {
	c   chan struct{}
	own moments
}

func (l *ledger) ban(list ...Entry) {
	fence.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tidy(time.Now())
	for _, e := range list {
		if was, ok := l.bans[e.Prefix]; ok && was.Until.After(e.Created) {
			was.Until = e.Created
			l.was[e.Prefix], l.early[e.Prefix] = was, e.Created
		}
		l.bans[e.Prefix] = e
		l.changed(e.Prefix)
	}
}

func (l *ledger) unban(list ...netip.Prefix) {
	fence.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range list {
		l.end(p, time.Now())
	}
	l.changed(list...)
}

// end ends a ban. l.mu is held.
func (l *ledger) end(p netip.Prefix, at time.Time) {
	if e, ok := l.bans[p]; ok {
		if at.Before(e.Until) {
			l.early[p] = at
		}
		e.Until = at
		l.over[p] = e
		delete(l.bans, p)
	}
}

// lose forgets all bans, as a disk that broke does.
func (l *ledger) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = time.Now()
	for p := range l.bans {
		l.end(p, l.lost)
	}
	l.journal, l.trimmed = nil, l.trimmed+uint64(len(l.journal))+1
}

func (l *ledger) allowlist(p netip.Prefix) {
	fence.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.allow[p].IsZero() {
		l.allow[p] = time.Now()
	}
	l.changed(p)
}

// allowedSince says since when p overlaps the allowlist; zero = it does not.
// l.mu is held.
func (l *ledger) allowedSince(p netip.Prefix) (since time.Time) {
	for a, at := range l.allow {
		if a.Overlaps(p) && (since.IsZero() || at.Before(since)) {
			since = at
		}
	}
	return since
}

func (l *ledger) allowed(p netip.Prefix) bool {
	fence.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.allowedSince(p).IsZero()
}

// tidy moves on what is over. l.mu is held.
func (l *ledger) tidy(now time.Time) {
	for p, e := range l.bans {
		if !e.Until.After(now) {
			l.end(p, e.Until)
		}
	}
}

func (l *ledger) wanted(now time.Time) iter.Seq[Entry] {
	fence.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tidy(now)
	list := make([]Entry, 0, len(l.bans))
	for _, e := range l.bans {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.Prefix.Compare(b.Prefix) })
	return slices.Values(list)
}

func (l *ledger) since(at uint64) ([]netip.Prefix, uint64, bool) {
	fence.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.trimmed + uint64(len(l.journal))
	if at < l.trimmed {
		return nil, next, false
	}
	return slices.Clone(l.journal[at-l.trimmed:]), next, true
}

func (l *ledger) lookup(p netip.Prefix, now time.Time) (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.bans[p]
	return e, ok && e.Until.After(now)
}

// orphans takes what a restart found in the sets.
func (l *ledger) orphans(_ context.Context, held []Entry) error {
	for _, e := range held {
		if l.allowed(e.Prefix) {
			l.t.Errorf("%s is allowlisted and given to the store", e.Prefix)
		}
	}
	if l.full() {
		return errDiskFull
	}
	now := time.Now()
	for _, e := range held {
		e.Created, e.Until, e.Wide = now, now.Add(20*time.Minute), true // whoever held it insisted
		l.mu.Lock()
		_, known := l.bans[e.Prefix]
		l.mu.Unlock()
		if !known { // another target's Writer may have brought it already
			l.ban(e)
		}
	}
	return nil
}

// ended says when a ban ended last.
func (l *ledger) ended(p netip.Prefix) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.over[p]
	return e.Until, ok && e.Until.After(l.lost)
}

// removed takes what a person took out of a set for an unban.
func (l *ledger) removed(list []netip.Prefix, _ time.Time) { l.unban(list...) }

// config is that of a Writer that reads the ledger; stop ends its subscription.
func (l *ledger) config(at moments) (cfg Config, stop func()) {
	c := make(chan struct{}, 1)
	l.mu.Lock()
	l.wake = append(l.wake, &subscription{c, at})
	l.mu.Unlock()
	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.wake = slices.DeleteFunc(l.wake, func(o *subscription) bool { return o.c == c })
	}
	return Config{
		Wanted: l.wanted, Changes: l.since, Lookup: l.lookup, Changed: c, Allowed: l.allowed,
		Orphans: l.orphans, Ended: l.ended, Removed: l.removed,
	}, gone
}
