package main

import (
	"errors"
	"net/netip"

	"weir/internal/api"
	"weir/internal/ban"
	"weir/internal/waf"
)

// errStandby is why a process that does not lead writes nothing.
var errStandby = errors.New("this process stands by: another one writes the IP sets, ask that one, or this one again when it has taken over")

// Targets is what the API shows of the targets.
func (s *service) Targets() []api.Target {
	list := make([]api.Target, len(s.targets))
	for i, t := range s.targets {
		st := t.writer.Status()
		shown := &list[i]
		*shown = api.Target{
			Name: t.Name, Scope: t.Scope, Region: t.Region, DryRun: st.DryRun, Epoch: st.Epoch,
			Pools: make([]api.Pool, len(st.Pools)), Sets: make([]api.Set, len(st.Sets)),
			Writes: st.Writes, Accepted: st.Accepted, Throttled: st.Throttled, Conflicts: st.Conflicts, Repairs: st.Repairs, Overdue: st.Overdue,
			LastWrite: st.LastWrite.UTC(), NextWrite: st.NextWrite.UTC(), Rate: st.Rate, SlotsUsed: st.Budget.Used, SlotsLeft: st.Budget.Left,
		}
		err := s.Leads()
		if err == nil {
			err = t.writer.Ready()
		}
		if shown.Ready = err == nil; err != nil {
			shown.Why = err.Error()
		}
		for j, p := range st.Pools {
			shown.Pools[j] = api.Pool{
				Pool: p.Pool, Family: p.Family, Sets: p.Sets, Capacity: p.Capacity, Held: p.Held,
				Wanted: p.Wanted, Enforced: p.Enforced, Foreign: p.Foreign, Pending: p.Pending, Evicted: p.Evicted,
			}
		}
		for j, is := range st.Sets {
			shown.Sets[j] = api.Set{
				Name: is.Name, ARN: is.ARN, Pool: is.Pool, Family: is.Family, Held: is.Held, Foreign: is.Foreign,
				Known: is.Known, Missing: is.Missing, Written: is.Written.UTC(),
			}
		}
	}
	return list
}

// Diffs is what would be written at each target, and when.
func (s *service) Diffs() []api.Diff {
	list := make([]api.Diff, len(s.targets))
	for i, t := range s.targets {
		if err := s.Leads(); err != nil {
			list[i] = api.Diff{Target: t.Name, Why: err.Error(), DryRun: t.DryRun}
			continue
		}
		list[i] = shownDiff(t, t.writer.Preview())
		if list[i].Why == "" {
			list[i].Unplaced = unplaced(t.writer.Status().Pools)
			list[i].Excluded = excluded(t.writer.Excluded())
		}
	}
	return list
}

// excluded sums up what no IP set is to hold, by reason.
func excluded(entries []waf.Excluded) (list []api.Excluded) {
	for len(entries) > 0 {
		reason := entries[0].Reason
		var group []netip.Prefix
		for len(entries) > 0 && entries[0].Reason == reason {
			group, entries = append(group, entries[0].Prefix), entries[1:]
		}
		list = append(list, api.Excluded{Reason: reason, Prefixes: api.ListPrefixes(group)})
	}
	return list
}

// Foreign is what people put into IP sets that share an address with a client.
func (s *service) Foreign(client netip.Prefix) (list []api.Foreign) {
	for _, t := range s.targets {
		for _, f := range t.writer.Foreign(client) {
			list = append(list, api.Foreign{Target: t.Name, Set: f.Set, Value: ban.FormatPrefix(f.Prefix)})
		}
	}
	return list
}

// unplaced is what no write will enforce: it takes more IP sets, or fewer bans.
func unplaced(pools []waf.PoolStatus) (list []api.Unplaced) {
	for _, p := range pools {
		entries := p.Evicted
		if p.Sets == 0 {
			entries = p.Wanted
		}
		if entries > 0 {
			list = append(list, api.Unplaced{Pool: p.Pool, Family: p.Family, Entries: entries})
		}
	}
	return list
}

func shownDiff(t *target, pre waf.Preview) api.Diff {
	diff := api.Diff{Target: t.Name, At: pre.At.UTC(), DryRun: t.DryRun}
	if pre.Ready != nil {
		diff.Why = pre.Ready.Error()
	}
	turns := make(map[string][]api.SetTurn)
	for _, slot := range pre.Slots {
		turns[slot.Name] = append(turns[slot.Name], api.SetTurn{At: slot.At.UTC(), Adds: len(slot.Adds), Drops: len(slot.Drops)})
	}
	for _, is := range pre.Sets {
		diff.Sets = append(diff.Sets, api.SetDiff{
			Name: is.Name, Pool: is.Pool, Family: is.Family, Missing: api.ListPrefixes(is.Adds), Superfluous: api.ListPrefixes(is.Drops),
			Foreign: api.ListPrefixes(is.Foreign), Writes: turns[is.Name],
		})
	}
	return diff
}

// Leads is nil while this process writes the IP sets.
func (s *service) Leads() error {
	if s.leading.Load() {
		return nil
	}
	return errStandby
}

// Reconcile has every target read its IP sets now.
func (s *service) Reconcile() {
	for _, t := range s.targets {
		t.writer.Reconcile()
	}
}
