package awslocal

import "encoding/json"

type (
	// webACLMembers are what an update replaces, kept as they were sent: what
	// a client leaves out of an update is gone, as at AWS.
	webACLMembers struct {
		Description                  *string         `json:",omitempty"`
		DefaultAction                json.RawMessage `json:",omitempty"`
		Rules                        json.RawMessage `json:",omitempty"`
		VisibilityConfig             json.RawMessage `json:",omitempty"`
		CustomResponseBodies         json.RawMessage `json:",omitempty"`
		CaptchaConfig                json.RawMessage `json:",omitempty"`
		ChallengeConfig              json.RawMessage `json:",omitempty"`
		TokenDomains                 json.RawMessage `json:",omitempty"`
		AssociationConfig            json.RawMessage `json:",omitempty"`
		DataProtectionConfig         json.RawMessage `json:",omitempty"`
		OnSourceDDoSProtectionConfig json.RawMessage `json:",omitempty"`
		ApplicationConfig            json.RawMessage `json:",omitempty"`
	}
	createWebACLInput struct {
		webACLMembers
		Name, Scope string
		Tags        []wafTag
	}
	updateWebACLInput struct {
		webACLMembers
		lockedIdentity
	}
	wafWebACL struct {
		webACLMembers
		Name, Id, ARN            string
		Capacity                 int
		LabelNamespace           string
		ManagedByFirewallManager bool
	}
)

// spec checks the members and makes of them what can be evaluated. w.mu is held.
func (m *webACLMembers) spec(w *WAF, p place) (*ruleSpec, error) {
	if err := firstError(checkDescription(m.Description), checkVisibility(m.VisibilityConfig)); err != nil {
		return nil, err
	}
	bodies, err := parseBodies(m.CustomResponseBodies)
	if err != nil {
		return nil, err
	}
	parser := &statementParser{w: w, place: p, bodies: bodies}
	fallback, err := parser.parseAction(m.DefaultAction)
	if err != nil {
		return nil, err
	}
	if fallback.kind != "allow" && fallback.kind != "block" {
		return nil, badParameter("DEFAULT_ACTION", fallback.kind, "The default action is either Allow or Block")
	}
	spec, err := parser.parseRules(m.Rules)
	if err != nil {
		return nil, err
	}
	if spec.wcu > maxCapacity {
		return nil, overLimit("the web ACL needs %d capacity units, at most %d are allowed", spec.wcu, maxCapacity)
	}
	if !present(m.Rules) {
		m.Rules = json.RawMessage("[]")
	}
	spec.acl, spec.fallback = m, fallback
	spec.immunity, err = parseImmunity(m.CaptchaConfig, m.ChallengeConfig)
	if err != nil {
		return nil, err
	}
	return spec, nil
}

func (w *WAF) createWebACL(c wafCall, in *createWebACLInput) (any, error) {
	noteResource(c.w, in.Name)
	p, err := c.place(in.Scope)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	spec, err := in.spec(w, p)
	if err != nil {
		return nil, err
	}
	r := &wafResource{wafKey: wafKey{kindWebACL, p, in.Name}, tags: in.Tags}
	return w.create(r, wafState{description: deref(in.Description), spec: spec})
}

func (w *WAF) getWebACL(c wafCall, in *getByARNInput) (any, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r, s, err := w.findByARN(c, kindWebACL, in)
	if err != nil {
		return nil, err
	}
	out := wafWebACL{
		webACLMembers: *s.spec.acl,
		Name:          r.name, Id: r.id, ARN: r.arn, Capacity: s.spec.wcu,
		LabelNamespace: w.labels(r),
	}
	return map[string]any{"WebACL": out, "LockToken": s.token}, nil
}

func (w *WAF) updateWebACL(c wafCall, in *updateWebACLInput) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.findLocked(c, kindWebACL, in.lockedIdentity)
	if err != nil {
		return nil, err
	}
	spec, err := in.spec(w, r.place)
	if err != nil {
		return nil, err
	}
	return map[string]any{"NextLockToken": w.become(r, wafState{description: deref(in.Description), spec: spec})}, nil
}

func (w *WAF) deleteWebACL(c wafCall, in *lockedIdentity) (any, error) {
	return w.remove(c, kindWebACL, in)
}

func (w *WAF) listWebACLs(c wafCall, in *wafListInput) (any, error) {
	return w.list(c, kindWebACL, "WebACLs", in)
}
