package waf

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Excluded is an entry in force that no IP set is to hold.
type Excluded struct {
	Prefix netip.Prefix
	// Reason is one of "malformed", "allowlisted", "action" (no IP set is for it),
	// "quarantined" (AWS refused it by name), "wide" (wider than /16 or /32, and nobody
	// insists on it) and "special" (addresses that are nobody's on the internet).
	Reason string
}

// Excluded gives what is in force and not to be written, by reason and address. It
// passes over everything in force, may be called by anyone at any time, and calls
// nothing of AWS.
func (w *Writer) Excluded() []Excluded {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var list []Excluded
	for e := range w.cfg.Wanted(now) {
		prefix, pl, why := w.plan.judge(&e, now.UnixMilli())
		switch {
		case pl == nil && why != irrelevant:
			list = append(list, Excluded{e.Prefix, why.String()})
		case pl != nil && pl.quarantines(prefix):
			list = append(list, Excluded{prefix, quarantined.String()})
		}
	}
	slices.SortFunc(list, func(a, b Excluded) int { return cmp.Or(cmp.Compare(a.Reason, b.Reason), a.Prefix.Compare(b.Prefix)) })
	return list
}

func (pl *pool) quarantines(prefix netip.Prefix) bool {
	e := pl.entries.get(prefix)
	return e != nil && e.class == shut
}

// Foreign is an entry that people put into an IP set.
type Foreign struct {
	Prefix netip.Prefix
	Set    string // its name
}

// Foreign gives the entries of people's that share an address with p, by set and
// address. It may be called by anyone at any time, and calls nothing of AWS.
func (w *Writer) Foreign(p netip.Prefix) []Foreign {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plan.foreign(p.Overlaps)
}

// foreign gives the entries of people's that are so.
func (p *plan) foreign(is func(netip.Prefix) bool) (list []Foreign) {
	for _, s := range p.sets {
		if s.hands() == 0 {
			continue
		}
		for _, e := range s.members {
			if e.hand && is(e.prefix) {
				list = append(list, Foreign{e.prefix, s.name})
			}
		}
		for c, keep := range s.copies {
			if keep && is(c) {
				list = append(list, Foreign{c, s.name})
			}
		}
	}
	slices.SortFunc(list, func(a, b Foreign) int { return cmp.Or(cmp.Compare(a.Set, b.Set), a.Prefix.Compare(b.Prefix)) })
	return list
}

// warn logs what people put into IP sets though it overlaps the allowlist: it is not
// ours to take out, and stops who is never to be stopped. Each is told once. The
// caller holds mu.
func (w *Writer) warn() {
	const most = 10 // lines a pass
	warned, told := w.warned, 0
	w.warned = make(map[Foreign]bool)
	for _, f := range w.plan.foreign(w.plan.allowed) {
		if !warned[f] {
			if told++; told > most {
				break // the rest comes with the next passes
			}
			w.cfg.Logger.Warn("people put an entry into an IP set that overlaps the allowlist: it stays until they take it out, and stops whom it matches",
				zap.String("set", f.Set), zap.Stringer("prefix", f.Prefix))
		}
		w.warned[f] = true
	}
}
