package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestAllowlist(t *testing.T) {
	w := newWorld(t, nil)
	read := func(method, target, body string, want int, into any) {
		t.Helper()
		r := w.do(method, target, body, func(r *http.Request) { r.Header.Set(ActorHeader, "alice@laptop\x00") })
		if r.Code != want {
			t.Errorf("%s %s %s: %d %s", method, target, body, r.Code, r.Body)
		}
		if into != nil {
			if err := json.Unmarshal(r.Body.Bytes(), into); err != nil {
				t.Error(err)
			}
		}
	}
	read(http.MethodPost, "/api/v1/decisions", `{"value":"192.0.2.1"}`, http.StatusCreated, nil)
	var now AllowedNow
	read(http.MethodPost, "/api/v1/allowlist", `{"value":"192.0.2.0/24","duration":"1h","comment":"office"}`, http.StatusCreated, &now)
	if now.Ended != 1 || now.Value != "192.0.2.0/24" || now.Expires.Sub(now.Created).Hours() > 1.01 || !strings.HasPrefix(now.By, "alice@laptop at ") {
		t.Errorf("%+v", now)
	}
	for body, want := range map[string]int{
		`{"value":"192.0.2.0/8"}`:                  http.StatusBadRequest,
		`{"value":"10.0.0.0/8"}`:                   http.StatusBadRequest,
		`{"value":"192.0.2.1","duration":"soon"}`:  http.StatusBadRequest,
		`{"value":"192.0.2.1","comment":"\u0007"}`: http.StatusBadRequest,
		`{"value":"192.0.2.1","why":"x"}`:          http.StatusBadRequest,
		`{"value":"10.0.0.0/8","force":true}`:      http.StatusCreated,
	} {
		read(http.MethodPost, "/api/v1/allowlist", body, want, nil)
	}
	var list struct{ Allowlist []Allowed }
	read(http.MethodGet, "/api/v1/allowlist", "", http.StatusOK, &list)
	if len(list.Allowlist) != 3 || list.Allowlist[0].Value != "10.0.0.0/8" || list.Allowlist[1].Comment != "office" || !list.Allowlist[2].Fixed {
		t.Errorf("%+v", list)
	}
	read(http.MethodGet, "/api/v1/allowlist?all=1", "", http.StatusBadRequest, nil)
	var gone Disallowed
	read(http.MethodDelete, "/api/v1/allowlist?value=192.0.2.0/24", "", http.StatusOK, &gone)
	if !gone.Removed {
		t.Error("nothing was removed")
	}
	read(http.MethodDelete, "/api/v1/allowlist?value=192.0.2.0/24", "", http.StatusOK, &gone)
	if gone.Removed {
		t.Error("it was removed twice")
	}
	read(http.MethodDelete, "/api/v1/allowlist?value=198.51.100.0/24", "", http.StatusConflict, nil) // of the settings
	read(http.MethodDelete, "/api/v1/allowlist", "", http.StatusBadRequest, nil)
	read(http.MethodDelete, "/api/v1/allowlist?value=x", "", http.StatusBadRequest, nil)

	read(http.MethodPost, "/api/v1/audit", `{"action":"panic-on","target":"web ACL site"}`, http.StatusCreated, nil)
	for body, want := range map[string]int{
		`{"action":"ban","target":"192.0.2.1"}`:       http.StatusBadRequest,
		`{"action":"panic-off","target":"\u001b[2J"}`: http.StatusBadRequest,
		`{"action":"panic-off","at":"never"}`:         http.StatusBadRequest,
	} {
		read(http.MethodPost, "/api/v1/audit", body, want, nil)
	}
	var log AuditLog
	read(http.MethodGet, "/api/v1/audit?limit=2", "", http.StatusOK, &log)
	if len(log.Entries) != 2 || log.Next == "" {
		t.Fatalf("%+v", log)
	}
	actions := map[string]bool{}
	for cursor := ""; ; {
		var page AuditLog
		read(http.MethodGet, "/api/v1/audit?limit=2"+cursor, "", http.StatusOK, &page)
		for _, e := range page.Entries {
			actions[e.Action+" "+e.Target] = true
			if !strings.HasPrefix(e.Actor, "alice@laptop at ") {
				t.Errorf("by %q", e.Actor)
			}
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	for _, want := range []string{"ban 192.0.2.1", "allow 192.0.2.0/24", "allow 10.0.0.0/8", "disallow 192.0.2.0/24", "panic-on web ACL site"} {
		if !actions[want] {
			t.Errorf("not on record: %s, only %v", want, actions)
		}
	}
	for _, bad := range []string{"limit=0", "cursor=x", "client=1.1.1.1"} {
		read(http.MethodGet, "/api/v1/audit?"+bad, "", http.StatusBadRequest, nil)
	}
	for _, bad := range []string{"limit=x", "cursor=x", "client=x", "origin=manual"} {
		read(http.MethodGet, "/api/v1/alerts?"+bad, "", http.StatusBadRequest, nil)
	}
	var alerts Alerts
	read(http.MethodGet, "/api/v1/alerts?client=192.0.2.1&scenario=x", "", http.StatusOK, &alerts)
	if alerts.Alerts == nil || len(alerts.Alerts) != 0 {
		t.Errorf("%+v", alerts)
	}
	read(http.MethodGet, "/api/v1/alerts/nobody", "", http.StatusNotFound, nil)
}
