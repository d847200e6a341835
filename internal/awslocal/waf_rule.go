package awslocal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
)

// Limits of rules.
const (
	maxReferences = 50   // reference statements in a rule group or web ACL
	maxCapacity   = 5000 // capacity units of a rule group or web ACL
	maxOverrides  = 100  // of a rule group's rules in one reference, and as many exclusions
)

// ruleSpec is what the stand-in understands of a rule group or web ACL, beside
// the JSON of all of it.
type ruleSpec struct {
	acl      *webACLMembers    // of a web ACL
	group    *ruleGroupMembers // of a rule group
	rules    []rule
	fallback ruleAction // of a web ACL: its default action
	immunity immunity   // of a web ACL: for rules that do not say
	wcu      int
	refs     []string // ARNs that must not be deleted
}

func (s *ruleSpec) ruleNames() []string {
	var out []string
	for _, r := range s.rules {
		out = append(out, r.name)
	}
	return out
}

// rule is a rule that can be evaluated.
type rule struct {
	name      string
	priority  int
	match     matcher    // nil: never
	action    ruleAction // unless group is set
	labels    []string   // that a match puts on the request, without their prefix
	immunity  immunity
	group     string                // ARN of the rule group to be evaluated, or ""
	overrides map[string]ruleAction // actions of the group's rules that the web ACL overrules
	counted   bool                  // what the group decides is only counted
}

// wafRule is a rule on the wire.
type wafRule struct {
	Name             string
	Priority         *int
	Statement        json.RawMessage
	Action           json.RawMessage
	OverrideAction   json.RawMessage
	RuleLabels       json.RawMessage
	VisibilityConfig json.RawMessage
	CaptchaConfig    json.RawMessage
	ChallengeConfig  json.RawMessage
}

// parseRules checks a rule group's or web ACL's rules and sorts them by priority.
func (p *statementParser) parseRules(raw json.RawMessage) (*ruleSpec, error) {
	var in []wafRule
	if present(raw) {
		if err := decode(raw, &in); err != nil {
			return nil, err
		}
	}
	out := new(ruleSpec)
	for _, r := range in {
		parsed, s, err := p.parseRule(r)
		if err != nil {
			return nil, err
		}
		for _, o := range out.rules {
			if o.name == parsed.name {
				return nil, badParameter("RULE", o.name, "You have used the same rule name twice")
			}
			if o.priority == parsed.priority {
				return nil, badParameter("RULE", strconv.Itoa(o.priority), "You have used the same priority twice")
			}
		}
		out.rules = append(out.rules, parsed)
		out.wcu += s.wcu
		out.refs = append(out.refs, s.refs...)
	}
	if len(out.refs) > maxReferences {
		return nil, overLimit("at most %d reference statements, not %d", maxReferences, len(out.refs))
	}
	slices.SortFunc(out.rules, func(a, b rule) int { return cmp.Compare(a.priority, b.priority) })
	return out, nil
}

func (p *statementParser) parseRule(in wafRule) (out rule, s statement, err error) {
	if err := firstError(checkPattern("rules.name", in.Name, wafName), checkVisibility(in.VisibilityConfig)); err != nil {
		return out, s, err
	}
	if in.Priority == nil || *in.Priority < 0 {
		return out, s, badParameter("RULE", in.Name, "A rule's priority must be 0 or higher")
	}
	if s, err = p.parse(in.Statement, 1); err != nil {
		return out, s, err
	}
	out = rule{name: in.Name, priority: *in.Priority, match: s.match}
	if out.immunity, err = parseImmunity(in.CaptchaConfig, in.ChallengeConfig); err != nil {
		return out, s, err
	}
	if out.labels, err = parseLabels(in.RuleLabels, s.own); err != nil {
		return out, s, err
	}
	if s.own != present(in.OverrideAction) || s.own == present(in.Action) {
		return out, s, badParameter("RULE", in.Name,
			"A reference to a rule group takes an OverrideAction, any other statement an Action")
	}
	if !s.own {
		out.action, err = p.parseAction(in.Action)
		return out, s, err
	}
	if s.group != nil {
		out.group = s.group.ARN
		out.overrides, err = p.overrides(s.group)
	}
	if err == nil {
		out.counted, err = parseOverride(in.OverrideAction)
	}
	return out, s, err
}

func (p *statementParser) overrides(g *groupReference) (map[string]ruleAction, error) {
	if len(g.ExcludedRules) > maxOverrides || len(g.RuleActionOverrides) > maxOverrides {
		return nil, invalidWAF("ruleActionOverrides", g.ARN, "member must have length less than or equal to 100")
	}
	out := make(map[string]ruleAction)
	for _, e := range g.ExcludedRules {
		out[e.Name] = ruleAction{kind: "count"}
	}
	for _, o := range g.RuleActionOverrides {
		action, err := p.parseAction(o.ActionToUse)
		if err != nil {
			return nil, err
		}
		out[o.Name] = action
	}
	return out, nil
}

func checkVisibility(raw json.RawMessage) error {
	var in struct {
		SampledRequestsEnabled, CloudWatchMetricsEnabled *bool
		MetricName                                       string
	}
	if err := decode(raw, &in); err != nil {
		return err
	}
	if in.SampledRequestsEnabled == nil || in.CloudWatchMetricsEnabled == nil {
		return invalidWAF("visibilityConfig", string(raw), "member must not be null")
	}
	return checkPattern("visibilityConfig.metricName", in.MetricName, wafMetric)
}
