package awslocal

import (
	"net/http"
	"net/netip"
	"time"
)

// Request is what the stand-in's edge looks at of a request.
type Request struct {
	Client netip.Addr
	Header http.Header // for addresses that a proxy forwards; nil = none

	// When the request's token says that its client solved a puzzle, and passed a
	// silent challenge; zero = never. Within the immunity time such a client is
	// let through.
	Captcha, Challenge time.Time
}

// Verdict is what a web ACL does to a request.
type Verdict struct {
	Action string // "allow", "block", "captcha" or "challenge"
	Status int    // HTTP status that the client gets from WAF; 0 when the request is allowed
	Rule   string // the rule that decided, of a rule group its name there; "" = the default action

	// Of a block with a custom response.
	Header            map[string]string // by name in lower case; nil = none
	ContentType, Body string            // as AWS calls it ("TEXT_HTML"); "" = none

	Labels  []string // in full, in the order in which rules put them on the request
	Counted []string // rules that matched and let it go on
}

// evaluation is a request on its way through the rules.
type evaluation struct {
	w       *WAF // mu is held
	request Request
	at      time.Time // of the request
	edge    time.Time // the state at this time is in force at the edge

	labels       []string
	counted      []string
	inapplicable bool // the rule at hand asks for a header that is not there
}

// Evaluate is [WAF.EvaluateRequest] for a request of which only the address matters.
func (w *WAF) Evaluate(scope, webACL string, client netip.Addr, at time.Time) Verdict {
	return w.EvaluateRequest(scope, webACL, Request{Client: client}, at)
}

// EvaluateRequest tells what an edge does at a time to a request, which is what
// the web ACL, its rule groups and IP sets were one [WAFConfig.Propagation]
// before. Of times more than that ago, only the oldest state that is kept is known.
//
// Rules are taken by priority. Statements about anything but addresses and labels
// never match. Without a web ACL of that name, everything is allowed.
func (w *WAF) EvaluateRequest(scope, webACL string, r Request, at time.Time) Verdict {
	r.Client = r.Client.Unmap()
	region := w.cfg.Region
	if scope == ScopeCloudFront {
		region = globalRegion
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	e := evaluation{w: w, request: r, at: at, edge: at.Add(-w.cfg.WAF.Propagation)}
	acl := w.resources[wafKey{kindWebACL, place{scope, region}, webACL}]
	if acl == nil {
		return Verdict{Action: "allow"}
	}
	state := acl.asOf(e.edge)
	if state == nil {
		return Verdict{Action: "allow"}
	}
	name, action := e.rules(acl, state.spec.rules, nil, state.spec.immunity)
	if action == nil {
		action = &state.spec.fallback
	}
	v := Verdict{Action: action.kind, Status: action.status, Rule: name, Labels: e.labels, Counted: e.counted}
	if a := action.answer; a != nil {
		v.Header, v.ContentType, v.Body = a.headers, a.body.ContentType, a.body.Content
	}
	return v
}

func (e *evaluation) inSet(arn string, addr netip.Addr) bool {
	set := e.w.byARN[arn]
	if set == nil {
		return false
	}
	s := set.asOf(e.edge)
	return s != nil && s.set.contains(addr)
}

// rules returns the first rule that ends the evaluation, and its action; nil if
// there is none. The labels are those of the owner, a rule group or web ACL.
func (e *evaluation) rules(owner *wafResource, rules []rule, overrides map[string]ruleAction, outer immunity) (string, *ruleAction) {
	for i := range rules {
		r := &rules[i]
		if r.group != "" {
			if name, action := e.group(r, outer); action != nil {
				return name, action
			}
			continue
		}
		e.inapplicable = false
		if r.match == nil || !r.match(e) || e.inapplicable {
			continue
		}
		for _, l := range r.labels {
			e.labels = append(e.labels, e.w.labels(owner)+l)
		}
		action := &r.action
		if o, ok := overrides[r.name]; ok {
			action = &o
		}
		if !e.passes(action, r.immunity.or(outer)) {
			return r.name, action
		}
		e.counted = append(e.counted, r.name)
	}
	return "", nil
}

// group evaluates a rule group. What its rules decide is only counted if the web
// ACL says so, but ends the evaluation of the group all the same.
func (e *evaluation) group(r *rule, outer immunity) (string, *ruleAction) {
	group := e.w.byARN[r.group]
	if group == nil {
		return "", nil
	}
	s := group.asOf(e.edge)
	if s == nil {
		return "", nil
	}
	name, action := e.rules(group, s.spec.rules, r.overrides, outer)
	if action != nil && r.counted {
		e.counted = append(e.counted, name)
		return "", nil
	}
	return name, action
}

// passes tells whether a request goes on after a rule that matched.
func (e *evaluation) passes(a *ruleAction, i immunity) bool {
	valid := func(passed time.Time, immunity time.Duration) bool {
		if immunity == 0 {
			immunity = defaultImmunity * time.Second
		}
		return !passed.IsZero() && e.at.Sub(passed) < immunity
	}
	switch a.kind {
	case "count":
		return true
	case "captcha":
		return valid(e.request.Captcha, i.captcha)
	case "challenge":
		return valid(e.request.Challenge, i.challenge)
	}
	return false
}
