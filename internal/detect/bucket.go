package detect

import (
	"time"
)

// A bucket counts for one key in one scenario. It is pointer-free and a cache line
// long. The zero bucket is empty.
//
// It is a leaky bucket in event time: level is how long it takes to run dry, as
// seen at the time last. Every event adds one leak, and the bucket overflows when
// that takes more than capacity leaks, which is the (capacity+1)-th event of a
// burst. Events that come exactly a leak apart never overflow it.
type bucket struct {
	ident   ident
	level   int64  // nanoseconds
	last    int64  // Unix milliseconds; never moves back while the bucket lives
	first   int64  // Unix milliseconds of the first event
	alerted int64  // Unix milliseconds of the latest alert; 0 = none
	count   uint32 // records that the accepted events stand for; 0 = dead: the next event starts anew
	sample  uint32 // position of the latest sample; 0 = none
	born    uint32 // tells the distinct values of this bucket from those of the one before it
	shield  uint32 // of shieldIdent: Unix minute until which no alert is raised; 0 = none
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
		if b.count <= l.single {
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

// pour adds what an event of time at, which is not before last, costs; it stands for so
// many records. It reports whether the bucket runs over; then it is left as full as it was.
func (b *bucket) pour(l *limits, cost, at int64, records uint32) bool {
	leaked := (at - b.last) * int64(time.Millisecond)
	b.level = max(0, b.level-leaked)
	b.last = at
	b.count += records
	if cost > l.full-b.level {
		return true
	}
	b.level += cost
	return false
}

// brim reports whether the event that was just poured, and cost so much, has to be
// kept as a sample: whether as many more like it as an alert carries would
// overflow the bucket.
func (b *bucket) brim(l *limits, cost int64) bool {
	if cost == l.leak {
		return b.level > l.sampled
	}
	return (l.full-b.level)/int64(max(l.samples, l.queue)) < cost
}

// holds reports whether the bucket has something in it for a record of time at:
// whether that is within its life, and not from before its first event. So a drain that
// found nothing does no more when it is delivered once again.
func (b *bucket) holds(l *limits, at int64) bool {
	return b.count != 0 && at >= b.first && at <= b.last+l.life && at >= b.last-l.life
}

// drain takes out of the bucket, at most what is in it at the time at. It is no
// event: it neither moves the bucket's time nor lengthens its life.
func (b *bucket) drain(cost, at int64) {
	leaked := max(0, at-b.last) * int64(time.Millisecond)
	b.level -= min(cost, max(0, b.level-leaked))
}

// die ends a bucket that ran over. What it remembers of its alert stays.
func (b *bucket) die() {
	b.level, b.count, b.sample = 0, 0, 0
}

// hushed reports whether an overflow at this time is one more of an alert that
// was raised already. It looks both ways: an alert far ahead of the records'
// time must not silence what comes before it.
func (b *bucket) hushed(l *limits, at int64) bool {
	return b.alerted != 0 && near(b.alerted, at, l.quiet)
}

// near reports whether two times are less than reach milliseconds apart.
func near(a, b, reach int64) bool { return a < b+reach && b < a+reach }

const minute = 60_000 // milliseconds

// guard protects the key of shields from alerts for a time that begins with the
// end of the minute. Records of the same minute give the same end. It reports whether
// that is later than what was known.
func (b *bucket) guard(l *limits, at int64) bool {
	until := uint32((at/minute*minute + minute + l.guard) / minute)
	if until <= b.shield {
		return false
	}
	b.shield = until
	return true
}

// shielded reports whether no alert is raised at this time.
func (b *bucket) shielded(at int64) bool { return at < int64(b.shield)*minute }

// expiry returns the tick from which on the bucket is empty, and the one after
// which nothing of it matters. What it remembers without holding anything is worth
// as much as what it would hold.
func (b *bucket) expiry(l *limits) (dry, until uint32) {
	var rest int64
	if b.alerted != 0 {
		rest = b.alerted + l.quiet
	}
	if b.shield != 0 {
		rest = max(rest, int64(b.shield)*minute)
	}
	if b.count == 0 {
		until = ticks(rest)
		return until, until
	}
	dry = ticks(b.last + b.level/int64(time.Millisecond))
	return dry, max(ticks(b.last+l.life), ticks(rest))
}

// tickBits of milliseconds make a tick, which is about a second.
const tickBits = 10

// ticks rounds Unix milliseconds up to ticks. Records are dated 2000 to 2099; what
// ends beyond what fits is cut.
func ticks(ms int64) uint32 {
	return uint32(min((ms+1<<tickBits-1)>>tickBits, 1<<32-1))
}
