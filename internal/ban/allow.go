package ban

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"
	"go.uber.org/zap"
)

// maxAllowed is how many entries the allowlist may have beside those of the settings.
// It is looked at with every record, and names offices, monitors and partners.
const maxAllowed = 10_000

// AllowEntry is an entry of the allowlist.
type AllowEntry struct {
	Prefix  netip.Prefix
	Comment string    // why, at most MaxReason bytes
	Author  string    // who added it; empty: it is of the settings
	Created time.Time // when; zero: it is of the settings
	Expires time.Time // when it ends; zero: never
	Fixed   bool      // it is of the settings, and stays for as long as it is there

	// Of two entries about a prefix the one of the higher version counts; one that
	// was removed is kept for a while, so that it can win.
	version int64
	removed bool
}

// over reports whether the entry has ended before a time.
func (e *AllowEntry) over(before time.Time) bool {
	return e.removed && e.Created.Before(before) || !e.Expires.IsZero() && e.Expires.Before(before)
}

// inForce reports whether the entry keeps anything from being banned at now.
func (e *AllowEntry) inForce(now time.Time) bool {
	return !e.removed && (e.Expires.IsZero() || now.Before(e.Expires))
}

// Allow adds an entry to the allowlist, or replaces the one about the same prefix. Of
// e it takes Prefix, Comment and Expires; insist allows for a range wider than may be
// banned without. Decisions in force that share an address with it are ended, as by
// an unban, and none is made or enforced from now on, in this process at once and in
// others that share the storage within about a second. It returns the entry as it is
// stored and how many decisions were ended; after an error beside such an entry, the
// entry is in force and some of those decisions may not be ended, which nothing
// enforces. What makes no sense is refused with a *RefusedError.
func (s *Store) Allow(ctx context.Context, e AllowEntry, insist bool) (AllowEntry, int, error) {
	e, err := s.allowance(e, insist)
	if err != nil {
		return AllowEntry{}, 0, err
	}
	note := s.audited(ctx, AuditAllow, FormatPrefix(e.Prefix), e.Comment)
	e.Author, e.Created = note.Actor, note.At
	if e, err = s.storeAllow(ctx, e, note); err != nil {
		return AllowEntry{}, 0, fmt.Errorf("allow %s: %w", FormatPrefix(e.Prefix), err)
	}
	n, err := s.removeAll(ctx, func(d *Decision) bool { return d.Prefix.Overlaps(e.Prefix) })
	expires := zap.Skip() // never
	if !e.Expires.IsZero() {
		expires = zap.Time("expires", e.Expires)
	}
	s.log.Info("allowlisted", zap.String("prefix", FormatPrefix(e.Prefix)), expires, zap.String("comment", e.Comment), zap.Int("decisions", n))
	if err != nil {
		return e, n, fmt.Errorf("end the bans that %s of the allowlist covers, of which %d are ended: %w", FormatPrefix(e.Prefix), n, err)
	}
	return e, n, nil
}

// allowance checks what a person asks for.
func (s *Store) allowance(e AllowEntry, insist bool) (AllowEntry, error) {
	if err := checkPrefix(e.Prefix); err != nil {
		return e, err
	}
	if err := checkReason(e.Comment); err != nil {
		return e, err
	}
	if isWide(e.Prefix) && !insist {
		return e, refuse(RefusedWidth, "%s is wider than /%d: nobody in it could be banned any more; allow narrower ranges one by one, or force it", e.Prefix, widest(e.Prefix))
	}
	expires := wholeMillis(e.Expires)
	if lasts := expires.Sub(s.now()); !expires.IsZero() && (lasts < MinDuration || lasts > MaxDuration) {
		return e, refuse(RefusedUntil, "an entry of the allowlist for %s: it may last from %s to %s, or for ever", lasts, MinDuration, MaxDuration)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.allowed[e.Prefix]; !known && len(s.allowed) >= maxAllowed {
		return e, refuse(RefusedAllowlist, "the allowlist has %d entries already: allow ranges in place of addresses", maxAllowed)
	}
	return AllowEntry{Prefix: e.Prefix, Comment: e.Comment, Expires: expires}, nil
}

// Disallow removes the entry about exactly this prefix from the allowlist, and reports
// whether there was one. What it kept from being banned is judged again from now on;
// nothing of before comes back. An entry of the settings is refused with a
// *RefusedError.
func (s *Store) Disallow(ctx context.Context, prefix netip.Prefix) (bool, error) {
	if err := checkPrefix(prefix); err != nil {
		return false, err
	}
	now := s.now()
	s.mu.Lock()
	e, known := s.allowed[prefix]
	s.mu.Unlock()
	if !known || !e.inForce(now) {
		if s.fixed.Get(prefix) {
			return false, refuse(RefusedAllowlist, "%s is in WEIR_BAN_ALLOWLIST: take it out there, and start the service again", FormatPrefix(prefix))
		}
		return false, nil
	}
	note := s.audited(ctx, AuditDisallow, FormatPrefix(prefix), "")
	e.Created, e.removed = note.At, true
	if _, err := s.storeAllow(ctx, e, note); err != nil {
		return false, fmt.Errorf("remove %s from the allowlist: %w", FormatPrefix(prefix), err)
	}
	s.log.Info("removed from the allowlist", zap.String("prefix", FormatPrefix(prefix)))
	return true, nil
}

// storeAllow stores an entry, as the newest about its prefix, and puts it in force.
func (s *Store) storeAllow(ctx context.Context, e AllowEntry, note Audit) (AllowEntry, error) {
	if err := s.beginWriting(ctx); err != nil {
		return e, err
	}
	defer s.endWriting()
	s.mu.Lock()
	// Time alone would let the clock of one process outrun the others.
	e.version = max(s.allowed[e.Prefix].version+1, millis(e.Created))
	s.mu.Unlock()
	if err := s.write(ctx, batch{allow: []AllowEntry{e}, audit: []Audit{note}}); err != nil {
		return e, err
	}
	s.mu.Lock()
	s.takeAllow(e)
	s.mu.Unlock()
	s.journal.wake()
	return e, nil
}

// takeAllow takes an entry into memory unless it knows a newer one. mu is held.
func (s *Store) takeAllow(e AllowEntry) {
	if e.version <= s.allowed[e.Prefix].version {
		return
	}
	s.allowed[e.Prefix] = e
	s.publishAllow()
	s.noteListed(e.Prefix)
}

// publishAllow puts the entries of settings and people in force. mu is held.
func (s *Store) publishAllow() {
	now := s.now()
	all := s.fixed.Clone()
	s.allowEnds = 0
	for p, e := range s.allowed {
		if !e.inForce(now) {
			continue
		}
		all.Insert(p)
		if at := millis(e.Expires); at != 0 && (s.allowEnds == 0 || at < s.allowEnds) {
			s.allowEnds = at
		}
	}
	s.allow.Store(all)
	select {
	case s.allowNews <- struct{}{}:
	default:
	}
}

// expireAllow ends entries whose time has come, and says when to come back, if at all.
func (s *Store) expireAllow() (next time.Duration, ok bool) {
	now := s.now()
	s.mu.Lock()
	if s.allowEnds == 0 || s.allowEnds > millis(now) {
		defer s.mu.Unlock()
		return fromMillis(s.allowEnds).Sub(now), s.allowEnds != 0
	}
	due := s.allowEnds
	s.publishAllow()
	var ended []netip.Prefix
	for p, e := range s.allowed {
		if at := millis(e.Expires); !e.removed && at != 0 && at <= millis(now) && at >= due {
			ended = append(ended, p)
			s.noteListed(p)
		}
		if e.over(now.Add(-liftedLife)) {
			delete(s.allowed, p)
		}
	}
	s.mu.Unlock()
	s.journal.wake()
	s.log.Info("entries of the allowlist have expired", zap.Stringers("prefixes", ended[:min(len(ended), 20)]))
	return 0, true
}

// noteListed tells those who enforce decisions to look at the entries of imported
// lists that share an address with a prefix: they come and go with the allowlist,
// whereas decisions are ended. mu is held.
func (s *Store) noteListed(p netip.Prefix) {
	lists := s.lists.Load()
	if lists == nil {
		return
	}
	var changed []netip.Prefix
	for q := range lists.listed.supernets(p) {
		changed = append(changed, q)
	}
	for q := range lists.listed.within(p) {
		if changed = append(changed, q); len(changed) > journalSize {
			break
		}
	}
	if len(changed) > 0 {
		s.journal.note(changed...)
	}
}

// Allowlist returns the allowlist as it is in force, in the order of the prefixes. A
// prefix may be there twice, once of the settings.
func (s *Store) Allowlist() []AllowEntry {
	now := s.now()
	var list []AllowEntry
	for _, p := range s.cfg.Allowlist {
		list = append(list, AllowEntry{Prefix: p, Fixed: true})
	}
	s.mu.Lock()
	for _, e := range s.allowed {
		if e.inForce(now) {
			list = append(list, e)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b AllowEntry) int {
		return cmp.Or(comparePrefixes(a.Prefix, b.Prefix), a.Created.Compare(b.Created))
	})
	return list
}

// newFixed returns the entries of the settings.
func newFixed(prefixes []netip.Prefix) *bart.Lite {
	fixed := new(bart.Lite)
	for _, p := range prefixes {
		fixed.Insert(p)
	}
	return fixed
}
