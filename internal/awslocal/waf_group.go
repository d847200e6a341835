package awslocal

import "encoding/json"

type (
	// ruleGroupMembers are what an update replaces, kept as they were sent, so
	// that a client gets back also what the stand-in does not look at.
	ruleGroupMembers struct {
		Description          *string         `json:",omitempty"`
		Rules                json.RawMessage `json:",omitempty"`
		VisibilityConfig     json.RawMessage `json:",omitempty"`
		CustomResponseBodies json.RawMessage `json:",omitempty"`
	}
	createRuleGroupInput struct {
		ruleGroupMembers
		Name, Scope string
		Capacity    int
		Tags        []wafTag
	}
	updateRuleGroupInput struct {
		ruleGroupMembers
		lockedIdentity
	}
	getByARNInput struct {
		identity
		ARN string
	}
	wafRuleGroup struct {
		ruleGroupMembers
		Name, Id, ARN   string
		Capacity        int
		LabelNamespace  string
		AvailableLabels []wafLabelSummary `json:",omitempty"` // that its rules add
	}
	wafLabelSummary    struct{ Name string }
	checkCapacityInput struct {
		Scope string
		Rules json.RawMessage
	}
)

// spec checks the members and makes of them what can be evaluated. w.mu is held.
func (m *ruleGroupMembers) spec(w *WAF, p place, capacity int) (*ruleSpec, error) {
	if err := firstError(checkDescription(m.Description), checkVisibility(m.VisibilityConfig)); err != nil {
		return nil, err
	}
	bodies, err := parseBodies(m.CustomResponseBodies)
	if err != nil {
		return nil, err
	}
	spec, err := (&statementParser{w: w, place: p, inGroup: true, bodies: bodies}).parseRules(m.Rules)
	if err != nil {
		return nil, err
	}
	if spec.wcu > capacity {
		return nil, overLimit("the rules need %d capacity units, the rule group has %d", spec.wcu, capacity)
	}
	if !present(m.Rules) {
		m.Rules = json.RawMessage("[]")
	}
	spec.group = m
	return spec, nil
}

func (w *WAF) createRuleGroup(c wafCall, in *createRuleGroupInput) (any, error) {
	noteResource(c.w, in.Name)
	p, err := c.place(in.Scope)
	if err != nil {
		return nil, err
	}
	if in.Capacity < 1 {
		return nil, invalidWAF("capacity", "", "member must be at least 1")
	}
	if in.Capacity > maxCapacity {
		return nil, overLimit("a rule group has at most %d capacity units, not %d", maxCapacity, in.Capacity)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	spec, err := in.spec(w, p, in.Capacity)
	if err != nil {
		return nil, err
	}
	r := &wafResource{wafKey: wafKey{kindRuleGroup, p, in.Name}, wcu: in.Capacity, tags: in.Tags}
	return w.create(r, wafState{description: deref(in.Description), spec: spec})
}

// getRuleGroup finds a rule group by name or by ARN.
func (w *WAF) getRuleGroup(c wafCall, in *getByARNInput) (any, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r, s, err := w.findByARN(c, kindRuleGroup, in)
	if err != nil {
		return nil, err
	}
	out := wafRuleGroup{
		ruleGroupMembers: *s.spec.group,
		Name:             r.name, Id: r.id, ARN: r.arn, Capacity: r.wcu,
		LabelNamespace: w.labels(r),
	}
	for _, rule := range s.spec.rules {
		for _, l := range rule.labels {
			out.AvailableLabels = append(out.AvailableLabels, wafLabelSummary{w.labels(r) + l})
		}
	}
	return map[string]any{"RuleGroup": out, "LockToken": s.token}, nil
}

// findByARN is find for the two actions that take an ARN instead. w.mu is held.
func (w *WAF) findByARN(c wafCall, kind wafKind, in *getByARNInput) (r *wafResource, s *wafState, err error) {
	if in.ARN == "" {
		r, err = w.find(c, kind, in.identity)
	} else if r = w.byARN[in.ARN]; r == nil || r.kind != kind {
		err = nonexistent(in.ARN)
	}
	if err != nil {
		return nil, nil, err
	}
	noteResource(c.w, r.name)
	if s = w.shown(r, w.getLag); s == nil {
		return nil, nil, nonexistent(string(kind) + " " + r.name)
	}
	return r, s, nil
}

func (w *WAF) labels(r *wafResource) string {
	return "awswaf:" + w.cfg.AccountID + ":" + string(r.kind) + ":" + r.name + ":"
}

// updateRuleGroup replaces everything but the capacity, which is fixed.
func (w *WAF) updateRuleGroup(c wafCall, in *updateRuleGroupInput) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.findLocked(c, kindRuleGroup, in.lockedIdentity)
	if err != nil {
		return nil, err
	}
	spec, err := in.spec(w, r.place, r.wcu)
	if err != nil {
		return nil, err
	}
	return map[string]any{"NextLockToken": w.become(r, wafState{description: deref(in.Description), spec: spec})}, nil
}

func (w *WAF) deleteRuleGroup(c wafCall, in *lockedIdentity) (any, error) {
	return w.remove(c, kindRuleGroup, in)
}

func (w *WAF) listRuleGroups(c wafCall, in *wafListInput) (any, error) {
	return w.list(c, kindRuleGroup, "RuleGroups", in)
}

func (w *WAF) checkCapacity(c wafCall, in *checkCapacityInput) (any, error) {
	p, err := c.place(in.Scope)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	spec, err := (&statementParser{w: w, place: p, bodies: customBodies{unknown: true}}).parseRules(in.Rules)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Capacity": spec.wcu}, nil
}
