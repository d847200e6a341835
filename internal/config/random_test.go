package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// allowed draws a value of each setting that is right by itself. It knows the
// ranges by heart: that they are the documented ones is what it tests.
func allowed() map[string]*rapid.Generator[string] {
	span := func(least, most time.Duration) *rapid.Generator[string] {
		return rapid.Map(rapid.Int64Range(int64(least), int64(most)), func(n int64) string { return time.Duration(n).String() })
	}
	whole := func(least, most int) *rapid.Generator[string] {
		return rapid.Map(rapid.IntRange(least, most), func(n int) string { return fmt.Sprint(n) })
	}
	of := func(values ...string) *rapid.Generator[string] { return rapid.SampledFrom(values) }
	const hour = time.Hour
	address := of("10.0.0.1", "10.1.2.3/8", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "2001:db8::1/32", "::/0", "0.0.0.0/0")
	return map[string]*rapid.Generator[string]{
		"WEIR_LOG_FIELDS":             of("all", "c-ip,timestamp", "c-ip sc-status"),
		"WEIR_KINESIS_STREAM":         rapid.StringMatching(`(arn:aws-cn:kinesis:cn-north-1:[0-9]{12}:stream/)?[a-zA-Z0-9_.-]{1,128}`),
		"WEIR_KINESIS_LEASE_TABLE":    rapid.StringMatching(`[a-zA-Z0-9_.-]{3,255}`),
		"WEIR_KINESIS_WORKER":         rapid.StringMatching(`[a-zA-Z0-9_.:/-]{1,128}`),
		"WEIR_KINESIS_START":          rapid.OneOf(of("oldest", "latest"), span(0, 8760*hour)),
		"WEIR_KINESIS_POLL":           span(200*time.Millisecond, 10*time.Second),
		"WEIR_KINESIS_MAX_RECORDS":    whole(1, 10_000),
		"WEIR_KINESIS_FAILOVER":       span(3*time.Second, 5*time.Minute),
		"WEIR_KINESIS_FANOUT":         rapid.StringMatching(`[a-zA-Z0-9_.-]{1,128}`),
		"WEIR_ROLE":                   of("all"),
		"WEIR_REKEY_STREAM":           rapid.StringMatching(`(arn:aws-cn:kinesis:cn-north-1:[0-9]{12}:stream/)?[a-zA-Z0-9_.-]{1,128}`),
		"WEIR_REKEY_LEASE_TABLE":      rapid.StringMatching(`[a-zA-Z0-9_.-]{3,255}`),
		"WEIR_DETECT_SHARDS":          whole(0, 256),
		"WEIR_DETECT_IPV6_PREFIX":     whole(48, 128),
		"WEIR_SCENARIOS":              of("builtin", "/a b/c=d,builtin", "x.yaml,"),
		"WEIR_CRAWLERS_REFRESH":       of("true", "false"),
		"WEIR_CRAWLERS_DNS":           of("true", "false"),
		"WEIR_STATE_MEMORY":           rapid.OneOf(of("16MiB", "1TiB", "20000000B"), rapid.Map(whole(1, 1023), func(s string) string { return s + "GiB" })),
		"WEIR_STATE_SNAPSHOT":         of("s3://b/p", "/var/lib/weir/state", "./a=b"),
		"WEIR_STATE_INTERVAL":         span(time.Second, 10*time.Minute),
		"WEIR_STATE_OWNER":            rapid.StringMatching(`[0-9]{12}`),
		"WEIR_BAN_DURATION":           span(time.Minute, 8760*hour),
		"WEIR_BAN_ACTION":             of("block", "captcha", "challenge", "count"),
		"WEIR_BAN_STAGE":              of("true", "false"),
		"WEIR_BAN_LISTS":              of("a.txt", "/a b/c=d,ü"),
		"WEIR_BAN_BREAKER_PER_MINUTE": whole(0, 1_000_000),
		"WEIR_BAN_BREAKER_SHARE":      rapid.Map(rapid.Float64Range(0, 1), func(f float64) string { return fmt.Sprint(f) }),

		"WEIR_BAN_SIMULATE":          of("true", "false"),
		"WEIR_BAN_ALLOWLIST":         rapid.Map(rapid.SliceOfN(address, 1, 5), func(list []string) string { return strings.Join(list, " ,") }),
		"WEIR_BAN_ADOPT":             span(time.Minute, 8760*hour),
		"WEIR_BAN_COOLDOWN":          span(0, 168*hour),
		"WEIR_BAN_FILE":              of("weir.db", "/a b/c=d.db", "ü.db"),
		"WEIR_BAN_TABLE":             rapid.StringMatching(`[a-zA-Z0-9_.-]{3,255}`),
		"WEIR_BAN_HISTORY":           span(hour, 87600*hour),
		"WEIR_WAF_TARGETS":           of("targets.yaml", "/a b/c=d"),
		"WEIR_WAF_SCOPE":             of("CLOUDFRONT", "REGIONAL"),
		"WEIR_WAF_REGION":            of("us-east-1", "eu-central-1", "us-gov-west-1", "me-south-1"),
		"WEIR_WAF_ROLE":              rapid.StringMatching(`arn:aws(-cn)?:iam::[0-9]{12}:role/[a-zA-Z0-9_+=,.@/-]{1,64}`),
		"WEIR_WAF_EXTERNAL_ID":       rapid.StringMatching(`[a-zA-Z0-9_+=,.@:/-]{2,64}`),
		"WEIR_WAF_SESSION":           rapid.StringMatching(`[a-zA-Z0-9_+=,.@-]{2,64}`),
		"WEIR_WAF_FALLBACK":          of("block", "captcha", "challenge", "count", "none"),
		"WEIR_WAF_DRY_RUN":           of("true", "false"),
		"WEIR_WAF_SETS":              of("ban-", "arn:a, arn:b,"),
		"WEIR_WAF_WRITES_PER_SECOND": rapid.Map(rapid.Float64Range(0.01, 1), func(f float64) string { return fmt.Sprint(f) }),
		"WEIR_WAF_EXPIRY_GRACE":      span(time.Second, hour),
		"WEIR_WAF_DRIFT":             span(10*time.Second, hour),
		"WEIR_WAF_BLOCK_STATUS":      of("400", "404", "416", "421", "429", "505"),
		"WEIR_API_LISTEN":            of(":9180", "localhost:1", "127.9.9.9:0", "[::1]:65535", "0.0.0.0:80", "[::ffff:127.0.0.1]:80"),
		"WEIR_API_TOKEN":             rapid.StringMatching(`[!-~]{1,99}`),
		"WEIR_LOGGER_LEVEL":          of("debug", "info", "warn", "error"),
		"WEIR_LOGGER_FORMAT":         of("json", "console"),
		"WEIR_STOP_TIMEOUT":          span(15*time.Second, 110*time.Second),
		"WEIR_SCENARIO_X_CAPACITY":   of("5", "a=b"),
	}
}

// TestRoundTrip: what Values shows, set as variables, gives the same Config
// again; and every setting takes every value that it is documented to take.
func TestRoundTrip(t *testing.T) {
	generators := allowed()
	for _, s := range new(Config).settings() {
		if generators[s.name] == nil {
			t.Fatalf("no generator for %s", s.name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		l, _ := register()
		// The rules between settings stay away: nearly every draw would break one.
		l.checks = nil
		var environ []string
		for _, name := range slices.Sorted(maps.Keys(generators)) {
			if rapid.Bool().Draw(t, "set") {
				environ = append(environ, name+"="+generators[name].Draw(t, name))
			}
		}
		first, err := l.Load(environ)
		if err != nil {
			t.Fatal(err)
		}
		var again []string
		for _, v := range first.Values() {
			if v.Value == hidden {
				v.Value = first.API.Token
			}
			again = append(again, v.Name+"="+v.Value)
		}
		second, err := l.Load(again)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%+v", fields(second)), fmt.Sprintf("%+v", fields(first)); got != want {
			t.Fatalf("%s\nbecame\n%s", want, got)
		}
		if !maps.Equal(first.Scenario, second.Scenario) {
			t.Fatalf("%v became %v", first.Scenario, second.Scenario)
		}
		for i, v := range first.Values() {
			if w := second.Values()[i]; w.Name != v.Name || w.Value != v.Value {
				t.Fatalf("%+v became %+v", v, w)
			}
		}
	})
}

// FuzzLoad: whatever the environment holds, Load ends, and its errors say which
// variable they are about.
func FuzzLoad(f *testing.F) {
	names := slices.Sorted(maps.Keys(samples))
	for i, name := range names {
		f.Add(uint8(i), samples[name], uint8(i+1), "-1", "WEIR_KINESIS_STREM", "x")
	}
	f.Add(uint8(0), "\xff", uint8(255), "9223372036854775807TiB", "WEIR_SCENARIO_", "=")
	f.Add(uint8(0), "1e999", uint8(7), "0x1p-2", "WEIR_API_TOKEN_FILE", "secret\n")
	f.Fuzz(func(t *testing.T, one uint8, oneValue string, two uint8, twoValue, name, value string) {
		oneName, twoName := names[int(one)%len(names)], names[int(two)%len(names)]
		environ := []string{oneName + "=" + oneValue, twoName + "=" + twoValue, name + "=" + value}
		l, _ := register()
		l.readFile = func(name string) (string, error) {
			if strings.HasPrefix(name, "secret") {
				return name, nil
			}
			return "", errors.New("no such file")
		}
		c, err := l.Load(environ)
		if err == nil {
			if len(c.Values()) < len(names) {
				t.Fatalf("Values has %d settings of %d", len(c.Values()), len(names))
			}
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "WEIR_") && !strings.HasPrefix(line, `"WEIR_`) {
				t.Errorf("%q does not start with the name of a variable", line)
			}
		}
	})
}

func TestNearest(t *testing.T) {
	var names []string
	for _, s := range new(Config).settings() {
		names = append(names, s.name)
	}
	for misspelt, want := range map[string]string{
		"WEIR_KINESIS_STREM":         "WEIR_KINESIS_STREAM",
		"WEIR_KINSEIS_STREAM":        "WEIR_KINESIS_STREAM",
		"WEIR_KINESIS_STREAMM":       "WEIR_KINESIS_STREAM",
		"WEIR_KINESIS_LEASETABLE":    "WEIR_KINESIS_LEASE_TABLE",
		"WEIR_BAN_DURTION":           "WEIR_BAN_DURATION",
		"WEIR_WAF_BLOCKSTATUS":       "WEIR_WAF_BLOCK_STATUS",
		"WEIR_SCENARIOS_XSS_MODE":    "WEIR_SCENARIO_XSS_MODE",
		"WEIR_LOG_LEVEL":             "WEIR_LOGGER_LEVEL",
		"WEIR_WAF_WRITES_PER_SECNOD": "WEIR_WAF_WRITES_PER_SECOND",
	} {
		if got := nearest(misspelt, names); got != want {
			t.Errorf("nearest to %s is %s, want %s", misspelt, got, want)
		}
	}
}

// TestMistakes holds the edit distance to what makes it one, against a twin
// that tries every edit.
func TestMistakes(t *testing.T) {
	word := rapid.StringOfN(rapid.RuneFrom([]rune("AB_")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := mistakes(a, b), slowMistakes(a, b); got != want {
			t.Fatalf("%d mistakes between %q and %q, want %d", got, a, b, want)
		}
	})
}

func slowMistakes(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	wrong := 1
	if a[0] == b[0] {
		wrong = 0
	}
	n := min(slowMistakes(a[1:], b)+1, slowMistakes(a, b[1:])+1, slowMistakes(a[1:], b[1:])+wrong)
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		n = min(n, slowMistakes(a[2:], b[2:])+1)
	}
	return n
}
