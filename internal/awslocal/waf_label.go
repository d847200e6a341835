package awslocal

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Rules of labels, of AWS's model and developer guide.
const (
	maxLabel      = 1024 // characters
	maxLabelParts = 6    // five namespaces and a name
	maxLabelPart  = 128
)

var (
	wafLabel         = regexp.MustCompile(`^[0-9A-Za-z_\-:]+$`)
	wafLabelReserved = []string{"awswaf", "aws", "waf", "rulegroup", "webacl", "regexpatternset", "ipset", "managed"}
)

// parseLabels reads RuleLabels, which a rule that refers to a rule group cannot have.
func parseLabels(raw json.RawMessage, reference bool) ([]string, error) {
	var in []struct{ Name string }
	if present(raw) {
		if err := decode(raw, &in); err != nil {
			return nil, err
		}
	}
	if len(in) > 0 && reference {
		return nil, badParameter("RULE", in[0].Name, "A reference to a rule group cannot add labels")
	}
	var out []string
	for _, l := range in {
		if err := checkPattern("ruleLabels.name", l.Name, wafLabel); err != nil {
			return nil, err
		}
		parts := strings.Split(l.Name, ":")
		if len(l.Name) > maxLabel {
			return nil, invalidWAF("ruleLabels.name", l.Name, "member must have length less than or equal to 1024")
		}
		if len(parts) > maxLabelParts {
			return nil, badParameter("RULE", l.Name, "A label has at most five namespaces")
		}
		for _, part := range parts {
			if part == "" || len(part) > maxLabelPart || slices.Contains(wafLabelReserved, part) {
				return nil, badParameter("RULE", l.Name, "A part of a label has 1 to 128 characters and is no reserved word")
			}
		}
		out = append(out, l.Name)
	}
	return out, nil
}

// labelMatch parses a statement about the labels of rules before.
func (p *statementParser) labelMatch(raw json.RawMessage) (statement, error) {
	var in struct{ Scope, Key string }
	if err := decode(raw, &in); err != nil {
		return statement{}, err
	}
	if err := checkPattern("labelMatchStatement.key", in.Key, wafLabel); err != nil {
		return statement{}, err
	}
	out := statement{wcu: flatWCU["LabelMatchStatement"]}
	switch in.Scope {
	case "LABEL": // a label, or its end
		out.match = func(e *evaluation) bool {
			return slices.ContainsFunc(e.labels, func(l string) bool { return strings.HasSuffix(":"+l, ":"+in.Key) })
		}
	case "NAMESPACE": // namespaces that follow each other, without the name
		key := ":" + strings.TrimSuffix(in.Key, ":") + ":"
		out.match = func(e *evaluation) bool {
			return slices.ContainsFunc(e.labels, func(l string) bool {
				return strings.Contains(":"+l[:strings.LastIndexByte(l, ':')+1], key)
			})
		}
	default:
		return statement{}, invalidWAF("labelMatchStatement.scope", in.Scope, "LABEL or NAMESPACE")
	}
	return out, nil
}
