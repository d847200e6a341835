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

// groupName is the rule group's, the web ACL's rule's and the metrics' name.
func (b *bootstrap) groupName() string { return b.cfg.Prefix + "block" }

// ruleGroup makes the rule group, or sees to it that its rules cover the sets.
func (b *bootstrap) ruleGroup(ctx context.Context, refs *[families][]string) error {
	name := b.groupName()
	list, err := all(func(marker *string) ([]types.RuleGroupSummary, *string, error) {
		out, err := call(ctx, b, b.client.ListRuleGroups, &wafv2.ListRuleGroupsInput{Scope: b.cfg.Scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		return out.RuleGroups, out.NextMarker, nil
	})
	if err != nil {
		return fmt.Errorf("list rule groups: %w", err)
	}
	for _, g := range list {
		if aws.ToString(g.Name) != name {
			continue
		}
		b.report.RuleGroupARN = aws.ToString(g.ARN)
		err := b.rewrite(ctx, func(ctx context.Context) error { return b.mendGroup(ctx, g, refs) })
		if err != nil {
			return fmt.Errorf("rule group %s: %w", name, err)
		}
		return nil
	}
	return b.createGroup(ctx, name, refs)
}

func (b *bootstrap) createGroup(ctx context.Context, name string, refs *[families][]string) error {
	if b.cfg.DryRun {
		b.did("rule group", name, "", Created, "")
		return nil
	}
	rules, _ := b.rules(nil, refs)
	b.made["rule group"+name] = true
	out, err := call(ctx, b, b.client.CreateRuleGroup, &wafv2.CreateRuleGroupInput{
		Name: &name, Scope: b.cfg.Scope, Capacity: aws.Int64(references), // a reference costs one unit
		Rules: rules, VisibilityConfig: visibility(name), Description: aws.String("Bans made by Weir"),
	})
	if err != nil {
		return fmt.Errorf("create rule group %s: %w", name, err)
	}
	b.report.RuleGroupARN = aws.ToString(out.Summary.ARN)
	b.did("rule group", name, b.report.RuleGroupARN, Created, "")
	return nil
}

// mendGroup writes a rule group if its rules do not cover the sets.
func (b *bootstrap) mendGroup(ctx context.Context, g types.RuleGroupSummary, refs *[families][]string) error {
	got, err := call(ctx, b, b.client.GetRuleGroup, &wafv2.GetRuleGroupInput{Id: g.Id, Name: g.Name, Scope: b.cfg.Scope})
	if err != nil {
		return err
	}
	rules, changes := b.rules(got.RuleGroup.Rules, refs)
	if len(changes) == 0 {
		b.did("rule group", *g.Name, *g.ARN, Kept, "")
		return nil
	}
	if !b.cfg.DryRun {
		in := &wafv2.UpdateRuleGroupInput{Scope: b.cfg.Scope, LockToken: got.LockToken}
		carry(in, got.RuleGroup)
		in.Rules = rules
		if _, err := call(ctx, b, b.client.UpdateRuleGroup, in); err != nil {
			if codeOf(err) == "WAFLimitsExceededException" {
				return fmt.Errorf("its capacity of %d cannot grow, it has to be made anew: %w", aws.ToInt64(got.RuleGroup.Capacity), err)
			}
			return err
		}
	}
	b.did("rule group", *g.Name, *g.ARN, Changed, strings.Join(changes, ", "))
	return nil
}

// rules gives the rules of the group and what is new about them. Rules of other
// names stay as they are, and so do priority, metrics and labels of our own.
func (b *bootstrap) rules(have []types.Rule, refs *[families][]string) (rules []types.Rule, changes []string) {
	rules = slices.Clone(have)
	for f := range families {
		if len(refs[f]) == 0 {
			continue
		}
		name := "block-" + f.short()
		i := slices.IndexFunc(rules, func(r types.Rule) bool { return aws.ToString(r.Name) == name })
		if i < 0 {
			rules = append(rules, types.Rule{
				Name: &name, Priority: freePriority(rules), Statement: anyOf(refs[f]), Action: b.block(),
				VisibilityConfig: visibility(b.groupName() + "-" + f.short()),
			})
			changes = append(changes, "rule "+name+" added")
			continue
		}
		if r := &rules[i]; !covers(r.Statement, refs[f]) {
			r.Statement = anyOf(refs[f])
			changes = append(changes, fmt.Sprintf("rule %s refers to %d IP set(s)", name, len(refs[f])))
		}
		if r := &rules[i]; !b.blocks(r.Action) {
			r.Action = b.block()
			changes = append(changes, fmt.Sprintf("rule %s blocks with status %d", name, b.cfg.BlockStatus))
		}
	}
	return rules, changes
}

// freePriority is the lowest priority that no rule has.
func freePriority(rules []types.Rule) int32 {
	for p := int32(0); ; p++ {
		if !slices.ContainsFunc(rules, func(r types.Rule) bool { return r.Priority == p }) {
			return p
		}
	}
}

func (b *bootstrap) block() *types.RuleAction {
	return &types.RuleAction{Block: &types.BlockAction{
		CustomResponse: &types.CustomResponse{ResponseCode: aws.Int32(int32(b.cfg.BlockStatus))},
	}}
}

// blocks reports whether an action is a block with our status, whatever body or
// headers people gave it.
func (b *bootstrap) blocks(a *types.RuleAction) bool {
	return a != nil && a.Block != nil && a.Block.CustomResponse != nil &&
		int(aws.ToInt32(a.Block.CustomResponse.ResponseCode)) == b.cfg.BlockStatus
}

// anyOf is the statement that a client is in one of some IP sets.
func anyOf(arns []string) *types.Statement {
	var list []types.Statement
	for _, arn := range arns {
		list = append(list, types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{ARN: &arn}})
	}
	if len(list) == 1 { // AWS wants at least two for Or
		return &list[0]
	}
	return &types.Statement{OrStatement: &types.OrStatement{Statements: list}}
}

// covers reports whether a statement is anyOf(arns), in any order.
func covers(s *types.Statement, arns []string) bool {
	if s == nil {
		return false
	}
	list := []types.Statement{*s}
	if s.OrStatement != nil {
		list = s.OrStatement.Statements
	}
	var have []string
	for _, one := range list {
		if one.IPSetReferenceStatement == nil {
			return false
		}
		have = append(have, aws.ToString(one.IPSetReferenceStatement.ARN))
	}
	slices.Sort(have)
	return slices.Equal(have, slices.Sorted(slices.Values(arns)))
}

func visibility(metric string) *types.VisibilityConfig {
	return &types.VisibilityConfig{CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: &metric}
}
