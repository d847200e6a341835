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

// newACLPriority is our rule's where no rule comes before it and none after it:
// rules that people want there find room.
const newACLPriority = 10

// moveBy is how far the rules after ours are moved down where there is no room for
// it. The gap that this leaves behind our rule comes about in no other way, so
// that Remove can tell, and moves them back.
const moveBy = 2

// acl is a web ACL that was read.
type acl struct {
	name, id, arn string
	token         *string
	typed         *types.WebACL
	doc           *document
}

// listACLs lists the web ACLs of the scope.
func (o *operator) listACLs(ctx context.Context) ([]types.WebACLSummary, error) {
	list, err := all(func(marker *string) ([]types.WebACLSummary, *string, error) {
		out, err := call(ctx, o, o.client.ListWebACLs, &wafv2.ListWebACLsInput{Scope: o.scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		return out.WebACLs, out.NextMarker, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list web ACLs: %w", err)
	}
	return list, nil
}

// findACL gives the identity of the web ACL that was named; "" = there is none.
func (o *operator) findACL(ctx context.Context) (id, name string, others []string, err error) {
	if strings.HasPrefix(o.webACL, "arn:") {
		a, err := ParseARN("webacl", o.webACL)
		return a.ID, a.Name, nil, err
	}
	list, err := o.listACLs(ctx)
	if err != nil {
		return "", "", nil, err
	}
	for _, s := range list {
		if aws.ToString(s.Name) == o.webACL {
			return aws.ToString(s.Id), o.webACL, nil, nil
		}
		others = append(others, aws.ToString(s.Name))
	}
	return "", "", others, nil
}

func (o *operator) noSuchACL(others []string) error {
	return fmt.Errorf("there is no web ACL %q of scope %s, only %q", o.webACL, o.scope, others)
}

func (o *operator) readACL(ctx context.Context, id, name string) (*acl, error) {
	var answer []byte
	got, err := call(ctx, o, o.client.GetWebACL, &wafv2.GetWebACLInput{Id: &id, Name: &name, Scope: o.scope}, capture(&answer))
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(answer, "WebACL")
	if err != nil {
		return nil, err
	}
	return &acl{name, id, aws.ToString(got.WebACL.ARN), got.LockToken, got.WebACL, doc}, nil
}

// writeACL sends back the document of a web ACL, changed.
func (o *operator) writeACL(ctx context.Context, a *acl, change string) error {
	in := &wafv2.UpdateWebACLInput{
		Id: &a.id, Name: &a.name, Scope: o.scope, LockToken: a.token,
		DefaultAction: a.typed.DefaultAction, VisibilityConfig: a.typed.VisibilityConfig,
	}
	o.wrote["web ACL"+a.name] = intent{Changed, change}
	_, err := call(ctx, o, o.client.UpdateWebACL, in, replace(a.doc.update(string(o.scope), aws.ToString(a.token))))
	return explain[types.WebACL](err, a.doc)
}

// expectACL looks for the web ACL before anything is made for it.
func (b *bootstrap) expectACL(ctx context.Context) error {
	if b.cfg.WebACL == "" || b.cfg.CreateWebACL {
		return nil
	}
	id, name, others, err := b.findACL(ctx)
	switch {
	case err != nil:
		return err
	case id == "":
		return b.noSuchACL(others)
	case strings.HasPrefix(b.cfg.WebACL, "arn:"): // which says nothing of what there is
		if _, err := b.readACL(ctx, id, name); err != nil {
			return fmt.Errorf("web ACL %s: %w", name, err)
		}
	}
	return nil
}

// attach sees to it that the web ACL refers to the rule group.
func (b *bootstrap) attach(ctx context.Context) error {
	id, name, others, err := b.findACL(ctx)
	if err != nil {
		return err
	}
	if id == "" && !b.cfg.CreateWebACL {
		return b.noSuchACL(others)
	}
	if id == "" {
		return b.createACL(ctx)
	}
	err = rewrite(ctx, func(ctx context.Context) error { return b.mendACL(ctx, id, name) })
	if err != nil {
		return fmt.Errorf("web ACL %s: %w", name, err)
	}
	return nil
}

func (b *bootstrap) createACL(ctx context.Context) error {
	name := b.cfg.WebACL
	if b.dryRun {
		b.did("web ACL", name, "", Created, "")
		return nil
	}
	b.wrote["web ACL"+name] = intent{Created, ""}
	out, err := call(ctx, b.operator, b.client.CreateWebACL, &wafv2.CreateWebACLInput{
		Name: &name, Scope: b.scope, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}},
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
	a, err := b.readACL(ctx, id, name)
	if err != nil {
		return err
	}
	b.report.WebACLARN = a.arn
	change := b.insert(a)
	if change == "" {
		b.did("web ACL", name, a.arn, Kept, "")
		return nil
	}
	if !b.dryRun {
		if err := b.writeACL(ctx, a, change); err != nil {
			return err
		}
	}
	b.did("web ACL", name, a.arn, Changed, change)
	return nil
}

// insert makes the web ACL's rules refer to the group, and says what is new about
// them; "" = nothing, they do. A reference that is there stays where and as people
// put it, overrides included.
func (b *bootstrap) insert(a *acl) (change string) {
	for _, r := range a.typed.Rules {
		if ref := groupReference(r); ref != nil && b.report.RuleGroupARN != "" && aws.ToString(ref.ARN) == b.report.RuleGroupARN {
			return ""
		}
	}
	for i, r := range a.typed.Rules {
		if aws.ToString(r.Name) == b.groupName() && groupReference(r) != nil { // to a group that was deleted
			a.doc.rules[i] = setMember(a.doc.rules[i], toJSON(b.report.RuleGroupARN), "Statement", "RuleGroupReferenceStatement", "ARN")
			return fmt.Sprintf("rule %s refers to the rule group", b.groupName())
		}
	}
	priority, moved := place(a.typed.Rules)
	for _, i := range moved {
		a.shift(i, moveBy)
	}
	a.doc.rules = append(a.doc.rules, plainJSON(b.reference(priority)))
	change = fmt.Sprintf("rule %s added with priority %d", b.groupName(), priority)
	if len(moved) > 0 {
		change += fmt.Sprintf(", the %d rules after it moved down by %d", len(moved), moveBy)
	}
	return change
}

func (a *acl) shift(i int, by int32) {
	a.doc.rules[i] = setMember(a.doc.rules[i], toJSON(a.typed.Rules[i].Priority+by), "Priority")
}

func groupReference(r types.Rule) *types.RuleGroupReferenceStatement {
	if r.Statement == nil {
		return nil
	}
	return r.Statement.RuleGroupReferenceStatement
}

// byPriority gives the indexes of rules in the order in which AWS takes them.
func byPriority(rules []types.Rule) []int {
	order := make([]int, len(rules))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(rules[a].Priority) - int(rules[b].Priority) })
	return order
}

// place gives the priority of our rule: before all others, but after those at the
// top that allow, since whom the owner lets in for certain is not to be banned.
// Where there is no room, moved are the rules that have to make some, by moveBy.
// The order of rules never changes.
func place(rules []types.Rule) (priority int32, moved []int) {
	order := byPriority(rules)
	free := int32(0) // the first priority after those that allow
	n := 0
	for n < len(order) && rules[order[n]].Action != nil && rules[order[n]].Action.Allow != nil {
		free = rules[order[n]].Priority + 1
		n++
	}
	if n == len(order) {
		return free + newACLPriority, nil
	}
	if next := rules[order[n]].Priority; next > free {
		return next - 1, nil
	}
	return free, order[n:]
}

// movedBy gives the rules that place moved to make room for rule i, if it did so:
// there is no room before it, and just the gap behind it.
func movedBy(rules []types.Rule, i int) (moved []int) {
	order := byPriority(rules)
	n := slices.Index(order, i)
	before := int32(-1)
	if n > 0 {
		before = rules[order[n-1]].Priority
	}
	at := rules[i].Priority
	if at != before+1 || n+1 == len(order) || rules[order[n+1]].Priority != at+moveBy {
		return nil
	}
	return order[n+1:]
}
