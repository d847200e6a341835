package api

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"weir/internal/ban"
)

// decision is a ban.Decision as it is shown: a single address without its
// length, times in RFC 3339, UTC.
type decision struct {
	ID       string       `json:"id,omitempty"` // none: an entry of an imported list
	Value    string       `json:"value"`
	Action   ban.Action   `json:"action"`
	Scenario string       `json:"scenario,omitempty"`
	Origin   ban.Origin   `json:"origin"`
	Reason   string       `json:"reason,omitempty"`
	Severity string       `json:"severity"`
	Active   bool         `json:"active"`           // in force, and not held
	Staged   bool         `json:"staged,omitempty"` // its scenario is being tried out: it only counts
	Held     ban.Hold     `json:"held,omitempty"`   // the circuit breaker that keeps it from being enforced
	Wide     bool         `json:"wide,omitempty"`   // a range that took force
	At       time.Time    `json:"at"`
	Created  time.Time    `json:"created"`
	Until    time.Time    `json:"until"`
	Arrived  time.Time    `json:"arrived,omitzero"`
	Removed  time.Time    `json:"removed,omitzero"`
	Hit      time.Time    `json:"hit,omitzero"` // the client's latest record
	Context  *ban.Context `json:"context,omitempty"`
}

func shown(d *ban.Decision, now time.Time) decision {
	return decision{
		ID: d.ID, Value: ban.FormatPrefix(d.Prefix), Action: d.Action, Scenario: d.Scenario, Origin: d.Origin, Reason: d.Reason,
		Severity: d.Severity.String(), Active: d.InForce(now) && d.Held == "", Staged: d.Staged, Held: d.Held, Wide: d.Wide,
		At: d.At, Created: d.Created, Until: d.Until, Arrived: d.Arrived, Removed: d.Removed, Hit: d.Hit, Context: d.Context,
	}
}

// listDecisions is GET /api/v1/decisions: a page of them, without contexts. Entries
// of imported lists are not stored: those that cover a client come before the first
// page about it.
func (s *server) listDecisions(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		s.fail(w, err)
		return
	}
	page, err := s.Store.List(r.Context(), q)
	if err != nil {
		s.fail(w, err)
		return
	}
	if q.Client.IsValid() && q.Cursor == "" && q.Scenario == "" && (q.Origin == "" || q.Origin == ban.OriginList) {
		page.Decisions = append(s.Store.Listed(q.Client), page.Decisions...)
	}
	answer := struct {
		Decisions []decision `json:"decisions"`
		Next      string     `json:"next,omitempty"`
	}{make([]decision, len(page.Decisions)), page.Next}
	now := time.Now()
	for i := range page.Decisions {
		answer.Decisions[i] = shown(&page.Decisions[i], now)
	}
	writeJSON(w, http.StatusOK, answer)
}

// getDecision is GET /api/v1/decisions/{id}: one, with its context.
func (s *server) getDecision(w http.ResponseWriter, r *http.Request) {
	d, ok, err := s.Store.Get(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		s.fail(w, err)
	case !ok:
		s.fail(w, unknownDecision)
	default:
		writeJSON(w, http.StatusOK, shown(&d, time.Now()))
	}
}

var unknownDecision = &failure{http.StatusNotFound, "not_found", "there is no decision of this ID: it may have been purged"}

// addDecision is POST /api/v1/decisions: a ban by hand.
func (s *server) addDecision(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Value    string     `json:"value"`
		Duration string     `json:"duration"`
		Action   ban.Action `json:"action"`
		Reason   string     `json:"reason"`
		Force    bool       `json:"force"` // a range wider than may be banned without
	}
	if err := readJSON(w, r, &wish); err != nil {
		s.fail(w, err)
		return
	}
	d := ban.Decision{Action: wish.Action, Reason: wish.Reason, Wide: wish.Force}
	var err error
	if d.Prefix, err = ban.ParsePrefix(wish.Value); err != nil {
		s.fail(w, err)
		return
	}
	if wish.Duration != "" {
		lasts, err := time.ParseDuration(wish.Duration)
		if err != nil {
			s.fail(w, badRequest(string(ban.RefusedUntil), "the duration %q is not one like 30m, 4h or 1h30m", wish.Duration))
			return
		}
		d.Until = time.Now().Add(lasts)
	}
	if d, err = s.Store.Add(r.Context(), d); err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Location", "/api/v1/decisions/"+d.ID)
	writeJSON(w, http.StatusCreated, shown(&d, time.Now()))
}

// removed answers both ways to unban. CoveredBy names what still bans the client, and
// Foreign what people put into IP sets, which no unban takes out.
type removed struct {
	Removed   int       `json:"removed"`
	CoveredBy []string  `json:"covered_by,omitempty"`
	Foreign   []Foreign `json:"foreign,omitempty"`
}

// removeClient is DELETE /api/v1/decisions?client=: an unban of exactly this
// address or range.
func (s *server) removeClient(w http.ResponseWriter, r *http.Request) {
	client, err := parseClient(r.URL.RawQuery)
	if err != nil {
		s.fail(w, err)
		return
	}
	n, err := s.Store.Remove(r.Context(), client)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.removed(n, client))
}

// removeDecision is DELETE /api/v1/decisions/{id}: the end of this one decision.
func (s *server) removeDecision(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	d, ok, err := s.Store.Get(r.Context(), id)
	if err == nil && !ok {
		err = unknownDecision
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	n, err := s.Store.RemoveID(r.Context(), id)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.removed(n, d.Prefix))
}

func (s *server) removed(n int, client netip.Prefix) removed {
	answer := removed{Removed: n}
	for _, d := range s.Store.Covering(client, time.Now()) {
		answer.CoveredBy = append(answer.CoveredBy, ban.FormatPrefix(d.Prefix))
	}
	if s.Writers != nil {
		answer.Foreign = s.Writers.Foreign(client)
	}
	return answer
}

// fail answers with what is wrong. What the client of the API can do nothing
// about is logged, since its text may tell too much: names of files, for one.
func (s *server) fail(w http.ResponseWriter, err error) {
	var f *failure
	var refused *ban.RefusedError
	switch {
	case errors.As(err, &f):
		writeError(w, f.status, f.code, f.message)
	case errors.As(err, &refused):
		status := http.StatusBadRequest
		if refused.Code == ban.RefusedAllowlist {
			status = http.StatusConflict
		}
		writeError(w, status, string(refused.Code), refused.Error())
	default:
		s.log.Error("api request not served", zap.Error(err))
		writeError(w, http.StatusServiceUnavailable, "storage", "decisions cannot be read or stored at the moment: nothing was changed; see the log of the service and try again")
	}
}
