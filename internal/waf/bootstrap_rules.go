package waf

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// ruleOrder is the order of the group's rules, by pool. Count comes first: it ends
// nothing, and so it sees and labels also those whom a later rule stops. Then the
// strongest action first, so that who is in two pools gets the stronger one.
func ruleOrder() []string {
	words := PoolWords()
	slices.SortStableFunc(words, func(a, b string) int { return ruleRank(a) - ruleRank(b) })
	return words
}

func ruleRank(word string) int {
	k, _ := keyOf(word)
	if k.action == actCount {
		return -1
	}
	return int(k.action)
}

// priorityStep is what lies between the priorities of new rules, so that owners
// find room for theirs.
const priorityStep = 10

// label is what a pool's rule puts on a request that matches. The full label begins
// with account and rule group; rules of the web ACL may ask for its end.
func label(word string) string { return "weir:" + word }

// findGroup finds the rule group; false = there is none.
func (o *operator) findGroup(ctx context.Context) (types.RuleGroupSummary, bool, error) {
	list, err := all(func(marker *string) ([]types.RuleGroupSummary, *string, error) {
		out, err := call(ctx, o, o.client.ListRuleGroups, &wafv2.ListRuleGroupsInput{Scope: o.scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		return out.RuleGroups, out.NextMarker, nil
	})
	if err != nil {
		return types.RuleGroupSummary{}, false, fmt.Errorf("list rule groups: %w", err)
	}
	for _, g := range list {
		if aws.ToString(g.Name) == o.groupName() {
			return g, true, nil
		}
	}
	return types.RuleGroupSummary{}, false, nil
}

// ruleGroup makes the rule group, or sees to it that its rules cover the sets.
func (b *bootstrap) ruleGroup(ctx context.Context, refs map[string][]string) error {
	g, there, err := b.findGroup(ctx)
	if err != nil {
		return err
	}
	if !there {
		return b.createGroup(ctx, refs)
	}
	b.report.RuleGroupARN = aws.ToString(g.ARN)
	err = rewrite(ctx, func(ctx context.Context) error { return b.mendGroup(ctx, g, refs) })
	if err != nil {
		return fmt.Errorf("rule group %s: %w", b.groupName(), err)
	}
	return nil
}

func (b *bootstrap) createGroup(ctx context.Context, refs map[string][]string) error {
	name := b.groupName()
	if b.dryRun {
		b.did("rule group", name, "", Created, "")
		return nil
	}
	var rules []types.Rule
	for _, word := range ruleOrder() {
		if len(refs[word]) > 0 {
			rules = append(rules, b.rule(word, refs[word], types.Rule{Priority: priorityFor(word, rules)}))
		}
	}
	bodies, _ := b.cfg.bodies(nil)
	b.wrote["rule group"+name] = intent{Created, ""}
	out, err := call(ctx, b.operator, b.client.CreateRuleGroup, &wafv2.CreateRuleGroupInput{
		Name: &name, Scope: b.scope, Capacity: aws.Int64(references * b.cfg.Forwarded.cost()),
		Rules: rules, VisibilityConfig: visibility(name), Description: aws.String("Bans made by Weir"), CustomResponseBodies: orNil(bodies),
	})
	if err != nil {
		return fmt.Errorf("create rule group %s: %w", name, err)
	}
	b.report.RuleGroupARN = aws.ToString(out.Summary.ARN)
	b.did("rule group", name, b.report.RuleGroupARN, Created, "")
	return nil
}

// orNil leaves out a map that AWS would refuse for being empty.
func orNil[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return m
}

// mendGroup writes a rule group if its rules are not as they should be.
func (b *bootstrap) mendGroup(ctx context.Context, g types.RuleGroupSummary, refs map[string][]string) error {
	var answer []byte
	got, err := call(ctx, b.operator, b.client.GetRuleGroup, &wafv2.GetRuleGroupInput{Id: g.Id, Name: g.Name, Scope: b.scope}, capture(&answer))
	if err != nil {
		return err
	}
	doc, err := parseDocument(answer, "RuleGroup")
	if err != nil {
		return err
	}
	changes := b.mendRules(doc, got.RuleGroup.Rules, refs)
	if bodies, news := b.cfg.bodies(got.RuleGroup.CustomResponseBodies); news {
		changes = append(changes, "the body "+bodyKey+" is set")
		doc.members["CustomResponseBodies"] = plainJSON(bodies)
	}
	name, arn := aws.ToString(g.Name), aws.ToString(g.ARN)
	if len(changes) == 0 {
		b.did("rule group", name, arn, Kept, "")
		return nil
	}
	if !b.dryRun {
		in := &wafv2.UpdateRuleGroupInput{
			Id: g.Id, Name: g.Name, Scope: b.scope, LockToken: got.LockToken, VisibilityConfig: got.RuleGroup.VisibilityConfig,
		}
		b.wrote["rule group"+name] = intent{Changed, strings.Join(changes, ", ")}
		_, err := call(ctx, b.operator, b.client.UpdateRuleGroup, in, replace(doc.update(string(b.scope), aws.ToString(got.LockToken))))
		if codeOf(err) == "WAFLimitsExceededException" {
			return fmt.Errorf("its capacity of %d units cannot grow, it has to be removed (the IP sets can stay) and made anew: %w", aws.ToInt64(got.RuleGroup.Capacity), err)
		}
		if err != nil {
			return explain[types.RuleGroup](err, doc)
		}
	}
	b.did("rule group", name, arn, Changed, strings.Join(changes, ", "))
	return nil
}

// mendRules changes the document's rules, and says what is new about them. Rules of
// other names stay as they are, and so do priority, metrics, further labels and
// what else people set in our own. rules are the document's as the SDK has them.
func (b *bootstrap) mendRules(doc *document, rules []types.Rule, refs map[string][]string) (changes []string) {
	rules = slices.Clone(rules)
	for _, word := range ruleOrder() {
		if len(refs[word]) == 0 {
			continue
		}
		i := slices.IndexFunc(rules, func(r types.Rule) bool { return aws.ToString(r.Name) == word })
		if i < 0 {
			r := b.rule(word, refs[word], sibling(word, rules))
			rules, doc.rules = append(rules, r), append(doc.rules, plainJSON(r))
			changes = append(changes, "rule "+word+" added")
			continue
		}
		have := rules[i]
		want := b.rule(word, refs[word], have)
		if !sameReferences(have.Statement, want.Statement) {
			doc.rules[i] = setMember(doc.rules[i], plainJSON(want.Statement), "Statement")
			changes = append(changes, fmt.Sprintf("rule %s refers to %d IP set(s)%s", word, len(refs[word]), viaHeader(want.Statement)))
		}
		for _, part := range []struct {
			member     string
			have, want json.RawMessage
			change     string
		}{
			{"Action", plainJSON(have.Action), plainJSON(want.Action), actionText(want.Action)},
			{"RuleLabels", plainJSON(have.RuleLabels), plainJSON(want.RuleLabels), "labels with " + label(word)},
			{"CaptchaConfig", plainJSON(have.CaptchaConfig), plainJSON(want.CaptchaConfig), "has a captcha immunity of " + b.cfg.CaptchaImmunity.String()},
			{"ChallengeConfig", plainJSON(have.ChallengeConfig), plainJSON(want.ChallengeConfig), "has a challenge immunity of " + b.cfg.ChallengeImmunity.String()},
		} {
			if string(part.have) != string(part.want) {
				doc.rules[i] = setMember(doc.rules[i], part.want, part.member)
				changes = append(changes, fmt.Sprintf("rule %s %s", word, part.change))
			}
		}
	}
	return changes
}

// actionText tells people what a rule does now.
func actionText(a *types.RuleAction) string {
	switch {
	case a.Captcha != nil:
		return "asks to solve a captcha"
	case a.Challenge != nil:
		return "challenges"
	case a.Count != nil:
		return "counts"
	}
	r := a.Block.CustomResponse
	text := fmt.Sprintf("blocks with status %d and %d header(s)", aws.ToInt32(r.ResponseCode), len(r.ResponseHeaders))
	if r.CustomResponseBodyKey != nil {
		text += " and body " + *r.CustomResponseBodyKey
	}
	return text
}

// sibling is what a new rule of a group begins as: like the others of ours, as far as
// it is not told otherwise.
func sibling(word string, rules []types.Rule) types.Rule {
	out := types.Rule{Priority: priorityFor(word, rules)}
	k, _ := keyOf(word)
	for _, r := range rules {
		other, ours := keyOf(aws.ToString(r.Name))
		if !ours {
			continue
		}
		if forwardedOf(r.Statement) != nil { // a proxy is before all of them or none
			out.Statement = r.Statement
		}
		if other.action == k.action {
			out.Action, out.CaptchaConfig, out.ChallengeConfig = r.Action, r.CaptchaConfig, r.ChallengeConfig
		}
	}
	return out
}

// rule gives a pool's rule: what it is, with what it should be. Of a new one only
// the priority is there.
func (b *bootstrap) rule(word string, arns []string, have types.Rule) types.Rule {
	out := have
	out.Name = &word
	if out.VisibilityConfig == nil {
		out.VisibilityConfig = visibility(b.groupName() + "-" + word)
	}
	forwarded := forwardedOf(have.Statement)
	if b.cfg.Forwarded != nil {
		forwarded = b.cfg.Forwarded.config()
	}
	out.Statement = anyOf(arns, forwarded)
	if !slices.ContainsFunc(out.RuleLabels, func(l types.Label) bool { return aws.ToString(l.Name) == label(word) }) {
		out.RuleLabels = append(slices.Clone(out.RuleLabels), types.Label{Name: aws.String(label(word))})
	}
	a := types.RuleAction{}
	if have.Action != nil {
		a = *have.Action
	}
	immunity := func(d time.Duration) *types.ImmunityTimeProperty {
		return &types.ImmunityTimeProperty{ImmunityTime: aws.Int64(int64(d / time.Second))}
	}
	k, _ := keyOf(word)
	switch k.action {
	case actBlock:
		var response *types.CustomResponse
		if a.Block != nil {
			response = a.Block.CustomResponse
		}
		response = b.cfg.response(response)
		out.Action = &types.RuleAction{Block: &types.BlockAction{CustomResponse: response}}
		if !k.list || b.report.BlockStatus == 0 {
			b.report.BlockStatus = int(*response.ResponseCode)
		}
	case actCaptcha:
		out.Action = &types.RuleAction{Captcha: orNew(a.Captcha)}
		if b.cfg.CaptchaImmunity > 0 {
			out.CaptchaConfig = &types.CaptchaConfig{ImmunityTimeProperty: immunity(b.cfg.CaptchaImmunity)}
		}
	case actChallenge:
		out.Action = &types.RuleAction{Challenge: orNew(a.Challenge)}
		if b.cfg.ChallengeImmunity > 0 {
			out.ChallengeConfig = &types.ChallengeConfig{ImmunityTimeProperty: immunity(b.cfg.ChallengeImmunity)}
		}
	case actCount:
		out.Action = &types.RuleAction{Count: orNew(a.Count)}
	}
	return out
}

// orNew keeps an action with what people added to it, as headers for the origin.
func orNew[T any](v *T) *T {
	if v != nil {
		return v
	}
	return new(T)
}

// priorityFor gives a new rule its priority: its place in the order, or the next
// one that is free.
func priorityFor(word string, rules []types.Rule) int32 {
	p := int32((slices.Index(ruleOrder(), word) + 1) * priorityStep)
	for slices.ContainsFunc(rules, func(r types.Rule) bool { return r.Priority == p }) {
		p++
	}
	return p
}

// anyOf is the statement that a client is in one of some IP sets. One rule for all
// sets of a pool: each costs the same in a rule of its own, rules have a price, and
// owners override them by name.
func anyOf(arns []string, forwarded *types.IPSetForwardedIPConfig) *types.Statement {
	var list []types.Statement
	for _, arn := range arns {
		list = append(list, types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{ARN: &arn, IPSetForwardedIPConfig: forwarded}})
	}
	if len(list) == 1 { // AWS wants at least two for Or
		return &list[0]
	}
	return &types.Statement{OrStatement: &types.OrStatement{Statements: list}}
}

// referencesOf gives the references of a statement like anyOf's, in the order of ARNs; nil if it is none.
func referencesOf(s *types.Statement) []*types.IPSetReferenceStatement {
	if s == nil {
		return nil
	}
	list := []types.Statement{*s}
	if s.OrStatement != nil {
		list = s.OrStatement.Statements
	}
	var refs []*types.IPSetReferenceStatement
	for _, one := range list {
		if one.IPSetReferenceStatement == nil {
			return nil
		}
		refs = append(refs, one.IPSetReferenceStatement)
	}
	slices.SortFunc(refs, func(a, b *types.IPSetReferenceStatement) int {
		return strings.Compare(aws.ToString(a.ARN), aws.ToString(b.ARN))
	})
	return refs
}

// sameReferences tells whether both mean the same, in any order.
func sameReferences(a, b *types.Statement) bool {
	return string(plainJSON(referencesOf(a))) == string(plainJSON(referencesOf(b)))
}

func forwardedOf(s *types.Statement) *types.IPSetForwardedIPConfig {
	for _, r := range referencesOf(s) {
		return r.IPSetForwardedIPConfig
	}
	return nil
}

func viaHeader(s *types.Statement) string {
	if f := forwardedOf(s); f != nil {
		return fmt.Sprintf(" by header %s, %s", aws.ToString(f.HeaderName), f.Position)
	}
	return ""
}

func visibility(metric string) *types.VisibilityConfig {
	return &types.VisibilityConfig{CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: &metric}
}
