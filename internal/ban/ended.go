package ban

import (
	"net/netip"
	"time"
)

// endedLife is how long Ended knows of a decision after its end.
const endedLife = time.Hour

// Ended returns when the latest decision about exactly p ended that was enforced and
// is not in force any more; false: there was none within the last hour, this process
// and the one before it on the same file taken together. An IP set that nobody wrote
// meanwhile may hold it still.
func (s *Store) Ended(p netip.Prefix) (time.Time, bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := s.ended[p]
	for _, e := range s.index.get(p) {
		if e.until <= millis(now) && e.d.Held == "" && e.enforce.Load() {
			latest = max(latest, e.until)
		}
	}
	if latest <= millis(now.Add(-endedLife)) {
		return time.Time{}, false
	}
	return fromMillis(latest), true
}

// forgetEnded drops what ended before (Unix ms). mu is held.
func (s *Store) forgetEnded(before int64) {
	for p, at := range s.ended {
		if at < before {
			delete(s.ended, p)
		}
	}
}
