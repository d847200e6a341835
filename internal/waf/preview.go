package waf

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// ErrDeposed is in what Run returns when an IP set bears the epoch of a later leader.
var ErrDeposed = errors.New("a later leader writes the IP sets, this one has been deposed")

// SetDiff is what distinguishes an IP set from what it is to hold.
type SetDiff struct {
	Name, ARN string
	Pool      string         // one of PoolWords
	Family    string         // "ipv4", "ipv6"
	Adds      []netip.Prefix // by address
	Drops     []netip.Prefix // ended or lifted; by address
	Foreign   []netip.Prefix // what people added, and stays; by address
}

// Slot is one write to come.
type Slot struct {
	At time.Time // not before
	SetDiff
}

// Preview is what would be written if nothing changed.
type Preview struct {
	At    time.Time
	Ready error     // why nothing can be said yet; nil = it can
	Sets  []SetDiff // every set, by name
	Slots []Slot    // the writes, in their order
}

// Diff gives for every IP set that has been read what is to be added and dropped.
// It may be called by anyone at any time.
func (w *Writer) Diff() []SetDiff { return w.Preview().Sets }

// Preview gives the differences and the slots that would settle them. It may be
// called by anyone at any time, and calls nothing of AWS.
func (w *Writer) Preview() Preview {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.look()
	return w.plan.preview(now)
}

// Reconcile has Run list and read every IP set now, pass over everything in force,
// and write what differs. It returns at once, and may be called by anyone.
func (w *Writer) Reconcile() {
	w.mu.Lock()
	w.plan.reconcile(time.Now())
	w.mu.Unlock()
	select {
	case w.nudge <- struct{}{}:
	default:
	}
}

// reconcile has every set read anew.
func (p *plan) reconcile(now time.Time) {
	for _, s := range p.sets {
		if !s.missing {
			s.known, s.readAfter = false, now
		}
	}
	p.listing, p.dirty, p.overflow = listing{at: now, done: p.listing.done}, true, true
}

func (p *plan) preview(now time.Time) Preview {
	pre := Preview{At: now}
	if !p.adopted {
		pre.Ready = p.why(now)
		return pre
	}
	at := latest(now, p.writes.next())
	for i := range p.pools {
		pl := &p.pools[i]
		pending := p.adds(pl, len(pl.pending), &batch{}, now)
		for _, s := range pl.sets {
			d := SetDiff{Name: s.name, ARN: s.arn, Pool: s.key.Word(), Family: s.key.family.String()}
			for _, e := range s.members {
				switch {
				case e.hand:
					d.Foreign = append(d.Foreign, e.prefix)
				case e.class.leaves():
					d.Drops = append(d.Drops, e.prefix)
				}
			}
			n := min(s.room(p.capacity), len(pending))
			d.Adds, pending = prefixes(pending[:n]), pending[n:]
			for _, list := range [][]netip.Prefix{d.Adds, d.Drops, d.Foreign} {
				slices.SortFunc(list, netip.Prefix.Compare)
			}
			pre.Sets = append(pre.Sets, d)
			if len(d.Adds)+len(d.Drops) > 0 {
				pre.Slots = append(pre.Slots, Slot{at, d})
				at = at.Add(p.writes.interval(now))
			}
		}
	}
	slices.SortFunc(pre.Sets, func(a, b SetDiff) int { return cmp.Compare(a.Name, b.Name) })
	return pre
}
