package config

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// load runs a command line and an environment through a Loader for all settings.
func load(t testing.TB, environ []string, args ...string) (*Config, error) {
	t.Helper()
	l, fs := register()
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return l.Load(environ)
}

func register(sections ...string) (*Loader, *flag.FlagSet) {
	fs := flag.NewFlagSet("weir", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return Register(fs, sections...), fs
}

// samples has for every setting a value that is not its default, as Values
// writes it.
var samples = map[string]string{
	"WEIR_LOG_FIELDS":             "timestamp, c-ip",
	"WEIR_KINESIS_STREAM":         "arn:aws:kinesis:eu-west-1:123456789012:stream/logs",
	"WEIR_KINESIS_LEASE_TABLE":    "leases",
	"WEIR_KINESIS_WORKER":         "task-1",
	"WEIR_KINESIS_START":          "oldest",
	"WEIR_KINESIS_POLL":           "1.5s",
	"WEIR_KINESIS_MAX_RECORDS":    "10000",
	"WEIR_KINESIS_FAILOVER":       "1m",
	"WEIR_KINESIS_FANOUT":         "weir",
	"WEIR_ROLE":                   "detect",
	"WEIR_REKEY_STREAM":           "weir-events",
	"WEIR_REKEY_LEASE_TABLE":      "more-leases",
	"WEIR_DETECT_SHARDS":          "4",
	"WEIR_DETECT_IPV6_PREFIX":     "56",
	"WEIR_STATE_MEMORY":           "2GiB",
	"WEIR_STATE_SNAPSHOT":         "s3://states/weir",
	"WEIR_STATE_INTERVAL":         "30s",
	"WEIR_STATE_OWNER":            "123456789012",
	"WEIR_SCENARIOS":              "builtin,/etc/weir/a=b",
	"WEIR_CRAWLERS_REFRESH":       "false",
	"WEIR_CRAWLERS_DNS":           "false",
	"WEIR_BAN_DURATION":           "24h",
	"WEIR_BAN_ACTION":             "challenge",
	"WEIR_BAN_STAGE":              "true",
	"WEIR_BAN_LISTS":              "/etc/weir/a=b.txt,c",
	"WEIR_BAN_BREAKER_PER_MINUTE": "0",
	"WEIR_BAN_BREAKER_SHARE":      "0.25",
	"WEIR_BAN_SIMULATE":           "true",
	"WEIR_BAN_ALLOWLIST":          "192.0.2.1,2001:db8::/32",
	"WEIR_BAN_ADOPT":              "30m",
	"WEIR_BAN_COOLDOWN":           "2h",
	"WEIR_BAN_FILE":               "/var/lib/weir/a=b.db",
	"WEIR_BAN_TABLE":              "bans",
	"WEIR_BAN_HISTORY":            "1h30m",
	"WEIR_WAF_TARGETS":            "testdata/targets.yaml",
	"WEIR_WAF_SCOPE":              "REGIONAL",
	"WEIR_WAF_REGION":             "us-east-1", // the only one that scope CLOUDFRONT goes with
	"WEIR_WAF_ROLE":               "arn:aws:iam::123456789012:role/ops/weir",
	"WEIR_WAF_EXTERNAL_ID":        "a/b-1",
	"WEIR_WAF_SESSION":            "weir@site",
	"WEIR_WAF_FALLBACK":           "none",
	"WEIR_WAF_DRY_RUN":            "true",
	"WEIR_WAF_SETS":               "arn:a,arn:b",
	"WEIR_WAF_WRITES_PER_SECOND":  "0.25",
	"WEIR_WAF_EXPIRY_GRACE":       "1s",
	"WEIR_WAF_DRIFT":              "10s",
	"WEIR_WAF_BLOCK_STATUS":       "403",
	"WEIR_API_LISTEN":             "[::1]:80",
	"WEIR_API_TOKEN":              "hunter2=",
	"WEIR_LOGGER_LEVEL":           "debug",
	"WEIR_LOGGER_FORMAT":          "console",
	"WEIR_STOP_TIMEOUT":           "1m50s",
}

// companions are the settings without which another makes no sense.
var companions = map[string][]string{
	"WEIR_ROLE":            {"WEIR_REKEY_STREAM=events", "WEIR_BAN_TABLE=bans", "WEIR_STATE_SNAPSHOT=s3://bucket/weir"},
	"WEIR_WAF_EXTERNAL_ID": {"WEIR_WAF_ROLE=arn:aws:iam::123456789012:role/weir"},
}

// TestFields: every setting fills one field of a Config, and every field is
// filled by one setting.
func TestFields(t *testing.T) {
	standard, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	filledBy := make(map[string]string)
	for _, s := range new(Config).settings() {
		sample, ok := samples[s.name]
		if !ok {
			t.Fatalf("no sample of %s", s.name)
		}
		with := companions[s.name]
		before, err := load(t, with)
		if err != nil {
			t.Fatal(err)
		}
		c, err := load(t, append([]string{s.name + "=" + sample}, with...))
		if err != nil {
			t.Fatal(err)
		}
		was, is := fields(before), fields(c)
		var changed []string
		for name := range is {
			if !reflect.DeepEqual(was[name], is[name]) {
				changed = append(changed, name)
			}
		}
		if len(changed) != 1 || filledBy[changed[0]] != "" {
			t.Errorf("%s fills %q", s.name, changed)
			continue
		}
		filledBy[changed[0]] = s.name
		i := slices.IndexFunc(c.Values(), func(v Value) bool { return v.Name == s.name })
		want := Value{Name: s.name, Flag: "-" + s.flag(), Value: sample, Default: s.def, Origin: OriginEnvironment, Doc: s.doc}
		if s.kind.secret {
			want.Value = hidden
		}
		if got := c.Values()[i]; got != want {
			t.Errorf("Values has %+v, want %+v", got, want)
		}
	}
	for name := range fields(standard) {
		if filledBy[name] == "" {
			t.Errorf("nothing fills Config.%s", name)
		}
	}
}

// fields returns the fields that settings fill, by name.
func fields(c *Config) map[string]any {
	all := make(map[string]any)
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Name == "Scenario" || !f.IsExported():
		case f.Type.Kind() != reflect.Struct:
			all[f.Name] = v.Field(i).Interface()
		default:
			for j := range f.Type.NumField() {
				all[f.Name+"."+f.Type.Field(j).Name] = v.Field(i).Field(j).Interface()
			}
		}
	}
	return all
}

// TestDefaults: they are allowed, and written as Values would write them.
func TestDefaults(t *testing.T) {
	c, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range c.Values() {
		if v.Value != v.Default || v.Origin != OriginDefault {
			t.Errorf("%+v", v)
		}
	}
	if want := (Start{Back: 2 * time.Minute}); c.Kinesis.Start != want {
		t.Errorf("start %+v, want %+v", c.Kinesis.Start, want)
	}
}

func TestOneWrong(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{
			"WEIR_KINESIS_POLL=5ms",
			`WEIR_KINESIS_POLL (-kinesis-poll): got "5ms", want a duration from 200ms to 10s (time between two reads of a shard; Kinesis allows five a second, for all consumers together)`,
		},
		{"WEIR_KINESIS_POLL=1", `WEIR_KINESIS_POLL (-kinesis-poll): got "1", want a duration from 200ms to 10s (`},
		{"WEIR_KINESIS_STREAM=logs/a", `WEIR_KINESIS_STREAM (-kinesis-stream): got "logs/a", want the name or ARN of a Kinesis data stream (`},
		{"WEIR_KINESIS_STREAM=arn:aws:sqs:eu-west-1:123456789012:logs", `WEIR_KINESIS_STREAM (-kinesis-stream): got "arn:aws:sqs:eu-west-1:123456789012:logs", want`},
		{"WEIR_KINESIS_LEASE_TABLE=ab", `WEIR_KINESIS_LEASE_TABLE (-kinesis-lease-table): got "ab", want the name of a DynamoDB table (`},
		{"WEIR_KINESIS_WORKER=a b", `WEIR_KINESIS_WORKER (-kinesis-worker): got "a b", want a name of up to 128 letters`},
		{"WEIR_KINESIS_START=-1s", `WEIR_KINESIS_START (-kinesis-start): got "-1s", want a duration of up to 8760h, oldest, or latest (`},
		{"WEIR_KINESIS_MAX_RECORDS=10001", `WEIR_KINESIS_MAX_RECORDS (-kinesis-max-records): got "10001", want a whole number from 1 to 10000 (`},
		{"WEIR_KINESIS_MAX_RECORDS=1e3", `got "1e3", want a whole number from 1 to 10000 (`},
		{"WEIR_STATE_MEMORY=15MiB", `WEIR_STATE_MEMORY (-state-memory): got "15MiB", want a size from 16MiB to 1TiB (`},
		{"WEIR_STATE_MEMORY=512MB", `got "512MB", want a size from 16MiB to 1TiB (`},
		{"WEIR_STATE_MEMORY=536870912", `got "536870912", want a size`},
		{"WEIR_STATE_MEMORY=9007199254740993KiB", `got "9007199254740993KiB", want a size`},
		{"WEIR_STATE_MEMORY=-1TiB", `got "-1TiB", want a size`},
		{"WEIR_BAN_ACTION=drop", `WEIR_BAN_ACTION (-ban-action): got "drop", want block, captcha, challenge or count (`},
		{
			"WEIR_BAN_ALLOWLIST=10.0.0.1, 10.0.0.256,,2001:db8::/129,fe80::1%eth0,::ffff:0:0/90",
			`WEIR_BAN_ALLOWLIST (-ban-allowlist): got "10.0.0.256", "2001:db8::/129", "fe80::1%eth0", "::ffff:0:0/90", want a list of addresses and prefixes separated by commas (`,
		},
		{"WEIR_BAN_ALLOWLIST=,", `WEIR_BAN_ALLOWLIST (-ban-allowlist): got ",", want a list`},
		{"WEIR_BAN_FILE=a\tb", `WEIR_BAN_FILE (-ban-file): got "a\tb", want a file name (`},
		{"WEIR_SCENARIOS=,", `WEIR_SCENARIOS (-scenarios): got ",", want a list of directories and files separated by commas`},
		{"WEIR_CRAWLERS_DNS=yes", `WEIR_CRAWLERS_DNS (-crawlers-dns): got "yes", want true or false (`},
		{"WEIR_WAF_SCOPE=cloudfront", `WEIR_WAF_SCOPE (-waf-scope): got "cloudfront", want CLOUDFRONT or REGIONAL (`},
		{"WEIR_WAF_WRITES_PER_SECOND=NaN", `WEIR_WAF_WRITES_PER_SECOND (-waf-writes-per-second): got "NaN", want a number from 0.01 to 1 (`},
		{"WEIR_WAF_BLOCK_STATUS=200", `WEIR_WAF_BLOCK_STATUS (-waf-block-status): got "200", want an HTTP status that WAF can answer with: 400, 401,`},
		{"WEIR_API_LISTEN=example.com:80", `WEIR_API_LISTEN (-api-listen): got "example.com:80", want an address as in 127.0.0.1:9180, [::1]:9180, localhost:9180 or :9180 (`},
		{"WEIR_API_LISTEN=127.0.0.1:65536", `got "127.0.0.1:65536", want an address`},
		{"WEIR_LOGGER_LEVEL=warning", `WEIR_LOGGER_LEVEL (-logger-level): got "warning", want debug, info, warn or error (`},
		{"WEIR_LOGGER_LEVEL=" + strings.Repeat("é", 101), `got "` + strings.Repeat("é", 100) + `"..., want debug`},
		{"WEIR_API_TOKEN=two words", `WEIR_API_TOKEN (-api-token-file): got something else, want printable ASCII characters without white space (`},
		{"WEIR_API_TOKEN_FILE=/nowhere/token", `WEIR_API_TOKEN (-api-token-file): read the secret: open /nowhere/token: no such file or directory (`},

		// The rules between settings.
		{
			"WEIR_KINESIS_POLL=4s",
			`WEIR_KINESIS_FAILOVER (-kinesis-failover): got "10s", want at least 12s, which is 3 times WEIR_KINESIS_POLL (how long the lease of a worker that has died outlives it)`,
		},
		{
			"WEIR_API_LISTEN=:9180",
			`WEIR_API_TOKEN (-api-token-file): not set, want one because WEIR_API_LISTEN is :9180, which other machines reach (`,
		},
		{"WEIR_API_LISTEN=192.0.2.1:9180", `WEIR_API_TOKEN (-api-token-file): not set`},

		// Names. Values stay out: this one may be the token.
		{"WEIR_API_TOKN=hunter2", `"WEIR_API_TOKN" is not a setting: the nearest is "WEIR_API_TOKEN"`},
		{"WEIR_TEST_X=1", `"WEIR_TEST_X" is not a setting: the nearest is "WEIR_ROLE"`},
		{"WEIR_SCENARO_HTTP_PROBING_CAPACITY=5", `"WEIR_SCENARO_HTTP_PROBING_CAPACITY" is not a setting: the nearest is "WEIR_SCENARIO_HTTP_PROBING_CAPACITY"`},
	} {
		t.Run(tt.set, func(t *testing.T) {
			c, err := load(t, []string{tt.set})
			if err == nil {
				t.Fatalf("accepted: %+v", c)
			}
			if got := err.Error(); !strings.HasPrefix(got, tt.want) && !(strings.HasPrefix(tt.want, "got ") && strings.Contains(got, ": "+tt.want)) {
				t.Errorf("error\n%s\nwant\n%s", got, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one error for one mistake:\n%v", err)
			}
		})
	}
	if _, err := load(t, []string{"WEIR_WAF_EXPIRY_GRACE=2m", "WEIR_BAN_DURATION=1m"}); err == nil ||
		!strings.HasPrefix(err.Error(), `WEIR_WAF_EXPIRY_GRACE (-waf-expiry-grace): got "2m", want no more than 1m, which is WEIR_BAN_DURATION (`) {
		t.Error(err)
	}
}

func TestEverythingWrongAtOnce(t *testing.T) {
	l, fs := register()
	l.Require("WEIR_KINESIS_STREAM", "WEIR_KINESIS_LEASE_TABLE")
	l.Check(func(c *Config) error {
		return errors.Join(errors.New("no field "+c.Log.Fields), errors.New("no field more"))
	}, "WEIR_LOG_FIELDS")
	l.Check(func(c *Config) error { return errors.New("WEIR_SCENARIO_X_CAPACITY is bad") })
	l.Check(func(*Config) error { return errors.New("never seen") }, "WEIR_WAF_SETS", "WEIR_WAF_SCOPE")
	if err := fs.Parse([]string{"-kinesis-poll", "1", "-waf-scope=EDGE"}); err != nil {
		t.Fatal(err)
	}
	_, err := l.Load([]string{"WEIR_Z=1", "HOME=/", "WEIR_KINESIS_FAILOVER=1s", "WEIR_API_LISTEN=:1", "WEIR_A=1", "WEIR_SCENARIO_X_CAPACITY=ten"})
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		"WEIR_KINESIS_STREAM (-kinesis-stream): not set, want the name or ARN of a Kinesis data stream (",
		`WEIR_KINESIS_POLL (-kinesis-poll): got "1", want`,
		`WEIR_KINESIS_FAILOVER (-kinesis-failover): got "1s", want a duration from 3s to 5m (`,
		`WEIR_WAF_SCOPE (-waf-scope): got "EDGE", want`,
		`"WEIR_A" is not a setting`,
		`"WEIR_Z" is not a setting`,
		"WEIR_API_TOKEN (-api-token-file): not set",
		"WEIR_LOG_FIELDS (-log-fields): no field all",
		"WEIR_LOG_FIELDS (-log-fields): no field more",
		"WEIR_SCENARIO_X_CAPACITY is bad",
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d errors, want %d:\n%v", len(got), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) || strings.Contains(want[i], "no field") && got[i] != want[i] {
			t.Errorf("error %d is\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
}

func TestPrecedence(t *testing.T) {
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		want    string
		origin  Origin
	}{
		{"nothing", nil, nil, "20s", OriginDefault},
		{"variable", []string{"WEIR_STOP_TIMEOUT=30s"}, nil, "30s", OriginEnvironment},
		{"flag", []string{"WEIR_STOP_TIMEOUT=30s"}, []string{"-stop-timeout=40s"}, "40s", OriginFlag},
		{"flag beats a wrong variable", []string{"WEIR_STOP_TIMEOUT=x"}, []string{"-stop-timeout=40s"}, "40s", OriginFlag},
		{"empty flag", []string{"WEIR_STOP_TIMEOUT=30s"}, []string{"-stop-timeout="}, "20s", OriginDefault},
		{"empty variable", []string{"WEIR_STOP_TIMEOUT="}, nil, "20s", OriginDefault},
		{"blank variable", []string{"WEIR_STOP_TIMEOUT= \t"}, nil, "20s", OriginDefault},
		{"white space", []string{"WEIR_STOP_TIMEOUT= 30s\n"}, nil, "30s", OriginEnvironment},
		{"last one holds", []string{"WEIR_STOP_TIMEOUT=30s", "WEIR_STOP_TIMEOUT=31s"}, nil, "31s", OriginEnvironment},
		{"empty unknown variable", []string{"WEIR_NO_SUCH_THING="}, nil, "20s", OriginDefault},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(t, tt.environ, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			values := c.Values()
			if v := values[len(values)-1]; v.Name != "WEIR_STOP_TIMEOUT" || v.Value != tt.want || v.Origin != tt.origin {
				t.Errorf("%+v, want %s from %s", v, tt.want, tt.origin)
			}
		})
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const token = "hunter2="
	good := write("good", token+"\n")
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		origin  Origin
		want    string // in the error
	}{
		{"variable", []string{"WEIR_API_TOKEN=" + token}, nil, OriginEnvironment, ""},
		{"file", []string{"WEIR_API_TOKEN_FILE=" + good}, nil, OriginFile, ""},
		{"flag", []string{"WEIR_API_TOKEN=other", "WEIR_API_TOKEN_FILE=/nowhere"}, []string{"-api-token-file", good}, OriginFile, ""},
		{"both", []string{"WEIR_API_TOKEN=" + token, "WEIR_API_TOKEN_FILE=" + good}, nil, "", "set, and so is WEIR_API_TOKEN_FILE: want one of them"},
		{"empty file", []string{"WEIR_API_TOKEN_FILE=" + write("empty", " \n")}, nil, "", "is empty"},
		{"long file", []string{"WEIR_API_TOKEN_FILE=" + write("long", strings.Repeat(token, 10_000))}, nil, "", "is longer than 64KiB"},
		{"bad file", []string{"WEIR_API_TOKEN_FILE=" + write("bad", token+"\n"+token)}, nil, "", "got something else"},
		{"directory", []string{"WEIR_API_TOKEN_FILE=" + dir}, nil, "", "read the secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(t, tt.environ, tt.args...)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q in it", err, tt.want)
				}
				if err != nil && strings.Contains(err.Error(), token) {
					t.Errorf("the secret is in the error: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.API.Token != token {
				t.Errorf("token %q, want %q", c.API.Token, token)
			}
			for _, v := range c.Values() {
				if strings.Contains(v.Value, token) {
					t.Errorf("the secret is in %+v", v)
				}
				if v.Name == "WEIR_API_TOKEN" && (v.Value != hidden || v.Origin != tt.origin) {
					t.Errorf("%+v, want it hidden, from %s", v, tt.origin)
				}
			}
		})
	}
}

// TestSections: a command can run in the environment of the service, and what
// it does not use does not stop it.
func TestSections(t *testing.T) {
	l, fs := register("log", "ban")
	if fs.Lookup("kinesis-stream") != nil || fs.Lookup("ban-file") == nil {
		t.Error("the flags are not those of the sections")
	}
	l.Check(func(*Config) error { return errors.New("it is not there") }, "WEIR_LOG_FIELDS", "WEIR_WAF_SETS")
	c, err := l.Load([]string{
		"WEIR_KINESIS_STREAM=logs", "WEIR_KINESIS_POLL=wrong", "WEIR_API_TOKEN_FILE=/nowhere", "WEIR_API_TOKEN=x",
		"WEIR_BAN_FILE=other.db", "WEIR_SCENARIO_X_MODE=off", "WEIR_SCENARIO_A_CAPACITY=5",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Ban.File != "other.db" || c.Kinesis.Stream != "" || c.Kinesis.Poll != 200*time.Millisecond {
		t.Errorf("%+v", c)
	}
	var names []string
	for _, v := range c.Values() {
		names = append(names, v.Name)
	}
	if got, want := strings.Join(names, " "), "WEIR_LOG_FIELDS WEIR_BAN_DURATION WEIR_BAN_ACTION WEIR_BAN_STAGE WEIR_BAN_SIMULATE WEIR_BAN_ALLOWLIST WEIR_BAN_LISTS WEIR_BAN_BREAKER_PER_MINUTE WEIR_BAN_BREAKER_SHARE WEIR_BAN_ADOPT WEIR_BAN_COOLDOWN WEIR_BAN_FILE WEIR_BAN_TABLE WEIR_BAN_HISTORY WEIR_SCENARIO_A_CAPACITY WEIR_SCENARIO_X_MODE"; got != want {
		t.Errorf("Values has\n%s\nwant\n%s", got, want)
	}
	if want := map[string]string{"WEIR_SCENARIO_X_MODE": "off", "WEIR_SCENARIO_A_CAPACITY": "5"}; !reflect.DeepEqual(c.Scenario, want) {
		t.Errorf("scenarios %v, want %v", c.Scenario, want)
	}
	if _, err := l.Load([]string{"WEIR_KINESIS_STREM=logs"}); err == nil {
		t.Error("accepted a name that is no setting of any section")
	}
}

func TestMistakesOfCallers(t *testing.T) {
	for name, f := range map[string]func(){
		"section":       func() { register("kinesis", "kafka") },
		"check":         func() { l, _ := register(); l.Check(checkToken, "WEIR_NOTHING") },
		"require":       func() { l, _ := register(); l.Require("WEIR_NOTHING") },
		"not a section": func() { l, _ := register("log"); l.Require("WEIR_KINESIS_STREAM") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "BUG: ") {
					t.Errorf("panicked with %q, want a BUG", s)
				}
			}()
			f()
		})
	}
}
