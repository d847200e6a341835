package ban

import (
	"fmt"
	"time"
)

const (
	// allTimes is how much more all scenarios together may decide than one: else
	// the scenario that goes wild would open the breaker of all, too.
	allTimes = 2

	// leastBans and leastClients are how many bans of clients that came back, and how
	// many clients in the window before, it takes for a share to mean something.
	leastBans    = 50
	leastClients = 1000

	// everyScenario stands in for the name of a scenario, for all of them together.
	everyScenario = "*"
)

// breakers hold back decisions when there are more than anybody planned for: of one
// scenario, or of all together. An open one stays open until it is released. What
// it holds is decided as ever, and stored, and shown; it is not enforced.
// Guarded by Store.mu.
type breakers struct {
	perMinute int     // 0: any number
	share     float64 // 0: all
	all       breaker
	each      map[string]*breaker               // by scenario
	opened    func(scenario string, why string) // told of each that opens
}

// breaker counts the decisions of one scenario, or of all.
type breaker struct {
	open   bool
	since  time.Time // when it opened
	why    string    // in words for people
	minute lastMinute
	back   int      // bans of clients that came back, within the window
	window *windows // that back is of
}

func newBreakers(cfg Config, opened func(scenario, why string)) breakers {
	return breakers{perMinute: cfg.PerMinute, share: cfg.Share, each: make(map[string]*breaker), opened: opened}
}

// of returns the breaker of a scenario.
func (b *breakers) of(scenario string) *breaker {
	if scenario == everyScenario {
		return &b.all
	}
	one := b.each[scenario]
	if one == nil {
		one = new(breaker)
		b.each[scenario] = one
	}
	return one
}

// judge says whether a new decision is held, and by which breaker; cameBack is
// whether its client was here before. What is held is not counted: a scenario whose
// breaker is open does not open that of all.
func (b *breakers) judge(d *Decision, cameBack bool, w *windows) Hold {
	one := b.of(d.Scenario)
	switch {
	case d.Action == Count: // stops nobody
		return ""
	case one.open || b.opens(d.Scenario, 1, d, cameBack, w):
		return HeldByScenario
	case b.all.open || b.opens(everyScenario, allTimes, d, cameBack, w):
		return HeldByAll
	}
	one.count(d, cameBack)
	b.all.count(d, cameBack)
	return ""
}

// opens opens a breaker, for which the limits are so many times as high, if d is one
// decision too many for it.
func (b *breakers) opens(scenario string, times int, d *Decision, cameBack bool, w *windows) bool {
	one := b.of(scenario)
	if one.window != w {
		one.window, one.back = w, 0
	}
	most, share, back := times*b.perMinute, min(1, float64(times)*b.share), w.back.Load()
	switch {
	case most > 0 && one.minute.sum(d.Created) >= most:
		one.why = fmt.Sprintf("more than %d new decisions in a minute", most)
	case share > 0 && cameBack && one.back+1 >= leastBans && w.before >= leastClients && float64(one.back+1) > share*float64(back):
		one.why = fmt.Sprintf("%d of the %d clients that keep coming back would be banned within %s, more than %.3g %%", one.back+1, back, censusWindow, 100*share)
	default:
		return false
	}
	one.open, one.since = true, d.Created
	b.opened(scenario, one.why)
	return true
}

// reopen opens the breaker that held d before a restart.
func (b *breakers) reopen(d *Decision) {
	one := b.of(d.Scenario)
	if d.Held == HeldByAll {
		one = &b.all
	}
	if !one.open || d.Created.Before(one.since) {
		one.open, one.since, one.why = true, d.Created, "it was before this process began, and what it held is not released"
	}
}

// reset closes a breaker and has it count from 0.
func (b *breaker) reset() { *b = breaker{} }

func (b *breaker) count(d *Decision, cameBack bool) {
	b.minute.add(d.Created)
	if cameBack {
		b.back++
	}
}

// lastMinute counts what happened within a minute, to the second. Its time never
// goes back.
type lastMinute struct {
	second int64 // Unix, of the latest count or look
	counts [60]int32
	total  int
}

// sum returns how many there were within the minute before now.
func (m *lastMinute) sum(now time.Time) int {
	second := now.Unix()
	if second-m.second >= int64(len(m.counts)) {
		*m = lastMinute{second: second}
	}
	for m.second < second {
		m.second++
		slot := &m.counts[m.second%60]
		m.total -= int(*slot)
		*slot = 0
	}
	return m.total
}

func (m *lastMinute) add(now time.Time) {
	m.sum(now)
	m.counts[m.second%60]++
	m.total++
}
