package waf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
)

// RemoveConfig says what [Remove] takes away.
type RemoveConfig struct {
	Scope  types.Scope
	Prefix string // of every name; "" = "weir-"
	WebACL string // name or ARN; "" = every web ACL of the scope that uses the rule group

	IPSets bool // the IP sets, too, with all bans in them
	Force  bool // also what people added: rules in the group, entries in the sets

	DryRun bool        // change nothing, report what would be done
	Logger *zap.Logger // told while AWS has to be waited for; nil = none
}

// Remove undoes [Bootstrap]: it takes our rule out of the web ACL, whose other
// rules get back the priorities that they had, and then deletes the rule group.
// IP sets stay unless they are asked for, since they hold the bans: a group that is
// made anew finds them. A web ACL is never deleted.
//
// What people added to the group or, if they are to go, to the sets makes it refuse
// before anything is changed. A run that finds nothing does nothing. After an error
// the next run goes on from there. AWS may need minutes until it lets go of what
// was in use.
func Remove(ctx context.Context, client *wafv2.Client, cfg RemoveConfig) (Report, error) {
	orElse(&cfg.Prefix, "weir-")
	err := errors.Join(checkNames(cfg.Scope, cfg.Prefix, cfg.WebACL)...)
	r := &removal{newOperator(client, cfg.Scope, cfg.Prefix, cfg.WebACL, cfg.DryRun, cfg.Logger), cfg}
	if err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		err = fmt.Errorf("remove from AWS WAF: %w", err)
	}
	return r.report, err
}

// removal is one run of Remove.
type removal struct {
	*operator
	cfg RemoveConfig
}

func (r *removal) run(ctx context.Context) error {
	sets, err := r.poolSets(ctx)
	if err != nil {
		return err
	}
	group, there, err := r.findGroup(ctx)
	if err != nil {
		return err
	}
	users, err := r.usersOfGroup(ctx)
	if err != nil {
		return err
	}
	if err := r.refuse(ctx, group, there, users, sets); err != nil {
		return err
	}
	for _, a := range users {
		err := rewrite(ctx, func(ctx context.Context) error { return r.detach(ctx, a) })
		if err != nil {
			return fmt.Errorf("web ACL %s: %w", a.name, err)
		}
	}
	if there {
		if err := r.deleteGroup(ctx, group); err != nil {
			return fmt.Errorf("rule group %s: %w", r.groupName(), err)
		}
	}
	for _, s := range sets {
		if err := r.deleteSet(ctx, s); err != nil {
			return fmt.Errorf("IP set %s: %w", aws.ToString(s.summary.Name), err)
		}
	}
	return nil
}

// usersOfGroup reads the web ACLs that use the rule group. With an error it gives
// those that could be read.
func (o *operator) usersOfGroup(ctx context.Context) ([]*acl, error) {
	list, err := o.listACLs(ctx)
	if err != nil {
		return nil, err
	}
	var users []*acl
	var errs []error
	for _, s := range list {
		a, err := o.readACL(ctx, aws.ToString(s.Id), aws.ToString(s.Name))
		if classify(err) == missing {
			continue // deleted just now
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("web ACL %s: %w", aws.ToString(s.Name), err))
			continue
		}
		if len(o.ourRules(a)) > 0 {
			users = append(users, a)
		}
	}
	return users, errors.Join(errs...)
}

// ourRules gives the indexes of a web ACL's rules that refer to the rule group.
func (o *operator) ourRules(a *acl) (list []int) {
	for i, r := range a.typed.Rules {
		if ref := groupReference(r); ref != nil {
			if arn, err := ParseARN("rulegroup", aws.ToString(ref.ARN)); err == nil && arn.Name == o.groupName() {
				list = append(list, i)
			}
		}
	}
	return list
}

// named reports whether a web ACL is the one that was asked for.
func (o *operator) named(a *acl) bool {
	return o.webACL == "" || o.webACL == a.name || o.webACL == a.arn
}

// refuse looks for all that speaks against the removal, before anything is changed.
func (r *removal) refuse(ctx context.Context, group types.RuleGroupSummary, there bool, users []*acl, sets []poolSet) error {
	var errs []error
	for _, a := range users {
		if !r.named(a) {
			errs = append(errs, fmt.Errorf("web ACL %s uses rule group %s, too: leave the name of the web ACL out to take it out of all", a.name, r.groupName()))
		}
	}
	if there && !r.cfg.Force {
		out, err := call(ctx, r.operator, r.client.GetRuleGroup, &wafv2.GetRuleGroupInput{Id: group.Id, Name: group.Name, Scope: r.scope})
		if err != nil {
			return fmt.Errorf("get rule group %s: %w", r.groupName(), err)
		}
		var others []string
		for _, rule := range out.RuleGroup.Rules {
			if _, ours := keyOf(aws.ToString(rule.Name)); !ours {
				others = append(others, aws.ToString(rule.Name))
			}
		}
		if len(others) > 0 {
			errs = append(errs, fmt.Errorf("rule group %s has rules that are not Weir's: %s", r.groupName(), strings.Join(others, ", ")))
		}
	}
	for _, s := range sets {
		if !r.cfg.IPSets || r.cfg.Force {
			break
		}
		if _, err := r.condemn(ctx, s); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// condemn reads a set that is to be deleted and checks that nothing but what a Weir
// wrote gets lost. It gives the set's lock token.
func (r *removal) condemn(ctx context.Context, s poolSet) (token *string, err error) {
	name := aws.ToString(s.summary.Name)
	out, err := call(ctx, r.operator, r.client.GetIPSet, &wafv2.GetIPSetInput{Id: s.summary.Id, Name: s.summary.Name, Scope: r.scope})
	if err != nil {
		return nil, fmt.Errorf("get IP set %s: %w", name, err)
	}
	have, err := readingOf(out)
	if err != nil {
		return nil, fmt.Errorf("IP set %s: %w", name, err)
	}
	n := len(have.held) + len(have.opaque)
	if ev := examine(have.desc, have.held, have.opaque); n == 0 || r.cfg.Force || ev.weir && !ev.added.IsValid() && ev.d.hand == 0 {
		return out.LockToken, nil
	}
	return nil, fmt.Errorf("IP set %s holds %d entries, and not all of them were written by a Weir", name, n)
}

// detach takes our rule out of a web ACL.
func (r *removal) detach(ctx context.Context, a *acl) error {
	a, err := r.readACL(ctx, a.id, a.name)
	if err != nil {
		return err
	}
	r.report.WebACLARN = a.arn
	ours := r.ourRules(a)
	if len(ours) == 0 {
		r.did("web ACL", a.name, a.arn, Kept, "")
		return nil
	}
	change := "rule " + aws.ToString(a.typed.Rules[ours[0]].Name) + " taken out"
	if len(ours) == 1 && aws.ToString(a.typed.Rules[ours[0]].Name) == r.groupName() {
		moved := movedBy(a.typed.Rules, ours[0])
		for _, i := range moved {
			a.shift(i, -moveBy)
		}
		if len(moved) > 0 {
			change += fmt.Sprintf(", the %d rules after it moved back by %d", len(moved), moveBy)
		}
	}
	for _, i := range slices.Backward(ours) {
		a.doc.rules = slices.Delete(a.doc.rules, i, i+1)
	}
	if !r.dryRun {
		if err := r.writeACL(ctx, a, change); err != nil {
			return err
		}
	}
	r.did("web ACL", a.name, a.arn, Changed, change)
	return nil
}

func (r *removal) deleteGroup(ctx context.Context, g types.RuleGroupSummary) error {
	arn := aws.ToString(g.ARN)
	if !r.dryRun {
		err := rewrite(ctx, func(ctx context.Context) error {
			out, err := call(ctx, r.operator, r.client.GetRuleGroup, &wafv2.GetRuleGroupInput{Id: g.Id, Name: g.Name, Scope: r.scope})
			if err == nil {
				_, err = call(ctx, r.operator, r.client.DeleteRuleGroup, &wafv2.DeleteRuleGroupInput{Id: g.Id, Name: g.Name, Scope: r.scope, LockToken: out.LockToken})
			}
			return err
		})
		if err != nil && classify(err) != missing {
			return err
		}
	}
	r.did("rule group", aws.ToString(g.Name), arn, Removed, "")
	return nil
}

func (r *removal) deleteSet(ctx context.Context, s poolSet) error {
	name, arn := aws.ToString(s.summary.Name), aws.ToString(s.summary.ARN)
	if !r.cfg.IPSets {
		r.did("IP set", name, arn, Kept, "")
		return nil
	}
	if !r.dryRun {
		err := rewrite(ctx, func(ctx context.Context) error {
			token, err := r.condemn(ctx, s)
			if err == nil {
				_, err = call(ctx, r.operator, r.client.DeleteIPSet, &wafv2.DeleteIPSetInput{Id: s.summary.Id, Name: &name, Scope: r.scope, LockToken: token})
			}
			return err
		})
		if err != nil && classify(err) != missing {
			return err
		}
	}
	r.did("IP set", name, arn, Removed, "")
	return nil
}
