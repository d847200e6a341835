package ban

import (
	"cmp"
	"slices"
)

// Group is the decisions that have origin and scenario in common.
type Group struct {
	Origin    Origin
	Scenario  string // empty: no scenario made them
	Decisions int    // how many
}

// CountWhere returns what RemoveWhere would end at this moment, by origin and
// scenario, in their order. It changes nothing, and refuses what RemoveWhere
// refuses.
func (s *Store) CountWhere(w Where) ([]Group, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	now := s.now()
	counts := make(map[Group]int)
	for _, h := range s.index.table.Load().All() {
		for _, e := range h.entries {
			if e.d.InForce(now) && w.fits(e.d) {
				counts[Group{Origin: e.d.Origin, Scenario: e.d.Scenario}]++
			}
		}
	}
	list := make([]Group, 0, len(counts))
	for t, n := range counts {
		t.Decisions = n
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Scenario, b.Scenario))
	})
	return list, nil
}
