package api

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"weir/internal/ban"
)

// Writers is what the API shows of those that write IP sets, and asks of them.
type Writers interface {
	Targets() []Target
	Diffs() []Diff
	// Foreign gives the entries of IP sets that people put there and that share an
	// address with a client, as far as this process knows.
	Foreign(client netip.Prefix) []Foreign
	// Leads is why this process writes no IP set, so that what is decided here would
	// come to nothing if the processes do not share their decisions; nil: it does
	// write them.
	Leads() error
	// Reconcile has every writer read its IP sets now, and write what differs.
	Reconcile()
}

// Target is one place that decisions are written to. Its times, like all of this
// package, are RFC 3339 in UTC.
type Target struct {
	Name   string `json:"name"`
	Scope  string `json:"scope"`
	Region string `json:"region,omitempty"` // empty: that of the AWS configuration
	Ready  bool   `json:"ready"`
	Why    string `json:"why,omitempty"` // why it is not ready
	DryRun bool   `json:"dry_run,omitempty"`
	Epoch  uint64 `json:"epoch,omitempty"`
	Pools  []Pool `json:"pools"`
	Sets   []Set  `json:"sets"`

	Writes    uint64    `json:"writes"` // UpdateIPSet calls made
	Accepted  uint64    `json:"accepted"`
	Throttled uint64    `json:"throttled"`
	Conflicts uint64    `json:"conflicts"`
	Repairs   uint64    `json:"repairs"`
	Overdue   int       `json:"overdue"` // ended decisions that an IP set holds past their grace
	LastWrite time.Time `json:"last_write,omitzero"`
	NextWrite time.Time `json:"next_write,omitzero"` // none before
	Rate      float64   `json:"rate"`                // writes a second allowed at present
	SlotsUsed int       `json:"slots_used"`          // in the last minute, by all targets in the account and region
	SlotsLeft int       `json:"slots_left"`
}

// Pool is the IP sets of one use and family.
type Pool struct {
	Pool     string `json:"pool"`
	Family   string `json:"family"`
	Sets     int    `json:"sets"`
	Capacity int    `json:"capacity"`
	Held     int    `json:"held"`
	Wanted   int    `json:"wanted"`
	Enforced int    `json:"enforced"`
	Foreign  int    `json:"foreign"`
	Pending  int    `json:"pending"`
	Evicted  int    `json:"evicted"`
}

// Set is one IP set.
type Set struct {
	Name    string    `json:"name"`
	ARN     string    `json:"arn,omitempty"`
	Pool    string    `json:"pool"`
	Family  string    `json:"family,omitempty"` // empty: it has not been read
	Held    int       `json:"held"`
	Foreign int       `json:"foreign"`
	Known   bool      `json:"known"`
	Missing bool      `json:"missing,omitempty"`
	Written time.Time `json:"written,omitzero"`
}

// Diff is what distinguishes the IP sets of a target from what they are to hold.
type Diff struct {
	Target string    `json:"target"`
	At     time.Time `json:"at,omitzero"`
	Why    string    `json:"why,omitempty"` // why nothing can be said
	DryRun bool      `json:"dry_run,omitempty"`
	Sets   []SetDiff `json:"sets"`
	// Unplaced are the pools whose entries in force have no IP set or no room in any,
	// so that no write to come will enforce them.
	Unplaced []Unplaced `json:"unplaced,omitempty"`
	// Excluded is what is in force and is not to be in any IP set, by reason.
	Excluded []Excluded `json:"excluded,omitempty"`
}

// Excluded is the entries that one reason keeps out of the IP sets.
type Excluded struct {
	Reason string `json:"reason"` // one of those of weir_waf_excluded_entries
	Prefixes
}

// Foreign is an entry that people put into an IP set.
type Foreign struct {
	Target string `json:"target"`
	Set    string `json:"set"`
	Value  string `json:"value"`
}

// Unplaced is the entries of a pool that no IP set has room for.
type Unplaced struct {
	Pool    string `json:"pool"`
	Family  string `json:"family"`
	Entries int    `json:"entries"`
}

// SetDiff is the difference of one IP set. The lists are cut at the length that was
// asked for; the numbers are not.
type SetDiff struct {
	Name        string    `json:"name"`
	Pool        string    `json:"pool"`
	Family      string    `json:"family"`
	Missing     Prefixes  `json:"missing"`     // in force, and not in it
	Superfluous Prefixes  `json:"superfluous"` // in it, and not in force any more
	Foreign     Prefixes  `json:"foreign"`     // what people added, and stays
	Writes      []SetTurn `json:"writes,omitempty"`
}

// SetTurn is one write to come that settles some of a difference.
type SetTurn struct {
	At    time.Time `json:"at"` // not before
	Adds  int       `json:"adds"`
	Drops int       `json:"drops"`
}

// Prefixes is a list that may be cut.
type Prefixes struct {
	Count  int      `json:"count"`
	Values []string `json:"values,omitempty"`
}

// ListPrefixes makes a list of all of them.
func ListPrefixes(list []netip.Prefix) Prefixes {
	p := Prefixes{Count: len(list)}
	for _, prefix := range list {
		p.Values = append(p.Values, ban.FormatPrefix(prefix))
	}
	return p
}

func (p *Prefixes) cut(n int) { p.Values = p.Values[:min(n, len(p.Values))] }

// listTargets is GET /api/v1/targets.
func (s *server) listTargets(w http.ResponseWriter, r *http.Request) {
	if _, err := parseValues(r.URL.RawQuery); err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Targets []Target `json:"targets"`
	}{orEmpty(s.Writers.Targets())})
}

// listDiffs is GET /api/v1/diff.
func (s *server) listDiffs(w http.ResponseWriter, r *http.Request) {
	values, err := parseValues(r.URL.RawQuery, "limit")
	limit := defaultLimit
	for _, name := range slices.Sorted(maps.Keys(values)) {
		limit, err = parseLimit(values[name])
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	diffs := s.Writers.Diffs()
	for i := range diffs {
		for j := range diffs[i].Sets {
			set := &diffs[i].Sets[j]
			set.Missing.cut(limit)
			set.Superfluous.cut(limit)
			set.Foreign.cut(limit)
		}
		for j := range diffs[i].Excluded {
			diffs[i].Excluded[j].cut(limit)
		}
		diffs[i].Sets = orEmpty(diffs[i].Sets)
	}
	writeJSON(w, http.StatusOK, struct {
		Diffs []Diff `json:"diffs"`
	}{orEmpty(diffs)})
}

// leading serves what only the process can do that writes the IP sets.
func (s *server) leading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Writers != nil {
			if err := s.Writers.Leads(); err != nil {
				s.fail(w, &failure{http.StatusConflict, "not_leading", err.Error()})
				return
			}
		}
		next(w, r)
	}
}

// deciding serves what changes what is enforced. Where the processes share their
// decisions, any of them does. Else one that writes no IP set refuses it: it would
// be in its own store only, where nobody looks for it, until that process leads some
// day.
func (s *server) deciding(next http.HandlerFunc) http.HandlerFunc {
	if s.Store.Shared() {
		return next
	}
	return s.leading(next)
}

// orEmpty makes JSON write [] where it would write null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// reconcile is POST /api/v1/reconcile. It asks, and does not wait.
func (s *server) reconcile(w http.ResponseWriter, r *http.Request) {
	if _, err := parseValues(r.URL.RawQuery); err != nil {
		s.fail(w, err)
		return
	}
	s.Writers.Reconcile()
	writeJSON(w, http.StatusAccepted, struct {
		Asked bool `json:"asked"`
	}{true})
}
