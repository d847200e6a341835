package api

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"weir/internal/ban"
)

func TestParseQuery(t *testing.T) {
	got, err := parseQuery("client=192.0.2.1&limit=7&all=1&scenario=http-probing&origin=manual&cursor=abc")
	want := ban.Query{
		Client: netip.MustParsePrefix("192.0.2.1/32"), Limit: 7, All: true,
		Scenario: "http-probing", Origin: ban.OriginManual, Cursor: "abc",
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if got, err := parseQuery(""); err != nil || got != (ban.Query{Limit: defaultLimit}) {
		t.Errorf("nothing at all: %+v, %v", got, err)
	}
}

// Whatever the query, it is either understood or the client's fault, and the
// answer is JSON.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"", "client=192.0.2.1", "limit=3&cursor=AQAAAAAAAAABYQ", "all=true&origin=manual", "a;b=%00", "client=%25&limit=1e3", "scenario=%ff"} {
		f.Add(q)
	}
	w := newWorld(f, nil)
	w.alert("192.0.2.1/32", "/<>")
	f.Fuzz(func(t *testing.T, raw string) {
		w := w.in(t)
		if q, err := parseQuery(raw); err == nil && (q.Limit < 1 || q.Limit > ban.MaxLimit) {
			t.Fatalf("%q: limit %d", raw, q.Limit)
		} else if err != nil && !errors.As(err, new(*failure)) && !errors.As(err, new(*ban.RefusedError)) {
			t.Fatalf("%q: an error of type %T", raw, err)
		}
		rec := w.do("GET", "/api/v1/decisions", "", withQuery(raw))
		if rec.Code != 200 && rec.Code != 400 || !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%q: %d %s", raw, rec.Code, rec.Body)
		}
	})
}

// Whatever the body, the answer is a decision or an error, in JSON.
func FuzzBody(f *testing.F) {
	for _, b := range []string{`{"value":"192.0.2.1"}`, `{"value":"192.0.2.0/24","duration":"4h","action":"count","reason":"x"}`, `[]`, `null`, `{"value":{}}`, "\xff"} {
		f.Add(b)
	}
	w := newWorld(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		w := w.in(t)
		rec := w.do("POST", "/api/v1/decisions", body)
		switch rec.Code {
		case 201, 400, 409, 413, 415:
		default:
			t.Fatalf("%q: %d %s", body, rec.Code, rec.Body)
		}
		if !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%q: %s", body, rec.Body)
		}
	})
}
