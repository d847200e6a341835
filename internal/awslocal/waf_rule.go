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

	maxBodyContent = 4 << 10 // bytes of a custom response body
)

// ruleSpec is what the stand-in understands of a rule group or web ACL, beside
// the JSON of all of it.
type ruleSpec struct {
	acl      *webACLMembers    // of a web ACL
	group    *ruleGroupMembers // of a rule group
	rules    []rule
	fallback ruleAction // of a web ACL: its default action
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
	match     matcher               // nil: never
	action    ruleAction            // unless group is set
	group     string                // ARN of the rule group to be evaluated, or ""
	overrides map[string]ruleAction // actions of the group's rules that the web ACL overrules
	counted   bool                  // what the group decides is only counted
}

// ruleAction is what happens to a request that matches.
type ruleAction struct {
	kind   string // "allow", "block", "captcha", "challenge", "count"
	status int    // HTTP status of the answer; 0 when the request goes on
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

// statuses are the codes that a custom response may have.
var statuses = []int{
	200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308,
	400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 421, 429,
	500, 501, 502, 503, 504, 505,
}

// parseAction reads an action, of which exactly one member is there.
func (p *statementParser) parseAction(raw json.RawMessage) (ruleAction, error) {
	var in struct {
		Allow, Captcha, Challenge, Count json.RawMessage
		Block                            *struct {
			CustomResponse *struct {
				ResponseCode          int
				CustomResponseBodyKey string
				ResponseHeaders       json.RawMessage
			}
		}
	}
	if err := decode(raw, &in); err != nil {
		return ruleAction{}, err
	}
	var found []ruleAction
	for _, a := range []struct {
		raw    json.RawMessage
		action ruleAction
	}{
		{in.Allow, ruleAction{kind: "allow"}},
		{in.Count, ruleAction{kind: "count"}},
		{in.Captcha, ruleAction{"captcha", 405}},
		{in.Challenge, ruleAction{"challenge", 202}},
	} {
		if present(a.raw) {
			found = append(found, a.action)
		}
	}
	if in.Block != nil {
		status := 403
		if r := in.Block.CustomResponse; r != nil {
			if status = r.ResponseCode; !slices.Contains(statuses, status) {
				return ruleAction{}, badParameter("CUSTOM_RESPONSE", strconv.Itoa(status), "The status code is not supported")
			}
			if key := r.CustomResponseBodyKey; key != "" && !p.hasBody(key) {
				return ruleAction{}, badParameter("CUSTOM_RESPONSE_BODY", key, "There is no custom response body of that key")
			}
		}
		found = append(found, ruleAction{"block", status})
	}
	if len(found) != 1 {
		return ruleAction{}, badParameter("RULE_ACTION", string(raw[:min(len(raw), 80)]), "An action has exactly one member")
	}
	return found[0], nil
}

// parseOverride reads an OverrideAction and tells whether it is Count.
func parseOverride(raw json.RawMessage) (count bool, err error) {
	var in struct{ Count, None json.RawMessage }
	if err := decode(raw, &in); err != nil {
		return false, err
	}
	if present(in.Count) == present(in.None) {
		return false, badParameter("OVERRIDE_ACTION", string(raw[:min(len(raw), 80)]), "An override action is either Count or None")
	}
	return present(in.Count), nil
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

// customBodies checks CustomResponseBodies and returns what tells their keys.
func customBodies(raw json.RawMessage) (has func(key string) bool, err error) {
	var in map[string]struct{ ContentType, Content string }
	if err := decode(raw, &in); err != nil {
		return nil, err
	}
	for k, body := range in {
		if len(body.Content) > maxBodyContent {
			return nil, overLimit("a custom response body has at most %d bytes: %s", maxBodyContent, k)
		}
	}
	return func(key string) bool { _, ok := in[key]; return ok }, nil
}
