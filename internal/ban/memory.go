package ban

import (
	"cmp"
	"context"
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
	secrets   map[string][32]byte
}

func newMemory() *memory {
	return &memory{decisions: make(map[string]Decision), unbans: make(map[netip.Prefix]time.Time), secrets: make(map[string][32]byte)}
}

func (m *memory) load(_ context.Context, ended, lifted time.Time) ([]Decision, []unban, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ds []Decision
	for _, d := range m.decisions {
		if d.Until.After(ended) {
			d.Context = nil
			ds = append(ds, d)
		}
	}
	var us []unban
	for p, at := range m.unbans {
		if at.After(lifted) {
			us = append(us, unban{p, at})
		}
	}
	return ds, us, nil
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
	slices.SortFunc(found, func(a, b Decision) int {
		return cmp.Or(cmp.Compare(millis(b.Created), millis(a.Created)), cmp.Compare(b.ID, a.ID))
	})
	return found[:min(f.limit, len(found))], nil
}

func (f *filter) matches(d *Decision) bool {
	return (len(f.prefixes) == 0 || slices.Contains(f.prefixes, d.Prefix)) &&
		(f.active.IsZero() || d.Until.After(f.active)) &&
		(f.scenario == "" || d.Scenario == f.scenario) &&
		(f.origin == "" || d.Origin == f.origin) &&
		(f.after == position{} || f.after.before(positionOf(d)))
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

func (m *memory) purge(_ context.Context, ended, lifted time.Time, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for id, d := range m.decisions {
		if n < limit && d.Until.Before(ended) {
			delete(m.decisions, id)
			n++
		}
	}
	left := limit
	for p, at := range m.unbans {
		if left > 0 && at.Before(lifted) {
			delete(m.unbans, p)
			n++
			left--
		}
	}
	return n, nil
}

func (m *memory) secret(_ context.Context, name string, fresh [32]byte) ([32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.secrets[name]; !ok {
		m.secrets[name] = fresh
	}
	return m.secrets[name], nil
}

func (m *memory) shared() bool { return false }

func (m *memory) close() error { return nil }
