package waf

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
)

// Mode is what a web ACL does with the decisions of our rule group.
type Mode string

// The values of Mode.
const (
	AsItIs  Mode = ""        // change nothing, tell only
	Enforce Mode = "enforce" // do what the group's rules say
	Observe Mode = "observe" // count only: nobody is blocked or asked anything
)

// OverrideConfig says what [Override] does.
type OverrideConfig struct {
	Scope  types.Scope
	Prefix string // of every name; "" = "weir-"
	WebACL string // name or ARN; "" = every web ACL of the scope that uses the rule group
	Mode   Mode
	Logger *zap.Logger // told while AWS has to be waited for; nil = none
}

// Override is the switch for an emergency: it overrides the whole rule group to
// count, or takes that back, with one call for each web ACL, whatever the number of
// bans, and without the service. All else of the web ACL stays, overrides of single
// rules included. A web ACL that is so already is not written. Item.Detail says what
// holds afterwards.
//
// An error about one web ACL does not keep it from the others.
func Override(ctx context.Context, client *wafv2.Client, cfg OverrideConfig) (Report, error) {
	orElse(&cfg.Prefix, "weir-")
	err := errors.Join(checkNames(cfg.Scope, cfg.Prefix, cfg.WebACL)...)
	o := newOperator(client, cfg.Scope, cfg.Prefix, cfg.WebACL, false, cfg.Logger)
	if err == nil {
		err = o.override(ctx, cfg.Mode)
	}
	if err != nil {
		err = fmt.Errorf("override the rule group in AWS WAF: %w", err)
	}
	return o.report, err
}

func (o *operator) override(ctx context.Context, mode Mode) error {
	var errs []error
	one := func(id, name string) error {
		err := rewrite(ctx, func(ctx context.Context) error { return o.overrideIn(ctx, id, name, mode) })
		if err != nil {
			return fmt.Errorf("web ACL %s: %w", name, err)
		}
		return nil
	}
	if o.webACL != "" {
		id, name, others, err := o.findACL(ctx)
		if err == nil && id == "" {
			err = o.noSuchACL(others)
		}
		if err != nil {
			return err
		}
		errs = append(errs, one(id, name))
	} else {
		users, err := o.usersOfGroup(ctx)
		errs = append(errs, err)
		for _, a := range users {
			errs = append(errs, one(a.id, a.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(o.report.Items) == 0 {
		return fmt.Errorf("no web ACL of scope %s uses a rule group %s", o.scope, o.groupName())
	}
	return nil
}

func (o *operator) overrideIn(ctx context.Context, id, name string, mode Mode) error {
	a, err := o.readACL(ctx, id, name)
	if err != nil {
		return err
	}
	ours := o.ourRules(a)
	if len(ours) == 0 {
		return fmt.Errorf("it does not use rule group %s", o.groupName())
	}
	o.report.WebACLARN = a.arn
	holds, changed := Enforce, false
	for _, i := range ours {
		is := Enforce
		if over := a.typed.Rules[i].OverrideAction; over != nil && over.Count != nil {
			is = Observe
		}
		if mode != AsItIs && is != mode {
			changed, is = true, mode
			over := types.OverrideAction{None: &types.NoneAction{}}
			if mode == Observe {
				over = types.OverrideAction{Count: &types.CountAction{}}
			}
			a.doc.rules[i] = setMember(a.doc.rules[i], plainJSON(over), "OverrideAction")
		}
		if is == Observe {
			holds = Observe
		}
	}
	done := Kept
	if changed {
		if err := o.writeACL(ctx, a, ""); err != nil {
			return err
		}
		done = Changed
	}
	detail := "bans are enforced"
	if holds == Observe {
		detail = "bans are only counted"
	}
	o.did("web ACL", name, a.arn, done, detail)
	return nil
}
