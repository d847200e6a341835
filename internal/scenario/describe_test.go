package scenario

import (
	"testing"
	"time"
)

// TestThresholds: each variable sets its threshold, in the spelling in which it is told.
func TestThresholds(t *testing.T) {
	list := Catalogue()
	for i := range list {
		variables := map[string]string{}
		for _, threshold := range list[i].Thresholds() {
			if threshold.Value != "" {
				variables[threshold.Variable] = threshold.Value
			}
		}
		tuned, err := Tune(list, variables)
		if err != nil {
			t.Errorf("%s: %v", list[i].Name, err)
			continue
		}
		before, after := list[i].Thresholds(), tuned[i].Thresholds()
		for k := range before {
			if before[k] != after[k] {
				t.Errorf("%s: %+v became %+v", list[i].Name, before[k], after[k])
			}
		}
	}
}

func TestThresholdsAreAllKeys(t *testing.T) {
	told := map[string]bool{}
	list := Catalogue()
	for i := range list {
		for _, threshold := range list[i].Thresholds() {
			told[threshold.Variable] = true
		}
	}
	for _, key := range Keys() {
		found := false
		for i := range list {
			found = found || told[Variable(list[i].Name, key)]
		}
		if !found {
			t.Errorf("no scenario tells of %s", key)
		}
	}
}

func TestKeptFor(t *testing.T) {
	for groupby, want := range map[string]string{
		"groupby: weir.client":                                           "client",
		"groupby: weir.client + weir.host":                               "client + weir.host",
		"groupby: weir.host + weir.path":                                 "value weir.host + weir.path",
		"groupby: weir.range\nrange: {ipv4: 24, ipv6: 56}":               "range /24 /56",
		"groupby: weir.range\nrange: {ipv6: 48}":                         "range /48",
		"groupby: evt.Meta.source_ip":                                    "client",
		"groupby: \"evt.Meta.source_ip + '/' + evt.Parsed.target_fqdn\"": "client: weir.client + '/' + evt.Parsed.target_fqdn",
		"groupby: evt.Meta.http_user_agent":                              "value evt.Meta.http_user_agent",
		"labels: {service: http}":                                        "everybody",
	} {
		text := "type: leaky\nname: a\nfilter: weir.tool\ncapacity: 1\nleakspeed: 1s\n" + groupby + "\n"
		list, err := parse("a.yaml", []byte(text), lookup{})
		if err != nil {
			t.Fatalf("%s: %v", groupby, err)
		}
		set, err := Compile(list, Options{})
		if err != nil {
			t.Fatalf("%s: %v", groupby, err)
		}
		if got := set.At(0).KeptFor(); got != want {
			t.Errorf("%s: %q, want %q", groupby, got, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 333 * time.Millisecond: "333ms", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h",
		time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 20 * time.Hour: "20h", time.Hour + 30*time.Minute: "1h30m",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestNear(t *testing.T) {
	m := testSet(t).NewMatcher()
	r := get("/old/page", 200).record(t)
	m.Match(r, nil)
	near := map[string]bool{}
	for i := range m.set.Len() {
		for _, why := range m.Why(i) {
			if why.Effect == Pour && why.Near() {
				near[m.set.At(i).Name] = true
			}
			if why.Holds != (len(why.Unmet) == 0) {
				t.Errorf("%+v", why)
			}
		}
	}
	if !near["http-crawl"] || near["http-bad-user-agent"] || near["http-probing"] {
		t.Errorf("a page that was found, for one with cookies, is near to %v", near)
	}
}
