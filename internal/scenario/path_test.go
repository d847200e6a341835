package scenario

import "testing"

func TestShape(t *testing.T) {
	for _, tt := range []struct{ path, shape, parent string }{
		{"", "", ""},
		{"/", "/", "/"},
		{"/about", "/about", "/about"},
		{"/v1/items/521817", "/v1/items/#", "/v1/items"},
		{"/v1/items/blue-mug", "/v1/items/blue-mug", "/v1/items"},
		{"/v1/items/521817/stock", "/v1/items/#/stock", "/v1/items/#"},
		{"/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301/card", "/users/#/card", "/users/#"},
		{"/2026-08-01/news", "/#/news", "/#/news"},
		{"/p/sold-out-12", "/p/sold-out-12", "/p/sold-out-12"},
		{"/phpmyadmin-2.8.0/x", "/phpmyadmin-2.8.0/x", "/phpmyadmin-2.8.0/x"},
		{"/cafe/babe", "/cafe/babe", "/cafe/babe"},
		{"/t/eyj0exaioijkv1qilcjhbg2", "/t/#", "/t/#"},
		{"//a//1", "//a//#", "//a/"},
		{"/a/", "/a/", "/a/"},
		{"no-slash", "no-slash", "no-slash"},
	} {
		shape, parent := appendShape(nil, []byte(tt.path))
		if string(shape) != tt.shape || string(shape[:parent]) != tt.parent {
			t.Errorf("%q: shape %q, parent %q; want %q, %q", tt.path, shape, shape[:parent], tt.shape, tt.parent)
		}
	}
}

func TestIsStatic(t *testing.T) {
	for path, want := range map[string]bool{
		"/a/b.css": true, "/a.js.map": true, "/seg_1.ts": true, "/favicon.ico": true,
		"/a/b.php": false, "/a.css/b": false, "/css": false, "/a.": false, "": false, "/.env": false, "/a.pdf": false,
	} {
		if got := static([]byte(path)) != 0; got != want {
			t.Errorf("static(%q) = %v, want %v", path, got, want)
		}
	}
}

// hit returns the fingerprint with which a request hits a scenario.
func hit(t *testing.T, m *Matcher, r request, scenario string) uint32 {
	t.Helper()
	for _, h := range m.Match(r.record(t), nil) {
		if h.Effect == Pour && m.set.At(int(h.Scenario)).Name == scenario {
			return h.Distinct
		}
	}
	t.Fatalf("%s %s %s does not hit %s", r.method, r.url, r.status, scenario)
	return 0
}

func TestWhatCountsOnce(t *testing.T) {
	json := func(url string) request { return get(url, 404).but("type", "application/json") }
	for _, tt := range []struct {
		name, scenario string
		a, b           request
		same           bool
	}{
		{"same path", "http-probing", get("/a", 404), get("/a", 404), true},
		{"other query", "http-probing", get("/a?x=1", 404), get("/a?x=2", 404), true},
		{"other path", "http-probing", get("/a", 404), get("/b", 404), false},
		{"other host", "http-probing", get("/a", 404), get("/a", 404).but("host", "b.example.com"), true},
		{"items of a collection", "http-probing", get("/items/17", 404), get("/items/18", 404), true},
		{"names of a collection, as pages", "http-probing", get("/v1/users/bob", 404), get("/v1/users/eve", 404), false},
		{"names of a collection, in an API", "http-probing", json("/v1/users/bob"), json("/v1/users/eve"), true},
		{"names near the root of an API", "http-probing", json("/admin"), json("/backup"), false},
		{"other collection of an API", "http-probing", json("/v1/users/bob"), json("/v1/roles/bob"), false},
		{"parts of one interface", "http-admin-probing", get("/grafana/api/a", 403), get("/grafana/api/b", 403), true},
		{"other interface", "http-admin-probing", get("/grafana/api/a", 403), get("/kibana/api/a", 403), false},
		{"other letter case", "http-sensitive-files", get("/.env", 404), get("/.ENV", 404), false},
		{"other payload", "http-sqli", get("/a?id=1'%20or%20'1'='1", 200), get("/a?id=2'%20or%20'1'='1", 200), false},
		{"same payload", "http-sqli", get("/a?id=1'%20or%20'1'='1", 200), get("/a?id=1'%20or%20'1'='1", 500), true},
		{"same payload elsewhere", "http-sqli", get("/a?id=1'%20or%20'1'='1", 200), get("/b?id=1'%20or%20'1'='1", 200), false},
	} {
		m := testSet(t).NewMatcher()
		a, b := hit(t, m, tt.a, tt.scenario), hit(t, m, tt.b, tt.scenario)
		if a == 0 || b == 0 {
			t.Errorf("%s: a fingerprint is 0", tt.name)
		}
		if (a == b) != tt.same {
			t.Errorf("%s: counted once is %v, want %v", tt.name, a == b, tt.same)
		}
	}
	m := testSet(t).NewMatcher()
	if got := hit(t, m, get("/", 200).but("ua", "sqlmap/1.8"), "http-bad-user-agent"); got != 0 {
		t.Errorf("a scenario that counts every event has fingerprint %d", got)
	}
}
