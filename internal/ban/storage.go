package ban

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"
)

// storage keeps what is decided where a restart finds it. There is one of SQLite, one
// of a table in DynamoDB and one of memory; storage_test.go says what every one of
// them must do. Implementations are called by any number of goroutines at once.
type storage interface {
	// load returns the decisions that end after ended, without contexts, the unbans
	// that are younger than lifted, and the allowlist.
	load(ctx context.Context, ended, lifted time.Time) (contents, error)

	// write stores all of b. Writing the same again changes nothing, so that a
	// caller who cannot know whether it worked may try again. After an error nothing
	// of b may be stored, or a part, or all.
	write(ctx context.Context, b batch) error

	// get returns a decision with its context.
	get(ctx context.Context, id string) (Decision, bool, error)

	// list returns, without contexts, up to f.limit decisions, newest first.
	list(ctx context.Context, f filter) ([]Decision, error)

	// about returns those of prefixes that have a decision of their own which ends
	// after ended.
	about(ctx context.Context, prefixes []netip.Prefix, ended time.Time) ([]netip.Prefix, error)

	// alert returns an alert with its context; alerts, without contexts, up to
	// f.limit of them, newest first.
	alert(ctx context.Context, id string) (Alert, bool, error)
	alerts(ctx context.Context, f filter) ([]Alert, error)

	// audit returns up to limit entries behind after, newest first.
	audit(ctx context.Context, after position, limit int) ([]Audit, error)

	// secret returns the secret of that name: fresh, if there was none before.
	// Whoever asks for one name, at whatever time, gets the same.
	secret(ctx context.Context, name string, fresh [32]byte) ([32]byte, error)

	// purge forgets up to limit of each kind, and reports whether there may be
	// more. What it would forget need not be shown any more before.
	purge(ctx context.Context, p purge, limit int) (more bool, err error)

	// unread is how often something was left out of an answer, as it could not be
	// read: it keeps nobody from the rest.
	unread() int64

	// shared reports whether other processes write to it, too.
	shared() bool

	close() error
}

// contents is what a Store holds in memory.
type contents struct {
	decisions []Decision // without contexts
	unbans    []unban
	allow     []AllowEntry // those that were removed among them
}

// purge says what is too old to be kept.
type purge struct {
	ended  time.Time // decisions that ended before, and alerts that were to end before
	lifted time.Time // unbans from before, and entries of the allowlist that ended before
	audit  time.Time // entries of the audit log from before
	told   time.Time // what other processes were told before
}

// batch is what one transaction stores, in this order.
type batch struct {
	put    []Decision // new ones, or known ones by the same ID
	free   []string   // IDs of stored ones that are held no longer
	end    []ending
	unban  []unban
	allow  []AllowEntry // new ones, or known ones of the same prefix and a lower version
	alerts []Alert      // the context of one that made a decision is the decision's
	audit  []Audit
	closed []string // breakers that a person closed: of scenarios, or everyScenario; other processes are told, and nothing is stored
}

func (b *batch) empty() bool {
	return len(b.put)+len(b.free)+len(b.end)+len(b.unban)+len(b.allow)+len(b.alerts)+len(b.audit)+len(b.closed) == 0
}

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

// filter says which decisions list returns, or which alerts.
type filter struct {
	prefixes []netip.Prefix // one of these; none: any
	kept     time.Time      // those that ended before are forgotten
	scenario string         // empty: any
	origin   Origin         // of decisions; empty: any
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

// newestFirst sorts what has a place in a list.
func newestFirst[T any](list []T, of func(*T) position) {
	slices.SortFunc(list, func(a, b T) int {
		p, q := of(&a), of(&b)
		return cmp.Or(cmp.Compare(q.created, p.created), cmp.Compare(q.id, p.id))
	})
}

// before reports whether p comes earlier in a list than q.
func (p position) before(q position) bool {
	if p.created != q.created {
		return p.created > q.created
	}
	return p.id > q.id
}
