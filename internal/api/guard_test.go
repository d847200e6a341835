package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
)

func TestCheckListen(t *testing.T) {
	for _, tc := range []struct{ listen, token, want string }{
		{"127.0.0.1:9090", "", ""},
		{"127.8.9.10:9090", "", ""},
		{"[::1]:9090", "", ""},
		{"localhost:9090", "", ""},
		{"127.0.0.1:0", token, ""},
		{":9090", token, ""},
		{"0.0.0.0:9090", token, ""},
		{"weir.example.com:9090", token, ""},
		{":9090", "", "no token"},
		{"0.0.0.0:9090", "", "no token"},
		{"[::]:9090", "", "no token"},
		{"10.0.0.5:9090", "", "no token"},
		{"weir.example.com:9090", "", "no token"},
		{"localhost.example.com:9090", "", "no token"},
		{"127.0.0.1", "", "host:port"},
		{"", token, "host:port"},
		{":9090", "short", "at least 16"},
		{":9090", "0123456789 abcdef", "space"},
		{":9090", "0123456789abcdef\n", "space"},
		{":9090", "0123456789abcdefü", "ASCII"},
	} {
		err := CheckListen(tc.listen, tc.token)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q with token %q: %v, want %q", tc.listen, tc.token, err, tc.want)
		}
		if err != nil && tc.token != "" && strings.Contains(err.Error(), tc.token) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Store: new(ban.Store), Listen: "127.0.0.1:1"},
		{Gatherer: prometheus.NewRegistry(), Listen: "127.0.0.1:1"},
		{Store: new(ban.Store), Gatherer: prometheus.NewRegistry(), Listen: ":1"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v makes an API", cfg)
		}
	}
}

func TestToken(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Listen, c.Token = ":9090", token })
	const at = "/api/v1/decisions"
	for _, h := range []string{"", token, "Bearer", "Bearer ", "Bearer x" + token, "Bearer " + token + "x", "Bearer  " + token, "Basic " + token} {
		rec := w.expect(401, "token", "GET", at, "", header("Authorization", h))
		if rec.Header().Get("WWW-Authenticate") != "Bearer" || strings.Contains(rec.Body.String(), token) {
			t.Errorf("%q: %v %s", h, rec.Header(), rec.Body)
		}
		w.expect(401, "token", "POST", at, `{"value":"192.0.2.1"}`, header("Authorization", h))
		w.expect(401, "token", "GET", "/api/nothing", "", header("Authorization", h))
	}
	for _, h := range []string{"Bearer " + token, "bearer " + token} {
		w.expect(200, "decisions", "GET", at, "", header("Authorization", h))
	}
	// Who has the token may come from anywhere; who scrapes or checks health needs none.
	elsewhere := func(r *http.Request) { r.Host = "weir.example.com" }
	w.expect(200, "decisions", "GET", at, "", header("Authorization", "Bearer "+token), elsewhere)
	w.expect(200, "ok", "GET", "/healthz", "", elsewhere)
	w.expect(200, "true", "GET", "/readyz", "", elsewhere)
	if rec := w.do("GET", "/metrics", "", elsewhere); rec.Code != 200 {
		t.Errorf("metrics: %d", rec.Code)
	}
}

// Without a token only requests that name a loopback host are answered, so that
// a page whose name resolves to 127.0.0.1 gets nothing.
func TestRebinding(t *testing.T) {
	w := newWorld(t, nil)
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:9090": true, "LOCALHOST.:9090": true, "127.0.0.1": true, "127.0.0.1:9090": true,
		"127.1.2.3": true, "[::1]": true, "[::1]:9090": true,
		"": false, "evil.example": false, "evil.example:9090": false, "127.0.0.1.evil.example": false,
		"localhost.evil.example": false, "10.0.0.1": false, "0.0.0.0": false, "[::]:9090": false, "127.0.0.1:9090@evil": false,
	} {
		for _, p := range []string{"/api/v1/decisions", "/metrics", "/healthz", "/readyz", "/"} {
			rec := w.do("GET", p, "", func(r *http.Request) { r.Host = host })
			if got := rec.Code != 403; got != ok {
				t.Errorf("host %q, %s: %d", host, p, rec.Code)
			}
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	w := newWorld(t, nil)
	const at, body = "/api/v1/decisions", `{"value":"192.0.2.1"}`
	w.expect(403, "origin", "POST", at, body, header("Sec-Fetch-Site", "cross-site"))
	w.expect(403, "origin", "POST", at, body, header("Sec-Fetch-Site", "same-site"))
	w.expect(403, "origin", "POST", at, body, header("Origin", "https://evil.example"))
	w.expect(403, "origin", "DELETE", at+"?client=192.0.2.1", "", header("Sec-Fetch-Site", "cross-site"))
	w.expect(200, `"decisions":[]`, "GET", at, "")
	w.expect(201, "192.0.2.1", "POST", at, body, header("Sec-Fetch-Site", "same-origin"), header("Origin", "http://localhost:9090"))
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, nil)
	for _, p := range []string{"/", "/metrics", "/healthz", "/api/v1/decisions"} {
		h := w.do("GET", p, "").Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %v", p, h)
		}
	}
}
