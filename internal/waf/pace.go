package waf

import "time"

// slowFor is how long one ThrottlingException halves the rate. The quota is the
// account's: somebody else is using it, and gets a minute of room.
const slowFor = time.Minute

// pacer is a token bucket of one token: it starts full, so that the first call
// after silence goes out at once, and between two calls lies at least the pace.
// It has no clock; every method is told the time.
type pacer struct {
	every time.Duration // between two calls at the full rate
	next  time.Time     // no call before this
	slow  time.Time     // half the rate until then
}

// newPacer returns a full bucket for calls a second (> 0).
func newPacer(perSecond float64) pacer {
	return pacer{every: time.Duration(float64(time.Second) / perSecond)}
}

// interval is what lies between two calls at present.
func (p *pacer) interval(now time.Time) time.Duration {
	if now.Before(p.slow) {
		return 2 * p.every
	}
	return p.every
}

// take spends the token for a call that starts now.
func (p *pacer) take(now time.Time) { p.next = now.Add(p.interval(now)) }

// throttled halves the rate, from the call that was just refused on.
func (p *pacer) throttled(now time.Time) {
	p.slow = now.Add(slowFor)
	p.unsure(now)
}

// unsure starts the interval anew when it is unknown at which moment of a call
// AWS counted it.
func (p *pacer) unsure(now time.Time) { p.hold(now.Add(p.interval(now))) }

// hold allows no call before t.
func (p *pacer) hold(t time.Time) {
	if t.After(p.next) {
		p.next = t
	}
}

// backoff gives the wait after the n-th failure in a row (n >= 1): one second,
// doubled each time, at most half a minute.
func backoff(n int) time.Duration {
	return min(time.Second<<min(n-1, 5), 30*time.Second)
}
