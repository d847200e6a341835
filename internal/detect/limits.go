package detect

import (
	"math"
	"math/bits"
	"time"

	"weir/internal/scenario"
)

// limits are a scenario's numbers in the units that buckets count in.
type limits struct {
	leak  int64 // nanoseconds in which one event leaks out
	full  int64 // nanoseconds until a full bucket has run dry: capacity x leak
	life  int64 // milliseconds after its latest event for which a bucket is kept: (capacity+1) x leak
	quiet int64 // milliseconds around an alert in which no other is raised: the blackhole
	space int64 // milliseconds after an event that counted in which no other does
	guard int64 // milliseconds from the end of a record's minute for which it shields

	// sampled is the level above which requests are kept as samples. A pour of one
	// event raises a bucket by one leak, so the last of them before an overflow,
	// as many as an alert carries, all lie above it: keeping those above is keeping
	// enough, and a bucket that never gets near its brim costs no copy.
	sampled int64

	single  uint32 // records that one event may stand for
	samples int    // that an alert carries
	queue   int    // that the judge sees; 0 = it is not asked
	kind    scenario.Kind
	group   scenario.Group
}

const (
	// maxSamples is how many requests an alert carries, and a judge sees, where a
	// scenario does not say.
	maxSamples = 20

	// maxQueue is the most that a scenario gets, and what a condition sees.
	maxQueue = 256
)

// newLimits returns the limits of a scenario. A trigger is a
// bucket that holds nothing.
func newLimits(s *scenario.Scenario) limits {
	l := limits{
		leak: scenario.WholeEvent, quiet: s.Blackhole.Milliseconds(), guard: s.Shield.Milliseconds(), space: s.Spacing.Milliseconds(),
		single: uint32(s.Sampling()), samples: maxSamples, kind: s.Kind, group: s.Group,
	}
	if s.CacheSize > 0 {
		l.samples = min(s.CacheSize, maxQueue)
	}
	if s.Queue {
		l.queue = l.samples
		if s.CacheSize == 0 { // CrowdSec's queue holds a full bucket
			l.queue = min(max(maxSamples, s.Capacity+1), maxQueue)
		}
		if s.Kind == scenario.Conditional {
			l.queue = maxQueue
		}
	}
	kept := int64(max(l.samples, l.queue))
	switch s.Kind {
	case scenario.Leaky:
		l.leak = int64(s.Leak)
		l.full = int64(s.Capacity) * l.leak
		l.life = (l.full + l.leak) / int64(time.Millisecond)
		l.sampled = l.full - (kept-1)*l.leak
	case scenario.Conditional:
		// It never overflows by what it holds, and its events do not leak.
		l.leak, l.full, l.sampled = 0, math.MaxInt64/2, -1
		l.life = s.Leak.Milliseconds()
	default:
		l.sampled = -1
	}
	return l
}

// cost is by how many nanoseconds the weight of a hit raises or lowers a bucket. A
// weight above what any bucket holds is cut to that.
func (l *limits) cost(weight uint32) int64 {
	if weight == scenario.WholeEvent {
		return l.leak
	}
	hi, lo := bits.Mul64(uint64(l.leak), uint64(weight))
	if hi >= scenario.WholeEvent {
		return l.full + 1
	}
	nanoseconds, _ := bits.Div64(hi, lo, scenario.WholeEvent)
	return int64(min(nanoseconds, uint64(l.full)+1))
}
