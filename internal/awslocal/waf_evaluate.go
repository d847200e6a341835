package awslocal

import (
	"net/netip"
	"time"
)

// Verdict is what a web ACL does to a request.
type Verdict struct {
	Action string // "allow", "block", "captcha" or "challenge"
	Status int    // HTTP status that the client gets from WAF; 0 when the request is allowed
	Rule   string // the rule that decided, of a rule group its name there; "" = the default action
}

// Evaluate tells what an edge does at a time to a request from an address,
// which is what the web ACL, its rule groups and IP sets were one
// [WAFConfig.Propagation] before. Of times more than that ago, only the
// oldest state that is kept is known.
//
// Rules are taken by priority. Statements about anything but the address
// never match. Without a web ACL of that name, everything is allowed.
func (w *WAF) Evaluate(scope, webACL string, client netip.Addr, at time.Time) Verdict {
	client = client.Unmap()
	edge := at.Add(-w.cfg.WAF.Propagation)
	region := w.cfg.Region
	if scope == ScopeCloudFront {
		region = globalRegion
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	allowed := Verdict{Action: "allow"}
	r := w.resources[wafKey{kindWebACL, place{scope, region}, webACL}]
	if r == nil {
		return allowed
	}
	acl := r.asOf(edge)
	if acl == nil {
		return allowed
	}
	inSet := func(arn string) bool {
		set := w.byARN[arn]
		if set == nil {
			return false
		}
		s := set.asOf(edge)
		return s != nil && s.set.contains(client)
	}
	if v, decided := w.evaluate(acl.spec.rules, nil, edge, inSet); decided {
		return v
	}
	return Verdict{Action: acl.spec.fallback.kind, Status: acl.spec.fallback.status}
}

// evaluate returns the first rule's verdict that ends the evaluation. w.mu is held.
func (w *WAF) evaluate(rules []rule, overrides map[string]ruleAction, edge time.Time, inSet func(string) bool) (Verdict, bool) {
	for _, r := range rules {
		if r.group != "" {
			group := w.byARN[r.group]
			if group == nil {
				continue
			}
			if s := group.asOf(edge); s != nil {
				if v, decided := w.evaluate(s.spec.rules, r.overrides, edge, inSet); decided && !r.counted {
					return v, true
				}
			}
			continue
		}
		if r.match == nil || !r.match(inSet) {
			continue
		}
		action := r.action
		if o, ok := overrides[r.name]; ok {
			action = o
		}
		if action.kind != "count" {
			return Verdict{action.kind, action.status, r.name}, true
		}
	}
	return Verdict{}, false
}
