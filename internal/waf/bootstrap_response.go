package waf

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// Limits of AWS's model and quotas.
const (
	headerLimit  = 10
	bodyLimit    = 4 << 10 // bytes
	minCaptcha   = time.Minute
	minChallenge = 5 * time.Minute
	maxImmunity  = 72 * time.Hour
)

// bodyKey names our custom response body in the rule group.
const bodyKey = "weir-block"

// usualBlockStatus is what a new rule answers with, unless another one is asked for.
const usualBlockStatus = 429

// blockStatuses are what AWS lets a block action answer with, successes and
// redirections left out: they would be no block.
func blockStatuses() []int {
	return []int{400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 421, 429, 500, 501, 502, 503, 504, 505}
}

// Header is a header of the answer to a blocked client. Any but content-type.
type Header struct{ Name, Value string }

// ParseHeader reads a header as HTTP has it, "Retry-After: 3600".
func ParseHeader(line string) (Header, error) {
	name, value, ok := strings.Cut(line, ":")
	h := Header{strings.TrimSpace(name), strings.TrimSpace(value)}
	if !ok || h.Name == "" {
		return h, fmt.Errorf("%q is no header: want NAME: VALUE", line)
	}
	return h, checkHeaders([]Header{h})
}

func checkHeaders(list []Header) error {
	var errs []error
	if len(list) > headerLimit {
		errs = append(errs, fmt.Errorf("%d headers: AWS WAF answers with at most %d", len(list), headerLimit))
	}
	seen := make(map[string]bool)
	for _, h := range list {
		name := strings.ToLower(h.Name)
		switch {
		case !regexp.MustCompile(`^[a-zA-Z0-9._$-]{1,64}$`).MatchString(h.Name):
			errs = append(errs, fmt.Errorf("header %q: up to 64 letters, digits and any of . _ $ -", h.Name))
		case !regexp.MustCompile(`^.{1,255}$`).MatchString(h.Value):
			errs = append(errs, fmt.Errorf("header %s: a value of 1 to 255 characters on one line", h.Name))
		case name == "content-type":
			errs = append(errs, errors.New("header content-type: it follows from the body"))
		case seen[name]:
			errs = append(errs, fmt.Errorf("header %s is set twice", h.Name))
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}

// Body is what a blocked client is shown: up to 4 KiB.
type Body struct {
	ContentType types.ResponseContentType
	Content     string
}

func (b *Body) check() error {
	switch {
	case b == nil || b.Content == "":
		return nil
	case len(b.Content) > bodyLimit:
		return fmt.Errorf("a body of %d bytes: AWS WAF answers with at most %d", len(b.Content), bodyLimit)
	case !slices.Contains(b.ContentType.Values(), b.ContentType):
		return fmt.Errorf("a body of content type %q: want one of %v", b.ContentType, b.ContentType.Values())
	case b.ContentType == types.ResponseContentTypeApplicationJson && !json.Valid([]byte(b.Content)):
		return errors.New("a body that is to be JSON and is not")
	}
	return nil
}

// Forwarded says which header has the client's address. Rules with it do not apply
// to requests without the header: those who can reach the distribution past the
// proxy are not banned.
type Forwarded struct {
	Header   string                    // "" = none: the address that the request comes from
	Position types.ForwardedIPPosition // FIRST, LAST or ANY: of the addresses in it; ANY costs five capacity units a set
	Fallback types.FallbackBehavior    // MATCH or NO_MATCH: where there is no valid address
}

func (f *Forwarded) check() error {
	if f == nil || f.Header == "" {
		return nil
	}
	var errs []error
	if !regexp.MustCompile(`^[a-zA-Z0-9-]+$`).MatchString(f.Header) || len(f.Header) > 255 {
		errs = append(errs, fmt.Errorf("forwarded header %q: up to 255 letters, digits and -", f.Header))
	}
	if !slices.Contains(f.Position.Values(), f.Position) {
		errs = append(errs, fmt.Errorf("forwarded position %q: want one of %v", f.Position, f.Position.Values()))
	}
	if !slices.Contains(f.Fallback.Values(), f.Fallback) {
		errs = append(errs, fmt.Errorf("forwarded fallback %q: want one of %v", f.Fallback, f.Fallback.Values()))
	}
	return errors.Join(errs...)
}

// config is what a reference to an IP set says of it.
func (f *Forwarded) config() *types.IPSetForwardedIPConfig {
	if f == nil || f.Header == "" {
		return nil
	}
	return &types.IPSetForwardedIPConfig{HeaderName: &f.Header, Position: f.Position, FallbackBehavior: f.Fallback}
}

// cost is the capacity units of one reference.
func (f *Forwarded) cost() int64 {
	if f != nil && f.Header != "" && f.Position == types.ForwardedIPPositionAny {
		return 5
	}
	return 1
}

func checkImmunity(kind string, d, least time.Duration) error {
	if d != 0 && (d < least || d > maxImmunity || d%time.Second != 0) {
		return fmt.Errorf("%s immunity of %s: want whole seconds from %s to %s", kind, d, least, maxImmunity)
	}
	return nil
}

// response gives the answer of a block rule: what it is, with what is asked for.
func (cfg *BootstrapConfig) response(have *types.CustomResponse) *types.CustomResponse {
	out := types.CustomResponse{}
	if have != nil {
		out = *have
	}
	switch {
	case cfg.BlockStatus != 0:
		out.ResponseCode = aws.Int32(int32(cfg.BlockStatus))
	case out.ResponseCode == nil:
		out.ResponseCode = aws.Int32(usualBlockStatus)
	}
	if cfg.BlockHeaders != nil {
		out.ResponseHeaders = nil
		for _, h := range cfg.BlockHeaders {
			out.ResponseHeaders = append(out.ResponseHeaders, types.CustomHTTPHeader{Name: &h.Name, Value: &h.Value})
		}
	}
	if cfg.BlockBody != nil {
		out.CustomResponseBodyKey = nil
		if cfg.BlockBody.Content != "" {
			out.CustomResponseBodyKey = aws.String(bodyKey)
		}
	}
	return &out
}

// bodies gives the rule group's custom response bodies with ours, and whether
// that is news. Bodies of the owner's stay.
func (cfg *BootstrapConfig) bodies(have map[string]types.CustomResponseBody) (map[string]types.CustomResponseBody, bool) {
	if cfg.BlockBody == nil {
		return have, false
	}
	was, there := have[bodyKey]
	out := make(map[string]types.CustomResponseBody)
	for key, body := range have {
		if key != bodyKey {
			out[key] = body
		}
	}
	if cfg.BlockBody.Content == "" {
		return out, there
	}
	out[bodyKey] = types.CustomResponseBody{ContentType: cfg.BlockBody.ContentType, Content: &cfg.BlockBody.Content}
	return out, !there || was.ContentType != cfg.BlockBody.ContentType || aws.ToString(was.Content) != cfg.BlockBody.Content
}
