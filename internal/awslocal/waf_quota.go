package awslocal

import (
	"maps"
	"strings"
	"time"
)

// AWS's quotas, in calls a second of one action.
const (
	defaultWrites = 1.0
	defaultReads  = 5.0
)

// window is what calls are limited by. Both scopes share it in us-east-1:
// AWS does not say so, but a client that assumes it is safe either way.
type window struct{ region, action string }

// rate returns an action's quota in calls a second, 0 if it has none that is
// documented (Delete, Tag, CheckCapacity).
func (w *WAF) rate(action string) float64 {
	or := func(rate, otherwise float64) float64 {
		if rate == 0 {
			return otherwise
		}
		return rate
	}
	switch {
	case strings.HasPrefix(action, "Create"), strings.HasPrefix(action, "Update"):
		return or(w.cfg.WAF.WritesPerSecond, defaultWrites)
	case strings.HasPrefix(action, "Get"), strings.HasPrefix(action, "List"):
		return or(w.cfg.WAF.ReadsPerSecond, defaultReads)
	}
	return 0
}

// withinQuota notes a call and tells whether it may pass. A second's worth of
// calls (but at least one) is allowed in any window of the time they stand for.
func (w *WAF) withinQuota(region, action string) bool {
	rate := w.rate(action)
	if rate == 0 {
		return true
	}
	burst := max(1, int(rate))
	span := time.Duration(float64(burst) / rate * float64(time.Second))
	w.mu.Lock()
	defer w.mu.Unlock()
	key, now := window{region, action}, w.cfg.Now()
	passed := w.windows[key]
	for len(passed) > 0 && now.Sub(passed[0]) >= span {
		passed = passed[1:]
	}
	within := len(passed) < burst
	if !within {
		w.violations[action]++
	}
	if within || !w.cfg.WAF.Enforce {
		passed = append(passed, now)
		passed = passed[max(0, len(passed)-burst):] // older ones cannot matter
	}
	w.windows[key] = passed
	return within || !w.cfg.WAF.Enforce
}

// Violations returns how many calls of each action came faster than AWS allows,
// whether they were refused or not.
func (w *WAF) Violations() map[string]int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return maps.Clone(w.violations)
}
