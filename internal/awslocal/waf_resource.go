package awslocal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of WAFv2.
const (
	maxResources     = 100 // of each kind, in a region and scope
	maxPageSummaries = 100
	maxTags          = 50
)

// wafKind is a kind of resource, as ARNs have it.
type wafKind string

const (
	kindIPSet     wafKind = "ipset"
	kindRuleGroup wafKind = "rulegroup"
	kindWebACL    wafKind = "webacl"
)

// wafKey is what is unique of a resource.
type wafKey struct {
	kind wafKind
	place
	name string
}

// wafResource is an IP set, rule group or web ACL with its past.
type wafResource struct {
	wafKey
	id, arn string
	family  string // of an IP set: IPV4 or IPV6
	wcu     int    // of a rule group: its fixed capacity
	tags    []wafTag
	made    time.Time
	states  []wafState // oldest first, never empty
}

// wafState is a resource from some time on.
type wafState struct {
	from        time.Time
	token       string
	description string
	set         *addressSet // of an IP set
	spec        *ruleSpec   // of the others
}

type wafTag struct{ Key, Value string }

// latest is the state that the next update is checked against.
func (r *wafResource) latest() *wafState { return &r.states[len(r.states)-1] }

// asOf returns the state at a time, nil if there was none yet.
func (r *wafResource) asOf(t time.Time) *wafState {
	for i := len(r.states) - 1; i >= 0; i-- {
		if !r.states[i].from.After(t) {
			return &r.states[i]
		}
	}
	return nil
}

// become gives r a new state with a new token, and forgets those that are too
// old to show anywhere. w.mu is held.
func (w *WAF) become(r *wafResource, s wafState) string {
	s.from, s.token = w.cfg.Now(), idFrom(w.dice)
	r.states = append(r.states, s)
	horizon := s.from.Add(-w.cfg.WAF.Propagation - max(w.getLag, w.listLag))
	for len(r.states) > 1 && !r.states[1].from.After(horizon) {
		r.states = slices.Delete(r.states, 0, 1)
	}
	return s.token
}

// shown is the state that Get or List answers with, nil if r is too new. w.mu is held.
func (w *WAF) shown(r *wafResource, lag time.Duration) *wafState {
	at := w.cfg.Now().Add(-lag)
	if s := r.asOf(at); s != nil || r.made.After(at) {
		return s
	}
	return &r.states[0] // the lag has grown since older ones were forgotten
}

// SetReadLag says how old the state is from now on that Get and List answer
// with: each has a lag of its own, so that the two can disagree. Of times before
// the longest lag until now, only the oldest state that is kept is known.
func (w *WAF) SetReadLag(get, list time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.getLag, w.listLag = get, list
}

// create adds a resource. w.mu is held.
func (w *WAF) create(r *wafResource, s wafState) (any, error) {
	if err := firstError(checkPattern("name", r.name, wafName), checkTags(r.tags)); err != nil {
		return nil, err
	}
	if w.resources[r.wafKey] != nil {
		return nil, wafError("WAFDuplicateItemException", "there is a %s of the name %s", r.kind, r.name)
	}
	n := 0
	for k := range w.resources {
		if k.kind == r.kind && k.place == r.place {
			n++
		}
	}
	if n >= maxResources {
		return nil, overLimit("a region has at most %d of %s", maxResources, r.kind)
	}
	scope, region := "regional", r.region
	if r.scope == ScopeCloudFront {
		scope = "global"
	}
	r.id = idFrom(w.dice)
	r.arn = strings.Join([]string{"arn:aws:wafv2", region, w.cfg.AccountID, scope + "/" + string(r.kind) + "/" + r.name + "/" + r.id}, ":")
	w.resources[r.wafKey], w.byARN[r.arn] = r, r
	r.made = w.cfg.Now()
	w.become(r, s)
	return map[string]any{"Summary": r.summary(r.latest())}, nil
}

// identity is how a request names a resource: all three must be right.
type identity struct {
	Name, Scope, Id string
}

// lockedIdentity names a resource to be changed.
type lockedIdentity struct {
	identity
	LockToken string
}

// find returns the resource that a request names. w.mu is held.
func (w *WAF) find(c wafCall, kind wafKind, in identity) (*wafResource, error) {
	noteResource(c.w, in.Name)
	p, err := c.place(in.Scope)
	if err := firstError(err, checkPattern("name", in.Name, wafName), checkPattern("id", in.Id, wafID)); err != nil {
		return nil, err
	}
	r := w.resources[wafKey{kind, p, in.Name}]
	if r == nil || r.id != in.Id {
		return nil, nonexistent(string(kind) + " " + in.Name)
	}
	return r, nil
}

// findLocked is find for a change: the lock token must be the latest.
func (w *WAF) findLocked(c wafCall, kind wafKind, in lockedIdentity) (*wafResource, error) {
	r, err := w.find(c, kind, in.identity)
	if err := firstError(err, checkPattern("lockToken", in.LockToken, wafID)); err != nil {
		return nil, err
	}
	if r.latest().token != in.LockToken {
		return nil, wafError("WAFOptimisticLockException", "%s %s was changed since the lock token was given out", kind, in.Name)
	}
	return r, nil
}

// remove deletes a resource that nothing refers to.
func (w *WAF) remove(c wafCall, kind wafKind, in *lockedIdentity) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.findLocked(c, kind, *in)
	if err != nil {
		return nil, err
	}
	for _, other := range w.resources {
		if spec := other.latest().spec; spec != nil && slices.Contains(spec.refs, r.arn) {
			return nil, wafError("WAFAssociatedItemException", "%s %s is in use by %s %s", kind, r.name, other.kind, other.name)
		}
	}
	delete(w.resources, r.wafKey)
	delete(w.byARN, r.arn)
	return nil, nil
}

// wafSummary is what Create and List tell of a resource.
type wafSummary struct {
	Name, Id, ARN, LockToken string
	Description              string `json:",omitempty"`
}

func (r *wafResource) summary(s *wafState) wafSummary {
	return wafSummary{Name: r.name, Id: r.id, ARN: r.arn, LockToken: s.token, Description: s.description}
}

type wafListInput struct {
	Scope, NextMarker string
	Limit             *int
}

// list answers a List action, under the member's name. Its order is that of the
// ids, which nobody should rely on; a full page has a marker even if it is the last.
func (w *WAF) list(c wafCall, kind wafKind, member string, in *wafListInput) (any, error) {
	p, err := c.place(in.Scope)
	if err != nil {
		return nil, err
	}
	limit := w.cfg.WAF.Page
	if in.Limit != nil {
		if *in.Limit < 1 || *in.Limit > maxPageSummaries {
			return nil, invalidWAF("limit", strconv.Itoa(*in.Limit), "1 to 100")
		}
		limit = min(limit, *in.Limit)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	page := []wafSummary{}
	for k, r := range w.resources {
		if s := w.shown(r, w.listLag); k.kind == kind && k.place == p && r.id > in.NextMarker && s != nil {
			page = append(page, r.summary(s))
		}
	}
	slices.SortFunc(page, func(a, b wafSummary) int { return cmp.Compare(a.Id, b.Id) })
	out := map[string]any{member: page}
	if len(page) >= limit {
		page = page[:limit]
		out[member], out["NextMarker"] = page, page[limit-1].Id
	}
	return out, nil
}

type tagResourceInput struct {
	ResourceARN string
	Tags        []wafTag
}

func checkTags(tags []wafTag) error {
	if len(tags) > maxTags {
		return wafError("WAFTagOperationException", "at most %d tags", maxTags)
	}
	for _, t := range tags {
		if err := firstError(checkPattern("tags.key", t.Key, wafTagKey), checkPattern("tags.value", t.Value, wafTagValue)); err != nil {
			return err
		}
	}
	return nil
}

func (w *WAF) tagResource(_ wafCall, in *tagResourceInput) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.byARN[in.ResourceARN]
	if r == nil {
		return nil, nonexistent(in.ResourceARN)
	}
	tags := slices.DeleteFunc(slices.Clone(r.tags), func(t wafTag) bool {
		return slices.ContainsFunc(in.Tags, func(n wafTag) bool { return n.Key == t.Key })
	})
	tags = append(tags, in.Tags...)
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	r.tags = tags
	return nil, nil
}

type listTagsInput struct {
	ResourceARN, NextMarker string
	Limit                   *int
}

// listTags never pages: a resource has few tags.
func (w *WAF) listTags(_ wafCall, in *listTagsInput) (any, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.byARN[in.ResourceARN]
	if r == nil {
		return nil, nonexistent(in.ResourceARN)
	}
	tags := append([]wafTag{}, r.tags...) // [] rather than null
	return map[string]any{"TagInfoForResource": map[string]any{"ResourceARN": r.arn, "TagList": tags}}, nil
}

// present tells whether a member was sent, and not as null.
func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
