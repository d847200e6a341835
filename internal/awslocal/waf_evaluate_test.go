package awslocal

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"pgregory.net/rapid"
)

// evaluated makes three sets (a: 192.0.2.0/24, b: 192.0.2.7/32 and
// 198.51.100.0/24, six: 2001:db8::/32) and an ACL of the rules that build
// makes of them, and returns what is done to an address.
func evaluated(t *testing.T, fallback *types.DefaultAction, build func(a, b, six, group *string) []types.Rule) func(address string) string {
	t.Helper()
	s := New(Config{})
	client := newWAFClient(s, "us-east-1")
	a, b := newSet(t, client, "a"), newSet(t, client, "b")
	fill(t, client, a, "192.0.2.0/24")
	fill(t, client, b, "192.0.2.7/32", "198.51.100.0/24")
	six, err := client.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: aws.String("six"), Scope: scope, IPAddressVersion: "IPV6", Addresses: []string{"2001:db8::/32"}})
	wantCode(t, err, "")
	count := blockRule("count-a", 0, inSet(a.ARN))
	count.Action = &types.RuleAction{Count: &types.CountAction{}}
	captcha := blockRule("captcha-b", 5, inSet(b.ARN))
	captcha.Action = &types.RuleAction{Captcha: &types.CaptchaAction{}}
	group, err := client.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
		Name: aws.String("group"), Scope: scope, Capacity: aws.Int64(10), VisibilityConfig: visibility("g"),
		Rules: []types.Rule{captcha, blockRule("block-six", 9, inSet(six.Summary.ARN)), count},
	})
	wantCode(t, err, "")
	_, err = client.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
		Name: aws.String("acl"), Scope: scope, VisibilityConfig: visibility("acl"), DefaultAction: fallback,
		Rules: build(a.ARN, b.ARN, six.Summary.ARN, group.Summary.ARN),
	})
	wantCode(t, err, "")
	return func(address string) string {
		v := s.WAF().Evaluate(ScopeCloudFront, "acl", netip.MustParseAddr(address), time.Now())
		return fmt.Sprintf("%s %d %s", v.Action, v.Status, v.Rule)
	}
}

func allowAll() *types.DefaultAction { return &types.DefaultAction{Allow: &types.AllowAction{}} }

func groupRule(group *string, override *types.OverrideAction, overrides ...types.RuleActionOverride) types.Rule {
	return types.Rule{
		Name: aws.String("group"), Priority: 3, VisibilityConfig: visibility("g"), OverrideAction: override,
		Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: group, RuleActionOverrides: overrides}},
	}
}

func TestEvaluate(t *testing.T) {
	none := &types.OverrideAction{None: &types.NoneAction{}}
	statement := func(s types.Statement) func(a, b, six, group *string) []types.Rule {
		return func(_, _, _, _ *string) []types.Rule { return []types.Rule{blockRule("r", 0, &s)} }
	}
	tests := []struct {
		name     string
		fallback *types.DefaultAction
		build    func(a, b, six, group *string) []types.Rule
		want     map[string]string
	}{
		{"no rules", allowAll(), statement(types.Statement{GeoMatchStatement: &types.GeoMatchStatement{CountryCodes: []types.CountryCode{"NZ"}}}), map[string]string{
			"192.0.2.1": "allow 0 ",
		}},
		{"default block", &types.DefaultAction{Block: &types.BlockAction{}}, func(a, _, _, _ *string) []types.Rule {
			r := blockRule("let-in", 0, inSet(a))
			r.Action = &types.RuleAction{Allow: &types.AllowAction{}}
			return []types.Rule{r}
		}, map[string]string{"192.0.2.1": "allow 0 let-in", "203.0.113.1": "block 403 "}},
		{"by priority", allowAll(), func(a, b, _, _ *string) []types.Rule {
			challenge := blockRule("second", 2, inSet(b))
			challenge.Action = &types.RuleAction{Challenge: &types.ChallengeAction{}}
			return []types.Rule{challenge, blockRule("first", 1, inSet(a))}
		}, map[string]string{
			"192.0.2.7": "block 429 first", "::ffff:192.0.2.7": "block 429 first", "198.51.100.3": "challenge 202 second", "203.0.113.1": "allow 0 ", "2001:db8::1": "allow 0 ",
		}},
		{"and, or, not", allowAll(), func(a, b, six, _ *string) []types.Rule {
			and := &types.Statement{AndStatement: &types.AndStatement{Statements: []types.Statement{*inSet(a), {NotStatement: &types.NotStatement{Statement: inSet(b)}}}}}
			or := &types.Statement{OrStatement: &types.OrStatement{Statements: []types.Statement{*inSet(b), *inSet(six)}}}
			return []types.Rule{blockRule("and", 1, and), blockRule("or", 2, or)}
		}, map[string]string{
			"192.0.2.1": "block 429 and", "192.0.2.7": "block 429 or", "2001:db8::1": "block 429 or", "203.0.113.1": "allow 0 ",
		}},
		{"what an address does not say", allowAll(), func(a, _, _, _ *string) []types.Rule {
			geo := types.Statement{GeoMatchStatement: &types.GeoMatchStatement{CountryCodes: []types.CountryCode{"NZ"}}}
			and := &types.Statement{AndStatement: &types.AndStatement{Statements: []types.Statement{*inSet(a), geo}}}
			not := &types.Statement{NotStatement: &types.NotStatement{Statement: &geo}}
			or := &types.Statement{OrStatement: &types.OrStatement{Statements: []types.Statement{geo, *inSet(a)}}}
			return []types.Rule{blockRule("and", 1, and), blockRule("not", 2, not), blockRule("or", 3, or)}
		}, map[string]string{"192.0.2.1": "block 429 or", "203.0.113.1": "allow 0 "}},
		{"a label asked for by a later rule", allowAll(), func(a, b, _, _ *string) []types.Rule {
			stage := blockRule("stage", 1, inSet(a))
			stage.Action, stage.RuleLabels = &types.RuleAction{Count: &types.CountAction{}}, labels("weir:count", "other")
			return []types.Rule{
				blockRule("before", 0, hasLabel("LABEL", "weir:count")), stage,
				blockRule("namespace", 7, &types.Statement{AndStatement: &types.AndStatement{Statements: []types.Statement{*hasLabel("NAMESPACE", "acl:weir:"), *inSet(b)}}}),
				blockRule("no-namespace", 8, hasLabel("NAMESPACE", "weir:count:")),
				blockRule("half-a-word", 9, hasLabel("LABEL", "ther")),
				blockRule("by-its-end", 10, hasLabel("LABEL", "other")),
			}
		}, map[string]string{"192.0.2.1": "block 429 by-its-end", "192.0.2.7": "block 429 namespace", "198.51.100.1": "allow 0 "}},
		{"a rule group", allowAll(), func(_, _, _, group *string) []types.Rule { return []types.Rule{groupRule(group, none)} }, map[string]string{
			"192.0.2.1": "allow 0 ", "192.0.2.7": "captcha 405 captcha-b", "2001:db8::1": "block 429 block-six",
		}},
		{"a rule group that is only counted", allowAll(), func(a, _, _, group *string) []types.Rule {
			return []types.Rule{groupRule(group, &types.OverrideAction{Count: &types.CountAction{}}), blockRule("after", 9, inSet(a))}
		}, map[string]string{"192.0.2.7": "block 429 after", "2001:db8::1": "allow 0 "}},
		{"a rule of the group overruled", allowAll(), func(_, _, _, group *string) []types.Rule {
			return []types.Rule{groupRule(group, none,
				types.RuleActionOverride{Name: aws.String("captcha-b"), ActionToUse: &types.RuleAction{Count: &types.CountAction{}}},
				types.RuleActionOverride{Name: aws.String("count-a"), ActionToUse: &types.RuleAction{Block: &types.BlockAction{}}})}
		}, map[string]string{"198.51.100.1": "allow 0 ", "192.0.2.7": "block 403 count-a", "2001:db8::1": "block 429 block-six"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			verdict := evaluated(t, tt.fallback, tt.build)
			for address, want := range tt.want {
				if got := verdict(address); got != want {
					t.Errorf("%s: %q, want %q", address, got, want)
				}
			}
		})
	}
}

func TestEvaluateWithoutAnACL(t *testing.T) {
	s := New(Config{})
	if v := s.WAF().Evaluate(ScopeRegional, "acl", netip.MustParseAddr("192.0.2.1"), time.Now()); v.Action != "allow" {
		t.Errorf("%+v", v)
	}
}

// judgementDay is when the tests' requests come, long after all changes are in force.
var judgementDay = time.Unix(4e9, 0)

// judged makes a set (192.0.2.0/24), a web ACL of one rule about it, and returns
// what is done to a request.
func judged(t *testing.T, spoil func(acl *wafv2.CreateWebACLInput, r *types.Rule)) func(r Request) Verdict {
	t.Helper()
	s := New(Config{AccountID: "123456789012"})
	client := newWAFClient(s, "us-east-1")
	set := newSet(t, client, "set")
	fill(t, client, set, "192.0.2.0/24")
	r := blockRule("rule", 0, inSet(set.ARN))
	in := &wafv2.CreateWebACLInput{Name: aws.String("acl"), Scope: scope, VisibilityConfig: visibility("acl"), DefaultAction: allowAll()}
	spoil(in, &r)
	in.Rules = []types.Rule{r}
	_, err := client.CreateWebACL(t.Context(), in)
	wantCode(t, err, "")
	return func(r Request) Verdict { return s.WAF().EvaluateRequest(ScopeCloudFront, "acl", r, judgementDay) }
}

func TestEvaluateForwardedAddresses(t *testing.T) {
	for _, tt := range []struct {
		position types.ForwardedIPPosition
		fallback types.FallbackBehavior
		negated  bool
		header   []string
		want     string
	}{
		{"FIRST", "NO_MATCH", false, []string{"192.0.2.1, 10.0.0.1"}, "block"},
		{"FIRST", "NO_MATCH", false, []string{"10.0.0.1, 192.0.2.1"}, "allow"},
		{"LAST", "NO_MATCH", false, []string{"10.0.0.1, 192.0.2.1"}, "block"},
		{"LAST", "NO_MATCH", false, []string{"192.0.2.1, 10.0.0.1"}, "allow"},
		{"LAST", "NO_MATCH", false, []string{"10.0.0.1", "192.0.2.1"}, "block"},
		{"ANY", "NO_MATCH", false, []string{"10.0.0.1, 192.0.2.1 ,10.0.0.2"}, "block"},
		{"ANY", "MATCH", false, []string{"192.0.2.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1"}, "allow"},
		{"ANY", "MATCH", false, []string{"1.1.1.1, 192.0.2.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1, 1.1.1.1"}, "block"},
		{"FIRST", "MATCH", false, []string{"unknown"}, "block"},
		{"FIRST", "NO_MATCH", false, []string{"unknown"}, "allow"},
		{"ANY", "MATCH", false, []string{"unknown, 10.0.0.1"}, "allow"},
		{"FIRST", "MATCH", false, nil, "allow"},
		{"FIRST", "MATCH", true, []string{"10.0.0.1"}, "block"},
		{"FIRST", "MATCH", true, nil, "allow"},
	} {
		verdict := judged(t, func(_ *wafv2.CreateWebACLInput, r *types.Rule) {
			r.Statement = forwardedIn(r.Statement.IPSetReferenceStatement.ARN, "X-Client", tt.position, tt.fallback)
			if tt.negated {
				r.Statement = &types.Statement{NotStatement: &types.NotStatement{Statement: r.Statement}}
			}
		})
		// The address that the request comes from does not matter.
		got := verdict(Request{Client: netip.MustParseAddr("192.0.2.9"), Header: http.Header{"X-Client": tt.header}})
		if got.Action != tt.want {
			t.Errorf("%+v: %s", tt, got.Action)
		}
	}
}

func TestEvaluateCustomResponse(t *testing.T) {
	verdict := judged(t, func(acl *wafv2.CreateWebACLInput, r *types.Rule) {
		acl.CustomResponseBodies = map[string]types.CustomResponseBody{"sorry": {ContentType: "TEXT_PLAIN", Content: aws.String("no")}}
		response := r.Action.Block.CustomResponse
		response.CustomResponseBodyKey, response.ResponseHeaders = aws.String("sorry"), []types.CustomHTTPHeader{header("Retry-After", "60")}
		r.RuleLabels = labels("weir:block")
	})
	got := verdict(Request{Client: netip.MustParseAddr("192.0.2.9")})
	want := Verdict{
		Action: "block", Status: 429, Rule: "rule", Header: map[string]string{"retry-after": "60"}, ContentType: "TEXT_PLAIN", Body: "no",
		Labels: []string{"awswaf:123456789012:webacl:acl:weir:block"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestEvaluateImmunity(t *testing.T) {
	now := judgementDay
	for _, tt := range []struct {
		action *types.RuleAction
		rule   int64 // immunity of the rule, in seconds; 0 = none said
		acl    int64
		lasts  time.Duration
	}{
		{&types.RuleAction{Captcha: &types.CaptchaAction{}}, 0, 0, 300 * time.Second},
		{&types.RuleAction{Captcha: &types.CaptchaAction{}}, 0, 90, 90 * time.Second},
		{&types.RuleAction{Captcha: &types.CaptchaAction{}}, 60, 90, 60 * time.Second},
		{&types.RuleAction{Challenge: &types.ChallengeAction{}}, 400, 900, 400 * time.Second},
	} {
		verdict := judged(t, func(acl *wafv2.CreateWebACLInput, r *types.Rule) {
			r.Action = tt.action
			if tt.rule > 0 {
				r.CaptchaConfig = captchaFor(tt.rule)
				r.ChallengeConfig = challengeFor(max(tt.rule, 300))
			}
			if tt.acl > 0 {
				acl.CaptchaConfig, acl.ChallengeConfig = captchaFor(tt.acl), challengeFor(max(tt.acl, 300))
			}
		})
		for _, ago := range []time.Duration{0, tt.lasts - time.Second, tt.lasts} {
			r := Request{Client: netip.MustParseAddr("192.0.2.9")}
			other := r
			r.Captcha, other.Challenge = now.Add(-ago), now.Add(-ago)
			want := "captcha"
			if tt.action.Challenge != nil {
				r, other, want = other, r, "challenge"
			}
			got := verdict(r)
			if passed := ago < tt.lasts; (got.Action == "allow") != passed || passed && !slices.Equal(got.Counted, []string{"rule"}) {
				t.Errorf("%+v %s after: %+v", tt, ago, got)
			}
			if got := verdict(other); got.Action != want {
				t.Errorf("%+v: a token of the other kind gets %s", tt, got.Action)
			}
		}
	}
}

// The index must say what a walk through the list says.
func TestAddressSetProperty(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "last")})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: rapid.Byte().Draw(t, "last")})
	})
	rapid.Check(t, func(t *rapid.T) {
		var list []netip.Prefix
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			a := address.Draw(t, "address")
			p, err := a.Prefix(a.BitLen() - rapid.IntRange(0, 9).Draw(t, "short"))
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, p)
		}
		set, a := newAddressSet(list), address.Draw(t, "asked")
		want := false
		for _, p := range list {
			want = want || p.Contains(a)
		}
		if got := set.contains(a); got != want {
			t.Fatalf("%v contains %v: %v", list, a, got)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	s := New(Config{})
	client := newWAFClient(s, "us-east-1")
	set := newSet(b, client, "set")
	addresses := make([]string, maxAddresses)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)
	}
	fill(b, client, set, addresses...)
	aclOf(b, client, "acl", set.ARN)
	client4, now := netip.MustParseAddr("10.0.3.7"), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if s.WAF().Evaluate(ScopeCloudFront, "acl", client4, now).Action != "block" {
			b.Fatal("not blocked")
		}
	}
}
