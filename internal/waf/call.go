package waf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"
)

// API is what a [Writer] calls of *wafv2.Client.
type API interface {
	ListIPSets(context.Context, *wafv2.ListIPSetsInput, ...func(*wafv2.Options)) (*wafv2.ListIPSetsOutput, error)
	GetIPSet(context.Context, *wafv2.GetIPSetInput, ...func(*wafv2.Options)) (*wafv2.GetIPSetOutput, error)
	UpdateIPSet(context.Context, *wafv2.UpdateIPSetInput, ...func(*wafv2.Options)) (*wafv2.UpdateIPSetOutput, error)
}

// outcome is how a call ended, as far as what to do next depends on it.
type outcome uint8

const (
	accepted  outcome = iota
	throttled         // refused for the rate: later
	conflict          // refused for the lock token: read, merge, again
	invalid           // refused for an entry
	missing           // the entity does not exist
	denied            // refused for credentials or rights
	ambiguous         // may have been applied: timeout, 5xx, connection lost
	refused           // refused for anything else
	outcomes          // how many there are
)

func (o outcome) String() string {
	return [...]string{"ok", "throttled", "conflict", "invalid", "missing", "denied", "ambiguous", "error"}[o]
}

// classify says what an error of the API means. What is not an answer of AWS, or
// is one with a status of 5xx, leaves open whether the call was applied.
func classify(err error) outcome {
	if err == nil {
		return accepted
	}
	code := codeOf(err)
	if code == "" {
		return ambiguous
	}
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return throttled
	}
	switch code {
	case "WAFOptimisticLockException":
		return conflict
	case "WAFInvalidParameterException":
		return invalid
	case "WAFNonexistentItemException":
		return missing
	case "WAFInternalErrorException":
		return ambiguous
	case "AccessDeniedException", "AccessDenied", "ExpiredToken", "ExpiredTokenException",
		"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
		"SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired":
		return denied
	}
	if status := new(awshttp.ResponseError); errors.As(err, &status) && status.HTTPStatusCode() >= 500 {
		return ambiguous
	}
	return refused
}

// codeOf is the code of AWS's answer; "" = there was none. AWS answers with more
// codes than the SDK has types for.
func codeOf(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// callOptions are those of every call: no retries, since the plan retries at its own
// pace, and the one region that knows about CLOUDFRONT scope.
func callOptions(scope types.Scope) func(*wafv2.Options) {
	return func(o *wafv2.Options) {
		o.Retryer = aws.NopRetryer{}
		if scope == types.ScopeCloudfront {
			o.Region = cloudFrontRegion
		}
	}
}

// bounded is the context of a call. It outlives ctx: a write cut off by a stop
// would leave open whether it was applied.
func (w *Writer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline() // of a last round
	ctx = context.WithoutCancel(ctx)
	if limit := time.Now().Add(w.cfg.CallTimeout); !ok || limit.Before(deadline) {
		deadline = limit
	}
	return context.WithDeadline(ctx, deadline)
}

// take spends a token. False: another Writer was faster, and the step comes again.
func (w *Writer) take(l *lane) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return l.take(time.Now())
}

func (w *Writer) list(ctx context.Context, marker string) {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	in := &wafv2.ListIPSetsInput{Scope: w.cfg.Scope, Limit: aws.Int32(100)}
	if marker != "" {
		in.NextMarker = &marker
	}
	if !w.take(&w.plan.reads) {
		return
	}
	w.loop.Waits()
	out, err := w.cfg.Client.ListIPSets(ctx, in, w.options)
	w.loop.Works()
	now, how := time.Now(), classify(err)
	w.metrics.lists[how].Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.plan.unlisted(now, how, fmt.Errorf("list IP sets of scope %s: %w", w.cfg.Scope, err))
		return
	}
	page := make([]summary, 0, len(out.IPSets))
	for i := range out.IPSets {
		s := &out.IPSets[i]
		page = append(page, summary{aws.ToString(s.Name), aws.ToString(s.Id), aws.ToString(s.ARN), aws.ToString(s.LockToken), aws.ToString(s.Description)})
	}
	next := aws.ToString(out.NextMarker)
	if len(out.IPSets) == 0 {
		next = "" // AWS documents a marker after the last page of some lists
	}
	w.plan.listed(page, next, now)
}

func (w *Writer) get(ctx context.Context, s *set) {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	if !w.take(&w.plan.reads) {
		return
	}
	w.loop.Waits()
	out, err := w.cfg.Client.GetIPSet(ctx, &wafv2.GetIPSetInput{Id: &s.id, Name: &s.name, Scope: w.cfg.Scope}, w.options)
	w.loop.Works()
	now, how := time.Now(), classify(err)
	w.metrics.gets[how].Inc()
	var r reading
	if err == nil {
		r, err = readingOf(out)
	}
	w.mu.Lock()
	if err != nil {
		w.plan.notGot(s, now, how, fmt.Errorf("get IP set %s: %w", s.name, err))
		w.mu.Unlock()
		return
	}
	m := w.plan.got(s, r, now)
	w.mu.Unlock()
	w.metrics.strange.Add(float64(m.strange))
	if m.drift {
		w.metrics.repairs.Inc()
	}
	w.landed(m.landed, now)
	w.removed(s, m.removed, now)
}

// readingOf reads the answer to a GetIPSet.
func readingOf(out *wafv2.GetIPSetOutput) (reading, error) {
	if out.IPSet == nil || out.LockToken == nil {
		return reading{}, errors.New("the answer has no IP set or no lock token")
	}
	family, ok := familyFrom(out.IPSet.IPAddressVersion)
	if !ok {
		return reading{}, fmt.Errorf("it is of version %q, which is neither IPv4 nor IPv6", out.IPSet.IPAddressVersion)
	}
	r := reading{token: *out.LockToken, desc: aws.ToString(out.IPSet.Description), family: family}
	for _, text := range out.IPSet.Addresses {
		if prefix, ok := parseHeld(text); ok {
			r.held = append(r.held, prefix)
		} else {
			r.opaque = append(r.opaque, text)
		}
	}
	return r, nil
}

// confirmed reports whether this process leads at this moment. It is no use to a
// write that was put together before it took a while to find out.
func (w *Writer) confirmed(ctx context.Context) bool {
	const soon = 50 * time.Millisecond
	if w.cfg.Confirm == nil {
		return true
	}
	begun := time.Now()
	w.loop.Waits()
	err := w.cfg.Confirm(ctx)
	w.loop.Works()
	if err == nil {
		return time.Since(begun) < soon
	}
	w.wait(ctx, begun.Add(soon)) // until whoever called Run hears of it, too
	return false
}

func (w *Writer) update(ctx context.Context, u *write) {
	if !w.confirmed(ctx) {
		return // what is to be written is settled anew
	}
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	s, token := u.set, u.set.token // the call keeps its token, whatever becomes of the set's
	if !w.take(&w.plan.writes) {
		return
	}
	w.loop.Waits()
	out, err := w.cfg.Client.UpdateIPSet(ctx, &wafv2.UpdateIPSetInput{
		Id: &s.id, Name: &s.name, Scope: w.cfg.Scope, LockToken: &token,
		Addresses: u.addresses, Description: &u.text,
	}, w.options)
	w.loop.Works()
	now, how := time.Now(), classify(err)
	w.metrics.writes[how].Inc()
	w.mu.Lock()
	w.attempts++
	if err != nil {
		defer w.mu.Unlock()
		if bad := w.plan.failed(u, now, how, fmt.Errorf("update IP set %s: %w", s.name, err)); bad != nil {
			w.metrics.quarantined.Inc()
			w.cfg.Logger.Warn("AWS WAF refuses an entry, it is left out", zap.Stringer("prefix", bad.prefix), zap.Error(err))
			return
		}
		w.complain(s, how, err)
		return
	}
	w.accepts++
	w.metrics.success.Set(float64(now.UnixMilli()) / 1000)
	landed := w.plan.wrote(u, now, aws.ToString(out.NextLockToken))
	w.mu.Unlock()
	w.landed(landed, now)
}
