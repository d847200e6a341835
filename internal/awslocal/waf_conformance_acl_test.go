package awslocal

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// fullACL uses every member that a web ACL can have, which a writer that adds
// one rule must hand back untouched.
func fullACL(name string, group, set *string) *wafv2.CreateWebACLInput {
	return &wafv2.CreateWebACLInput{
		Name: &name, Scope: scope, Description: aws.String("a web ACL with everything"), VisibilityConfig: visibility("acl"),
		DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{CustomRequestHandling: &types.CustomRequestHandling{
			InsertHeaders: []types.CustomHTTPHeader{{Name: aws.String("seen"), Value: aws.String("1")}},
		}}},
		CustomResponseBodies: map[string]types.CustomResponseBody{"sorry": {ContentType: "TEXT_PLAIN", Content: aws.String("no")}},
		CaptchaConfig:        &types.CaptchaConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: aws.Int64(120)}},
		ChallengeConfig:      &types.ChallengeConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: aws.Int64(600)}},
		TokenDomains:         []string{"example.com"},
		AssociationConfig: &types.AssociationConfig{RequestBody: map[string]types.RequestBodyAssociatedResourceTypeConfig{
			"CLOUDFRONT": {DefaultSizeInspectionLimit: "KB_32"},
		}},
		DataProtectionConfig: &types.DataProtectionConfig{DataProtections: []types.DataProtection{{
			Action: "HASH", Field: &types.FieldToProtect{FieldType: "SINGLE_COOKIE", FieldKeys: []string{"session"}},
		}}},
		OnSourceDDoSProtectionConfig: &types.OnSourceDDoSProtectionConfig{ALBLowReputationMode: "ALWAYS_ON"},
		ApplicationConfig:            &types.ApplicationConfig{Attributes: []types.ApplicationAttribute{{Name: aws.String("kind"), Values: []string{"shop"}}}},
		Rules: []types.Rule{
			{
				Name: aws.String("group"), Priority: 1, VisibilityConfig: visibility("group"), OverrideAction: &types.OverrideAction{None: &types.NoneAction{}},
				Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{
					ARN: group, RuleActionOverrides: []types.RuleActionOverride{{Name: aws.String("block"), ActionToUse: &types.RuleAction{Count: &types.CountAction{}}}},
				}},
			},
			{
				Name: aws.String("flood"), Priority: 5, VisibilityConfig: visibility("flood"), RuleLabels: []types.Label{{Name: aws.String("flood")}},
				Action: &types.RuleAction{Challenge: &types.ChallengeAction{}}, ChallengeConfig: &types.ChallengeConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: aws.Int64(300)}},
				Statement: &types.Statement{RateBasedStatement: &types.RateBasedStatement{AggregateKeyType: "IP", Limit: aws.Int64(1000), EvaluationWindowSec: 60, ScopeDownStatement: inSet(set)}},
			},
			{
				Name: aws.String("managed"), Priority: 9, VisibilityConfig: visibility("managed"), OverrideAction: &types.OverrideAction{Count: &types.CountAction{}},
				Statement: &types.Statement{ManagedRuleGroupStatement: &types.ManagedRuleGroupStatement{VendorName: aws.String("AWS"), Name: aws.String("AWSManagedRulesCommonRuleSet")}},
			},
			{
				Name: aws.String("bytes"), Priority: 10, VisibilityConfig: visibility("bytes"),
				Action: &types.RuleAction{Block: &types.BlockAction{CustomResponse: &types.CustomResponse{ResponseCode: aws.Int32(403), CustomResponseBodyKey: aws.String("sorry")}}},
				Statement: &types.Statement{ByteMatchStatement: &types.ByteMatchStatement{
					FieldToMatch: &types.FieldToMatch{UriPath: &types.UriPath{}}, PositionalConstraint: "STARTS_WITH", SearchString: []byte("/x"),
					TextTransformations: []types.TextTransformation{{Priority: 0, Type: "NONE"}},
				}},
			},
		},
	}
}

// shared returns what is under a name in both, as JSON. The SDK's shapes of
// inputs and outputs are different types with the same names.
func shared(t *testing.T, in, out any) (a, b map[string]any) {
	t.Helper()
	read := func(v any) map[string]any {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		m := make(map[string]any)
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, b = read(in), read(out)
	for k := range a {
		if _, ok := b[k]; !ok {
			delete(a, k) // Scope, Tags: not of the web ACL itself
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			delete(b, k) // ARN, Capacity: not of the input
		}
	}
	return a, b
}

func (s *wafSuite) wholeACL(t *testing.T) {
	ctx := t.Context()
	set := s.set(t, "of-the-acl", "192.0.2.1/32")
	group, err := s.group(t, "of-the-acl", 10, blockRule("block", 0, inSet(set.ARN)))
	wantCode(t, err, "")
	in := fullACL(s.run+"whole", group.ARN, set.ARN)
	created, err := s.CreateWebACL(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	get := func() *wafv2.GetWebACLOutput {
		out, err := s.GetWebACL(ctx, &wafv2.GetWebACLInput{Name: in.Name, Scope: scope, Id: created.Summary.Id})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := get()
	sent, got := shared(t, in, out.WebACL)
	if len(sent) < 13 || !reflect.DeepEqual(sent, got) {
		t.Errorf("%d members came back\n%v, want\n%v", len(got), got, sent)
	}
	if *out.LockToken != *created.Summary.LockToken {
		t.Error("Get has another lock token than Create")
	}

	// What an update leaves out is gone.
	updated, err := s.UpdateWebACL(ctx, &wafv2.UpdateWebACLInput{
		Name: in.Name, Scope: scope, Id: created.Summary.Id, LockToken: out.LockToken,
		DefaultAction: in.DefaultAction, VisibilityConfig: in.VisibilityConfig, Rules: in.Rules[:1],
	})
	wantCode(t, err, "")
	after := get().WebACL
	if after.DataProtectionConfig != nil || after.ApplicationConfig != nil || after.Description != nil || len(after.TokenDomains) != 0 || len(after.Rules) != 1 {
		t.Errorf("left out, but there: %+v", after)
	}
	_, err = s.DeleteRuleGroup(ctx, &wafv2.DeleteRuleGroupInput{Name: group.Name, Scope: scope, Id: group.Id, LockToken: group.LockToken})
	wantCode(t, err, "WAFAssociatedItemException")

	_, err = s.DeleteWebACL(ctx, &wafv2.DeleteWebACLInput{Name: in.Name, Scope: scope, Id: created.Summary.Id, LockToken: out.LockToken})
	wantCode(t, err, "WAFOptimisticLockException")
	_, err = s.DeleteWebACL(ctx, &wafv2.DeleteWebACLInput{Name: in.Name, Scope: scope, Id: created.Summary.Id, LockToken: updated.NextLockToken})
	wantCode(t, err, "")
}

func (s *wafSuite) badACLs(t *testing.T) {
	set := s.set(t, "of-bad-acls", "192.0.2.1/32")
	group, err := s.group(t, "of-bad-acls", 5000, blockRule("block", 0, inSet(set.ARN)))
	wantCode(t, err, "")
	regional, err := s.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: aws.String(s.run + "regional"), Scope: types.ScopeRegional, IPAddressVersion: "IPV4", Addresses: []string{}})
	wantCode(t, err, "")
	reference := func(in *wafv2.CreateWebACLInput) *types.RuleGroupReferenceStatement {
		return in.Rules[0].Statement.RuleGroupReferenceStatement
	}
	for name, tt := range map[string]struct {
		code  string
		spoil func(in *wafv2.CreateWebACLInput)
	}{
		"no default action":     {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) { in.DefaultAction = &types.DefaultAction{} }},
		"two default actions":   {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) { in.DefaultAction.Block = &types.BlockAction{} }},
		"a metric with a space": {"ValidationException", func(in *wafv2.CreateWebACLInput) { in.VisibilityConfig = visibility("a b") }},
		"an override of nothing": {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) {
			reference(in).RuleActionOverrides[0].Name = aws.String("nosuchrule")
		}},
		"an exclusion of nothing": {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) {
			reference(in).ExcludedRules = []types.ExcludedRule{{Name: aws.String("nosuchrule")}}
		}},
		"an override that is none": {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) { in.Rules[0].OverrideAction = &types.OverrideAction{} }},
		"an overruling action that is none": {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) {
			reference(in).RuleActionOverrides[0].ActionToUse = &types.RuleAction{}
		}},
		"a group that is none": {"WAFNonexistentItemException", func(in *wafv2.CreateWebACLInput) { reference(in).ARN = aws.String(*group.ARN + "0") }},
		"another scope's set":  {"WAFNonexistentItemException", func(in *wafv2.CreateWebACLInput) { in.Rules[1] = blockRule("r", 4, inSet(regional.Summary.ARN)) }},
		"too much":             {"WAFLimitsExceededException", func(*wafv2.CreateWebACLInput) {}},
		"too long a body": {"WAFLimitsExceededException", func(in *wafv2.CreateWebACLInput) {
			*in.CustomResponseBodies["sorry"].Content = strings.Repeat("x", 5000)
		}},
		"a group in a scope": {"WAFInvalidParameterException", func(in *wafv2.CreateWebACLInput) {
			in.Rules[1].Statement.RateBasedStatement.ScopeDownStatement = in.Rules[0].Statement
		}},
		"an unknown wire scope": {"ValidationException", func(in *wafv2.CreateWebACLInput) { in.Scope = "GLOBAL" }},
	} {
		t.Run(name, func(t *testing.T) {
			in := fullACL(s.run+"bad", group.ARN, set.ARN)
			tt.spoil(in)
			_, err := s.CreateWebACL(t.Context(), in)
			wantCode(t, err, tt.code)
		})
	}
	_, err = s.GetWebACL(t.Context(), &wafv2.GetWebACLInput{ARN: aws.String(*set.ARN)})
	wantCode(t, err, "WAFNonexistentItemException")
	_, err = s.DeleteIPSet(t.Context(), &wafv2.DeleteIPSetInput{Name: regional.Summary.Name, Scope: types.ScopeRegional, Id: regional.Summary.Id, LockToken: regional.Summary.LockToken})
	wantCode(t, err, "")
}
