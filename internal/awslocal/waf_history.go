package awslocal

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// keptWrites bounds [WAF.Writes].
const keptWrites = 10_000

// Write is an accepted change of an IP set's addresses.
type Write struct {
	At             time.Time
	Scope, Set     string
	Added, Removed []netip.Prefix // sorted
	Size           int            // addresses in the set after it
	Description    string         // of the set after it
	Token          string         // lock token that it made
	ByHand         bool           // by [WAF.EditByHand]
}

// note adds the write to the history that made r what it is. w.mu is held.
func (w *WAF) note(r *wafResource, before *addressSet, byHand bool) {
	is := r.latest()
	if len(w.writes) >= keptWrites {
		w.writes = slices.Delete(w.writes, 0, keptWrites/10)
	}
	write := Write{
		At: w.cfg.Now(), Scope: r.scope, Set: r.name,
		Added: is.set.minus(before), Removed: before.minus(is.set), Size: len(is.set.sorted),
		Description: is.description, Token: is.token, ByHand: byHand,
	}
	w.writes = append(w.writes, write)
	if w.cfg.WAF.OnWrite != nil {
		w.cfg.WAF.OnWrite(write)
	}
}

// Writes returns the latest accepted writes of IP sets, their creation
// included, oldest first; at least the latest 9,000 if there were so many.
func (w *WAF) Writes() []Write {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.Clone(w.writes)
}

// Addresses returns the sorted content of every IP set of a scope, in any
// region, by the set's name: what was accepted, though edges may not have it yet.
func (w *WAF) Addresses(scope string) map[string][]netip.Prefix {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := make(map[string][]netip.Prefix)
	for k, r := range w.resources {
		if k.kind == kindIPSet && k.scope == scope {
			out[k.name] = slices.Clone(r.latest().set.sorted)
		}
	}
	return out
}

// EditByHand changes an IP set as somebody at the console would: at once,
// without a thought for other writers, whose lock tokens become stale. What is
// to be added and there already, or to be removed and not there, is no error.
func (w *WAF) EditByHand(scope, set string, add, remove []netip.Prefix) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, r := range w.resources {
		if k.kind != kindIPSet || k.scope != scope || k.name != set {
			continue
		}
		state := *r.latest()
		list := slices.DeleteFunc(slices.Concat(state.set.sorted, add), func(p netip.Prefix) bool { return slices.Contains(remove, p) })
		slices.SortFunc(list, comparePrefixes)
		list = slices.Compact(list)
		text := make([]string, len(list))
		for i, p := range list {
			text[i] = p.String()
		}
		after, err := parseAddresses(r.family, &text)
		if err != nil {
			return fmt.Errorf("edit IP set %s by hand: %w", set, err)
		}
		before := state.set
		state.set = after
		w.become(r, state)
		w.note(r, before, true)
		return nil
	}
	return fmt.Errorf("edit IP set %s by hand: there is none of that name in scope %s", set, scope)
}
