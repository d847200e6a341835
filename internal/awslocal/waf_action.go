package awslocal

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of answers, of AWS's quotas and model.
const (
	maxBodyContent = 4 << 10  // bytes of a custom response body
	maxBodies      = 50 << 10 // bytes of all of a rule group or web ACL
	maxHeaders     = 10       // in a custom response
)

// Names that AWS's model asks for.
var (
	wafHeaderName  = regexp.MustCompile(`^[a-zA-Z0-9._$\-]{1,64}$`)
	wafHeaderValue = regexp.MustCompile(`^.{1,255}$`)
)

// ruleAction is what happens to a request that matches.
type ruleAction struct {
	kind   string  // "allow", "block", "captcha", "challenge", "count"
	status int     // HTTP status of the answer; 0 when the request goes on
	answer *answer // of a block; nil = without headers and body of its own
}

// answer is what a custom response has beside its status.
type answer struct {
	headers map[string]string
	body    customBody
}

type customBody struct{ ContentType, Content string }

// customBodies are the custom response bodies of a rule group or web ACL by key.
type customBodies struct {
	byKey   map[string]customBody
	unknown bool // rules came without them: any key will do
}

// statuses are the codes that a custom response may have.
var statuses = []int{
	200, 201, 202, 204, 206, 300, 301, 302, 303, 304, 307, 308,
	400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 421, 429,
	500, 501, 502, 503, 504, 505,
}

type (
	wafHeader       struct{ Name, Value string }
	requestHandling struct {
		CustomRequestHandling *struct{ InsertHeaders []wafHeader }
	}
	customResponse struct {
		ResponseCode          int
		CustomResponseBodyKey *string
		ResponseHeaders       *[]wafHeader
	}
)

// parseAction reads an action, of which exactly one member is there.
func (p *statementParser) parseAction(raw json.RawMessage) (ruleAction, error) {
	var in struct {
		Allow, Captcha, Challenge, Count *requestHandling
		Block                            *struct{ CustomResponse *customResponse }
	}
	if err := decode(raw, &in); err != nil {
		return ruleAction{}, err
	}
	var found []ruleAction
	for _, a := range []struct {
		in     *requestHandling
		action ruleAction
	}{
		{in.Allow, ruleAction{kind: "allow"}},
		{in.Count, ruleAction{kind: "count"}},
		{in.Captcha, ruleAction{kind: "captcha", status: 405}},
		{in.Challenge, ruleAction{kind: "challenge", status: 202}},
	} {
		if a.in == nil {
			continue
		}
		if h := a.in.CustomRequestHandling; h != nil {
			if _, err := checkHeaders(h.InsertHeaders, "CUSTOM_REQUEST_HANDLING"); err != nil {
				return ruleAction{}, err
			}
		}
		found = append(found, a.action)
	}
	if in.Block != nil {
		block, err := p.parseResponse(in.Block.CustomResponse)
		if err != nil {
			return ruleAction{}, err
		}
		found = append(found, block)
	}
	if len(found) != 1 {
		return ruleAction{}, badParameter("RULE_ACTION", string(raw[:min(len(raw), 80)]), "An action has exactly one member")
	}
	return found[0], nil
}

func (p *statementParser) parseResponse(in *customResponse) (ruleAction, error) {
	if in == nil {
		return ruleAction{kind: "block", status: 403}, nil
	}
	out := ruleAction{kind: "block", status: in.ResponseCode, answer: new(answer)}
	if !slices.Contains(statuses, in.ResponseCode) {
		return out, badParameter("CUSTOM_RESPONSE", strconv.Itoa(in.ResponseCode), "The status code is not supported")
	}
	if key := in.CustomResponseBodyKey; key != nil {
		if err := checkPattern("customResponseBodyKey", *key, wafName); err != nil {
			return out, err
		}
		body, ok := p.bodies.byKey[*key]
		if !ok && !p.bodies.unknown {
			return out, badParameter("CUSTOM_RESPONSE_BODY", *key, "There is no custom response body of that key")
		}
		out.answer.body = body
	}
	if in.ResponseHeaders == nil {
		return out, nil
	}
	var err error
	out.answer.headers, err = checkHeaders(*in.ResponseHeaders, "CUSTOM_RESPONSE")
	if _, ok := out.answer.headers["content-type"]; ok {
		err = badParameter("CUSTOM_RESPONSE", "content-type", "The content type is the custom response body's")
	}
	return out, err
}

// checkHeaders refuses headers that AWS would, and returns the others by their
// name in lower case.
func checkHeaders(list []wafHeader, field string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, invalidWAF("headers", "[]", "member must have length greater than or equal to 1")
	}
	if len(list) > maxHeaders {
		return nil, overLimit("at most %d custom headers, not %d", maxHeaders, len(list))
	}
	out := make(map[string]string, len(list))
	for _, h := range list {
		if err := firstError(checkPattern("headers.name", h.Name, wafHeaderName), checkPattern("headers.value", h.Value, wafHeaderValue)); err != nil {
			return nil, err
		}
		name := strings.ToLower(h.Name)
		if _, twice := out[name]; twice {
			return nil, badParameter(field, h.Name, "You have used the same header name twice")
		}
		out[name] = h.Value
	}
	return out, nil
}

// parseBodies checks CustomResponseBodies.
func parseBodies(raw json.RawMessage) (out customBodies, err error) {
	if err := decode(raw, &out.byKey); err != nil {
		return out, err
	}
	if present(raw) && len(out.byKey) == 0 {
		return out, invalidWAF("customResponseBodies", "{}", "member must have length greater than or equal to 1")
	}
	sum := 0
	for key, body := range out.byKey {
		if err := checkPattern("customResponseBodies.key", key, wafName); err != nil {
			return out, err
		}
		if !slices.Contains([]string{"TEXT_PLAIN", "TEXT_HTML", "APPLICATION_JSON"}, body.ContentType) {
			return out, invalidWAF("customResponseBodies.contentType", body.ContentType, "TEXT_PLAIN, TEXT_HTML or APPLICATION_JSON")
		}
		if body.Content == "" {
			return out, invalidWAF("customResponseBodies.content", "", "member must have length greater than or equal to 1")
		}
		if len(body.Content) > maxBodyContent {
			return out, overLimit("a custom response body has at most %d bytes: %s", maxBodyContent, key)
		}
		sum += len(body.Content)
	}
	if sum > maxBodies {
		return out, overLimit("custom response bodies have at most %d bytes together, not %d", maxBodies, sum)
	}
	return out, nil
}

// immunity is how long a client that passed is let pass; 0 = not said.
type immunity struct{ captcha, challenge time.Duration }

// Bounds and default of immunity times, in seconds.
const (
	minCaptcha      = 60
	minChallenge    = 300
	maxImmunity     = 259_200
	defaultImmunity = 300
)

func parseImmunity(captcha, challenge json.RawMessage) (out immunity, err error) {
	for _, one := range []struct {
		field string
		raw   json.RawMessage
		least int
		to    *time.Duration
	}{
		{"captchaConfig", captcha, minCaptcha, &out.captcha},
		{"challengeConfig", challenge, minChallenge, &out.challenge},
	} {
		var in struct{ ImmunityTimeProperty *struct{ ImmunityTime int } }
		if err := decode(one.raw, &in); err != nil {
			return out, err
		}
		if in.ImmunityTimeProperty == nil {
			continue
		}
		seconds := in.ImmunityTimeProperty.ImmunityTime
		if seconds < minCaptcha || seconds > maxImmunity {
			return out, invalidWAF(one.field+".immunityTimeProperty.immunityTime", strconv.Itoa(seconds), "60 to 259200")
		}
		if seconds < one.least {
			return out, badParameter("CHALLENGE_CONFIG", strconv.Itoa(seconds), "The immunity time of a challenge is at least 300")
		}
		*one.to = time.Duration(seconds) * time.Second
	}
	return out, nil
}

// or puts in what one does not say.
func (i immunity) or(other immunity) immunity {
	if i.captcha == 0 {
		i.captcha = other.captcha
	}
	if i.challenge == 0 {
		i.challenge = other.challenge
	}
	return i
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
