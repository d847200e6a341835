package ban

import (
	"context"
	"net/netip"
	"time"
)

// storage keeps decisions where a restart finds them. There is one of SQLite and
// one of memory; storage_test.go says what every one of them must do.
// Implementations are called by any number of goroutines at once.
type storage interface {
	// load returns, without contexts, the decisions that end after ended and the
	// unbans that are younger than lifted.
	load(ctx context.Context, ended, lifted time.Time) ([]Decision, []unban, error)

	// write stores all of b or nothing. Writing the same again changes nothing,
	// so that a caller who cannot know whether it worked may try again.
	write(ctx context.Context, b batch) error

	// get returns a decision with its context.
	get(ctx context.Context, id string) (Decision, bool, error)

	// list returns, without contexts, up to f.limit decisions, newest first.
	list(ctx context.Context, f filter) ([]Decision, error)

	// about returns those of prefixes that have a decision of their own which ends
	// after ended.
	about(ctx context.Context, prefixes []netip.Prefix, ended time.Time) ([]netip.Prefix, error)

	// purge forgets up to limit decisions that ended before ended, and up to
	// limit unbans older than lifted, and returns how many it forgot.
	purge(ctx context.Context, ended, lifted time.Time, limit int) (int, error)

	// secret returns the secret of that name: fresh, if there was none before.
	// Whoever asks for one name, at whatever time, gets the same.
	secret(ctx context.Context, name string, fresh [32]byte) ([32]byte, error)

	// shared reports whether other processes write to it, too.
	shared() bool

	close() error
}

// batch is what one transaction stores, in this order.
type batch struct {
	put   []Decision // new ones, or known ones by the same ID
	free  []string   // IDs of stored ones that are held no longer
	end   []ending
	unban []unban
}

func (b *batch) empty() bool { return len(b.put)+len(b.free)+len(b.end)+len(b.unban) == 0 }

// ending ends a stored decision before its time.
type ending struct {
	id string
	at time.Time
}

// unban is what remains of a ban that was lifted: events of clients within
// prefix, up to and at the time at, ban nobody any more.
type unban struct {
	prefix netip.Prefix
	at     time.Time
}

// filter says which decisions list returns.
type filter struct {
	prefixes []netip.Prefix // one of these; none: any
	active   time.Time      // ending after this; zero: any
	scenario string         // empty: any
	origin   Origin         // empty: any
	after    position       // those behind it in the order of the list; zero: from the beginning
	limit    int
}

// position is a place in the order of lists: newest first, and by falling ID
// within a millisecond.
type position struct {
	created int64 // Unix ms
	id      string
}

func positionOf(d *Decision) position { return position{millis(d.Created), d.ID} }

// before reports whether p comes earlier in a list than q.
func (p position) before(q position) bool {
	if p.created != q.created {
		return p.created > q.created
	}
	return p.id > q.id
}
