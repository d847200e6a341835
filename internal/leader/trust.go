package leader

import "time"

// sighting says since when the row looks as it does, to who waits for the lease.
type sighting struct {
	row    row
	since  time.Time // when the first look that saw it had ended
	latest time.Time // when the latest look that succeeded was begun; zero = there was none
}

// see notes a look that succeeded. What happened in a gap between looks is not
// known, so nobody's silence counts across it.
func (s *sighting) see(r row, begun, ended time.Time, is terms) {
	if s.latest.IsZero() || begun.Sub(s.latest) > is.blind() || r != s.row {
		s.row, s.since = r, ended
	}
	s.latest = begun
}

// from says how the lease is come by if it may be taken now, "" if it may not.
func (s *sighting) from(me string, is terms) string {
	switch {
	case s.latest.IsZero():
		return ""
	case s.row.holder == "":
		return takenFree
	case s.row.holder == me:
		return takenOwn
	case s.latest.Sub(s.since) >= is.failover:
		return takenExpired
	}
	return ""
}

// standing says how far the lease can be relied on, to who holds it.
type standing struct {
	confirmed time.Time // when the latest write that succeeded was begun
	reached   time.Time // when the latest try was begun, if there was no long time without one since confirmed
}

// note keeps how a write has ended that was begun at a time. After a pause only
// an answer tells what was missed: tries that got none prove nothing any more.
func (s *standing) note(begun time.Time, answered bool, is terms) {
	switch {
	case answered:
		s.confirmed, s.reached = begun, begun
	case begun.Sub(s.reached) <= is.trust():
		s.reached = begun
	}
}

// inForce tells whether the lease is good: it was renewed lately, or the table was
// asked all the time since and has answered nothing.
func (s *standing) inForce(now time.Time, is terms) bool {
	silent := now.Sub(s.confirmed)
	return silent < is.valid() || now.Sub(s.reached) < is.trust() && !s.expired(now, is)
}

// expired tells whether the table has been silent for longer than the holder may
// go on without it.
func (s *standing) expired(now time.Time, is terms) bool {
	return now.Sub(s.confirmed) >= is.failover+is.grace
}
