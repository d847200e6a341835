package filter

import "testing"

// TestEvent pins what the two parsers make of a record.
func TestEvent(t *testing.T) {
	for _, c := range []struct {
		hit  hit
		want map[string]string
	}{
		{
			hit{stem: "/a/b/c.tar.gz", query: "x=1&y=%2527", agent: "Mozilla/5.0%20(X)", host: "www.example.com"},
			map[string]string{
				"Meta.http_path": "/a/b/c.tar.gz?x=1&y=%27", "Meta.http_args_len": "9", "Meta.service": "http",
				"Meta.log_type": "http_access-log", "Meta.http_user_agent": "Mozilla/5.0 (X)", "Meta.source_ip": "192.0.2.7",
				"Parsed.request": "/a/b/c.tar.gz", "Parsed.http_args": "x=1&y=%27", "Parsed.file_dir": "/a/b/",
				"Parsed.file_frag": "c.tar", "Parsed.file_ext": ".gz", "Parsed.file_name": "c.tar.gz",
				"Parsed.static_ressource": "true", "Parsed.target_fqdn": "www.example.com", "Parsed.http_version": "2.0",
				"Parsed.http_user_agent": "Mozilla/5.0 (X)", "Parsed.http_referer": "-", "Parsed.verb": "GET",
			},
		},
		{hit{stem: "/.env"}, map[string]string{
			"Parsed.file_frag": ".env", "Parsed.file_ext": "", "Parsed.file_name": ".env", "Meta.http_args_len": "0",
			"Meta.http_path": "/.env", "Parsed.static_ressource": "false",
		}},
		{hit{stem: "/a/"}, map[string]string{"Parsed.file_dir": "/a/", "Parsed.file_name": "", "Parsed.file_frag": ""}},
		{hit{stem: "/a", query: "b?c/d"}, map[string]string{
			"Parsed.request": "/a?b", "Parsed.http_args": "c/d", "Meta.http_path": "/a?b?c/d", "Parsed.file_name": "a?b",
		}},
		{hit{stem: "*"}, map[string]string{
			"Parsed.request": "*", "Meta.http_args_len": "", "Parsed.file_name": "", "Parsed.static_ressource": "false",
		}},
		{hit{stem: "/%2"}, map[string]string{"Parsed.request": "/%2"}},
		{hit{stem: "/%zz%41"}, map[string]string{"Parsed.request": "/%zz%41"}},
		{hit{stem: "/a.js", status: "404"}, map[string]string{"Meta.http_status": "404", "Parsed.impact_completion": "false"}},
	} {
		q := requestOf(c.hit.record(t))
		e := q.event()
		for name, want := range c.want {
			got := e.Meta[name[len("Meta."):]]
			if name[0] == 'P' {
				got = e.Parsed[name[len("Parsed."):]]
			}
			if got != want {
				t.Errorf("%+v: evt.%s is %q, want %q", c.hit, name, got, want)
			}
		}
	}
}
