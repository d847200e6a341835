package ban

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
	"time"
)

// InForce yields the decisions to be enforced at now, one for each prefix: that
// of the strongest action, and of those the one that lasts longest, but one that
// was made rather than one of an imported list; in the order of the prefixes and
// without their contexts. What the allowlist overlaps, and what is held, is never
// among them.
//
// A decision is enforced once it is stored. If storing it was tried and failed,
// it is enforced all the same: nothing is promised to anybody by an address in
// an IP set, and after a crash it is adopted from there.
//
// It takes no lock and sees one moment's decisions, whatever happens while it
// runs.
func (s *Store) InForce(now time.Time) iter.Seq[Decision] { return s.InForceOf(now, nil) }

// InForceOf is InForce for who enforces only the decisions that take lets pass: a
// weaker one about a prefix is yielded where a stronger one does not pass. take
// must not keep what it is given; nil lets all pass.
func (s *Store) InForceOf(now time.Time, take func(*Decision) bool) iter.Seq[Decision] {
	return func(each func(Decision) bool) {
		at := now.UnixMilli()
		allow := s.allow.Load()
		yield := func(d Decision) bool { return allow.OverlapsPrefix(d.Prefix) || each(d) }
		lists := s.lists.Load().walk(take)
		for p, h := range s.index.table.Load().AllSorted() {
			if !lists.before(p, yield) {
				return
			}
			d, ok := lists.about(p)
			if e := h.bestOf(at, take); e != nil && (!ok || !stronger(&d, e.d)) {
				d, ok = e.decision(), true
			}
			if ok && !yield(d) {
				return
			}
		}
		lists.before(netip.Prefix{}, yield)
	}
}

// stronger reports whether an entry of a list is to be enforced rather than a
// decision. It yields to one of the same action: lists are written when there is
// nothing better to do.
func stronger(listed, made *Decision) bool { return listed.Action.strength() > made.Action.strength() }

// Lookup returns what InForce yields about exactly p; false if it yields nothing.
func (s *Store) Lookup(p netip.Prefix, now time.Time) (Decision, bool) {
	return s.LookupOf(p, now, nil)
}

// LookupOf returns what InForceOf yields about exactly p; false if it yields nothing.
func (s *Store) LookupOf(p netip.Prefix, now time.Time, take func(*Decision) bool) (Decision, bool) {
	if s.allow.Load().OverlapsPrefix(p) {
		return Decision{}, false
	}
	d, ok := s.lists.Load().lookup(p)
	ok = ok && (take == nil || take(&d))
	if h, held := s.index.table.Load().Get(p); held {
		if e := h.bestOf(now.UnixMilli(), take); e != nil && (!ok || !stronger(&d, e.d)) {
			return e.decision(), true
		}
	}
	if !ok {
		return Decision{}, false
	}
	return d, true
}

// Covering returns the decisions enforced at now that cover all of p, one for
// each prefix, narrowest first: what still bans an address.
func (s *Store) Covering(p netip.Prefix, now time.Time) []Decision {
	prefixes := make([]netip.Prefix, 0, 4)
	for q := range s.index.table.Load().Supernets(p) {
		prefixes = append(prefixes, q)
	}
	for q := range s.lists.Load().listed.supernets(p) {
		prefixes = append(prefixes, q)
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return cmp.Compare(b.Bits(), a.Bits()) })
	var ds []Decision
	for _, q := range slices.Compact(prefixes) {
		if d, ok := s.Lookup(q, now); ok {
			ds = append(ds, d)
		}
	}
	return ds
}

// Listed returns the entries of imported lists that cover all of p, narrowest first.
func (s *Store) Listed(p netip.Prefix) []Decision {
	lists := s.lists.Load()
	var ds []Decision
	for q, list := range lists.listed.supernets(p) {
		ds = append(ds, lists.decision(q, list))
	}
	return ds
}

// MaxLimit is the most decisions of a page.
const MaxLimit = 1000

// Query says which stored decisions List returns. Its zero value, but for Limit,
// is all that are in force.
type Query struct {
	Client   netip.Prefix // those whose prefix contains all of this; zero: any
	All      bool         // ended ones, too
	Scenario string       // empty: any
	Origin   Origin       // empty: any
	Cursor   string       // Page.Next of the page before; empty: the first page
	Limit    int          // 1 to MaxLimit
}

// Page is a part of a list.
type Page struct {
	Decisions []Decision // newest first, without their contexts
	Next      string     // cursor of the next page; empty: this is the last
}

// List returns a page of the stored decisions that q asks for. Pages neither
// repeat nor leave out a decision that is there all the while, whatever is
// decided in between. A cursor or limit that makes no sense is refused with a
// *RefusedError.
func (s *Store) List(ctx context.Context, q Query) (Page, error) {
	f, err := s.filterOf(&q)
	if err != nil {
		return Page{}, err
	}
	var ds []Decision
	if q.All {
		ds, err = s.storage.list(ctx, f)
		if err != nil {
			return Page{}, err
		}
	} else if ds = s.active(f); !s.isLoaded() { // all of them are in memory
		return Page{}, errLoading
	}
	s.addHits(ds)
	if len(ds) <= q.Limit {
		return Page{Decisions: ds}, nil
	}
	ds = ds[:q.Limit]
	return Page{Decisions: ds, Next: positionOf(&ds[q.Limit-1]).cursor()}, nil
}

// filterOf checks a query. One more than was asked for tells whether there is more.
func (s *Store) filterOf(q *Query) (filter, error) {
	if q.Limit < 1 || q.Limit > MaxLimit {
		return filter{}, refuse(RefusedQuery, "a page of %d: it may have 1 to %d entries", q.Limit, MaxLimit)
	}
	f := filter{scenario: q.Scenario, origin: q.Origin, kept: s.kept(), limit: q.Limit + 1}
	if q.Client.IsValid() {
		f.prefixes = containing(q.Client)
	}
	var err error
	if q.Cursor != "" {
		f.after, err = parseCursor(q.Cursor)
	}
	return f, err
}

// active returns up to f.limit stored decisions in force that fit a filter, newest
// first.
func (s *Store) active(f filter) []Decision {
	now := s.now()
	var found []*entry
	look := func(h *held) {
		for _, e := range h.entries {
			if e.d.InForce(now) && f.matches(e.d) {
				found = append(found, e)
			}
		}
	}
	t := s.index.table.Load()
	if len(f.prefixes) > 0 {
		for _, p := range f.prefixes {
			if h, ok := t.Get(p); ok {
				look(h)
			}
		}
	} else {
		for _, h := range t.All() {
			look(h)
		}
	}
	s.mu.Lock()
	found = slices.DeleteFunc(found, func(e *entry) bool { return !e.stored })
	s.mu.Unlock()
	newestFirst(found, func(e **entry) position { return positionOf((*e).d) })
	found = found[:min(f.limit, len(found))]
	ds := make([]Decision, len(found))
	for i, e := range found {
		ds[i] = *e.d
	}
	return ds
}

// Get returns a stored decision with its context; false if there is none of this
// ID.
func (s *Store) Get(ctx context.Context, id string) (Decision, bool, error) {
	d, ok, err := s.storage.get(ctx, id)
	if !ok || err != nil || d.Until.Before(s.kept()) {
		return Decision{}, false, err
	}
	found := []Decision{d}
	s.addHits(found)
	return found[0], true, nil
}

// addHits fills in what the storage does not keep.
func (s *Store) addHits(ds []Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ds {
		if e := s.known[ds[i].ID]; e != nil {
			ds[i].Hit = fromMillis(e.hit.Load())
		}
	}
}

// containing returns every prefix that contains all of p, p among them.
func containing(p netip.Prefix) []netip.Prefix {
	ps := make([]netip.Prefix, 0, p.Bits()+1)
	for bits := p.Bits(); bits >= 0; bits-- {
		ps = append(ps, netip.PrefixFrom(p.Addr(), bits).Masked())
	}
	return ps
}

// cursorVersion begins every cursor, so that another order of lists can tell
// old ones.
const cursorVersion = 1

// maxCursor is longer than the cursor of any ID we make.
const maxCursor = 128

func (p position) cursor() string {
	b := []byte{cursorVersion}
	b = binary.BigEndian.AppendUint64(b, uint64(p.created))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id...))
}

func parseCursor(s string) (position, error) {
	bad := refuse(RefusedQuery, "the cursor is not one that a list returned as next: start again without it")
	if len(s) > maxCursor {
		return position{}, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 10 || b[0] != cursorVersion {
		return position{}, bad
	}
	p := position{created: int64(binary.BigEndian.Uint64(b[1:9])), id: string(b[9:])}
	if p.cursor() != s { // the decoder passes over line breaks
		return position{}, bad
	}
	return p, nil
}
