package scenario

import "weir/internal/filter"

// An Event is a request in a bucket, as its alert would carry it.
type Event = filter.Event

// Judge tells whether scenario i, whose Queue is set, overflows with these events in
// its bucket, oldest first: whether its condition holds, or its overflow_filter. One
// that fails does not hold. It is slow, and may be called from many goroutines.
func (s *Set) Judge(i int, events []Event) bool {
	for _, q := range s.queues[i] {
		if holds, err := q.Holds(events); !holds || err != nil {
			return false
		}
	}
	return true
}
