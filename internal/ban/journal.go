package ban

import (
	"net/netip"
	"sync"
)

// journalSize is how many changes are remembered. Whoever has fallen further
// behind looks through everything in force instead.
const journalSize = 1 << 16

// journal numbers the changes of what is in force and wakes those who follow
// them. Numbers begin with 1, so that 0 can stand for "never looked".
type journal struct {
	mu      sync.Mutex
	size    int            // of the ring, at most
	ring    []netip.Prefix // change n, from base on, is at (n-base) % size
	base    uint64
	next    uint64 // number of the next change
	waiting []chan struct{}
}

func newJournal() *journal { return &journal{size: journalSize, base: 1, next: 1} }

// note numbers changes. What they are about must have changed before: a reader
// would look at the old state otherwise, and not come back.
func (j *journal) note(changed ...netip.Prefix) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(changed) > j.size { // more than anybody can be told one by one
		j.next += uint64(len(changed))
		j.base, j.ring = j.next, j.ring[:0]
		return
	}
	for _, p := range changed {
		if len(j.ring) < j.size {
			j.ring = append(j.ring, p)
		} else {
			j.ring[(j.next-j.base)%uint64(j.size)] = p
		}
		j.next++
	}
}

// since returns the changes from the number from on.
func (j *journal) since(from uint64) (changed []netip.Prefix, next uint64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if from == 0 || from > j.next || j.next-from > uint64(len(j.ring)) {
		return nil, j.next, false
	}
	changed = make([]netip.Prefix, 0, j.next-from)
	for n := from; n < j.next; n++ {
		changed = append(changed, j.ring[(n-j.base)%uint64(j.size)])
	}
	return changed, j.next, true
}

// subscribe returns a channel that has something in it after every wake that was
// not yet seen.
func (j *journal) subscribe() <-chan struct{} {
	c := make(chan struct{}, 1)
	j.mu.Lock()
	j.waiting = append(j.waiting, c)
	j.mu.Unlock()
	return c
}

func (j *journal) wake() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Since returns the prefixes about which something changed since the call that
// returned seq as next: a decision about them came into force, was ended before
// its time, or was released. A prefix may occur more than once. That a decision
// ran out is no change: who enforces decisions looks at the clock, and asks
// Lookup what is in force about the prefix then.
//
// It returns false when seq is 0, too long ago, or of another Store: then only
// InForce tells, read after this call; changes are to be followed from next on
// in either case. Any number of readers follow them, each with a seq of its own.
func (s *Store) Since(seq uint64) (changed []netip.Prefix, next uint64, ok bool) {
	return s.journal.since(seq)
}

// Subscribe returns a new channel that has something in it when there is
// something to write: decisions were stored, made by hand, adopted, removed,
// released, or could not be stored and have to be enforced all the same. It holds
// one notice, whatever their number. The end of a decision is not announced. A
// subscription lasts as long as the Store.
func (s *Store) Subscribe() <-chan struct{} { return s.journal.subscribe() }
