package ban

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
	"go.uber.org/zap"

	"weir/internal/detect"
	"weir/internal/reserved"
)

// Store holds every decision in force in memory and every decision of the last
// weeks in its storage. Its methods may be called by any number of goroutines at
// once, until Close.
//
// Locks: writing is taken before mu, and never the other way round. Storage is
// written to with writing held and mu free.
type Store struct {
	cfg       Config
	log       *zap.Logger
	metrics   *metrics
	storage   storage
	fixed     *bart.Lite                // the allowlist of the settings; never changed after Open
	allow     atomic.Pointer[bart.Lite] // all of the allowlist that is in force; replaced with mu held
	index     index                     // changed with mu held, read without
	journal   *journal
	census    census
	lists     atomic.Pointer[imported]
	listStats atomic.Pointer[[]listStat]
	files     []*listFile // of the imported lists; owned by Open, then by Run

	// writing has one slot. Who fills it owns the order in which the storage
	// is written to and OnAlert is told. A channel, so that waiting ends with a context.
	writing chan struct{}

	// untold counts the alerts that Commit has not settled: in queue, or on
	// their way to the storage.
	untold atomic.Int64

	mu     sync.Mutex
	known  map[string]*entry      // every entry of the index, by ID
	unbans bart.Table[int64]      // the latest unban of each prefix, Unix ms of event time
	ended  map[netip.Prefix]int64 // when the latest of those ended that the index has forgotten, Unix ms
	queue  []settled              // alerts decided on since the last Commit, oldest first
	failed error                  // of the last attempt to store; nil: it worked

	unheard error         // of the last attempt to learn what other processes decide; nil: it worked
	overdue []ending      // that could not be stored; owned by who follows, under writing
	loaded  chan struct{} // closed once what was decided before is in memory

	// following has one slot. Who fills it may learn what other processes decide.
	following chan struct{}
	heard     time.Time // when the latest of that began which worked; owned by who has the slot

	allowed   map[netip.Prefix]AllowEntry // by people, those that were removed or are over among them
	allowEnds int64                       // when the next of them is over, Unix ms; 0: none will be
	budget    alertBudget

	allowNews chan struct{} // has something in it when the allowlist has changed; Run looks when the next entry expires

	breakers breakers
}

// settled is an alert with what was decided on it.
type settled struct {
	alert   detect.Alert
	id      string    // of the decision; empty: none was made
	fresh   bool      // this alert made the decision; it was not known before
	refused string    // why not
	judged  time.Time // when it was judged, on the clock that bans run on
	keep    bool      // it is to be stored
}

// Open makes a Store and loads what its storage holds: every decision in force,
// the ones that ended a short time ago, the unbans and the allowlist. Decisions about
// what AllowedAny keeps out by now are ended. A table that does not answer is waited
// for by Run, and by who calls Await; one that is not there, or is none of ours, is an
// error.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var st storage = newMemory()
	switch {
	case cfg.Table != "":
		st = newTable(cfg.DynamoDB, cfg.Table, cfg.Retention, cfg.Logger)
	case cfg.Path != "":
		if st, err = openFile(ctx, cfg.Path, busyTimeout, cfg.Logger); err != nil {
			return nil, err
		}
	}
	s, err := newStore(ctx, cfg, st)
	if err != nil {
		return nil, errors.Join(err, st.close())
	}
	return s, nil
}

func newStore(ctx context.Context, cfg Config, st storage) (*Store, error) {
	s := &Store{
		cfg:       cfg,
		log:       cfg.Logger,
		storage:   st,
		fixed:     newFixed(cfg.Allowlist),
		allowed:   make(map[netip.Prefix]AllowEntry),
		allowNews: make(chan struct{}, 1),
		loaded:    make(chan struct{}),
		following: make(chan struct{}, 1),
		journal:   newJournal(),
		writing:   make(chan struct{}, 1),
		known:     make(map[string]*entry),
		ended:     make(map[netip.Prefix]int64),
	}
	s.census.begin()
	s.breakers = newBreakers(cfg, s.breakerOpened)
	s.allow.Store(s.fixed)
	s.index.load(new(bart.Table[*held]))
	if err := s.loadFirst(ctx); err != nil {
		return nil, err
	}
	if err := s.openLists(); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(cfg.Registerer, s)
	return s, nil
}

// loadFirst loads, unless the storage is one that is waited for.
func (s *Store) loadFirst(ctx context.Context) error {
	limit := time.Duration(math.MaxInt64)
	if s.storage.shared() {
		limit = loadTimeout
	}
	patient, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := s.load(patient)
	switch {
	case err == nil:
		close(s.loaded)
	case s.storage.shared() && !errors.Is(err, errTable) && ctx.Err() == nil:
		s.log.Error("decisions cannot be loaded: nothing is judged and no IP set is written before they are; it is tried again", zap.Error(err))
		return nil
	}
	return err
}

func (s *Store) load(ctx context.Context) error {
	now := s.now()
	found, err := s.storage.load(ctx, now.Add(-endedLife), now.Add(-liftedLife))
	if err != nil {
		return err
	}
	for _, e := range found.allow {
		s.allowed[e.Prefix] = e
	}
	s.publishAllow()
	var b batch
	table := new(bart.Table[*held])     // filled in place: nobody else reads it yet
	for _, d := range found.decisions { // each of its own, so that one does not keep all in memory
		if d.InForce(now) && s.AllowedAny(d.Prefix) {
			d.Until, d.Removed = now, now
			b.end = append(b.end, ending{d.ID, now})
		}
		if !d.Until.After(now.Add(-lateGrace)) {
			if d.Held == "" {
				s.ended[d.Prefix] = max(s.ended[d.Prefix], millis(d.Until))
			}
			continue
		}
		e := newEntry(&d)
		if d.Held != "" && d.InForce(now) {
			s.breakers.reopen(&d)
		}
		e.stored = true
		e.enforce.Store(true)
		s.known[d.ID] = e
		h, ok := table.Get(d.Prefix)
		if !ok {
			h = new(held)
			table.Insert(d.Prefix, h)
		}
		h.entries = append(h.entries, e)
	}
	s.index.load(table)
	for _, u := range found.unbans {
		s.unbans.Insert(u.prefix, millis(u.at))
	}
	if s.cfg.Path != "" || s.cfg.Table != "" {
		s.log.Info("decisions loaded", zap.String("from", cmp.Or(s.cfg.Path, s.cfg.Table)), zap.Int("decisions", len(s.known)), zap.Int("ended_by_allowlist", len(b.end)))
	}
	if b.empty() {
		return nil
	}
	if err := s.storage.write(ctx, b); err != nil {
		return fmt.Errorf("end decisions about allowlisted addresses: %w", err)
	}
	return nil
}

// now is the time where no event is at hand.
func (s *Store) now() time.Time { return wholeMillis(s.cfg.Now(time.Now())) }

// Banned reports whether a decision to block, stored or not, covers client at the
// event time at (Unix ms). It takes no lock and allocates nothing. A ban that has
// ended still covers the records of its time, for ten minutes.
//
// Nothing else hides a client: one that is only counted, or whose decision is
// held, is served as ever, and one that is asked for a captcha and solves it, too.
func (s *Store) Banned(client netip.Prefix, at int64) bool { return s.index.covers(client, at, stops) }

// Answered reports whether a decision covers client at the event time at (Unix ms)
// on account of which WAF may have answered the request itself: a block, captcha or
// challenge, or an entry of an imported list. What such an answer looks like, the
// caller knows. It takes no lock and allocates nothing.
func (s *Store) Answered(client netip.Prefix, at int64) bool {
	return s.index.covers(client, at, asks) || s.lists.Load().listed.covers(client)
}

// Allowed reports whether a is allowlisted. It takes no lock and allocates
// nothing.
func (s *Store) Allowed(a netip.Addr) bool { return s.allow.Load().Contains(a) }

// AllowedAny reports whether p shares an address with the allowlist, or, with
// Config.Public, with what is Reserved: such a prefix must never be written to an
// IP set.
func (s *Store) AllowedAny(p netip.Prefix) bool {
	return s.allow.Load().OverlapsPrefix(p) || s.cfg.Public && reserved.Overlaps(p)
}

// Ready returns why decisions cannot be stored at the moment, or those of other
// processes are not known; nil when the last attempts worked. Clients are banned all
// the while, but people see nothing of it.
func (s *Store) Ready() error {
	if !s.isLoaded() {
		return errLoading
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.failed, s.unheard)
}

// stuck reports whether the last attempt to store failed.
func (s *Store) stuck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed != nil
}

// Close stores what is pending and closes the storage. Its error tells how many
// alerts were lost, if any.
func (s *Store) Close() error {
	err := s.Commit(context.Background())
	if n := s.untold.Load(); n > 0 {
		err = fmt.Errorf("close decisions with %d alerts not stored: %w", n, err)
	}
	return errors.Join(err, s.storage.close())
}
