package scenario

import "weir/internal/filter"

// An Event is a request in a bucket, as its alert would carry it.
type Event = filter.Event

// Judge tells whether scenario i, whose Queue is set, overflows with these events in
// its bucket, oldest first. It is slow, and may be called from many goroutines.
func (s *Set) Judge(i int, events []Event) bool {
	return !s.scenarios[i].Queue || len(events) > 0
}
