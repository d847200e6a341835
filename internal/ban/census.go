package ban

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// censusWindow is how long clients are counted together.
	censusWindow = 10 * time.Minute

	// censusBits is how many bits clients are dealt to, in each of two windows: 128
	// KiB. Of a million clients in a window two thirds have a bit of their own or
	// share one; more look like clients that come back, so that the share of those
	// becomes that of all.
	censusBits = 1 << 20
)

// census tells how many clients keep coming back: those that were seen in this
// window and in the one before. It is what a circuit breaker compares bans with:
// who was here before an attack began is a visitor more likely than not, while the
// attackers may well be many times as many as all visitors together.
type census struct {
	seed uint64
	both atomic.Pointer[windows]
}

// windows is the present window and the one before. The latter does not change.
type windows struct {
	began      time.Time // zero: nobody has looked at the clock yet
	this, last *[censusBits / 64]atomic.Uint64
	before     int          // clients of the last window
	clients    atomic.Int64 // of this one
	back       atomic.Int64 // of both
}

func (c *census) begin() {
	c.seed = rand.Uint64()
	c.both.Store(newWindows())
}

func newWindows() *windows {
	return &windows{this: new([censusBits / 64]atomic.Uint64), last: new([censusBits / 64]atomic.Uint64)}
}

// place returns which bit a client has. An IPv6 client is the first half of its
// address, whatever network it is counted by: it is about many, not about one.
func (c *census) place(a netip.Addr) (word int, bit uint64) {
	var x uint64
	if a.Is4() {
		b := a.As4()
		x = uint64(binary.BigEndian.Uint32(b[:]))
	} else {
		b := a.As16()
		x = binary.BigEndian.Uint64(b[:8])
	}
	h := (x ^ c.seed) * 0x9e3779b97f4a7c15 >> 44 // 20 bits
	return int(h >> 6), 1 << (h & 63)
}

// saw notes a request of a. Nearly all of them are of clients that were seen in
// this window, and cost one look.
func (c *census) saw(a netip.Addr) {
	w := c.both.Load()
	word, bit := c.place(a)
	if w.this[word].Load()&bit != 0 {
		return
	}
	if w.this[word].Or(bit)&bit != 0 {
		return // somebody was quicker
	}
	w.clients.Add(1)
	if w.last[word].Load()&bit != 0 {
		w.back.Add(1)
	}
}

// cameBack reports whether a was seen in this window and in the one before.
func (c *census) cameBack(a netip.Addr) bool {
	w := c.both.Load()
	word, bit := c.place(a)
	return w.this[word].Load()&bit != 0 && w.last[word].Load()&bit != 0
}

// turn begins a new window when the present one is over at now. A window that
// nobody ended in time, as of a machine that slept, says nothing of who was here.
func (c *census) turn(now time.Time) {
	w := c.both.Load()
	switch age := now.Sub(w.began); {
	case w.began.IsZero() || age < 0 || age >= 2*censusWindow:
		next := newWindows()
		next.began = now
		c.both.Store(next)
	case age >= censusWindow:
		next := newWindows()
		next.began, next.last, next.before = now, w.this, int(w.clients.Load())
		c.both.Store(next)
	}
}

// Seen notes a request of a client, for the breaker that Config.Share is about. It
// takes no lock and allocates nothing.
func (s *Store) Seen(a netip.Addr) { s.census.saw(a) }
