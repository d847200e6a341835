package ban

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Where says which decisions RemoveWhere ends: those that fit all that is set.
type Where struct {
	Scenario string    // of this scenario
	Origin   Origin    // of this origin; entries of lists end when their file no longer has them
	Since    time.Time // made at or after this time
	All      bool      // whatever they are; nothing else may be set
}

func (w *Where) check() error {
	some := w.Scenario != "" || w.Origin != "" || !w.Since.IsZero()
	switch {
	case w.All == some:
		return refuse(RefusedQuery, "whose decisions are to end: name a scenario, an origin, a time, or all, which stands alone")
	case w.Origin == OriginList:
		return refuse(RefusedQuery, "entries of imported lists cannot be ended: take them out of their file")
	case w.Origin != "" && !slices.Contains(Origins(), w.Origin):
		return refuse(RefusedQuery, "no origin %q: there are %q", w.Origin, Origins())
	}
	return nil
}

// words says in words what a wish is about.
func (w *Where) words() string {
	if w.All {
		return "all"
	}
	var said []string
	if w.Origin != "" {
		said = append(said, "origin "+string(w.Origin))
	}
	if !w.Since.IsZero() {
		said = append(said, "made since "+w.Since.UTC().Format(time.RFC3339))
	}
	return strings.Join(said, ", ")
}

func (w *Where) fits(d *Decision) bool {
	return (w.Scenario == "" || d.Scenario == w.Scenario) && (w.Origin == "" || d.Origin == w.Origin) && !d.Created.Before(w.Since)
}

// RemoveWhere ends every decision in force that w is about, and returns how many
// there were. Each is an unban: events of the time up to it ban none of these
// clients again. They are stored in parts, with a turn for Commit between two, and
// what is decided meanwhile about others stays; after an error those are ended that
// the number tells, and the others are as they were. A wish without any condition is
// refused with a *RefusedError.
func (s *Store) RemoveWhere(ctx context.Context, w Where) (int, error) {
	if err := w.check(); err != nil {
		return 0, err
	}
	if err := s.record(ctx, s.audited(ctx, AuditFlush, w.Scenario, w.words())); err != nil {
		return 0, fmt.Errorf("unban many: %w", err)
	}
	n, err := s.removeAll(ctx, w.fits)
	s.log.Info("unbanned many by hand", zap.Int("decisions", n), zap.String("scenario", w.Scenario),
		zap.String("origin", string(w.Origin)), zap.Time("since", w.Since), zap.Bool("all", w.All))
	if err != nil {
		return n, fmt.Errorf("unban many, of which %d decisions are ended: %w", n, err)
	}
	return n, nil
}

// removeAll ends decisions in force, in parts. writing is free.
func (s *Store) removeAll(ctx context.Context, which func(*Decision) bool) (int, error) {
	return s.inParts(ctx, s.prefixesOf(which), func(prefixes []netip.Prefix) (int, error) {
		return s.removeAbout(ctx, prefixes, s.now(), 0, which)
	})
}

// prefixesOf returns what decisions in force are about.
func (s *Store) prefixesOf(which func(*Decision) bool) []netip.Prefix {
	now := s.now()
	var prefixes []netip.Prefix
	for p, h := range s.index.table.Load().All() {
		if slices.ContainsFunc(h.entries, func(e *entry) bool { return e.d.InForce(now) && which(e.d) }) {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// inParts does something to many prefixes, writeBatch at once, and adds up how many
// decisions that were. It holds writing for one part at a time: whoever waits to
// store decisions gets his turn before the next.
func (s *Store) inParts(ctx context.Context, prefixes []netip.Prefix, do func([]netip.Prefix) (int, error)) (int, error) {
	n := 0
	for part := range slices.Chunk(prefixes, writeBatch) {
		if err := s.beginWriting(ctx); err != nil {
			return n, err
		}
		k, err := 0, s.commit(ctx) // what is to be changed has to be there
		if err == nil {
			k, err = do(part)
		}
		s.endWriting()
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Lift ends every decision in force about these prefixes, since a person took them out
// of an IP set, and returns how many there were. No event of the time until cooldown
// from now bans a client within them again: whoever put the hand in there is to find
// it respected, whatever the client does next.
func (s *Store) Lift(ctx context.Context, prefixes []netip.Prefix, cooldown time.Duration) (int, error) {
	n, err := s.inParts(ctx, prefixes, func(part []netip.Prefix) (int, error) {
		notes := make([]Audit, len(part))
		for i, p := range part {
			notes[i] = s.audited(ctx, AuditLift, FormatPrefix(p), "")
		}
		return s.removeAbout(ctx, part, s.now(), cooldown, func(*Decision) bool { return true }, notes...)
	})
	if err != nil {
		return n, fmt.Errorf("unban %d prefixes, of which %d decisions are ended: %w", len(prefixes), n, err)
	}
	return n, nil
}

// removeAbout ends decisions in force at now about prefixes, in one transaction.
// Events of the time up to cooldown after now ban nobody within them. writing is held.
func (s *Store) removeAbout(ctx context.Context, prefixes []netip.Prefix, now time.Time, cooldown time.Duration, which func(*Decision) bool, notes ...Audit) (int, error) {
	b := batch{audit: notes}
	for _, p := range prefixes {
		ends := len(b.end)
		for _, e := range s.index.get(p) {
			if e.d.InForce(now) && which(e.d) {
				b.end = append(b.end, ending{e.d.ID, now})
			}
		}
		if len(b.end) > ends {
			b.unban = append(b.unban, unban{p, s.sparedUntil(p, now.Add(cooldown))})
		}
	}
	if len(b.end) == 0 {
		return 0, nil
	}
	if err := s.write(ctx, b); err != nil {
		return 0, err
	}
	for _, u := range b.unban {
		s.lift(u, now, which)
	}
	s.journal.wake()
	return len(b.end), nil
}

// sparedUntil is at, or the later time up to which an unban before spares prefix.
func (s *Store) sparedUntil(prefix netip.Prefix, at time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.unbans.Get(prefix); ok && before > millis(at) {
		return fromMillis(before)
	}
	return at
}
