package ban

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// memory is a storage that forgets all at the end of the process: for replays,
// demonstrations and tests.
type memory struct {
	mu        sync.Mutex
	decisions map[string]Decision
	unbans    map[netip.Prefix]time.Time
	allow     map[netip.Prefix]AllowEntry
	alertLog  []Alert // the latest, oldest first
	auditLog  []Audit
	secrets   map[string][32]byte
}

// memoryAlerts is how many alerts are remembered: a replay raises any number.
const memoryAlerts = 10_000

func newMemory() *memory {
	return &memory{
		decisions: make(map[string]Decision), unbans: make(map[netip.Prefix]time.Time),
		allow: make(map[netip.Prefix]AllowEntry), secrets: make(map[string][32]byte),
	}
}

func (m *memory) load(_ context.Context, ended, lifted time.Time) (contents, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var c contents
	for _, d := range m.decisions {
		if d.Until.After(ended) {
			d.Context = nil
			c.decisions = append(c.decisions, d)
		}
	}
	for p, at := range m.unbans {
		if at.After(lifted) {
			c.unbans = append(c.unbans, unban{p, at})
		}
	}
	c.allow = slices.Collect(maps.Values(m.allow))
	return c, nil
}

func (m *memory) write(_ context.Context, b batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range b.put {
		m.decisions[d.ID] = d
	}
	for _, id := range b.free {
		if d, ok := m.decisions[id]; ok {
			d.Held = ""
			m.decisions[id] = d
		}
	}
	for _, e := range b.end {
		if d, ok := m.decisions[e.id]; ok {
			d.Until, d.Removed = e.at, e.at
			m.decisions[e.id] = d
		}
	}
	for _, u := range b.unban {
		m.unbans[u.prefix] = u.at
	}
	for _, e := range b.allow {
		if e.version > m.allow[e.Prefix].version {
			m.allow[e.Prefix] = e
		}
	}
	for _, a := range b.alerts {
		if !slices.ContainsFunc(m.alertLog, func(o Alert) bool { return o.ID == a.ID }) {
			m.alertLog = append(m.alertLog, a)
		}
	}
	m.alertLog = slices.Clone(m.alertLog[max(0, len(m.alertLog)-memoryAlerts):])
	for _, a := range b.audit {
		if !slices.Contains(m.auditLog, a) {
			m.auditLog = append(m.auditLog, a)
		}
	}
	return nil
}

func (m *memory) get(_ context.Context, id string) (Decision, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.decisions[id]
	return d, ok, nil
}

func (m *memory) list(_ context.Context, f filter) ([]Decision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Decision
	for _, d := range m.decisions {
		if f.matches(&d) {
			d.Context = nil
			found = append(found, d)
		}
	}
	newestFirst(found, positionOf)
	return found[:min(f.limit, len(found))], nil
}

func (m *memory) alert(_ context.Context, id string) (Alert, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.alertLog, func(a Alert) bool { return a.ID == id })
	if i < 0 {
		return Alert{}, false, nil
	}
	a := m.alertLog[i]
	if a.Context == nil {
		a.Context = m.decisions[id].Context
	}
	return a, true, nil
}

func (m *memory) alerts(_ context.Context, f filter) ([]Alert, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Alert
	for _, a := range m.alertLog {
		if f.matchesAlert(&a) {
			a.Context = nil
			found = append(found, a)
		}
	}
	newestFirst(found, (*Alert).position)
	return found[:min(f.limit, len(found))], nil
}

func (m *memory) audit(_ context.Context, after position, limit int) ([]Audit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(m.auditLog), func(a Audit) bool {
		return after != position{} && !after.before(a.position())
	})
	newestFirst(found, (*Audit).position)
	return found[:min(limit, len(found))], nil
}

func (f *filter) matches(d *Decision) bool {
	return (len(f.prefixes) == 0 || slices.Contains(f.prefixes, d.Prefix)) &&
		!d.Until.Before(f.kept) &&
		(f.scenario == "" || d.Scenario == f.scenario) &&
		(f.origin == "" || d.Origin == f.origin) &&
		(f.after == position{} || f.after.before(positionOf(d)))
}

func (f *filter) matchesAlert(a *Alert) bool {
	return (len(f.prefixes) == 0 || slices.Contains(f.prefixes, a.Prefix)) &&
		!a.Until.Before(f.kept) &&
		(f.scenario == "" || a.Scenario == f.scenario) &&
		(f.after == position{} || f.after.before(a.position()))
}

func (m *memory) about(_ context.Context, prefixes []netip.Prefix, ended time.Time) ([]netip.Prefix, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[netip.Prefix]bool)
	for _, d := range m.decisions {
		if d.Until.After(ended) {
			found[d.Prefix] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !found[p] }), nil
}

func (m *memory) purge(_ context.Context, p purge, limit int) (more bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// spend says whether one more may be forgotten.
	spend := func(left *int, old bool) bool {
		if old {
			*left--
			more = more || *left < 0
		}
		return old && *left >= 0
	}
	decisions, unbans, allowed, alerts, audits := limit, limit, limit, limit, limit
	maps.DeleteFunc(m.decisions, func(_ string, d Decision) bool { return spend(&decisions, d.Until.Before(p.ended)) })
	maps.DeleteFunc(m.unbans, func(_ netip.Prefix, at time.Time) bool { return spend(&unbans, at.Before(p.lifted)) })
	maps.DeleteFunc(m.allow, func(_ netip.Prefix, e AllowEntry) bool { return spend(&allowed, e.over(p.lifted)) })
	m.alertLog = slices.DeleteFunc(m.alertLog, func(a Alert) bool { return spend(&alerts, a.Until.Before(p.ended)) })
	m.auditLog = slices.DeleteFunc(m.auditLog, func(a Audit) bool { return spend(&audits, a.At.Before(p.audit)) })
	return more, nil
}

func (m *memory) secret(_ context.Context, name string, fresh [32]byte) ([32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.secrets[name]; !ok {
		m.secrets[name] = fresh
	}
	return m.secrets[name], nil
}

func (m *memory) unread() int64 { return 0 }

func (m *memory) shared() bool { return false }

func (m *memory) close() error { return nil }
