package ban

import (
	"context"
	"fmt"
	"slices"
)

// Restore takes over a decision that was made elsewhere, for a replay that begins
// with bans in force. Of d it takes Prefix, Action (empty: Config.Action),
// Scenario, Severity, Until (zero: At and Config.Duration) and At, the event time of what it
// was made on. No alert is about it, and one that would make the same decision
// again finds it made. What the allowlist overlaps is passed over. What makes no
// sense is refused with a *RefusedError.
//
// It covers the records of the ten minutes before At, too: who made it has judged
// them, and where they come late they would be judged again without those that
// the decision covers. It hides its client whatever the action is: the log is as it
// was with that decision.
func (s *Store) Restore(ctx context.Context, d Decision) error {
	if err := checkPrefix(d.Prefix); err != nil {
		return err
	}
	if d.Action == "" {
		d.Action = s.cfg.Action
	}
	if !slices.Contains(Actions(), d.Action) {
		return unknownAction(d.Action)
	}
	at, until := wholeMillis(d.At), wholeMillis(d.Until)
	if d.Until.IsZero() {
		until = at.Add(s.cfg.Duration)
	}
	if lasts := until.Sub(at); lasts < MinDuration || lasts > MaxDuration {
		return refuse(RefusedUntil, "a ban of %s: it must last from %s to %s", lasts, MinDuration, MaxDuration)
	}
	if s.allow.Load().OverlapsPrefix(d.Prefix) {
		return nil
	}
	d = Decision{
		ID: alertID(d.Scenario, d.Prefix, at), Prefix: d.Prefix, Action: d.Action, Scenario: d.Scenario, Origin: OriginScenario,
		Severity: d.Severity, At: at, Created: at, Until: until,
	}
	if err := s.beginWriting(ctx); err != nil {
		return fmt.Errorf("restore a ban of %s: %w", FormatPrefix(d.Prefix), err)
	}
	defer s.endWriting()
	if err := s.storage.write(ctx, batch{put: []Decision{d}}); err != nil { // not counted: it is not made here
		return fmt.Errorf("restore a ban of %s: %w", FormatPrefix(d.Prefix), err)
	}
	e := newEntry(&d)
	e.from -= lateGrace.Milliseconds()
	e.effect = stops
	e.stored = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.known[d.ID]; old != nil {
		s.known[d.ID] = e
		s.index.replace(old, e)
	} else {
		s.hold(e)
	}
	s.enforce(e)
	s.journal.wake()
	return nil
}
