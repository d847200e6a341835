package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const plain = `type: leaky
name: a/b
description: It says what it is for.
filter: evt.Meta.http_status == '404'
groupby: evt.Meta.source_ip
capacity: 3
leakspeed: 10s
labels: {remediation: true, service: http, classification: [x, y]}
`

func parsed(t *testing.T, text string) []Scenario {
	t.Helper()
	list, err := parse("f.yaml", []byte(text), lookup{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestParse(t *testing.T) {
	list := parsed(t, plain+"---\n\n---\ntype: trigger\nname: c\nfilter: weir.tool\ngroupby: weir.client\nblackhole: 2m\ndebug: true\nformat: 2.0\n")
	if len(list) != 2 {
		t.Fatalf("%d scenarios, want 2: an empty document is none", len(list))
	}
	a, c := list[0], list[1]
	if a.Origin != "f.yaml:1" || a.Name != "a/b" || a.Kind != Leaky || a.Capacity != 3 || a.Leak != 10*time.Second || !a.Remediation {
		t.Errorf("first: %+v", a)
	}
	if a.Labels["service"] != "http" || a.Labels["classification"] != "x, y" {
		t.Errorf("labels: %v", a.Labels)
	}
	if c.Origin != "f.yaml:12" || c.Kind != Trigger || c.Blackhole != 2*time.Minute || c.Remediation {
		t.Errorf("second: %+v", c)
	}
}

func TestParseExtensions(t *testing.T) {
	s := parsed(t, `type: leaky
name: range
filter: weir.login_failed
drain: {filter: weir.login_ok, events: 2}
shield: {filter: weir.healthy, for: 90m}
groupby: weir.range
range: {ipv4: 24, ipv6: 56}
distinct: weir.client
weight: megabytes
severity: critical
ban: 1h
action: count
mode: simulate
capacity: 5
leakspeed: 1s
`)[0]
	if s.Group != (Group{By: ByRange, V4: 24, V6: 56}) || s.drainBy != 2 || s.Shield != 90*time.Minute || s.Severity != Critical ||
		s.Ban != time.Hour || s.Action != "count" || s.Mode != Simulate || s.weight != weightBytes {
		t.Errorf("%+v", s)
	}
	for groupby, want := range map[string]Group{
		"groupby: weir.client\n":                                       {},
		"groupby: weir.client + weir.host\n":                           {},
		"groupby: weir.host + weir.path\nmembers: true\n":              {By: ByValue, Members: true},
		"groupby: evt.Meta.source_ip + '/' + evt.Parsed.target_fqdn\n": {},
		"": {By: ByValue},
	} {
		text := "type: leaky\nname: x\nfilter: weir.post\ncapacity: 1\nleakspeed: 1s\n" + groupby
		set, err := Compile(parsed(t, text), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.At(0).Group; got != want {
			t.Errorf("%q: %+v, want %+v", groupby, got, want)
		}
	}
}

// TestParseErrors has, for each mistake, what the error has to name: line, key and
// what would be right.
func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ change, to, want string }{
		{"type: leaky", "type: counter", "f.yaml:1: type: counter scenarios are not supported"},
		{"type: leaky", "type: bayesian", "f.yaml:1: type: bayesian scenarios are not supported"},
		{"type: leaky", "type: leeky", `f.yaml:1: type: "leeky": allowed are leaky, trigger, conditional`},
		{"type: leaky\n", "", "f.yaml:1: type: it is missing"},
		{"name: a/b\n", "", "f.yaml:1: name: it is missing"},
		{"filter: evt.Meta.http_status == '404'\n", "", "f.yaml:1: filter: it is missing"},
		{"capacity: 3", "capacity: many", `f.yaml:6: capacity: "many" is not a whole number`},
		{"capacity: 3", "capacity: 0", "capacity 0: allowed are 1 to 100000"},
		{"leakspeed: 10s", "leakspeed: 10", `f.yaml:7: leakspeed: "10" is not a duration`},
		{"leakspeed: 10s", "leekspeed: 10s", "f.yaml:7: leekspeed: there is no such key: the nearest is leakspeed"},
		{"leakspeed: 10s", "leakspeed: 10s\nuniq_filter: x", "f.yaml:8: uniq_filter: there is no such key"},
		{"leakspeed: 10s", "leakspeed: 10s\nduration: 5m", "f.yaml:8: duration: only counter scenarios"},
		{"leakspeed: 10s", "leakspeed: 10s\nleakspeed: 11s", "leakspeed"},
		{"leakspeed: 10s", "leakspeed: 10s\nscope: {type: Country}", `f.yaml:8: scope.type: "Country" is not supported`},
		{"leakspeed: 10s", "leakspeed: 10s\ncondition: 'true'", "condition: only a conditional scenario has one"},
		{"leakspeed: 10s", "leakspeed: 10s\nrange: {ipv4: 8}", "f.yaml:8: range.ipv4: 8: allowed are 16 to 31 bits"},
		{"leakspeed: 10s", "leakspeed: 10s\nrange: {ipv4: 24}", "weir.range and the key range belong together"},
		{"leakspeed: 10s", "leakspeed: 10s\nmembers: true", "members needs buckets that are for neither"},
		{"leakspeed: 10s", "leakspeed: 10s\nshield: {filter: weir.ok}", "f.yaml:8: shield: it needs both filter and for"},
		{"leakspeed: 10s", "leakspeed: 10s\nshield: {filter: weir.ok, for: 90s}", "f.yaml:8: shield.for: 1m30s: allowed are whole minutes"},
		{"leakspeed: 10s", "leakspeed: 10s\nweight: kilos", `f.yaml:8: weight: "kilos": allowed are one, megabytes, origin_seconds`},
		{"leakspeed: 10s", "leakspeed: 10s\nsample: 2", "f.yaml:1: sample: a capacity of 3 is too small"},
		{"capacity: 3", "capacity: 300\nsample: 4", "f.yaml:1: sample: 4: allowed are 1 to 3"},
		{"capacity: 3", "capacity: 300\nsample: 0", "f.yaml:1: sample: 0: allowed are 1 to 3"},
		{"capacity: 3", "capacity: 300\nsample: 2\nspacing: 1s", "f.yaml:1: sample: a scenario with weight, distinct, spacing or members"},
		{"leakspeed: 10s", "leakspeed: 10s\ndata: [{type: string}]", "f.yaml:8: data: it names no dest_file"},
		{"leakspeed: 10s", "leakspeed: 10s\ndrain: {filter: weir.ok, events: 0}", "f.yaml:8: drain.events: 0: allowed are 1 to 1000"},
		{"remediation: true", "remediation: true, remediation: false", "f.yaml:8: labels.remediation: it is there twice"},
		{"leakspeed: 10s", "leakspeed: 10s\ncache_size: 999", "f.yaml:8: cache_size: 999: allowed are 0 to 256"},
		{"name: a/b", `name: "a\x1bb"`, "f.yaml:2: name: it holds control characters"},
		{"remediation: true", "remediation: yes please", "f.yaml:8: labels.remediation:"},
		{"groupby: evt.Meta.source_ip", "groupby: weir.clint", "weir.clint"},
		{"type: leaky", "- type: leaky", "f.yaml"},
		{"type: leaky", "\ttype: leaky", "f.yaml"},
	} {
		_, err := parse("f.yaml", []byte(strings.Replace(plain, tt.change, tt.to, 1)), lookup{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q instead of %q: error %v, want one with %q", tt.to, tt.change, err, tt.want)
		}
	}
	_, err := parse("f.yaml", []byte("type: leaky\nname: a\nfilter: x\ncapacity: y\nleakspeed: z\n---\ntype: q\n"), lookup{})
	for _, want := range []string{"f.yaml:4: capacity", "f.yaml:5: leakspeed", "f.yaml:7: type"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell of %s", err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	asking := strings.Replace(plain, "filter: evt.Meta.http_status == '404'", `filter: 'any(File("words.txt"), {evt.Meta.http_path contains #})'`, 1) +
		"data: [{dest_file: words.txt, type: string, source_url: https://example.com/words.txt}]\n"
	file := write("scenarios/deep/a.yaml", asking)
	write("scenarios/.hidden.yaml", "no")
	write("scenarios/.git/x.yaml", "no")
	write("scenarios/README.md", "no")

	list, err := Load([]string{filepath.Join(dir, "scenarios")})
	if err != nil || len(list) != 1 || list[0].Origin != file+":1" {
		t.Fatalf("%v, %v", list, err)
	}
	if _, err := Compile(list, Options{}); err == nil || !strings.Contains(err.Error(), `data file "words.txt": it is in none of`) {
		t.Errorf("without its data: error %v", err)
	}
	for _, place := range []string{"scenarios/data/words.txt", "scenarios/deep/words.txt"} {
		data := write(place, "secret\n")
		if _, err := Compile(list, Options{}); err != nil {
			t.Errorf("data at %s: %v", place, err)
		}
		os.Remove(data)
	}
	undeclared := write("b/b.yaml", strings.Replace(strings.Replace(asking, "dest_file: words.txt", "dest_file: other.txt", 1), "a/b", "b", 1))
	escaping := write("c/c.yaml", strings.ReplaceAll(asking, "words.txt", "../words.txt"))
	for file, want := range map[string]string{undeclared: "does not list it", escaping: "has to lie beside the scenario"} {
		list, err := Load([]string{file})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compile(list, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", file, err, want)
		}
	}
	if _, err := Load([]string{file, file}); err == nil || !strings.Contains(err.Error(), "it is listed twice") {
		t.Errorf("the same twice: error %v", err)
	}
	if _, err := Load([]string{file, write("copy.yaml", plain)}); err == nil || !strings.Contains(err.Error(), "name: a/b is taken by the scenario of "+file) {
		t.Errorf("one name twice: error %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "scenarios"), link); err != nil {
		t.Fatal(err)
	}
	if list, err := Load([]string{link}); err != nil || len(list) != 1 {
		t.Errorf("a link to a directory: %d scenarios, %v", len(list), err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Load([]string{filepath.Join(dir, "none"), empty}); err == nil || !strings.Contains(err.Error(), "none") || !strings.Contains(err.Error(), empty+": there is no scenario") {
		t.Errorf("nothing there: error %v", err)
	}
	both, err := Load([]string{Builtin, file})
	if err != nil || len(both) != len(Catalogue())+1 {
		t.Errorf("built-in and a file: %d scenarios, %v", len(both), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(plain)
	f.Add("type: trigger\nname: x\nfilter: weir.tool\ngroupby: weir.range\nrange: {ipv4: 24}\n---\n- a\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parse("f.yaml", []byte(text), lookup{})
		if err != nil {
			return
		}
		for i := range list {
			if err := list[i].check(); err != nil {
				t.Errorf("a scenario that makes no sense was let pass: %v", err)
			}
		}
	})
}

// TestGroupThatFailsIsNobodys: what cannot be told whose it is must not end in a bucket
// that everybody shares.
func TestGroupThatFailsIsNobodys(t *testing.T) {
	set, err := Compile(parsed(t, `{type: leaky, name: x, filter: "evt.Meta.http_status == '404'", groupby: "Split(evt.Meta.http_path, '/')[3]", capacity: 1, leakspeed: 1s}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := set.NewMatcher()
	if hits := m.Match(get("/a/b/c", 404).record(t), nil); len(hits) != 1 || hits[0].Group == 0 {
		t.Errorf("with a third segment: %+v", hits)
	}
	if hits := m.Match(get("/a", 404).record(t), nil); len(hits) != 0 {
		t.Errorf("without one: %+v", hits)
	}
	if runs, failed := m.Interpreted(); runs == 0 || failed != 1 {
		t.Errorf("%d runs, %d failed", runs, failed)
	}
	if list := set.Expressions(0); !list[1].Interpreted {
		t.Errorf("%+v is not told to be interpreted", list[1])
	}
}
