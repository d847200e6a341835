package waf

import (
	"slices"
	"sync"
	"time"
)

// readsPerSecond are List and Get together; AWS takes 5 of each.
const readsPerSecond = 4

// courtesy is how long a slot is left to the Writer whose business is older,
// before another one may take it: that one may be busy with a call.
const courtesy = 20 * time.Millisecond

// Budgets hold the token buckets of AWS WAF's quotas: one for each account, region
// and action. All [Writer]s of a process share one Budgets, since AWS counts their
// calls together.
//
// A bucket holds one token and starts full: the first call after silence goes out
// at once, and between two calls lies at least the pace. Where several Writers
// want a slot, it is left to the one whose business has waited longest.
type Budgets struct {
	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	writers int // that have shares
}

type bucketKey struct{ account, region, action string }

const (
	writeAction = "UpdateIPSet"
	readAction  = "read" // ListIPSets and GetIPSet
)

// NewBudgets returns full buckets. Where several Writers share one, its pace is
// that of the slowest.
func NewBudgets() *Budgets {
	return &Budgets{buckets: make(map[bucketKey]*bucket)}
}

// BudgetStatus is one token bucket at one moment.
type BudgetStatus struct {
	Rate float64   // calls a second allowed at present
	Used int       // calls in the last minute
	Left int       // calls that it would have allowed beside them in that minute
	Next time.Time // no call before this
}

// join gives the number of one more Writer.
func (b *Budgets) join() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writers++
	return b.writers
}

// bucket gives a bucket, which is no faster than that many calls a second from
// now on.
func (b *Budgets) bucket(account, region, action string, perSecond float64) *bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := bucketKey{account, region, action}
	if b.buckets[k] == nil {
		b.buckets[k] = &bucket{}
	}
	one := b.buckets[k]
	one.mu.Lock()
	defer one.mu.Unlock()
	one.every = max(one.every, newPacer(perSecond).every)
	return one
}

// bucket is the budget of one action in one account and region. It has no clock;
// every method is told the time.
type bucket struct {
	mu sync.Mutex
	pacer
	calls []time.Time // of the last minute, oldest first
	lanes []*lane     // that have a claim
}

func (b *bucket) status(now time.Time) BudgetStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	used := len(b.calls)
	return BudgetStatus{
		Rate: float64(time.Second) / float64(b.interval(now)), Next: b.next, Used: used,
		Left: max(0, int(time.Minute/b.interval(now))-used),
	}
}

// forget drops the calls of more than a minute ago.
func (b *bucket) forget(now time.Time) {
	old := now.Add(-time.Minute)
	b.calls = slices.DeleteFunc(b.calls, func(t time.Time) bool { return !t.After(old) })
}

// lane is one Writer's share of a bucket.
type lane struct {
	b     *bucket
	turn  int       // of two whose business is equally old, the lower one goes first
	held  time.Time // this Writer makes no call before
	since int64     // of its oldest business that is due, Unix ms; 0 = it has none
}

func (l *lane) free(now time.Time) bool { return !now.Before(l.next()) }

// interval is what lies between two calls at present.
func (l *lane) interval(now time.Time) time.Duration {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	return l.b.interval(now)
}

// next gives when this Writer may make a call.
func (l *lane) next() time.Time {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	return l.nextLocked()
}

func (l *lane) nextLocked() time.Time {
	at := l.b.next
	for _, other := range l.b.lanes {
		if other != l && (l.since == 0 || other.since < l.since || other.since == l.since && other.turn < l.turn) {
			at = at.Add(courtesy)
			break
		}
	}
	if l.held.After(at) {
		return l.held
	}
	return at
}

// claim says since when this Writer has had business; 0 = it has none.
func (l *lane) claim(since int64) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	had := l.since != 0
	if l.since = since; had == (since != 0) {
		return
	}
	if since != 0 {
		l.b.lanes = append(l.b.lanes, l)
		return
	}
	l.b.lanes = slices.DeleteFunc(l.b.lanes, func(o *lane) bool { return o == l })
}

// take spends the token for a call that starts now. False: another Writer has
// taken it meanwhile.
func (l *lane) take(now time.Time) bool {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if now.Before(l.nextLocked()) {
		return false
	}
	l.b.take(now)
	l.b.forget(now)
	l.b.calls = append(l.b.calls, now)
	return true
}

// throttled halves the rate, from the call that was just refused on. The next call
// is about half a slot later than that, so as not to keep step for ever with another
// process, just behind its calls.
func (l *lane) throttled(now time.Time) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.throttled(now)
	odd := time.Duration(mix64(uint64(now.UnixNano())) % uint64(l.b.every/8))
	l.b.hold(l.b.pacer.next.Add(l.b.every/2 + odd))
}

// unsure starts the interval anew when it is unknown at which moment of a call
// AWS counted it.
func (l *lane) unsure(now time.Time) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.unsure(now)
}

// hold allows this Writer no call before t.
func (l *lane) hold(t time.Time) {
	if t.After(l.held) {
		l.held = t
	}
}

// status gives the whole bucket's.
func (l *lane) status(now time.Time) BudgetStatus { return l.b.status(now) }

// move makes l a share of another bucket; what the old one knew goes along.
func (l *lane) move(to *bucket) {
	if l.b == to {
		return
	}
	since, from := l.since, l.b
	l.claim(0)
	from.mu.Lock()
	next, slow, calls := from.next, from.slow, slices.Clone(from.calls)
	from.mu.Unlock()
	l.b = to
	to.mu.Lock()
	to.hold(next)
	if slow.After(to.slow) {
		to.slow = slow
	}
	to.calls = append(to.calls, calls...)
	slices.SortFunc(to.calls, time.Time.Compare)
	to.mu.Unlock()
	l.claim(since)
}
