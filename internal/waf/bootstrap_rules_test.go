package waf

import (
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// eachPool is a set for IPv4 and one for IPv6 in every pool.
func eachPool() map[string]SetCount {
	sets := make(map[string]SetCount)
	for _, word := range PoolWords() {
		sets[word] = SetCount{1, 1}
	}
	return sets
}

func addTo(t *testing.T, s *awslocal.Server, set string, addrs ...string) {
	t.Helper()
	var list []netip.Prefix
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
	}
	if err := s.WAF().EditByHand("CLOUDFRONT", set, list, nil); err != nil {
		t.Fatal(err)
	}
}

func group(t *testing.T, s *awslocal.Server, arn string) *types.RuleGroup {
	t.Helper()
	out, err := client(s).GetRuleGroup(t.Context(), &wafv2.GetRuleGroupInput{ARN: &arn}, callOptions(types.ScopeCloudfront))
	if err != nil {
		t.Fatal(err)
	}
	return out.RuleGroup
}

// What an edge does to clients of each pool, and to those of several.
func TestPoolsAreEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		r := bootstrapped(t, s, BootstrapConfig{
			Scope: types.ScopeCloudfront, Sets: eachPool(), WebACL: "site", CreateWebACL: true, BlockStatus: 421,
			BlockHeaders:    []Header{{"Retry-After", "3600"}},
			BlockBody:       &Body{types.ResponseContentTypeTextHtml, "<p>Sorry & good bye"},
			CaptchaImmunity: time.Minute, ChallengeImmunity: 10 * time.Minute,
		})
		if len(r.SetARNs) != 16 || len(group(t, s, r.RuleGroupARN).Rules) != 8 {
			t.Fatalf("%d sets, %d rules", len(r.SetARNs), len(group(t, s, r.RuleGroupARN).Rules))
		}
		for i, word := range PoolWords() {
			addTo(t, s, "weir-"+word+"-v4-0", netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String())
			addTo(t, s, "weir-"+word+"-v6-0", netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}).String())
		}
		addTo(t, s, "weir-block-v4-0", "198.51.100.1", "198.51.100.2")
		addTo(t, s, "weir-count-v4-0", "198.51.100.1")
		addTo(t, s, "weir-list-captcha-v4-0", "198.51.100.2", "198.51.100.3")
		addTo(t, s, "weir-challenge-v4-0", "198.51.100.3")
		now := time.Now()
		verdict := func(addr string, passed time.Duration) awslocal.Verdict {
			return s.WAF().EvaluateRequest("CLOUDFRONT", "site", awslocal.Request{Client: netip.MustParseAddr(addr), Captcha: now.Add(-passed), Challenge: now.Add(-passed)}, now)
		}
		for i, word := range PoolWords() {
			for _, addr := range []string{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String(), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}).String()} {
				v := verdict(addr, time.Hour)
				k, _ := keyOf(word)
				if want := k.action.String(); v.Action != want && (want != "count" || v.Action != "allow" || !slices.Equal(v.Counted, []string{word})) {
					t.Errorf("%s of pool %s: %+v", addr, word, v)
				}
				if len(v.Labels) != 1 || !strings.HasSuffix(v.Labels[0], ":rulegroup:weir-bans:weir:"+word) {
					t.Errorf("%s of pool %s: labels %v", addr, word, v.Labels)
				}
			}
		}
		both := verdict("198.51.100.1", 0)
		if both.Status != 421 || both.Rule != "block" || len(both.Labels) != 2 || both.Body != "<p>Sorry & good bye" || both.ContentType != "TEXT_HTML" ||
			!reflect.DeepEqual(both.Header, map[string]string{"retry-after": "3600"}) {
			t.Errorf("who is banned and staged gets %+v", both)
		}
		if v := verdict("198.51.100.2", time.Hour); v.Rule != "block" {
			t.Errorf("who is banned and on a list gets %+v", v)
		}
		for passed, want := range map[time.Duration]string{time.Hour: "list-captcha", 2 * time.Minute: "list-captcha", 30 * time.Second: ""} {
			if v := verdict("198.51.100.3", passed); v.Rule != want {
				t.Errorf("%s after the puzzle, who is on a list and challenged gets %+v", passed, v)
			}
		}
		if v := verdict("192.0.2.2", 9*time.Minute); v.Action != "allow" {
			t.Errorf("nine minutes after the challenge: %+v", v)
		}
	})
}

// What a run is not told stays; what it is told changes.
func TestBootstrapChangesWhatItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		plain := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: map[string]SetCount{"block": {1, 1}, "captcha": {1, 0}, "challenge": {1, 0}}}
		told := plain
		told.BlockHeaders = []Header{{"x-a", "1"}, {"x-b", "2"}}
		told.BlockBody = &Body{types.ResponseContentTypeTextPlain, "no"}
		told.CaptchaImmunity, told.ChallengeImmunity = time.Minute, time.Hour
		told.Forwarded = &Forwarded{"X-Forwarded-For", types.ForwardedIPPositionLast, types.FallbackBehaviorNoMatch}
		detail := func(cfg BootstrapConfig) string { return bootstrapped(t, s, cfg).Items[4].Detail }
		bootstrapped(t, s, plain)
		want := "rule block refers to 2 IP set(s) by header X-Forwarded-For, LAST, rule block blocks with status 429 and 2 header(s) and body weir-block, " +
			"rule captcha refers to 1 IP set(s) by header X-Forwarded-For, LAST, rule captcha has a captcha immunity of 1m0s, " +
			"rule challenge refers to 1 IP set(s) by header X-Forwarded-For, LAST, rule challenge has a challenge immunity of 1h0m0s, " +
			"the body weir-block is set"
		if got := detail(told); got != want {
			t.Errorf("changed: %s", got)
		}
		for _, cfg := range []BootstrapConfig{told, plain} {
			if got := detail(cfg); got != "" {
				t.Errorf("changed again: %s", got)
			}
		}
		grown := plain
		grown.Sets = map[string]SetCount{"block": {2, 1}, "captcha": {1, 0}, "challenge": {1, 0}, "count": {1, 0}, "list": {1, 0}, "list-captcha": {1, 0}}
		r := bootstrapped(t, s, grown)
		for _, rule := range group(t, s, r.RuleGroupARN).Rules {
			f := forwardedOf(rule.Statement)
			if f == nil || *f.HeaderName != "X-Forwarded-For" { // new ones, too
				t.Errorf("rule %s has no header", *rule.Name)
			}
			if *rule.Name == "list" && (len(rule.Action.Block.CustomResponse.ResponseHeaders) != 2 || *rule.Action.Block.CustomResponse.CustomResponseBodyKey != bodyKey) {
				t.Errorf("the new rule list answers %+v", rule.Action.Block.CustomResponse)
			}
			if *rule.Name == "list-captcha" && *rule.CaptchaConfig.ImmunityTimeProperty.ImmunityTime != 60 {
				t.Errorf("the new rule list-captcha is %+v", rule)
			}
			if *rule.Name == "block" && (len(referencesOf(rule.Statement)) != 3 || f == nil || len(rule.Action.Block.CustomResponse.ResponseHeaders) != 2) {
				t.Errorf("rule block is %+v", rule)
			}
		}
		none := grown
		none.BlockHeaders, none.BlockBody, none.Forwarded = []Header{}, &Body{}, &Forwarded{}
		r = bootstrapped(t, s, none)
		g := group(t, s, r.RuleGroupARN)
		if len(g.CustomResponseBodies) != 0 {
			t.Errorf("left are bodies %v", g.CustomResponseBodies)
		}
		for _, rule := range g.Rules {
			if forwardedOf(rule.Statement) != nil {
				t.Errorf("rule %s still has a header", *rule.Name)
			}
			if b := rule.Action.Block; b != nil && (b.CustomResponse.ResponseHeaders != nil || b.CustomResponse.CustomResponseBodyKey != nil) {
				t.Errorf("the answer still is %+v", b.CustomResponse)
			}
		}
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
	})
}

// Behind another proxy, every set may be asked about every address of the header,
// which costs five units each: the capacity has to be enough for fifty sets.
func TestForwardedAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		cfg := BootstrapConfig{
			Scope: types.ScopeCloudfront, Sets: blocks(1, 0), WebACL: "site", CreateWebACL: true,
			Forwarded: &Forwarded{"X-Forwarded-For", types.ForwardedIPPositionAny, types.FallbackBehaviorNoMatch},
		}
		bootstrapped(t, s, cfg)
		cfg.Sets = blocks(25, 25)
		r := bootstrapped(t, s, cfg)
		if c := *group(t, s, r.RuleGroupARN).Capacity; c != 250 {
			t.Errorf("a capacity of %d", c)
		}
		addTo(t, s, "weir-block-v4-24", "192.0.2.1")
		for header, want := range map[string]string{"": "allow", "192.0.2.1, 10.0.0.1": "block", "10.0.0.1": "allow"} {
			h := http.Header{}
			if header != "" {
				h.Set("X-Forwarded-For", header)
			}
			if v := s.WAF().EvaluateRequest("CLOUDFRONT", "site", awslocal.Request{Client: netip.MustParseAddr("192.0.2.1"), Header: h}, time.Now()); v.Action != want {
				t.Errorf("%q: %+v", header, v)
			}
		}
		// Without ANY fifty units would do; a group that was made so cannot change.
		small := BootstrapConfig{Scope: types.ScopeCloudfront, Prefix: "small-", Sets: blocks(11, 0)}
		bootstrapped(t, s, small)
		small.Forwarded = cfg.Forwarded
		if _, err := Bootstrap(t.Context(), client(s), small); err == nil || !strings.Contains(err.Error(), "its capacity of 50 units cannot grow") {
			t.Error(err)
		}
	})
}

func TestBootstrapSettingsErrors(t *testing.T) {
	header := func(h ...Header) func(*BootstrapConfig) { return func(c *BootstrapConfig) { c.BlockHeaders = h } }
	forwarded := func(f Forwarded) func(*BootstrapConfig) { return func(c *BootstrapConfig) { c.Forwarded = &f } }
	body := func(b Body) func(*BootstrapConfig) { return func(c *BootstrapConfig) { c.BlockBody = &b } }
	for part, bend := range map[string]func(*BootstrapConfig){
		`pool "blocks"`:                    func(c *BootstrapConfig) { c.Sets = map[string]SetCount{"blocks": {1, 1}} },
		"less than none":                   func(c *BootstrapConfig) { c.Sets = blocks(2, -1) },
		"11 headers":                       header(make([]Header, 11)...),
		`header "x y"`:                     header(Header{"x y", "1"}),
		"a value of 1 to 255":              header(Header{"x", "a\nb"}),
		"it follows from the body":         header(Header{"Content-Type", "a"}),
		"set twice":                        header(Header{"x", "a"}, Header{"X", "a"}),
		"a body of 4097 bytes":             body(Body{types.ResponseContentTypeTextHtml, strings.Repeat("x", 4097)}),
		`content type "text/html"`:         body(Body{"text/html", "x"}),
		"that is to be JSON":               body(Body{types.ResponseContentTypeApplicationJson, "{"}),
		`forwarded header "a b"`:           forwarded(Forwarded{"a b", "ANY", "MATCH"}),
		`forwarded position "any"`:         forwarded(Forwarded{"a", "any", "MATCH"}),
		`forwarded fallback ""`:            forwarded(Forwarded{"a", "ANY", ""}),
		"captcha immunity of 59s":          func(c *BootstrapConfig) { c.CaptchaImmunity = 59 * time.Second },
		"challenge immunity of 4m59s":      func(c *BootstrapConfig) { c.ChallengeImmunity = 299 * time.Second },
		"captcha immunity of 72h0m1s":      func(c *BootstrapConfig) { c.CaptchaImmunity = 72*time.Hour + time.Second },
		"challenge immunity of 5m0.000001": func(c *BootstrapConfig) { c.ChallengeImmunity = 5*time.Minute + time.Microsecond },
	} {
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)}
		bend(&cfg)
		if _, err := Bootstrap(t.Context(), nil, cfg); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
}

func TestParseSetCounts(t *testing.T) {
	got, err := ParseSetCounts("block=2/1, list-captcha=3")
	if want := map[string]SetCount{"block": {2, 1}, "list-captcha": {3, 0}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "block", "ban=1/1", "block=1/1,block=2", "block=a/1", "block=1/", "block=-1/1", "block=1/1/1", "block=999"} {
		if got, err := ParseSetCounts(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add("Retry-After: 3600")
	f.Add("x:y:z")
	f.Add(": y")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := ParseHeader(line)
		if err != nil {
			return
		}
		if again, err := ParseHeader(h.Name + ": " + h.Value); err != nil || again != h {
			t.Errorf("%q: %+v, then %+v, %v", line, h, again, err)
		}
	})
}

func TestRuleOrder(t *testing.T) {
	want := "count list-count block list captcha list-captcha challenge list-challenge"
	if got := strings.Join(ruleOrder(), " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
