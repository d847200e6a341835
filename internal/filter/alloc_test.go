package filter

import "testing"

// TestNoGarbage: records of which all was seen before cost no allocation.
func TestNoGarbage(t *testing.T) {
	s := hubSet(t)
	m := s.NewMatcher()
	records := typical(t, 48)
	var facts Facts
	all := func() {
		for _, r := range records {
			m.Match(r, &facts)
			for i := range s.values {
				m.Value(i)
			}
		}
	}
	all()
	if n := testing.AllocsPerRun(5, all); n != 0 {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
	if runs, faults := m.Counts(); runs != 0 || faults != 0 {
		t.Errorf("%d runs of the virtual machine, %d faults", runs, faults)
	}
}
