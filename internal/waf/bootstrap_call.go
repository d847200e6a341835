package waf

import (
	"cmp"
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
)

// operator is one run of what a person does with an operator's rights.
type operator struct {
	client *wafv2.Client
	scope  types.Scope
	prefix string
	webACL string // name or ARN; "" = see there
	dryRun bool
	log    *zap.Logger

	options func(*wafv2.Options)
	pace    map[string]*pacer // by action; AWS's quotas are for each
	wrote   map[string]intent // by kind and name: what this run asked AWS to do, maybe in vain
	report  Report
}

type intent struct {
	done   Done
	detail string
}

func newOperator(client *wafv2.Client, scope types.Scope, prefix, webACL string, dryRun bool, log *zap.Logger) *operator {
	if log == nil {
		log = zap.NewNop()
	}
	return &operator{
		client: client, scope: scope, prefix: prefix, webACL: webACL, dryRun: dryRun, log: log,
		options: callOptions(scope), pace: make(map[string]*pacer), wrote: make(map[string]intent),
	}
}

// groupName is the rule group's, the web ACL's rule's and the metrics' name.
func (o *operator) groupName() string { return o.prefix + "bans" }

// did adds to the report. What is found in place may be so since a call of this
// run that got no answer.
func (o *operator) did(kind, name, arn string, done Done, detail string) {
	if before, ok := o.wrote[kind+name]; ok && done == Kept {
		done, detail = before.done, cmp.Or(detail, before.detail)
	}
	o.report.Items = append(o.report.Items, Item{kind, name, arn, done, detail})
}

// all follows a list to its last page.
func all[T any](page func(marker *string) ([]T, *string, error)) ([]T, error) {
	var list []T
	var marker *string
	for {
		some, next, err := page(marker)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
		if next == nil || *next == "" || len(some) == 0 {
			return list, nil
		}
		marker = next
	}
}

const (
	bootstrapTries   = 6                // of a call that goes wrong in a way that may pass
	bootstrapWait    = 10 * time.Minute // for AWS to let a new thing be referred to, or an old one go
	bootstrapTimeout = 15 * time.Second // of each call
)

// call makes a call within the quota of its action, and again for as long as that
// may help. An ambiguous failure is repeated too: Create then answers that there
// is one already, Delete that there is none and Update that the token is stale,
// which the caller knows how to take.
func call[I, O any](ctx context.Context, o *operator, f func(context.Context, *I, ...func(*wafv2.Options)) (*O, error), in *I, more ...func(*wafv2.Options)) (*O, error) {
	action := strings.TrimSuffix(reflect.TypeFor[I]().Name(), "Input")
	options := append([]func(*wafv2.Options){o.options}, more...)
	pace := o.pacer(action)
	begin := time.Now()
	for n, tries := 1, 0; ; n++ {
		if err := sleepUntil(ctx, pace.next); err != nil {
			return nil, err
		}
		pace.take(time.Now())
		bounded, cancel := context.WithTimeout(ctx, bootstrapTimeout)
		out, err := f(bounded, in, options...)
		cancel()
		if err == nil {
			return out, nil
		}
		if !o.matterOfTime(action, err) {
			tries++
			if !worthAnother(err) || tries == bootstrapTries {
				return nil, err
			}
		}
		if ctx.Err() != nil || time.Since(begin) > bootstrapWait {
			return nil, err
		}
		wait := backoff(n)
		o.log.Info("waiting for AWS WAF", zap.String("call", action), zap.Duration("wait", wait), zap.Error(err))
		pace.hold(time.Now().Add(wait))
	}
}

// matterOfTime says whether a call fails only because what was done before has not
// reached all of AWS: that takes minutes, and ends.
func (o *operator) matterOfTime(action string, err error) bool {
	switch codeOf(err) {
	case "WAFUnavailableEntityException": // what is referred to is not known everywhere
		return true
	case "WAFAssociatedItemException": // that it is not referred to any more, neither
		return strings.HasPrefix(action, "Delete")
	case "WAFNonexistentItemException": // what this run has made, neither
		return o.created()
	}
	return false
}

// worthAnother says whether a call that failed for another reason may do better soon.
func worthAnother(err error) bool {
	switch codeOf(err) {
	case "WAFTagOperationException", "WAFTagOperationInternalErrorException":
		return true
	}
	how := classify(err)
	return how == throttled || how == ambiguous
}

func (o *operator) created() bool {
	for _, asked := range o.wrote {
		if asked.done == Created {
			return true
		}
	}
	return false
}

func (o *operator) pacer(action string) *pacer {
	p := o.pace[action]
	if p == nil {
		perSecond := 1.0
		if strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List") {
			perSecond = readsPerSecond
		}
		fresh := newPacer(perSecond)
		p = &fresh
		o.pace[action] = p
	}
	return p
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// rewrite reads, changes and writes something until no one else has written it in
// between.
func rewrite(ctx context.Context, once func(ctx context.Context) error) error {
	for n := 1; ; n++ {
		err := once(ctx)
		if classify(err) != conflict || n == bootstrapTries {
			return err
		}
		if err := sleepUntil(ctx, time.Now().Add(backoff(n))); err != nil {
			return err
		}
	}
}
