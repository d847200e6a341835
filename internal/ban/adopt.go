package ban

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Adopt takes over what IP sets held when the service started and nothing here
// accounts for: each such prefix gets a decision of origin OriginAdopted that
// ends at until, with the action that the sets are for. They are stored before
// Adopt returns.
//
// Accounted for are prefixes that decisions in force cover, one alone or several
// neighbours together; and prefixes whose own decision ended in the last seven
// days, because it ran out or was removed while nobody wrote the IP sets: to
// adopt those would undo an unban. What AllowedAny keeps out of IP sets is not
// adopted, nor is what is not masked.
func (s *Store) Adopt(ctx context.Context, prefixes []netip.Prefix, action Action, until time.Time) error {
	now := s.now()
	until = wholeMillis(until)
	if !until.After(now) {
		return fmt.Errorf("adopt %d entries of IP sets until %s: that is over", len(prefixes), until.Format(time.RFC3339))
	}
	if !slices.Contains(Actions(), action) {
		return unknownAction(action)
	}
	orphans, err := s.orphans(ctx, prefixes, now)
	if err != nil {
		return fmt.Errorf("adopt %d entries of IP sets: %w", len(prefixes), err)
	}
	if len(orphans) == 0 {
		return nil
	}
	ds := make([]Decision, len(orphans))
	for i, p := range orphans {
		ds[i] = Decision{
			ID: randomID(), Prefix: p, Action: action, Origin: OriginAdopted, Reason: "found in an IP set at start",
			Severity: SeverityAdopted,
			Wide:     isWide(p), // it was written, so somebody had insisted
			At:       now, Created: now, Until: until,
		}
	}
	if err := s.insert(ctx, ds); err != nil {
		return fmt.Errorf("adopt %d entries of IP sets: %w", len(ds), err)
	}
	s.log.Info("entries of IP sets adopted", zap.Int("adopted", len(ds)), zap.Int("held", len(prefixes)), zap.Time("until", until))
	return nil
}

// orphans returns those of prefixes that Adopt is to adopt.
func (s *Store) orphans(ctx context.Context, prefixes []netip.Prefix, now time.Time) ([]netip.Prefix, error) {
	seen := make(map[netip.Prefix]bool)
	var orphans []netip.Prefix
	for _, p := range prefixes {
		if seen[p] || checkPrefix(p) != nil || s.AllowedAny(p) || s.index.covered(p, millis(now), s.lists.Load().listed) {
			continue
		}
		seen[p] = true
		orphans = append(orphans, p)
	}
	known, err := s.storage.about(ctx, orphans, now.Add(-liftedLife))
	for _, p := range known {
		seen[p] = false
	}
	return slices.DeleteFunc(orphans, func(p netip.Prefix) bool { return !seen[p] }), err
}
