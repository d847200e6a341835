package ban

import (
	"net/netip"
	"time"

	"weir/internal/detect"
	"weir/internal/reserved"
	"weir/internal/scenario"
)

// Alert decides on a. It touches memory only; the index is up to date when it
// returns, so that no further record of the client is poured. Commit stores what
// was decided and tells Config.OnAlert.
//
// No decision is made, and the reason counted, if the scenario only simulates or
// asks for no remediation, if the client overlaps the allowlist or, with
// Config.Public, is nobody's on the internet, if the alert's events lie before an
// unban of the client, or if the ban would be over already had the alert come in
// time. An alert about a client that the scenario has its decision about finds
// that one: see standing.
func (s *Store) Alert(a detect.Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := settled{alert: a, judged: wholeMillis(s.cfg.Now(fromMillis(a.At)))}
	again := false // the same alert was raised before, and is stored or about to be
	if why := s.refuses(&a); why != "" {
		done.refused = why
	} else if d, ok := s.decide(&a, done.judged); !ok {
		done.refused = refusedLate
	} else if old := s.standing(d); old != nil {
		done.id, done.refused = old.d.ID, refusedKnown
		again = old.d.ID == d.ID
	} else {
		done.id, done.fresh = d.ID, true
		d.Held = s.breakers.judge(d, s.census.cameBack(a.Addr), s.census.both.Load())
		s.hold(newEntry(d))
	}
	if done.refused != "" {
		s.metrics.refused[done.refused].Inc()
	}
	done.keep = done.fresh || !again && s.budget.take(a.Client, done.judged)
	if !done.keep && !again {
		s.metrics.alertsDropped.Inc()
	}
	if s.untold.Add(1) > wholeAlerts {
		lighten(&done.alert)
	}
	s.queue = append(s.queue, done)
}

// Why alerts make no decision: the values of a metric's label.
const (
	refusedSimulate    = "simulate"
	refusedRemediation = "remediation"
	refusedAllowlist   = "allowlist"
	refusedReserved    = "reserved" // nobody's on the internet
	refusedUnban       = "unban"
	refusedLate        = "late"
	refusedKnown       = "known" // the decision on it stands: it was raised before, or its client is served on
)

func (s *Store) refuses(a *detect.Alert) string {
	switch {
	case a.Scenario.Mode != scenario.Enforce && a.Scenario.Mode != scenario.Stage:
		return refusedSimulate
	case !a.Scenario.Remediation:
		return refusedRemediation
	case s.allow.Load().OverlapsPrefix(a.Client):
		return refusedAllowlist
	case s.cfg.Public && reserved.Overlaps(a.Client):
		return refusedReserved
	case s.unbannedSince(a.Client, a.At):
		return refusedUnban
	}
	return ""
}

// unbannedSince reports whether client, or a range around it, was unbanned at
// the event time at or later. mu is held.
func (s *Store) unbannedSince(client netip.Prefix, at int64) bool {
	for _, lifted := range s.unbans.Supernets(client) {
		if lifted >= at {
			return true
		}
	}
	return false
}

// decide makes a decision of a. It lasts from now on: a ban that began late is
// not shorter for it. But what would be over by now, had it come in time, is over.
func (s *Store) decide(a *detect.Alert, created time.Time) (*Decision, bool) {
	sc := a.Scenario
	lasts, action := sc.Ban, Action(sc.Action)
	if lasts == 0 {
		lasts = s.cfg.Duration
	}
	if action == "" {
		action = s.cfg.Action
	}
	if sc.Mode == scenario.Stage {
		action = Count
	}
	at := fromMillis(a.At)
	if !at.Add(lasts).After(created) {
		return nil, false
	}
	return &Decision{
		ID:       alertID(sc.Name, a.Client, at),
		Prefix:   a.Client,
		Action:   action,
		Scenario: sc.Name,
		Origin:   OriginScenario,
		Severity: Severity(sc.Severity),
		Staged:   sc.Mode == scenario.Stage,
		At:       at,
		Created:  created,
		Until:    created.Add(lasts),
		Arrived:  fromMillis(a.Arrived),
	}, true
}

// standing returns the decision that makes d needless: d itself, made before a
// restart; or one in force of the same scenario and action about the same client,
// which does not keep the client's requests out and therefore its alerts come
// again. A block is not asked for: what is raised under it is of another time. mu
// is held.
func (s *Store) standing(d *Decision) *entry {
	if e := s.known[d.ID]; e != nil {
		return e
	}
	for _, e := range s.index.get(d.Prefix) {
		if e.effect < stops && e.d.InForce(d.Created) && e.d.Scenario == d.Scenario && e.d.Origin == OriginScenario &&
			e.d.Action == d.Action && e.d.Staged == d.Staged {
			return e
		}
	}
	return nil
}

// hold takes e into memory. mu is held.
func (s *Store) hold(e *entry) {
	s.known[e.d.ID] = e
	s.index.add(e)
}
