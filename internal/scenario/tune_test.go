package scenario

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTune(t *testing.T) {
	list := Catalogue()
	tuned, err := Tune(list, map[string]string{
		"WEIR_SCENARIO_HTTP_PROBING_CAPACITY":        "25",
		"WEIR_SCENARIO_HTTP_PROBING_LEAKSPEED":       "2m30s",
		"WEIR_SCENARIO_HTTP_PROBING_LINKED_CAPACITY": "100000",
		"WEIR_SCENARIO_HTTP_EXPLOIT_PATH_BLACKHOLE":  "0s",
		"WEIR_SCENARIO_HTTP_EXPLOIT_PATH_BAN":        "24h",
		"WEIR_SCENARIO_HTTP_BAD_USER_AGENT_ACTION":   "captcha",
		"WEIR_SCENARIO_HTTP_FLOOD_MODE":              "simulate",
		"WEIR_SCENARIO_HTTP_FLOOD_ANY_MODE":          "off",
		"WEIR_LOG_FIELDS":                            "none of its business",
		"HOME":                                       "/",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Catalogue()
	change := func(name string, f func(*Scenario)) {
		for i := range want {
			if want[i].Name == name {
				f(&want[i])
				return
			}
		}
		t.Fatalf("no scenario %s", name)
	}
	change("http-probing", func(s *Scenario) { s.Capacity, s.Leak = 25, 150*time.Second })
	change("http-probing-linked", func(s *Scenario) { s.Capacity = 100_000 })
	change("http-exploit-path", func(s *Scenario) { s.Blackhole, s.Ban = 0, 24*time.Hour })
	change("http-bad-user-agent", func(s *Scenario) { s.Action = "captcha" })
	change("http-flood", func(s *Scenario) { s.Mode = Simulate })
	change("http-flood-any", func(s *Scenario) { s.Mode = Off })
	if !reflect.DeepEqual(tuned, want) {
		t.Errorf("tuned to %+v, want %+v", tuned, want)
	}
	if !reflect.DeepEqual(list, Catalogue()) {
		t.Error("the list itself was changed")
	}
	if _, err := Compile(tuned, Options{}); err != nil {
		t.Errorf("the tuned list does not compile: %v", err)
	}
}

func TestTuneErrors(t *testing.T) {
	for _, tt := range []struct{ variable, value, want string }{
		{"HTTP_PROBING_CAPACITY", "0", "allowed are 1 to 100000"},
		{"HTTP_PROBING_CAPACITY", "100001", "allowed are 1 to 100000"},
		{"HTTP_PROBING_CAPACITY", "ten", "allowed are 1 to 100000"},
		{"HTTP_PROBING_CAPACITY", "", "allowed are 1 to 100000"},
		{"HTTP_PROBING_LEAKSPEED", "10", "allowed are 1ms to 24h0m0s"},
		{"HTTP_PROBING_LEAKSPEED", "999us", "allowed are 1ms to 24h0m0s"},
		{"HTTP_PROBING_BLACKHOLE", "-1s", "allowed are 0s to 168h0m0s"},
		{"HTTP_PROBING_BAN", "0s", "allowed are 1s to 8760h0m0s"},
		{"HTTP_PROBING_ACTION", "ban", "allowed are block, captcha, challenge, count"},
		{"HTTP_PROBING_MODE", "Enforce", "allowed are enforce, stage, simulate, off"},
		{"HTTP_EXPLOIT_PATH_CAPACITY", "5", "a trigger scenario has no capacity"},
		{"HTTP_EXPLOIT_PATH_LEAKSPEED", "5s", "a trigger scenario has no leak speed"},
		{"HTTP_PROBNG_CAPACITY", "5", "the nearest is HTTP_PROBING"},
		{"HTTP_PROBING_CAPASITY", "5", "the nearest is CAPACITY"},
		{"CAPACITY", "5", "unknown scenario"},
		{"", "5", "unknown key"},
	} {
		variable := "WEIR_SCENARIO_" + tt.variable
		_, err := Tune(Catalogue(), map[string]string{variable: tt.value})
		if err == nil {
			t.Errorf("%s=%q: no error", variable, tt.value)
			continue
		}
		if text := err.Error(); !strings.Contains(text, variable+`="`+tt.value+`"`) || !strings.Contains(text, tt.want) {
			t.Errorf("%s=%q: error %q names not both the variable and %q", variable, tt.value, text, tt.want)
		}
	}
}

func TestTuneTellsAllErrors(t *testing.T) {
	_, err := Tune(Catalogue(), map[string]string{
		"WEIR_SCENARIO_HTTP_PROBING_CAPACITY": "0", "WEIR_SCENARIO_HTTP_CRAWL_MODE": "on", "WEIR_SCENARIO_NOSUCH_BAN": "1h",
	})
	for _, want := range []string{"HTTP_PROBING_CAPACITY", "HTTP_CRAWL_MODE", "NOSUCH_BAN"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell of %s", err, want)
		}
	}
}

func TestTuneNamesWithSlashes(t *testing.T) {
	list := []Scenario{{Name: "LePresidente/http-generic-401-bf", Capacity: 5, Leak: time.Second}}
	variable := Variable(list[0].Name, "CAPACITY")
	if want := "WEIR_SCENARIO_LEPRESIDENTE_HTTP_GENERIC_401_BF_CAPACITY"; variable != want {
		t.Fatalf("the variable is %s, want %s", variable, want)
	}
	tuned, err := Tune(list, map[string]string{variable: "7"})
	if err != nil || tuned[0].Capacity != 7 {
		t.Errorf("capacity %v, error %v", tuned, err)
	}
	two := append(list, Scenario{Name: "lepresidente-http-generic-401-bf", Capacity: 5, Leak: time.Second})
	if _, err := Tune(two, map[string]string{variable: "7"}); err == nil || !strings.Contains(err.Error(), "two scenarios") {
		t.Errorf("one variable for two scenarios: error %v", err)
	}
}

func TestEveryVariableTunes(t *testing.T) {
	values := map[string]string{
		"CAPACITY": "77", "LEAKSPEED": "3500ms", "BLACKHOLE": "3s", "BAN": "3s", "ACTION": "count", "MODE": "simulate",
		"SEVERITY": "low", "CACHE_SIZE": "7", "DRAIN": "7", "SHIELD": "7m", "SPACING": "7s", "SAMPLE": "3", "RANGE_IPV4": "27", "RANGE_IPV6": "60",
	}
	has := func(s Scenario, key string) bool {
		switch key {
		case "CAPACITY", "LEAKSPEED", "SPACING":
			return s.Kind == Leaky
		case "SAMPLE":
			return s.Sample > 1
		case "DRAIN":
			return s.drain.text != ""
		case "SHIELD":
			return s.shield.text != ""
		case "RANGE_IPV4":
			return s.Group.V4 != 0
		case "RANGE_IPV6":
			return s.Group.V6 != 0
		}
		return true
	}
	for _, s := range Catalogue() {
		for _, key := range Keys() {
			s.Severity = High
			tuned, err := Tune([]Scenario{s}, map[string]string{Variable(s.Name, key): values[key]})
			switch {
			case !has(s, key):
				if err == nil {
					t.Errorf("%s is taken, and there is nothing to set", Variable(s.Name, key))
				}
			case err != nil:
				t.Errorf("%s: %v", Variable(s.Name, key), err)
			case tuned[0].numbers() == s.numbers():
				t.Errorf("%s changes nothing", Variable(s.Name, key))
			}
		}
	}
}

// numbers returns everything that variables may change.
func (s *Scenario) numbers() any {
	return struct {
		capacity, cache, drain, sample        int
		leak, blackhole, ban, shield, spacing time.Duration
		group                                 Group
		severity                              Severity
		mode                                  Mode
		action                                string
	}{s.Capacity, s.CacheSize, s.drainBy, s.Sample, s.Leak, s.Blackhole, s.Ban, s.Shield, s.Spacing, s.Group, s.Severity, s.Mode, s.Action}
}
