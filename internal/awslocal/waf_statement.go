package awslocal

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// matcher tells whether a statement is true of a request.
type matcher func(e *evaluation) bool

// statement is what the stand-in makes of one.
type statement struct {
	wcu   int
	refs  []string        // ARNs, once for each reference: their number is limited
	group *groupReference // of a RuleGroupReferenceStatement
	own   bool            // brings its own actions: a rule group, ours or a managed one
	match matcher         // nil if addresses and labels do not say: such a statement never matches
}

type groupReference struct {
	ARN                 string
	ExcludedRules       []struct{ Name string }
	RuleActionOverrides []struct {
		Name        string
		ActionToUse json.RawMessage
	}
}

// Capacity units of statements that the stand-in does not look into: without
// text transformations, at the dearer of their variants.
var flatWCU = map[string]int{
	"AsnMatchStatement": 1, "ByteMatchStatement": 10, "GeoMatchStatement": 1, "LabelMatchStatement": 1,
	"RegexMatchStatement": 3, "RegexPatternSetReferenceStatement": 25, "SizeConstraintStatement": 1,
	"SqliMatchStatement": 30, "XssMatchStatement": 40,
	"ManagedRuleGroupStatement": 700, // the most common one's
}

// statementParser checks statements against what is there.
type statementParser struct {
	w       *WAF // mu is held
	place   place
	inGroup bool // a rule group must not refer to another
	bodies  customBodies
}

// maxStatementDepth is how deep statements may nest.
const maxStatementDepth = 20

func (p *statementParser) parse(raw json.RawMessage, depth int) (statement, error) {
	var members map[string]json.RawMessage
	if err := decode(raw, &members); err != nil {
		return statement{}, err
	}
	for name, m := range members {
		if !present(m) {
			delete(members, name)
		}
	}
	if len(members) != 1 || depth > maxStatementDepth {
		return statement{}, badParameter("STATEMENT", string(raw[:min(len(raw), 80)]), "A statement has exactly one member, and is nested at most 20 deep")
	}
	for name, m := range members {
		switch name {
		case "IPSetReferenceStatement":
			return p.ipSet(m)
		case "RuleGroupReferenceStatement":
			return p.ruleGroup(m)
		case "AndStatement", "OrStatement":
			return p.several(name, m, depth)
		case "NotStatement":
			return p.not(m, depth)
		case "LabelMatchStatement":
			return p.labelMatch(m)
		case "RateBasedStatement", "ManagedRuleGroupStatement":
			return p.scoped(name, m, depth)
		}
		if wcu, ok := flatWCU[name]; ok {
			return statement{wcu: wcu}, nil
		}
		return statement{}, fail(http.StatusBadRequest, "SerializationException", "there is no statement %q", name)
	}
	panic("BUG: a map of one is empty")
}

// resolve finds what a statement refers to.
func (p *statementParser) resolve(kind wafKind, arn string) (*wafResource, error) {
	if !strings.HasPrefix(arn, "arn:aws:wafv2:") || !strings.Contains(arn, "/"+string(kind)+"/") {
		return nil, badParameter("RESOURCE_ARN", arn, "The ARN isn't valid")
	}
	r := p.w.byARN[arn]
	if r == nil || r.place != p.place {
		return nil, nonexistent(arn)
	}
	return r, nil
}

func (p *statementParser) ipSet(raw json.RawMessage) (statement, error) {
	var in struct {
		ARN                    string
		IPSetForwardedIPConfig *forwarded
	}
	if err := decode(raw, &in); err != nil {
		return statement{}, err
	}
	if _, err := p.resolve(kindIPSet, in.ARN); err != nil {
		return statement{}, err
	}
	out := statement{wcu: 1, refs: []string{in.ARN}}
	f := in.IPSetForwardedIPConfig
	if f == nil {
		out.match = func(e *evaluation) bool { return e.inSet(in.ARN, e.request.Client) }
		return out, nil
	}
	if err := f.check(); err != nil {
		return statement{}, err
	}
	if f.Position == "ANY" {
		out.wcu = 5
	}
	out.match = func(e *evaluation) bool { return f.match(e, in.ARN) }
	return out, nil
}

func (p *statementParser) ruleGroup(raw json.RawMessage) (statement, error) {
	in := new(groupReference)
	if err := decode(raw, in); err != nil {
		return statement{}, err
	}
	if p.inGroup {
		return statement{}, badParameter("STATEMENT", "RuleGroupReferenceStatement", "A rule group must not refer to another")
	}
	r, err := p.resolve(kindRuleGroup, in.ARN)
	if err != nil {
		return statement{}, err
	}
	names := r.latest().spec.ruleNames()
	for _, e := range in.ExcludedRules {
		if !slices.Contains(names, e.Name) {
			return statement{}, badParameter("EXCLUDED_RULE", e.Name, "The rule group has no such rule")
		}
	}
	for _, o := range in.RuleActionOverrides {
		if !slices.Contains(names, o.Name) {
			return statement{}, badParameter("RULE", o.Name, "The rule group has no such rule to override")
		}
	}
	return statement{wcu: r.wcu, refs: []string{in.ARN}, group: in, own: true}, nil
}

// several parses AND and OR. Of an OR, the parts that addresses and labels decide are
// enough for a match; of an AND, all have to be such.
func (p *statementParser) several(name string, raw json.RawMessage, depth int) (statement, error) {
	var in struct{ Statements []json.RawMessage }
	if err := decode(raw, &in); err != nil {
		return statement{}, err
	}
	if len(in.Statements) < 2 {
		return statement{}, badParameter("STATEMENT", name, "You must use at least two statements inside")
	}
	all := name == "AndStatement"
	var out statement
	var matchers []matcher
	unknown := 0
	for _, raw := range in.Statements {
		part, err := p.nested(raw, depth)
		if err != nil {
			return statement{}, err
		}
		out.wcu += part.wcu
		out.refs = append(out.refs, part.refs...)
		if part.match == nil {
			unknown++
		} else {
			matchers = append(matchers, part.match)
		}
	}
	if all && unknown > 0 || len(matchers) == 0 {
		return out, nil
	}
	out.match = func(e *evaluation) bool {
		for _, m := range matchers {
			if m(e) != all {
				return !all
			}
		}
		return all
	}
	return out, nil
}

func (p *statementParser) not(raw json.RawMessage, depth int) (statement, error) {
	var in struct{ Statement json.RawMessage }
	if err := decode(raw, &in); err != nil {
		return statement{}, err
	}
	out, err := p.nested(in.Statement, depth)
	if err != nil || out.match == nil {
		return out, err
	}
	inner := out.match
	out.match = func(e *evaluation) bool { return !inner(e) }
	return out, nil
}

// nested parses a statement inside another, where a rule group must not be.
func (p *statementParser) nested(raw json.RawMessage, depth int) (statement, error) {
	out, err := p.parse(raw, depth+1)
	if err == nil && out.own {
		return out, badParameter("STATEMENT", string(raw[:min(len(raw), 80)]), "A rule group can only be referred to at the top of a rule")
	}
	return out, err
}

// scoped parses the statements that may be narrowed by another.
func (p *statementParser) scoped(name string, raw json.RawMessage, depth int) (statement, error) {
	var in struct {
		ScopeDownStatement json.RawMessage
		CustomKeys         []json.RawMessage
	}
	// Not strict: the members that do not matter here are many.
	if err := json.Unmarshal(raw, &in); err != nil {
		return statement{}, serialization(err)
	}
	out := statement{wcu: flatWCU[name], own: name == "ManagedRuleGroupStatement"}
	if name == "RateBasedStatement" {
		out.wcu = 2 + 30*len(in.CustomKeys)
	} else if p.inGroup {
		return statement{}, badParameter("STATEMENT", name, "A rule group must not refer to another")
	}
	if !present(in.ScopeDownStatement) {
		return out, nil
	}
	down, err := p.nested(in.ScopeDownStatement, depth)
	out.wcu += down.wcu
	out.refs = down.refs
	return out, err
}
