package api

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"weir/internal/ban"
)

// FlushWish is the body of POST /api/v1/flush: decisions that fit all that is set
// are to end.
type FlushWish struct {
	Scenario string `json:"scenario,omitempty"`
	Origin   string `json:"origin,omitempty"`
	Since    string `json:"since,omitempty"` // made within this long before now, as in 2h
	All      bool   `json:"all,omitempty"`   // whatever they are; it stands alone
	DryRun   bool   `json:"dry_run,omitempty"`
}

// Flushed answers it.
type Flushed struct {
	DryRun bool    `json:"dry_run,omitempty"`
	Ended  int     `json:"ended"` // decisions; of a dry run, 0
	Fit    []Group `json:"fit"`   // what was there to end
}

// Group is the decisions that have origin and scenario in common.
type Group struct {
	Origin    ban.Origin `json:"origin"`
	Scenario  string     `json:"scenario,omitempty"`
	Decisions int        `json:"decisions"`
}

// flush is POST /api/v1/flush: an unban of many.
func (s *server) flush(w http.ResponseWriter, r *http.Request) {
	var wish FlushWish
	if err := readJSON(w, r, &wish); err != nil {
		s.fail(w, err)
		return
	}
	where := ban.Where{Scenario: wish.Scenario, Origin: ban.Origin(wish.Origin), All: wish.All}
	if wish.Since != "" {
		back, err := time.ParseDuration(wish.Since)
		if err != nil || back <= 0 {
			s.fail(w, badRequest(string(ban.RefusedUntil), "since=%q is not a duration like 30m, 4h or 1h30m", wish.Since))
			return
		}
		where.Since = time.Now().Add(-back)
	}
	fit, err := s.Store.CountWhere(where)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer := Flushed{DryRun: wish.DryRun, Fit: make([]Group, len(fit))}
	for i, t := range fit {
		answer.Fit[i] = Group{t.Origin, t.Scenario, t.Decisions}
	}
	if !wish.DryRun {
		if answer.Ended, err = s.Store.RemoveWhere(r.Context(), where); err != nil {
			s.failPartly(w, answer.Ended, "ended", err)
			return
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

// Breaker is a circuit breaker: of a scenario or, with an empty name, of all.
type Breaker struct {
	Scenario string    `json:"scenario"`
	Open     bool      `json:"open"`
	Since    time.Time `json:"since,omitzero"`
	Why      string    `json:"why,omitempty"`
	Held     int       `json:"held"`        // decisions in force that it holds
	Minute   int       `json:"last_minute"` // decisions that it let pass in the last minute
}

// ReleaseWish is the body of POST /api/v1/release.
type ReleaseWish struct {
	Scenario string `json:"scenario,omitempty"` // empty: all
	Drop     bool   `json:"drop,omitempty"`     // end what is held, instead of having it enforced
}

// Released answers it.
type Released struct {
	Decisions int  `json:"decisions"` // that were held
	Dropped   bool `json:"dropped,omitempty"`
}

// listBreakers is GET /api/v1/breakers.
func (s *server) listBreakers(w http.ResponseWriter, r *http.Request) {
	if _, err := parseValues(r.URL.RawQuery); err != nil {
		s.fail(w, err)
		return
	}
	list := []Breaker{}
	for _, b := range s.Store.Breakers() {
		list = append(list, Breaker(b))
	}
	writeJSON(w, http.StatusOK, struct {
		Breakers []Breaker `json:"breakers"`
	}{list})
}

// release is POST /api/v1/release.
func (s *server) release(w http.ResponseWriter, r *http.Request) {
	var wish ReleaseWish
	if err := readJSON(w, r, &wish); err != nil {
		s.fail(w, err)
		return
	}
	// A scenario that decided nothing has no breaker, and one that is not there is a
	// slip of the pen; but another process may know it that shares the decisions.
	if has := func(b ban.Breaker) bool { return b.Scenario == wish.Scenario }; !s.Store.Shared() && !slices.ContainsFunc(s.Store.Breakers(), has) {
		s.fail(w, &failure{http.StatusNotFound, "not_found", fmt.Sprintf("there is no breaker of %q: no scenario of this name has decided anything since the start; GET /api/v1/breakers lists those that have", wish.Scenario)})
		return
	}
	n, err := s.Store.Release(r.Context(), wish.Scenario, wish.Drop)
	if err != nil {
		s.failPartly(w, n, "released or dropped", err)
		return
	}
	writeJSON(w, http.StatusOK, Released{n, wish.Drop})
}

// failPartly is fail for what is done in parts, of which some may have been done.
func (s *server) failPartly(w http.ResponseWriter, n int, done string, err error) {
	if n == 0 {
		s.fail(w, err)
		return
	}
	s.log.Error("api request served in part", zap.Int("decisions", n), zap.Error(err))
	writeError(w, http.StatusServiceUnavailable, "partly",
		fmt.Sprintf("decisions cannot be stored at the moment: %d were %s before that, and the others are as they were; see the log of the service and try again", n, done))
}
