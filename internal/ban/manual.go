package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"weir/internal/reserved"
)

// Add bans by hand. Of d it takes Prefix, Action (empty: Config.Action), Until
// (zero: Config.Duration from now), Reason and Wide (to insist on a range wider
// than MinBits4 or MinBits6), and returns the decision it made
// and stored. What may not be banned is refused with a *RefusedError: prefixes
// that ParsePrefix would not return, too wide, overlapping the allowlist or, with
// Config.Public, what is nobody's on the internet. A decision that is in force
// already stays: of two about one prefix the stronger counts, and of those the
// longer lasting.
func (s *Store) Add(ctx context.Context, d Decision) (Decision, error) {
	now := s.now()
	d, err := s.manual(d, now)
	if err != nil {
		return Decision{}, err
	}
	how := fmt.Sprintf("%s %s until %s", d.ID, d.Action, d.Until.Format(time.RFC3339))
	if d.Reason != "" {
		how += ": " + d.Reason
	}
	if err := s.insert(ctx, []Decision{d}, s.audited(ctx, AuditBan, FormatPrefix(d.Prefix), how)); err != nil {
		return Decision{}, fmt.Errorf("ban %s: %w", FormatPrefix(d.Prefix), err)
	}
	s.log.Info("banned by hand", zap.String("prefix", FormatPrefix(d.Prefix)), zap.String("id", d.ID),
		zap.String("action", string(d.Action)), zap.Time("until", d.Until), zap.String("reason", d.Reason))
	return d, nil
}

// manual checks what a person asks for and completes it.
func (s *Store) manual(d Decision, now time.Time) (Decision, error) {
	if err := errors.Join(checkPrefix(d.Prefix), checkReason(d.Reason)); err != nil {
		return d, err
	}
	if err := checkWidth(d.Prefix, d.Wide); err != nil {
		return d, err
	}
	if by, ok := s.allowlistedBy(d.Prefix); ok {
		return d, refuse(RefusedAllowlist, "%s overlaps %s of the allowlist, which is never banned: ban ranges beside it",
			FormatPrefix(d.Prefix), FormatPrefix(by))
	}
	if s.cfg.Public && reserved.Overlaps(d.Prefix) {
		return d, refuse(RefusedReserved, "%s shares addresses with private or otherwise reserved ones, which no client on the internet has: ban what the log shows as the client",
			FormatPrefix(d.Prefix))
	}
	if d.Action == "" {
		d.Action = s.cfg.Action
	}
	if !slices.Contains(Actions(), d.Action) {
		return d, unknownAction(d.Action)
	}
	until := wholeMillis(d.Until)
	if d.Until.IsZero() {
		until = now.Add(s.cfg.Duration)
	}
	if lasts := until.Sub(now); lasts < MinDuration || lasts > MaxDuration {
		return d, refuse(RefusedUntil, "a ban of %s: it must last from %s to %s", lasts, MinDuration, MaxDuration)
	}
	return Decision{
		ID:     randomID(),
		Prefix: d.Prefix, Action: d.Action, Origin: OriginManual, Reason: d.Reason, Severity: SeverityManual, Wide: isWide(d.Prefix),
		At: now, Created: now, Until: until,
	}, nil
}

// checkReason keeps out what would garble a log or a terminal.
func checkReason(r string) error {
	if len(r) > MaxReason {
		return refuse(RefusedReason, "a reason of %d bytes: it may have %d", len(r), MaxReason)
	}
	for _, c := range r {
		if c == utf8.RuneError || unicode.IsControl(c) {
			return refuse(RefusedReason, "the reason %q is not plain text: leave out control characters and what is not UTF-8", r)
		}
	}
	return nil
}

// allowlistedBy returns an entry of the allowlist that shares an address with p.
func (s *Store) allowlistedBy(p netip.Prefix) (netip.Prefix, bool) {
	allow := s.allow.Load()
	if by, ok := allow.LookupPrefixLPM(p); ok {
		return by, true
	}
	for by := range allow.Subnets(p) {
		return by, true
	}
	return netip.Prefix{}, false
}

// insert stores decisions that no alert made and takes them into memory.
func (s *Store) insert(ctx context.Context, ds []Decision, notes ...Audit) error {
	if err := s.beginWriting(ctx); err != nil {
		return err
	}
	defer s.endWriting()
	if err := s.write(ctx, batch{put: ds, audit: notes}); err != nil {
		return err
	}
	s.mu.Lock()
	for _, d := range ds { // each of its own, so that one does not keep all in memory
		e := newEntry(&d)
		e.stored = true
		s.hold(e)
		s.enforce(e)
	}
	s.mu.Unlock()
	s.journal.wake()
	return nil
}

// Remove ends every decision in force about exactly prefix, and returns how many
// there were. Decisions about ranges around it or within it stay; Covering finds
// the former. Events of the time up to the unban do not ban a client within
// prefix again. All is stored before Remove returns; after an error nothing has
// changed.
func (s *Store) Remove(ctx context.Context, prefix netip.Prefix) (int, error) {
	n, err := s.remove(ctx, prefix, "", func(*Decision) bool { return true })
	if err != nil {
		return 0, fmt.Errorf("unban %s: %w", FormatPrefix(prefix), err)
	}
	return n, nil
}

// RemoveID ends the one decision of this ID if it is in force, and returns how
// many that were: 0 or 1. As after Remove, earlier events do not ban its clients
// again; other decisions about them stay.
func (s *Store) RemoveID(ctx context.Context, id string) (int, error) {
	d, ok, err := s.storage.get(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("remove decision %s: %w", id, err)
	}
	if !ok {
		return 0, nil
	}
	n, err := s.remove(ctx, d.Prefix, id, func(d *Decision) bool { return d.ID == id })
	if err != nil {
		return 0, fmt.Errorf("remove decision %s: %w", id, err)
	}
	return n, nil
}

func (s *Store) remove(ctx context.Context, prefix netip.Prefix, how string, which func(*Decision) bool) (int, error) {
	if err := checkPrefix(prefix); err != nil {
		return 0, err
	}
	if err := s.beginWriting(ctx); err != nil {
		return 0, err
	}
	defer s.endWriting()
	// What is to be ended has to be there.
	if err := s.commit(ctx); err != nil {
		return 0, err
	}
	n, err := s.removeAbout(ctx, []netip.Prefix{prefix}, s.now(), 0, which, s.audited(ctx, AuditUnban, FormatPrefix(prefix), how))
	if n > 0 {
		s.log.Info("unbanned by hand", zap.String("prefix", FormatPrefix(prefix)), zap.Int("decisions", n))
	}
	return n, err
}

// lift does in memory what an unban at now means.
func (s *Store) lift(u unban, now time.Time, which func(*Decision) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unbans.Insert(u.prefix, millis(u.at))
	for _, e := range s.index.get(u.prefix) {
		// An alert may have slipped in while the storage was being written to.
		// Its decision is not stored yet and will be, as ended.
		slipped := !e.stored && !e.d.At.After(now)
		if e.d.InForce(now) && (which(e.d) || slipped) {
			s.end(e, now)
		}
	}
}

// end makes e end at now. mu is held.
func (s *Store) end(e *entry, now time.Time) {
	d := *e.d
	d.Until, d.Removed = now, now
	ended := e.changed(&d)
	s.known[d.ID] = ended
	s.index.replace(e, ended)
	s.journal.note(d.Prefix)
}
