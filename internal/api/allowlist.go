package api

import (
	"net"
	"net/http"
	"time"

	"weir/internal/ban"
)

// ActorHeader is the header in which a client of the API says on whose behalf it asks,
// for the audit log. Nobody checks it: the token is what says who may ask.
const ActorHeader = "Weir-Actor"

// acting has the audit log name who asks.
func acting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			from = r.RemoteAddr
		}
		actor := "API client at " + from
		if who := r.Header.Get(ActorHeader); who != "" {
			actor = who + " at " + from
		}
		next.ServeHTTP(w, r.WithContext(ban.WithActor(r.Context(), actor)))
	})
}

// Allowed is an entry of the allowlist.
type Allowed struct {
	Value   string    `json:"value"`
	Comment string    `json:"comment,omitempty"`
	By      string    `json:"by,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // none: never
	Fixed   bool      `json:"fixed,omitempty"`  // it is of the settings
}

func allowed(e *ban.AllowEntry) Allowed {
	return Allowed{ban.FormatPrefix(e.Prefix), e.Comment, e.Author, e.Created, e.Expires, e.Fixed}
}

// AllowWish is the body of POST /api/v1/allowlist.
type AllowWish struct {
	Value    string `json:"value"`
	Duration string `json:"duration,omitempty"` // empty: for ever
	Comment  string `json:"comment,omitempty"`
	Force    bool   `json:"force,omitempty"` // a range wider than may be banned without
}

// AllowedNow answers it.
type AllowedNow struct {
	Allowed
	Ended int `json:"ended"` // decisions that the entry covers
}

// Disallowed answers DELETE /api/v1/allowlist.
type Disallowed struct {
	Removed bool `json:"removed"` // false: there was no such entry
}

// listAllowlist is GET /api/v1/allowlist.
func (s *server) listAllowlist(w http.ResponseWriter, r *http.Request) {
	if _, err := parseValues(r.URL.RawQuery); err != nil {
		s.fail(w, err)
		return
	}
	list := []Allowed{}
	for _, e := range s.Store.Allowlist() {
		list = append(list, allowed(&e))
	}
	writeJSON(w, http.StatusOK, struct {
		Allowlist []Allowed `json:"allowlist"`
	}{list})
}

// allow is POST /api/v1/allowlist.
func (s *server) allow(w http.ResponseWriter, r *http.Request) {
	var wish AllowWish
	if err := readJSON(w, r, &wish); err != nil {
		s.fail(w, err)
		return
	}
	p, err := ban.ParsePrefix(wish.Value)
	if err != nil {
		s.fail(w, err)
		return
	}
	e := ban.AllowEntry{Prefix: p, Comment: wish.Comment}
	if wish.Duration != "" {
		lasts, err := time.ParseDuration(wish.Duration)
		if err != nil {
			s.fail(w, badRequest(string(ban.RefusedUntil), "the duration %q is not one like 30m, 4h or 1h30m", wish.Duration))
			return
		}
		e.Expires = time.Now().Add(lasts)
	}
	e, ended, err := s.Store.Allow(r.Context(), e, wish.Force)
	switch {
	case err != nil && e.Prefix.IsValid(): // it is in force, and what it covers has not all ended
		s.failPartly(w, max(1, ended), "ended, and the entry of the allowlist is in force", err)
	case err != nil:
		s.fail(w, err)
	default:
		writeJSON(w, http.StatusCreated, AllowedNow{allowed(&e), ended})
	}
}

// disallow is DELETE /api/v1/allowlist?value=.
func (s *server) disallow(w http.ResponseWriter, r *http.Request) {
	values, err := parseValues(r.URL.RawQuery, "value")
	if err != nil {
		s.fail(w, err)
		return
	}
	v, ok := values["value"]
	if !ok {
		s.fail(w, badRequest("query", "say which entry is to be removed: ?value=192.0.2.1"))
		return
	}
	p, err := ban.ParsePrefix(v)
	if err != nil {
		s.fail(w, err)
		return
	}
	was, err := s.Store.Disallow(r.Context(), p)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, Disallowed{was})
}
