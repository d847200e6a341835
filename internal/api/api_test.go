package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"weir/internal/ban"
	"weir/internal/detect"
	"weir/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "0123456789abcdef-secret"

// world is an API over a store in memory.
type world struct {
	t     testing.TB
	store *ban.Store
	h     http.Handler
	reg   *prometheus.Registry
}

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	reg := prometheus.NewRegistry()
	store, err := ban.Open(t.Context(), ban.Config{
		Duration: 4 * time.Hour, Registerer: prometheus.WrapRegistererWithPrefix("weir_", reg),
		Allowlist: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	cfg := Config{Store: store, Gatherer: reg, Listen: "127.0.0.1:9090"}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, store, h, reg}
}

// in is w for a test within the one it was made for.
func (w *world) in(t testing.TB) *world {
	inner := *w
	inner.t = t
	return &inner
}

// do sends a request as a client on the same host would, changed by with.
func (w *world) do(method, target, body string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost:9090"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range with {
		f(r)
	}
	rec := httptest.NewRecorder()
	w.h.ServeHTTP(rec, r)
	return rec
}

// expect is do with what must come of it: a status, and JSON, in which a text
// occurs.
func (w *world) expect(status int, contains, method, target, body string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := w.do(method, target, body, with...)
	if rec.Code != status || !strings.Contains(rec.Body.String(), contains) {
		w.t.Errorf("%s %s: %d %s\nwant %d with %s", method, target, rec.Code, rec.Body, status, contains)
	}
	if rec.Header().Get("Content-Type") != "application/json" || !json.Valid(rec.Body.Bytes()) {
		w.t.Errorf("%s %s: not JSON: %q %s", method, target, rec.Header().Get("Content-Type"), rec.Body)
	}
	if status >= 400 && target != "/healthz" && target != "/readyz" {
		var e struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || e.Error.Code == "" || e.Error.Message == "" {
			w.t.Errorf("%s %s: an error without code or message: %s", method, target, rec.Body)
		}
	}
	return rec
}

func withQuery(raw string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = raw }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func decode[T any](t testing.TB, rec *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatal(err, rec.Body)
	}
	return v
}

type list struct {
	Decisions []decision
	Next      string
}

// alert bans client for what it sent.
func (w *world) alert(client, path string) {
	w.t.Helper()
	p := netip.MustParsePrefix(client)
	now := time.Now().UnixMilli()
	w.store.Alert(detect.Alert{
		Scenario: &scenario.Scenario{Name: "http-probing", Mode: scenario.Enforce, Remediation: true},
		Client:   p, Addr: p.Addr(), At: now, First: now - 1000, Events: 11, Arrived: now,
		Samples: []detect.Sample{{Time: now, Addr: p.Addr(), Status: 404, Method: "GET", Host: "example.com", Path: path, UserAgent: path}},
	})
	if err := w.store.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestBanAndUnban(t *testing.T) {
	w := newWorld(t, nil)
	before := time.Now()
	rec := w.expect(201, `"value":"192.0.2.1"`, "POST", "/api/v1/decisions", `{"value":"192.0.2.1","duration":"1h30m","action":"captcha","reason":"scraper"}`)
	d := decode[decision](t, rec)
	if d.Action != ban.Captcha || d.Reason != "scraper" || d.Origin != ban.OriginManual || !d.Active || d.Context != nil {
		t.Errorf("made %+v", d)
	}
	if lasts := d.Until.Sub(before); lasts < 90*time.Minute-time.Second || lasts > 91*time.Minute || d.Until.Location() != time.UTC {
		t.Errorf("until %s, made at %s", d.Until, before)
	}
	if got := rec.Header().Get("Location"); got != "/api/v1/decisions/"+d.ID {
		t.Errorf("location: %s", got)
	}
	w.expect(200, d.ID, "GET", "/api/v1/decisions/"+d.ID, "")
	w.expect(200, d.ID, "GET", "/api/v1/decisions?client=192.0.2.1", "")
	w.expect(200, `{"removed":1}`, "DELETE", "/api/v1/decisions?client=192.0.2.1", "")
	w.expect(200, `{"removed":0}`, "DELETE", "/api/v1/decisions?client=192.0.2.1", "")
	w.expect(200, `{"decisions":[]}`, "GET", "/api/v1/decisions", "")
	w.expect(200, `"active":false`, "GET", "/api/v1/decisions?all=true", "")
	w.expect(200, `"removed":"`, "GET", "/api/v1/decisions/"+d.ID, "")

	d = decode[decision](t, w.expect(201, `"action":"block"`, "POST", "/api/v1/decisions", `{"value":"2001:db8::/64"}`))
	w.expect(200, `{"removed":0,"covered_by":["2001:db8::/64"]}`, "DELETE", "/api/v1/decisions?client=2001:db8::1", "")
	w.expect(200, `{"removed":1}`, "DELETE", "/api/v1/decisions/"+d.ID, "")
	w.expect(200, `{"removed":0}`, "DELETE", "/api/v1/decisions/"+d.ID, "")
}

func TestContextIsShown(t *testing.T) {
	w := newWorld(t, nil)
	w.alert("2001:db8::/64", "/.env")
	all := decode[list](t, w.expect(200, `"value":"2001:db8::/64"`, "GET", "/api/v1/decisions?client=2001:db8::1&scenario=http-probing&origin=scenario", ""))
	if len(all.Decisions) != 1 || all.Decisions[0].Context != nil || all.Decisions[0].Arrived.IsZero() {
		t.Fatalf("listed %+v", all)
	}
	d := decode[decision](t, w.expect(200, `"paths":[{"value":"/.env","n":1}]`, "GET", "/api/v1/decisions/"+all.Decisions[0].ID, ""))
	if d.Context == nil || d.Context.Events != 11 || d.Context.Samples[0].Addr.String() != "2001:db8::" {
		t.Errorf("context: %+v", d.Context)
	}
}

// What clients of the site send stays text, for browsers and terminals.
func TestHostileContent(t *testing.T) {
	w := newWorld(t, nil)
	hostile := "</script><script>alert(1)</script>&\x00\x1b[31m\xff\u2028"
	w.alert("192.0.2.1/32", hostile)
	id := decode[list](t, w.do("GET", "/api/v1/decisions", "")).Decisions[0].ID
	rec := w.expect(200, `\u003cscript\u003e`, "GET", "/api/v1/decisions/"+id, "")
	for _, c := range []string{"<", ">", "&", "\x00", "\x1b", "\xff", "\u2028"} {
		if strings.Contains(rec.Body.String(), c) {
			t.Errorf("%q is not escaped: %q", c, rec.Body)
		}
	}
	rec = w.expect(404, "not_found", "GET", "/api/v1/decisions/%3Cscript%3E", "")
	if strings.Contains(rec.Body.String(), "script") {
		t.Errorf("the path comes back: %s", rec.Body)
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 7 {
		w.expect(201, "", "POST", "/api/v1/decisions", fmt.Sprintf(`{"value":"192.0.2.%d"}`, i))
	}
	seen := make(map[string]bool)
	next, pages := "", 0
	for {
		target := "/api/v1/decisions?limit=3"
		if next != "" {
			target += "&cursor=" + next
		}
		page := decode[list](t, w.do("GET", target, ""))
		for _, d := range page.Decisions {
			seen[d.Value] = true
		}
		pages++
		if next = page.Next; next == "" {
			break
		}
	}
	if len(seen) != 7 || pages != 3 {
		t.Errorf("%d decisions on %d pages", len(seen), pages)
	}
}

func TestBadInput(t *testing.T) {
	w := newWorld(t, nil)
	const at = "/api/v1/decisions"
	for query, want := range map[string]string{
		"client=192.0.2":               `"prefix"`,
		"client=192.0.2.1/24":          "192.0.2.0/24",
		"client=1.2.3.4&client=1.2.3.": "2 times",
		"limit=0":                      "1 to 1000",
		"limit=1001":                   "1 to 1000",
		"limit=x":                      "1 to 1000",
		"cursor=x":                     "start again",
		"all=perhaps":                  "true or false",
		"all":                          "no value",
		"origin=heaven":                "heaven",
		"scenarioo=x":                  "there are client",
		"client=%zz":                   "cannot be read",
	} {
		w.expect(400, want, "GET", at+"?"+query, "")
	}
	w.expect(400, "who is to be unbanned", "DELETE", at, "")
	w.expect(400, "no parameter", "DELETE", at+"?all=true", "")
	w.expect(404, "not_found", "DELETE", at+"/nobody", "")
	w.expect(404, "not_found", "GET", at+"/nobody", "")

	for body, want := range map[string]string{
		`{"value":"nonsense"}`:                        `"code":"prefix"`,
		`{}`:                                          `"code":"prefix"`,
		`{"value":"0.0.0.0/0"}`:                       `"code":"width"`,
		`{"value":"192.0.2.1","duration":"x"}`:        `"code":"duration"`,
		`{"value":"192.0.2.1","duration":"-1h"}`:      `"code":"duration"`,
		`{"value":"192.0.2.1","duration":"1000000h"}`: `"code":"duration"`,
		`{"value":"192.0.2.1","action":"kill"}`:       `"code":"action"`,
		`{"value":"192.0.2.1","reason":"a\u0007"}`:    `"code":"reason"`,
		`{"value":"192.0.2.1","until":"2030"}`:        "until",
		`{"value":192}`:                               "must be a string",
		`[]`:                                          "json",
		`{"value":"192.0.2.1"} {}`:                    "behind",
		`{"value":`:                                   "json",
	} {
		w.expect(400, want, "POST", at, body)
	}
	w.expect(400, "empty", "POST", at, "", header("Content-Type", "application/json"))
	w.expect(409, `"code":"allowlist"`, "POST", at, `{"value":"198.51.100.7"}`)
	w.expect(413, "65536", "POST", at, `{"reason":"`+strings.Repeat("x", maxBody)+`"}`)
	w.expect(415, "application/json", "POST", at, `{"value":"192.0.2.1"}`, header("Content-Type", "text/plain"))
	if got := decode[list](t, w.do("GET", at+"?all=true", "")); len(got.Decisions) != 0 {
		t.Errorf("bad input banned %+v", got)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := newWorld(t, nil)
	for _, p := range []string{"/", "/x", "/api", "/api/", "/api/v1/", "/api/v2/decisions", "/api/v1/decisions/", "/api//v1/decisions", "/api/v1/../v1/decisions", "/metrics/"} {
		w.expect(404, "not_found", "GET", p, "")
	}
	for p, allow := range map[string]string{
		"/api/v1/decisions":   "DELETE, GET, HEAD, POST",
		"/api/v1/decisions/x": "DELETE, GET, HEAD",
		"/metrics":            "GET, HEAD", "/healthz": "GET, HEAD", "/readyz": "GET, HEAD",
	} {
		if got := w.expect(405, "method", "PATCH", p, "").Header().Get("Allow"); got != allow {
			t.Errorf("%s allows %q, want %q", p, got, allow)
		}
		if p != "/api/v1/decisions/x" {
			w.expect(200, "", "HEAD", strings.Replace(p, "/metrics", "/healthz", 1), "")
		}
	}
}

func TestHealth(t *testing.T) {
	var alive error
	var reasons []string
	w := newWorld(t, func(c *Config) {
		c.Alive = func() error { return alive }
		c.Ready = func() []string { return reasons }
	})
	w.expect(200, `{"status":"ok"}`, "GET", "/healthz", "")
	w.expect(200, `{"ready":true}`, "GET", "/readyz", "")
	reasons = []string{"the stream is not being read", "IP sets: throttled"}
	w.expect(503, `{"ready":false,"reasons":["the stream is not being read","IP sets: throttled"]}`, "GET", "/readyz", "")
	w.expect(200, `{"status":"ok"}`, "GET", "/healthz", "")
	alive = errors.New("shard 3 has not moved for 5m0s")
	w.expect(503, `{"status":"wedged","reason":"shard 3 has not moved for 5m0s"}`, "GET", "/healthz", "")

	w = newWorld(t, nil)
	w.expect(200, `{"status":"ok"}`, "GET", "/healthz", "")
	w.expect(200, `{"ready":true}`, "GET", "/readyz", "")
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, nil)
	w.alert("192.0.2.77/32", "/")
	rec := w.do("GET", "/metrics", "")
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `weir_bans_in_force{action="block"} 1`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if strings.Contains(rec.Body.String(), "192.0.2") {
		t.Error("a client's address is in the metrics")
	}
}

// What is in force is answered from memory; for the rest the storage is needed, and
// that it does not answer is told.
func TestStorageTrouble(t *testing.T) {
	dir := t.TempDir()
	store, err := ban.Open(t.Context(), ban.Config{Path: filepath.Join(dir, "bans.db"), Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	w := newWorld(t, func(c *Config) { c.Store = store })
	w.expect(200, `"decisions":[]`, "GET", "/api/v1/decisions", "")
	for _, r := range [][3]string{
		{"GET", "/api/v1/decisions?all=true", ""},
		{"GET", "/api/v1/decisions/x", ""},
		{"GET", "/api/v1/alerts", ""},
		{"GET", "/api/v1/audit", ""},
		{"POST", "/api/v1/decisions", `{"value":"192.0.2.1"}`},
		{"DELETE", "/api/v1/decisions/x", ""},
	} {
		rec := w.expect(503, `"code":"storage"`, r[0], r[1], r[2])
		if strings.Contains(rec.Body.String(), dir) {
			t.Errorf("the answer names files: %s", rec.Body)
		}
	}
	if store.Ready() == nil {
		t.Error("a store that could not store says that it is ready")
	}
}

// A real server, for what only shows on a connection.
func TestServer(t *testing.T) {
	w := newWorld(t, nil)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(w.h, zap.NewNop())
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: new(http.Transport)}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != 200 || string(body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("%d %s %v", resp.StatusCode, body, err)
	}
	client.CloseIdleConnections()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}

// What is special about a decision is shown.
func TestMarksAreShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drop.txt")
	if err := os.WriteFile(file, []byte("203.0.113.0/24\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := ban.Open(t.Context(), ban.Config{Duration: time.Hour, PerMinute: 1, Lists: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) { c.Store = store })
	w.store = store
	t.Cleanup(func() { store.Close() })
	w.alert("192.0.2.1/32", "/")
	w.alert("192.0.2.2/32", "/")
	held := decode[list](t, w.expect(200, `"held":"scenario"`, "GET", "/api/v1/decisions?client=192.0.2.2", ""))
	if len(held.Decisions) != 1 || held.Decisions[0].Active || held.Decisions[0].Severity != "low" {
		t.Errorf("held: %+v", held)
	}
	if free := decode[list](t, w.expect(200, `"active":true`, "GET", "/api/v1/decisions?client=192.0.2.1", "")); free.Decisions[0].Held != "" {
		t.Errorf("not held: %+v", free)
	}
	p := netip.MustParsePrefix("192.0.2.3/32")
	store.Alert(detect.Alert{
		Scenario: &scenario.Scenario{Name: "trial", Mode: scenario.Stage, Severity: scenario.High, Remediation: true},
		Client:   p, Addr: p.Addr(), At: time.Now().UnixMilli(), First: time.Now().UnixMilli(), Events: 1,
	})
	if err := store.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	staged := decode[list](t, w.expect(200, `"staged":true`, "GET", "/api/v1/decisions?client=192.0.2.3", ""))
	if d := staged.Decisions[0]; d.Action != ban.Count || d.Severity != "high" || !d.Active {
		t.Errorf("staged: %+v", d)
	}

	w.expect(200, `"origin":"list","reason":"listed in `, "GET", "/api/v1/decisions?client=203.0.113.7", "")
	w.expect(200, `"origin":"list"`, "GET", "/api/v1/decisions?client=203.0.113.7&origin=list", "")
	w.expect(200, `{"decisions":[]}`, "GET", "/api/v1/decisions?client=203.0.113.7&origin=manual", "")
	w.expect(200, `{"removed":0,"covered_by":["203.0.113.0/24"]}`, "DELETE", "/api/v1/decisions?client=203.0.113.7", "")

	w.expect(400, "force it", "POST", "/api/v1/decisions", `{"value":"198.0.0.0/8"}`)
	w.expect(201, `"wide":true`, "POST", "/api/v1/decisions", `{"value":"198.0.0.0/8","force":true}`)
	w.expect(400, `"code":"width"`, "POST", "/api/v1/decisions", `{"value":"0.0.0.0/0","force":true}`)
}
