package awslocal

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Scopes of WAF's resources.
const (
	ScopeCloudFront = "CLOUDFRONT"
	ScopeRegional   = "REGIONAL"
)

// globalRegion is where resources of the CLOUDFRONT scope live, and the only
// region that a request about them may be signed for.
const globalRegion = "us-east-1"

// WAFConfig is the WAFv2 stand-in's settings.
type WAFConfig struct {
	// AWS allows an account, in a region, so many calls a second of each
	// action that writes (Create, Update) and that reads (Get, List). What
	// goes beyond is always counted, see [WAF.Violations], and refused if
	// Enforce is set.
	Enforce         bool
	WritesPerSecond float64 // 0 = AWS's 1
	ReadsPerSecond  float64 // 0 = AWS's 5

	// Propagation is how long an accepted change takes to be in force at the
	// edges: seconds to minutes at AWS. It shows in [WAF.Evaluate] only.
	Propagation time.Duration
	// ReadLag is how old the state is that Get and List answer with, lock
	// tokens included; see [WAF.SetReadLag].
	ReadLag time.Duration
	// Seed makes the ids and lock tokens of a run those of another: what depends
	// on their order can be repeated. 0 = by chance.
	Seed uint64
	// Page is the most summaries that a List answers with, so that paging can
	// be seen with few; 0 = AWS's 100.
	Page int

	// Meddle is called right before an update of an IP set is carried out, with
	// the set's name: the worst moment for a person's edit, which makes the
	// update's lock token stale. nil = nobody meddles.
	Meddle func(set string)
	// OnWrite is told of every accepted change of an IP set, in their order. It
	// must not call the stand-in. nil = nobody is told.
	OnWrite func(Write)
}

// WAF is the WAFv2 stand-in: IP sets, rule groups and web ACLs of one account.
type WAF struct {
	cfg Config

	mu         sync.RWMutex
	resources  map[wafKey]*wafResource
	byARN      map[string]*wafResource
	windows    map[window][]time.Time // calls that passed, per quota
	violations map[string]int
	writes     []Write
	getLag     time.Duration
	listLag    time.Duration
	dice       io.Reader // of ids
}

func newWAF(cfg Config) *WAF {
	if cfg.WAF.Page == 0 {
		cfg.WAF.Page = maxPageSummaries
	}
	return &WAF{
		cfg:        cfg,
		resources:  make(map[wafKey]*wafResource),
		byARN:      make(map[string]*wafResource),
		windows:    make(map[window][]time.Time),
		violations: make(map[string]int),
		getLag:     cfg.WAF.ReadLag,
		listLag:    cfg.WAF.ReadLag,
		dice:       dice(cfg.WAF.Seed),
	}
}

// dice is where ids come from.
func dice(seed uint64) io.Reader {
	if seed == 0 {
		return rand.Reader
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return mathrand.NewChaCha8(key)
}

// wafCall is what a WAF action is told besides its body.
type wafCall struct {
	region string // that the request is signed for
	w      http.ResponseWriter
}

type wafAction func(w *WAF, c wafCall, body []byte) (any, error)

var wafTable = map[string]wafAction{
	"CreateIPSet": wafOn((*WAF).createIPSet),
	"GetIPSet":    wafOn((*WAF).getIPSet),
	"UpdateIPSet": wafOn((*WAF).updateIPSet),
	"DeleteIPSet": wafOn((*WAF).deleteIPSet),
	"ListIPSets":  wafOn((*WAF).listIPSets),

	"CreateRuleGroup": wafOn((*WAF).createRuleGroup),
	"GetRuleGroup":    wafOn((*WAF).getRuleGroup),
	"UpdateRuleGroup": wafOn((*WAF).updateRuleGroup),
	"DeleteRuleGroup": wafOn((*WAF).deleteRuleGroup),
	"ListRuleGroups":  wafOn((*WAF).listRuleGroups),
	"CheckCapacity":   wafOn((*WAF).checkCapacity),

	"CreateWebACL": wafOn((*WAF).createWebACL),
	"GetWebACL":    wafOn((*WAF).getWebACL),
	"UpdateWebACL": wafOn((*WAF).updateWebACL),
	"DeleteWebACL": wafOn((*WAF).deleteWebACL),
	"ListWebACLs":  wafOn((*WAF).listWebACLs),

	"TagResource":         wafOn((*WAF).tagResource),
	"ListTagsForResource": wafOn((*WAF).listTags),
}

// wafActions are the actions that are routed to the stand-in.
var wafActions = slices.Sorted(maps.Keys(wafTable))

// wafOn makes an action of a method: the body is decoded first.
func wafOn[In any](method func(*WAF, wafCall, *In) (any, error)) wafAction {
	return func(w *WAF, c wafCall, body []byte) (any, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		return method(w, c, in)
	}
}

func (w *WAF) admit(rw http.ResponseWriter, r *http.Request, action string) bool {
	region, _ := signedFor(r)
	within := w.withinQuota(region, action)
	if !within {
		writeError(rw, throttled(serviceWAF, action))
	}
	return within
}

func (w *WAF) carryOut(rw http.ResponseWriter, r *http.Request, action string, body []byte) {
	region, _ := signedFor(r)
	out, err := wafTable[action](w, wafCall{region, rw}, body)
	reply(rw, out, err)
}

// place is where a resource lives.
type place struct{ scope, region string }

func (c wafCall) place(scope string) (place, error) {
	switch scope {
	case ScopeCloudFront:
		if c.region != globalRegion {
			return place{}, badParameter("SCOPE_VALUE", scope, "The scope is not valid in region "+c.region)
		}
	case ScopeRegional:
	default:
		return place{}, invalidWAF("scope", scope, "CLOUDFRONT or REGIONAL")
	}
	return place{scope, c.region}, nil
}

// Patterns of AWS's model.
var (
	wafName        = regexp.MustCompile(`^[\w\-]{1,128}$`)
	wafDescription = regexp.MustCompile(`^[\w+=:#@/\-,\.][\w+=:#@/\-,\.\s]{1,254}[\w+=:#@/\-,\.]$`)
	wafID          = regexp.MustCompile(`^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$`)
	wafMetric      = regexp.MustCompile(`^[\w#:\.\-/]{1,255}$`)
	wafTagKey      = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
	wafTagValue    = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
)

// Errors of WAFv2.

// invalidWAF is a value that is not of the model's form.
func invalidWAF(member, got, want string) error {
	return fail(http.StatusBadRequest, "ValidationException",
		"1 validation error detected: value %.300q at '%s' failed to satisfy constraint: %s", got, member, want)
}

func checkPattern(member, got string, pattern *regexp.Regexp) error {
	if pattern.MatchString(got) {
		return nil
	}
	return invalidWAF(member, got, "member must satisfy regular expression pattern: "+pattern.String())
}

// badParameter is a value of the right form that makes no sense.
func badParameter(field, parameter, reason string) error {
	return fail(http.StatusBadRequest, "WAFInvalidParameterException",
		"error reason: %s, field: %s, parameter: %s", reason, field, parameter).
		with("Field", field).with("Parameter", parameter).with("Reason", reason)
}

func wafError(code, format string, args ...any) error {
	return fail(http.StatusBadRequest, code, format, args...)
}

func nonexistent(what string) error {
	return wafError("WAFNonexistentItemException", "%s does not exist", what)
}

func overLimit(format string, args ...any) error {
	return wafError("WAFLimitsExceededException", format, args...)
}

// checkDescription refuses an empty description, but not that there is none.
func checkDescription(d *string) error {
	if d == nil {
		return nil
	}
	return checkPattern("description", *d, wafDescription)
}

// prefixString spells a prefix as the stand-in answers: IPv6 in full, which is
// not how a client will have sent it.
func prefixString(p netip.Prefix) string {
	return p.Addr().StringExpanded() + "/" + strconv.Itoa(p.Bits())
}
