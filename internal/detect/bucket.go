package detect

import (
	"time"

	"weir/internal/scenario"
)

// limits are a scenario's numbers in the units that buckets count in.
type limits struct {
	leak  int64 // nanoseconds in which one event leaks out
	full  int64 // nanoseconds until a full bucket has run dry: capacity x leak
	life  int64 // milliseconds after its latest event for which a bucket is kept: (capacity+1) x leak
	quiet int64 // milliseconds around an alert in which no other is raised: the blackhole

	// sampled is the level above which requests are kept as samples. A pour
	// raises a bucket by one event at most, so the last maxSamples pours before
	// an overflow all lie above it: keeping those above is keeping enough, and a
	// bucket that never gets near its brim costs no copy.
	sampled int64
}

// newLimits returns the limits of every scenario of a set. A trigger is a bucket
// that holds nothing.
func newLimits(set *scenario.Set) []limits {
	all := make([]limits, set.Len())
	for i := range all {
		s := set.At(i)
		l := limits{leak: 1, quiet: s.Blackhole.Milliseconds()}
		if s.Kind == scenario.Leaky {
			l.leak = int64(s.Leak)
			l.full = int64(s.Capacity) * l.leak
			l.life = (l.full + l.leak) / int64(time.Millisecond)
		}
		l.sampled = l.full - (maxSamples-1)*l.leak
		all[i] = l
	}
	return all
}

// A bucket counts one key in one scenario. It is pointer-free and a cache line
// long. The zero bucket is empty.
//
// It is a leaky bucket in event time: level is how long it takes to run dry, as
// seen at the time last. Every event adds one leak, and the bucket overflows when
// that takes more than capacity leaks, which is the (capacity+1)-th event of a
// burst. Events that come exactly a leak apart never overflow it.
type bucket struct {
	hi, lo   uint64 // with bits: the key
	level    int64  // nanoseconds
	last     int64  // Unix milliseconds; never moves back while the bucket lives
	first    int64  // Unix milliseconds of the first event
	alerted  int64  // Unix milliseconds of the latest alert; 0 = none
	count    uint32 // accepted events; 0 = dead: the next event starts anew
	sample   uint32 // position of the latest sample; 0 = none
	born     uint32 // tells the distinct values of this bucket from those of the one before it
	scenario uint16
	bits     uint8
}

// admission is what a bucket says to an event before it is poured.
type admission uint8

const (
	admitted admission = iota
	afresh             // admitted, into a new bucket
	late               // older than the bucket's life: not to be poured
)

// admit tells what becomes of an event of time at, and returns the time at which
// it counts: logs arrive out of order, and a bucket must not be credited the same
// interval twice.
//
// A bucket that holds a single event gives way to an event older than its life.
// So one record from a clock that is far ahead cannot make a client's bucket turn
// away everything that really happens.
func (b *bucket) admit(l *limits, at int64) (int64, admission) {
	switch {
	case b.count == 0, at > b.last+l.life:
		return at, afresh
	case at < b.last-l.life:
		if b.count == 1 {
			return at, afresh
		}
		return at, late
	}
	return max(at, b.last), admitted
}

// begin empties the bucket for its first event.
func (b *bucket) begin(at int64, born uint32) {
	b.level, b.count, b.sample = 0, 0, 0
	b.first, b.last = at, at
	b.born = born
}

// pour adds an event of time at, which is not before last, and reports whether
// the bucket runs over.
func (b *bucket) pour(l *limits, at int64) bool {
	leaked := (at - b.last) * int64(time.Millisecond)
	b.level = max(0, b.level-leaked) + l.leak
	b.last = at
	b.count++
	return b.level > l.full
}

// die ends a bucket that ran over. What it remembers of its alert stays.
func (b *bucket) die() {
	b.level, b.count, b.sample = 0, 0, 0
}

// hushed reports whether an overflow at this time is one more of an alert that
// was raised already. It looks both ways: an alert far ahead of the records'
// time must not silence what comes before it.
func (b *bucket) hushed(l *limits, at int64) bool {
	return b.alerted != 0 && at < b.alerted+l.quiet && at > b.alerted-l.quiet
}

// expiry returns the Unix second from which on the bucket is empty, and the one
// after which nothing of it matters.
func (b *bucket) expiry(l *limits) (dry, until uint32) {
	if b.count == 0 {
		until = seconds(b.alerted + l.quiet)
		return until, until
	}
	dry = seconds(b.last + b.level/int64(time.Millisecond))
	return dry, max(seconds(b.last+l.life), seconds(b.alerted+l.quiet))
}

// seconds rounds Unix milliseconds up to seconds. Records are dated 2000 to 2099;
// what ends beyond what fits is cut.
func seconds(ms int64) uint32 {
	return uint32(min((ms+999)/1000, 1<<32-1))
}
