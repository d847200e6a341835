package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"weir/internal/waf"
)

const (
	tellEvery  = 5 * time.Second // at most
	tellAnyway = time.Minute     // in case that a change was not noticed
	tellMost   = 20              // prefixes, and writes, in one line of the log
)

// narrate logs what a target in a dry run would write, whenever that changes, until
// ctx ends.
func (s *service) narrate(ctx context.Context, t *target) {
	log := s.log.Named("dry-run").With(zap.String("target", t.Name))
	changed := s.store.Subscribe()
	tick := time.NewTicker(tellAnyway)
	defer tick.Stop()
	var told narration
	for {
		if fields := told.next(t.writer.Preview()); fields != nil {
			log.Info("would write", fields...)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tellEvery): // what changes meanwhile is told together
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// narration remembers what was told: as nothing is written, what would be added
// stays so, and only the news of it is worth a line.
type narration struct {
	adds, drops map[netip.Prefix]bool
}

// next gives a log line's fields about a preview; nil: it has nothing new.
func (n *narration) next(pre waf.Preview) []zap.Field {
	if pre.Ready != nil {
		return nil
	}
	adds, drops := make(map[netip.Prefix]bool), make(map[netip.Prefix]bool)
	var moreAdds, moreDrops, fewer []netip.Prefix
	for i := range pre.Sets {
		moreAdds = news(moreAdds, pre.Sets[i].Adds, n.adds, adds)
		moreDrops = news(moreDrops, pre.Sets[i].Drops, n.drops, drops)
	}
	for p := range n.adds {
		if !adds[p] {
			fewer = append(fewer, p)
		}
	}
	slices.SortFunc(fewer, netip.Prefix.Compare)
	n.adds, n.drops = adds, drops
	if len(moreAdds)+len(moreDrops)+len(fewer) == 0 {
		return nil
	}
	fields := []zap.Field{zap.Int("missing", len(adds)), zap.Int("superfluous", len(drops))}
	for _, part := range []struct {
		name string
		list []netip.Prefix
	}{{"add", moreAdds}, {"drop", moreDrops}, {"add_no_more", fewer}} {
		if len(part.list) > 0 {
			fields = append(fields, zap.Strings(part.name, someOf(part.list, netip.Prefix.String)))
		}
	}
	return append(fields, zap.Strings("writes", someOf(pre.Slots, func(slot waf.Slot) string {
		return fmt.Sprintf("%s in %s: +%d -%d", slot.Name, max(0, slot.At.Sub(pre.At)).Round(100*time.Millisecond), len(slot.Adds), len(slot.Drops))
	})))
}

// news appends what of list was not told, and notes all of it.
func news(to, list []netip.Prefix, told, now map[netip.Prefix]bool) []netip.Prefix {
	for _, p := range list {
		if now[p] = true; !told[p] {
			to = append(to, p)
		}
	}
	return to
}

// someOf writes as many of a list as a line may have, and how many are left out.
func someOf[T any](list []T, write func(T) string) []string {
	var texts []string
	for _, v := range list[:min(tellMost, len(list))] {
		texts = append(texts, write(v))
	}
	if more := len(list) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return texts
}
