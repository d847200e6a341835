package api

import "net/http"

// healthz is for who restarts the service: it fails only for what a restart can
// cure, never because AWS is down.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	type health struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}
	if s.Alive != nil {
		if err := s.Alive(); err != nil {
			writeJSON(w, http.StatusServiceUnavailable, health{"wedged", err.Error()})
			return
		}
	}
	writeJSON(w, http.StatusOK, health{Status: "ok"})
}

// readyz is for people and dashboards: it says everything that is missing.
func (s *server) readyz(w http.ResponseWriter, _ *http.Request) {
	type readiness struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons,omitempty"`
	}
	if s.Ready != nil {
		if reasons := s.Ready(); len(reasons) > 0 {
			writeJSON(w, http.StatusServiceUnavailable, readiness{Reasons: reasons})
			return
		}
	}
	writeJSON(w, http.StatusOK, readiness{Ready: true})
}
