package api

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// scribes are Writers that write nothing.
type scribes struct {
	asked int
	err   error
}

func (*scribes) Targets() []Target {
	return []Target{{Name: "default", Scope: "CLOUDFRONT", Why: "throttled", Pools: []Pool{}, Sets: []Set{}, Rate: 0.5}}
}

func (*scribes) Diffs() []Diff {
	list := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("2001:db8::/64")}
	return []Diff{
		{Target: "default", At: time.Unix(1_790_000_000, 0).UTC(), Sets: []SetDiff{{
			Name: "weir-block-v4-0", Pool: "block", Family: "ipv4",
			Missing: ListPrefixes(list), Superfluous: ListPrefixes(list[:1]), Foreign: ListPrefixes(nil),
			Writes: []SetTurn{{At: time.Unix(1_790_000_001, 0).UTC(), Adds: 3, Drops: 1}},
		}}, Excluded: []Excluded{{"wide", ListPrefixes(list[1:])}}},
		{Target: "other", Why: "not read yet"},
	}
}

func (*scribes) Foreign(client netip.Prefix) []Foreign {
	if hand := netip.MustParsePrefix("203.0.113.0/24"); hand.Overlaps(client) {
		return []Foreign{{"default", "weir-block-v4-0", hand.String()}}
	}
	return nil
}

func (s *scribes) Leads() error { return s.err }

func (s *scribes) Reconcile() { s.asked++ }

func TestTargets(t *testing.T) {
	s := new(scribes)
	w := newWorld(t, func(c *Config) { c.Writers = s })
	w.expect(200, `{"targets":[{"name":"default","scope":"CLOUDFRONT","ready":false,"why":"throttled","pools":[],"sets":[]`, "GET", "/api/v1/targets", "")
	w.expect(400, "no parameter", "GET", "/api/v1/targets?all=true", "")

	const set = `{"diffs":[{"target":"default","at":"2026-09-21T14:13:20Z","sets":[{"name":"weir-block-v4-0","pool":"block","family":"ipv4",`
	w.expect(200, set+`"missing":{"count":3,"values":["192.0.2.1","192.0.2.2","2001:db8::/64"]},"superfluous":{"count":1,"values":["192.0.2.1"]},"foreign":{"count":0},`+
		`"writes":[{"at":"2026-09-21T14:13:21Z","adds":3,"drops":1}]}],"excluded":[{"reason":"wide","count":2,"values":["192.0.2.2","2001:db8::/64"]}]},{"target":"other","why":"not read yet","sets":[]}]}`, "GET", "/api/v1/diff", "")
	w.expect(200, set+`"missing":{"count":3,"values":["192.0.2.1"]},`, "GET", "/api/v1/diff?limit=1", "")
	w.expect(200, `"excluded":[{"reason":"wide","count":2,"values":["192.0.2.2"]}]`, "GET", "/api/v1/diff?limit=1", "")
	w.expect(400, "1 to 1000", "GET", "/api/v1/diff?limit=0", "")
	w.expect(200, `{"removed":0,"foreign":[{"target":"default","set":"weir-block-v4-0","value":"203.0.113.0/24"}]}`, "DELETE", "/api/v1/decisions?client=203.0.113.7", "")
	w.expect(200, `{"removed":0}`, "DELETE", "/api/v1/decisions?client=198.51.100.7", "")
	w.expect(400, "no parameter", "GET", "/api/v1/diff?client=192.0.2.1", "")

	w.expect(202, `{"asked":true}`, "POST", "/api/v1/reconcile", "")
	w.expect(405, "takes POST", "GET", "/api/v1/reconcile", "")
	s.err = errors.New("standing by")
	w.expect(409, "standing by", "POST", "/api/v1/reconcile", "")
	if s.asked != 1 {
		t.Errorf("asked %d times, want 1", s.asked)
	}

	w = newWorld(t, nil)
	w.expect(404, "not_found", "GET", "/api/v1/targets", "")
}

// A process that writes no IP set changes no decision: it would be kept where nobody
// looks for it. It goes on showing what it knows.
func TestStandbyChangesNothing(t *testing.T) {
	s := new(scribes)
	w := newWorld(t, func(c *Config) { c.Writers = s })
	w.alert("192.0.2.1/32", "/.env")
	id := decode[list](t, w.do("GET", "/api/v1/decisions", "")).Decisions[0].ID
	s.err = errors.New("standing by")
	for _, r := range []struct{ method, path, body string }{
		{"POST", "decisions", `{"value":"192.0.2.2"}`},
		{"DELETE", "decisions?client=192.0.2.1", ""},
		{"DELETE", "decisions/" + id, ""},
		{"POST", "flush", `{"all":true}`},
		{"POST", "release", `{}`},
	} {
		w.expect(409, `{"error":{"code":"not_leading","message":"standing by"}}`, r.method, "/api/v1/"+r.path, r.body)
	}
	shown := decode[list](t, w.expect(200, `"value":"192.0.2.1"`, "GET", "/api/v1/decisions", ""))
	if len(shown.Decisions) != 1 || !shown.Decisions[0].Active {
		t.Errorf("decisions now: %+v", shown.Decisions)
	}
	s.err = nil
	w.expect(201, "", "POST", "/api/v1/decisions", `{"value":"192.0.2.2"}`)
}

func TestFlush(t *testing.T) {
	w := newWorld(t, nil)
	const at = "/api/v1/flush"
	w.alert("192.0.2.1/32", "/.env")
	w.alert("192.0.2.2/32", "/.env")
	w.expect(201, "", "POST", "/api/v1/decisions", `{"value":"192.0.2.3"}`)
	const both = `"fit":[{"origin":"manual","decisions":1},{"origin":"scenario","scenario":"http-probing","decisions":2}]}`
	w.expect(200, `{"dry_run":true,"ended":0,`+both, "POST", at, `{"all":true,"dry_run":true}`)
	w.expect(200, `{"ended":0,"fit":[]}`, "POST", at, `{"scenario":"http-flood"}`)
	w.expect(200, `{"ended":2,"fit":[{"origin":"scenario","scenario":"http-probing","decisions":2}]}`, "POST", at, `{"scenario":"http-probing","origin":"scenario","since":"1h"}`)
	w.expect(200, `"value":"192.0.2.3"`, "GET", "/api/v1/decisions", "")
	w.expect(200, `{"ended":1,`, "POST", at, `{"all":true}`)
	w.expect(200, `{"decisions":[]}`, "GET", "/api/v1/decisions", "")

	w.expect(201, "", "POST", "/api/v1/decisions", `{"value":"192.0.2.4"}`)
	for body, want := range map[string]string{
		`{}`:                            "name a scenario",
		`{"dry_run":true}`:              "name a scenario",
		`{"all":true,"since":"1h"}`:     "stands alone",
		`{"origin":"heaven"}`:           "heaven",
		`{"since":"yesterday"}`:         "yesterday",
		`{"since":"-1h"}`:               "-1h",
		`{"scenarios":"http-probing"}`:  "scenarios",
		`{"all":true,"dry_run":"true"}`: "dry_run",
	} {
		w.expect(400, want, "POST", at, body)
	}
	w.expect(200, "192.0.2.4", "GET", "/api/v1/decisions", "")
}

func TestBreakers(t *testing.T) {
	w := newWorld(t, func(c *Config) {})
	w.expect(200, `{"breakers":[{"scenario":"","open":false,"held":0,"last_minute":0}]}`, "GET", "/api/v1/breakers", "")
	w.alert("192.0.2.1/32", "/.env")
	w.expect(200, `{"scenario":"http-probing","open":false,"held":0,"last_minute":1}`, "GET", "/api/v1/breakers", "")
	w.expect(200, `{"decisions":0}`, "POST", "/api/v1/release", `{}`)
	w.expect(200, `{"decisions":0,"dropped":true}`, "POST", "/api/v1/release", `{"scenario":"http-probing","drop":true}`)
	w.expect(404, `there is no breaker of \"http-probling\"`, "POST", "/api/v1/release", `{"scenario":"http-probling"}`)
	if rec := w.do("GET", "/api/v1/breakers", ""); strings.Contains(rec.Body.String(), "http-probling") {
		t.Errorf("a release has made a breaker: %s", rec.Body)
	}
	w.expect(400, "scenarios", "POST", "/api/v1/release", `{"scenarios":"x"}`)
	w.expect(400, "no parameter", "GET", "/api/v1/breakers?x=1", "")
}

// Every new path is guarded like the others.
func TestNewPathsAreGuarded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Listen, c.Token, c.Writers = ":9090", token, new(scribes) })
	for _, p := range []string{"targets", "diff", "reconcile", "flush", "breakers", "release"} {
		for _, method := range []string{"GET", "POST"} {
			if rec := w.do(method, "/api/v1/"+p, ""); rec.Code != 401 || !strings.Contains(rec.Body.String(), "token") {
				t.Errorf("%s %s without a token: %d %s", method, p, rec.Code, rec.Body)
			}
		}
	}
}
