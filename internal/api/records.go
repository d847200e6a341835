package api

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"weir/internal/ban"
)

// Alert is an alert as it is remembered.
type Alert struct {
	ID       string       `json:"id"`
	Value    string       `json:"value"`
	Scenario string       `json:"scenario"`
	At       time.Time    `json:"at"`
	Created  time.Time    `json:"created"`
	Decision string       `json:"decision,omitempty"` // ID of the decision about it
	Refused  string       `json:"refused,omitempty"`  // why it made none
	Context  *ban.Context `json:"context,omitempty"`
}

func shownAlert(a *ban.Alert) Alert {
	return Alert{a.ID, ban.FormatPrefix(a.Prefix), a.Scenario, a.At, a.Created, a.Decision, a.Refused, a.Context}
}

// Alerts is a page of them, newest first and without their contexts.
type Alerts struct {
	Alerts []Alert `json:"alerts"`
	Next   string  `json:"next,omitempty"` // cursor of the next page
}

// listAlerts is GET /api/v1/alerts.
func (s *server) listAlerts(w http.ResponseWriter, r *http.Request) {
	q, err := parseAlertQuery(r.URL.RawQuery)
	if err != nil {
		s.fail(w, err)
		return
	}
	page, err := s.Store.Alerts(r.Context(), q)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer := Alerts{Alerts: make([]Alert, len(page.Alerts)), Next: page.Next}
	for i := range page.Alerts {
		answer.Alerts[i] = shownAlert(&page.Alerts[i])
	}
	writeJSON(w, http.StatusOK, answer)
}

// parseAlertQuery reads the query of GET /api/v1/alerts.
func parseAlertQuery(raw string) (ban.Query, error) {
	q := ban.Query{Limit: defaultLimit}
	values, err := parseValues(raw, "limit", "cursor", "client", "scenario")
	if err != nil {
		return q, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		switch name {
		case "limit":
			q.Limit, err = parseLimit(v)
		case "client":
			q.Client, err = ban.ParsePrefix(v)
		case "cursor":
			q.Cursor = v
		case "scenario":
			q.Scenario = v
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

// getAlert is GET /api/v1/alerts/{id}: one, with its context.
func (s *server) getAlert(w http.ResponseWriter, r *http.Request) {
	a, ok, err := s.Store.GetAlert(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		s.fail(w, err)
	case !ok:
		s.fail(w, &failure{http.StatusNotFound, "not_found", "there is no alert of this ID: it may have been purged, or been one of too many about its client in an hour"})
	default:
		writeJSON(w, http.StatusOK, shownAlert(&a))
	}
}

// Audited is an entry of the audit log.
type Audited struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Target string    `json:"target,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// AuditLog is a page of it, newest first.
type AuditLog struct {
	Entries []Audited `json:"entries"`
	Next    string    `json:"next,omitempty"` // cursor of the next page
}

// AuditNote is the body of POST /api/v1/audit: somebody did something that the service
// has no part in, of the kinds that ban.Store's Note takes.
type AuditNote struct {
	Action string `json:"action"`
	Target string `json:"target,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// note is POST /api/v1/audit.
func (s *server) note(w http.ResponseWriter, r *http.Request) {
	var n AuditNote
	err := readJSON(w, r, &n)
	if err == nil {
		err = s.Store.Note(r.Context(), n.Action, n.Target, n.Detail)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, n)
}

// listAudit is GET /api/v1/audit.
func (s *server) listAudit(w http.ResponseWriter, r *http.Request) {
	values, err := parseValues(r.URL.RawQuery, "limit", "cursor")
	limit := defaultLimit
	if v, given := values["limit"]; err == nil && given {
		limit, err = parseLimit(v)
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	page, err := s.Store.Audit(r.Context(), values["cursor"], limit)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer := AuditLog{Entries: make([]Audited, len(page.Entries)), Next: page.Next}
	for i, a := range page.Entries {
		answer.Entries[i] = Audited(a)
	}
	writeJSON(w, http.StatusOK, answer)
}
