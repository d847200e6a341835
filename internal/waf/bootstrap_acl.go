package waf

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// newACLPriority is our rule's in a web ACL that we make: rules that people want
// before it find room.
const newACLPriority = 10

// webACL sees to it that the web ACL refers to the rule group.
func (b *bootstrap) webACL(ctx context.Context) error {
	id, name, err := b.findACL(ctx)
	if err != nil {
		return err
	}
	if id == "" {
		return b.createACL(ctx)
	}
	err = b.rewrite(ctx, func(ctx context.Context) error { return b.mendACL(ctx, id, name) })
	if err != nil {
		return fmt.Errorf("web ACL %s: %w", name, err)
	}
	return nil
}

// findACL gives the identity of the web ACL; "" = it is to be made.
func (b *bootstrap) findACL(ctx context.Context) (id, name string, err error) {
	if strings.HasPrefix(b.cfg.WebACL, "arn:") {
		a, err := ParseARN("webacl", b.cfg.WebACL)
		return a.ID, a.Name, err
	}
	list, err := all(func(marker *string) ([]types.WebACLSummary, *string, error) {
		out, err := call(ctx, b, b.client.ListWebACLs, &wafv2.ListWebACLsInput{Scope: b.cfg.Scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		return out.WebACLs, out.NextMarker, nil
	})
	if err != nil {
		return "", "", fmt.Errorf("list web ACLs: %w", err)
	}
	var names []string
	for _, s := range list {
		if aws.ToString(s.Name) == b.cfg.WebACL {
			return aws.ToString(s.Id), b.cfg.WebACL, nil
		}
		names = append(names, aws.ToString(s.Name))
	}
	if !b.cfg.CreateWebACL {
		return "", "", fmt.Errorf("there is no web ACL %q of scope %s, only %q", b.cfg.WebACL, b.cfg.Scope, names)
	}
	return "", "", nil
}

func (b *bootstrap) createACL(ctx context.Context) error {
	name := b.cfg.WebACL
	if b.cfg.DryRun {
		b.did("web ACL", name, "", Created, "")
		return nil
	}
	b.made["web ACL"+name] = true
	out, err := call(ctx, b, b.client.CreateWebACL, &wafv2.CreateWebACLInput{
		Name: &name, Scope: b.cfg.Scope, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}},
		VisibilityConfig: visibility(name), Rules: []types.Rule{b.reference(newACLPriority)},
	})
	if err != nil {
		return fmt.Errorf("create web ACL %s: %w", name, err)
	}
	b.report.WebACLARN = aws.ToString(out.Summary.ARN)
	b.did("web ACL", name, b.report.WebACLARN, Created, "")
	return nil
}

// reference is the web ACL's rule.
func (b *bootstrap) reference(priority int32) types.Rule {
	name := b.groupName()
	return types.Rule{
		Name: &name, Priority: priority, VisibilityConfig: visibility(name),
		OverrideAction: &types.OverrideAction{None: &types.NoneAction{}},
		Statement:      &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: &b.report.RuleGroupARN}},
	}
}

// mendACL writes the web ACL if it does not refer to the rule group.
func (b *bootstrap) mendACL(ctx context.Context, id, name string) error {
	got, err := call(ctx, b, b.client.GetWebACL, &wafv2.GetWebACLInput{Id: &id, Name: &name, Scope: b.cfg.Scope})
	if err != nil {
		return err
	}
	arn := aws.ToString(got.WebACL.ARN)
	b.report.WebACLARN = arn
	rules, change := b.aclRules(got.WebACL.Rules)
	if change == "" {
		b.did("web ACL", name, arn, Kept, "")
		return nil
	}
	if !b.cfg.DryRun {
		in := &wafv2.UpdateWebACLInput{Scope: b.cfg.Scope, LockToken: got.LockToken}
		carry(in, got.WebACL)
		in.Rules = rules
		if _, err := call(ctx, b, b.client.UpdateWebACL, in); err != nil {
			return err
		}
	}
	b.did("web ACL", name, arn, Changed, change)
	return nil
}

// aclRules gives the web ACL's rules with a reference to the group, and what is
// new about them; "" = nothing, there is one. A reference that is there stays
// where and as people put it, overrides included.
func (b *bootstrap) aclRules(have []types.Rule) (rules []types.Rule, change string) {
	rules = slices.Clone(have)
	for i := range rules {
		ref := groupReference(rules[i])
		if ref != nil && b.report.RuleGroupARN != "" && aws.ToString(ref.ARN) == b.report.RuleGroupARN {
			return rules, ""
		}
	}
	for i := range rules {
		if aws.ToString(rules[i].Name) != b.groupName() {
			continue
		}
		if ref := groupReference(rules[i]); ref != nil { // to a group that was deleted
			mended := *ref
			mended.ARN = &b.report.RuleGroupARN
			rules[i].Statement = &types.Statement{RuleGroupReferenceStatement: &mended}
			return rules, fmt.Sprintf("rule %s refers to the rule group", b.groupName())
		}
	}
	priority, moved := topPriority(rules)
	rules = append(rules, b.reference(priority))
	change = fmt.Sprintf("rule %s added with priority %d", b.groupName(), priority)
	if moved > 0 {
		change += fmt.Sprintf(", the %d rules before moved down by one", moved)
	}
	return rules, change
}

func groupReference(r types.Rule) *types.RuleGroupReferenceStatement {
	if r.Statement == nil {
		return nil
	}
	return r.Statement.RuleGroupReferenceStatement
}

// topPriority makes room before all rules, and gives the priority there. Only
// where the first rule has priority 0 do others have to move: that one and those
// that follow it without a gap, by one. The order of rules never changes.
func topPriority(rules []types.Rule) (priority int32, moved int) {
	if len(rules) == 0 {
		return newACLPriority, 0
	}
	order := make([]*types.Rule, len(rules))
	for i := range rules {
		order[i] = &rules[i]
	}
	slices.SortFunc(order, func(a, b *types.Rule) int { return int(a.Priority) - int(b.Priority) })
	if first := order[0].Priority; first > 0 {
		return first - 1, 0
	}
	for i, r := range order {
		if int(r.Priority) != i {
			break
		}
		r.Priority++
		moved++
	}
	return 0, moved
}
