package awslocal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

func header(name, value string) types.CustomHTTPHeader {
	return types.CustomHTTPHeader{Name: &name, Value: &value}
}

func headersOf(n int) []types.CustomHTTPHeader {
	var out []types.CustomHTTPHeader
	for i := range n {
		out = append(out, header(fmt.Sprint("x-", i), "v"))
	}
	return out
}

func captchaFor(seconds int64) *types.CaptchaConfig {
	return &types.CaptchaConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: &seconds}}
}

func challengeFor(seconds int64) *types.ChallengeConfig {
	return &types.ChallengeConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: &seconds}}
}

func labels(names ...string) []types.Label {
	var out []types.Label
	for _, n := range names {
		out = append(out, types.Label{Name: &n})
	}
	return out
}

func forwardedIn(set *string, name string, position types.ForwardedIPPosition, fallback types.FallbackBehavior) *types.Statement {
	return &types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{ARN: set, IPSetForwardedIPConfig: &types.IPSetForwardedIPConfig{
		HeaderName: &name, Position: position, FallbackBehavior: fallback,
	}}}
}

func hasLabel(scope types.LabelMatchScope, key string) *types.Statement {
	return &types.Statement{LabelMatchStatement: &types.LabelMatchStatement{Scope: scope, Key: &key}}
}

// answers are the fields of rules that say what a client is answered, and for how
// long it is let through.
func (s *wafSuite) answers(t *testing.T) {
	set := s.set(t, "answers", "192.0.2.1/32")
	response := func(r *types.Rule) *types.CustomResponse { return r.Action.Block.CustomResponse }
	for name, tt := range map[string]struct {
		code  string // "" = it is taken
		spoil func(in *wafv2.CreateRuleGroupInput, r *types.Rule)
	}{
		"ten headers": {"", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { response(r).ResponseHeaders = headersOf(10) }},
		"eleven headers": {"WAFLimitsExceededException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = headersOf(11)
		}},
		"no headers, but a list": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = []types.CustomHTTPHeader{}
		}},
		"a header twice": {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = []types.CustomHTTPHeader{header("x-a", "1"), header("X-A", "2")}
		}},
		"a content type": {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = []types.CustomHTTPHeader{header("Content-Type", "text/html")}
		}},
		"a header with a space": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = []types.CustomHTTPHeader{header("x a", "1")}
		}},
		"a long header name": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = []types.CustomHTTPHeader{header(strings.Repeat("x", 65), "1")}
		}},
		"a long header value": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			response(r).ResponseHeaders = []types.CustomHTTPHeader{header("x", strings.Repeat("v", 256))}
		}},
		"a body": {"", func(in *wafv2.CreateRuleGroupInput, r *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{"sorry": {ContentType: "TEXT_HTML", Content: aws.String(strings.Repeat("x", 4096))}}
			response(r).CustomResponseBodyKey = aws.String("sorry")
		}},
		"a body too long": {"WAFLimitsExceededException", func(in *wafv2.CreateRuleGroupInput, _ *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{"sorry": {ContentType: "TEXT_HTML", Content: aws.String(strings.Repeat("x", 4097))}}
		}},
		"bodies too long together": {"WAFLimitsExceededException", func(in *wafv2.CreateRuleGroupInput, _ *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{}
			for i := range 13 {
				in.CustomResponseBodies[fmt.Sprint("sorry", i)] = types.CustomResponseBody{ContentType: "TEXT_HTML", Content: aws.String(strings.Repeat("x", 4096))}
			}
		}},
		"an empty body": {"ValidationException", func(in *wafv2.CreateRuleGroupInput, _ *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{"sorry": {ContentType: "TEXT_HTML", Content: aws.String("")}}
		}},
		"a body of another type": {"ValidationException", func(in *wafv2.CreateRuleGroupInput, _ *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{"sorry": {ContentType: "TEXT_XML", Content: aws.String("x")}}
		}},
		"a key with a space": {"ValidationException", func(in *wafv2.CreateRuleGroupInput, _ *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{"so sorry": {ContentType: "TEXT_HTML", Content: aws.String("x")}}
		}},
		"no bodies, but a map": {"ValidationException", func(in *wafv2.CreateRuleGroupInput, _ *types.Rule) {
			in.CustomResponseBodies = map[string]types.CustomResponseBody{}
		}},
		"immunity": {"", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.CaptchaConfig, r.ChallengeConfig = captchaFor(60), challengeFor(259_200)
		}},
		"a short captcha":     {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.CaptchaConfig = captchaFor(59) }},
		"a long captcha":      {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.CaptchaConfig = captchaFor(259_201) }},
		"a shorter challenge": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.ChallengeConfig = challengeFor(59) }},
		"a short challenge":   {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.ChallengeConfig = challengeFor(299) }},
		"labels": {"", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.RuleLabels = labels("a", "weir:block", "1:2:3:4:5:name", strings.Repeat("x", 128))
		}},
		"six namespaces":       {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.RuleLabels = labels("1:2:3:4:5:6:name") }},
		"a reserved word":      {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.RuleLabels = labels("weir:waf:block") }},
		"a label without name": {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.RuleLabels = labels("weir:") }},
		"a long part": {"WAFInvalidParameterException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.RuleLabels = labels(strings.Repeat("x", 129))
		}},
		"a long label": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.RuleLabels = labels(strings.Repeat("x", 1025))
		}},
		"a label with a dot": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.RuleLabels = labels("weir.block") }},
		"forwarded": {"", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.Statement = forwardedIn(set.ARN, "X-Forwarded-For", "LAST", "MATCH")
		}},
		"forwarded in a header with a dot": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.Statement = forwardedIn(set.ARN, "X.Forwarded", "LAST", "MATCH")
		}},
		"forwarded at no position": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.Statement = forwardedIn(set.ARN, "X-Forwarded-For", "SECOND", "MATCH")
		}},
		"forwarded without a way out": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.Statement = forwardedIn(set.ARN, "X-Forwarded-For", "FIRST", "MAYBE")
		}},
		"a label that is asked for": {"", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) { r.Statement = hasLabel("LABEL", "weir:count") }},
		"a label that cannot be": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.Statement = hasLabel("LABEL", "weir count")
		}},
		"a label in no scope": {"ValidationException", func(_ *wafv2.CreateRuleGroupInput, r *types.Rule) {
			r.Statement = hasLabel("ANY", "weir:count")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := blockRule("rule", 3, inSet(set.ARN))
			in := &wafv2.CreateRuleGroupInput{Name: aws.String(s.run + "answer"), Scope: scope, Capacity: aws.Int64(10), VisibilityConfig: visibility("group")}
			tt.spoil(in, &r)
			in.Rules = []types.Rule{r}
			out, err := s.CreateRuleGroup(t.Context(), in)
			wantCode(t, err, tt.code)
			if err != nil {
				return
			}
			_, err = s.DeleteRuleGroup(t.Context(), &wafv2.DeleteRuleGroupInput{Name: in.Name, Scope: scope, Id: out.Summary.Id, LockToken: out.Summary.LockToken})
			wantCode(t, err, "")
		})
	}
	t.Run("labels of a reference", func(t *testing.T) {
		group, err := s.group(t, "labelled", 10, blockRule("block", 0, inSet(set.ARN)))
		wantCode(t, err, "")
		rule := groupRule(group.ARN, &types.OverrideAction{None: &types.NoneAction{}})
		rule.RuleLabels = labels("weir:group")
		_, err = s.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
			Name: aws.String(s.run + "labelled"), Scope: scope, DefaultAction: allowAll(), VisibilityConfig: visibility("acl"), Rules: []types.Rule{rule},
		})
		wantCode(t, err, "WAFInvalidParameterException")
	})
}

// panicSwitch is what `weir panic` does: one update overrides a rule group to
// count, another one takes that back, and all else is as it was.
func (s *wafSuite) panicSwitch(t *testing.T) {
	set := s.set(t, "switch", "192.0.2.1/32")
	group, err := s.group(t, "switch", 10, blockRule("block", 0, inSet(set.ARN)))
	wantCode(t, err, "")
	in := &wafv2.CreateWebACLInput{
		Name: aws.String(s.run + "switch"), Scope: scope, DefaultAction: allowAll(), VisibilityConfig: visibility("acl"),
		Rules: []types.Rule{groupRule(group.ARN, &types.OverrideAction{None: &types.NoneAction{}})},
	}
	made, err := s.CreateWebACL(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	token := made.Summary.LockToken
	for _, override := range []*types.OverrideAction{{Count: &types.CountAction{}}, {None: &types.NoneAction{}}} {
		out, err := s.UpdateWebACL(t.Context(), &wafv2.UpdateWebACLInput{
			Name: in.Name, Scope: scope, Id: made.Summary.Id, LockToken: token, DefaultAction: in.DefaultAction, VisibilityConfig: in.VisibilityConfig,
			Rules: []types.Rule{groupRule(group.ARN, override)},
		})
		if err != nil {
			t.Fatal(err)
		}
		token = out.NextLockToken
		got, err := s.GetWebACL(t.Context(), &wafv2.GetWebACLInput{Name: in.Name, Scope: scope, Id: made.Summary.Id})
		if err != nil {
			t.Fatal(err)
		}
		now := got.WebACL.Rules[0].OverrideAction
		if (now.Count != nil) != (override.Count != nil) || (now.None != nil) != (override.None != nil) || *got.LockToken != *token {
			t.Errorf("the override is %+v, want %+v", now, override)
		}
	}
	_, err = s.DeleteWebACL(t.Context(), &wafv2.DeleteWebACLInput{Name: in.Name, Scope: scope, Id: made.Summary.Id, LockToken: token})
	wantCode(t, err, "")
}
