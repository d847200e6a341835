package waf

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"go.uber.org/zap"
)

// bootstrap is one run of Bootstrap.
type bootstrap struct {
	client  *wafv2.Client
	cfg     BootstrapConfig
	options func(*wafv2.Options)
	planned [families]int
	pace    map[string]*pacer // by action; AWS's quotas are for each
	made    map[string]bool   // by kind and name: what this run asked AWS to make
	report  Report
}

func newBootstrap(client *wafv2.Client, cfg BootstrapConfig) *bootstrap {
	return &bootstrap{
		client: client, cfg: cfg, options: callOptions(cfg.Scope),
		planned: [families]int{ipv4: cfg.IPv4, ipv6: cfg.IPv6},
		pace:    make(map[string]*pacer), made: make(map[string]bool),
	}
}

// short is the family in the names of sets and rules.
func (f family) short() string { return [...]string{"v4", "v6"}[f] }

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
	bootstrapWait    = 10 * time.Minute // for AWS to let a new thing be referred to
	bootstrapTimeout = 15 * time.Second // of each call
)

// call makes a call within the quota of its action, and again for as long as that
// may help. An ambiguous failure is repeated too: Create then answers that there
// is one already and Update that the token is stale, which the caller knows how to
// take.
func call[I, O any](ctx context.Context, b *bootstrap, f func(context.Context, *I, ...func(*wafv2.Options)) (*O, error), in *I) (*O, error) {
	action := strings.TrimSuffix(reflect.TypeFor[I]().Name(), "Input")
	pace := b.pacer(action)
	begin := time.Now()
	for n := 1; ; n++ {
		if err := sleepUntil(ctx, pace.next); err != nil {
			return nil, err
		}
		pace.take(time.Now())
		bounded, cancel := context.WithTimeout(ctx, bootstrapTimeout)
		out, err := f(bounded, in, b.options)
		cancel()
		if err == nil {
			return out, nil
		}
		again, wait := b.retryable(err, n)
		if !again || ctx.Err() != nil || time.Since(begin) > bootstrapWait {
			return nil, err
		}
		b.cfg.Logger.Info("waiting for AWS WAF", zap.String("call", action), zap.Duration("wait", wait), zap.Error(err))
		pace.hold(time.Now().Add(wait))
	}
}

// retryable says whether, and how long after the n-th attempt, a call is worth
// another one.
func (b *bootstrap) retryable(err error, n int) (bool, time.Duration) {
	switch codeOf(err) {
	case "WAFUnavailableEntityException": // what is referred to has not reached everywhere: minutes
		return true, backoff(n)
	case "WAFTagOperationException", "WAFTagOperationInternalErrorException":
		return n < bootstrapTries, backoff(n)
	}
	switch classify(err) {
	case throttled, ambiguous:
		return n < bootstrapTries, backoff(n)
	case missing: // what this run has made is not known everywhere at once
		return len(b.made) > 0, backoff(n)
	}
	return false, 0
}

func (b *bootstrap) pacer(action string) *pacer {
	p := b.pace[action]
	if p == nil {
		perSecond := 1.0
		if strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List") {
			perSecond = readsPerSecond
		}
		fresh := newPacer(perSecond)
		p = &fresh
		b.pace[action] = p
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
func (b *bootstrap) rewrite(ctx context.Context, once func(ctx context.Context) error) error {
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

// carry copies every field that both structs have by the same name and type, so
// that an update sends back all that was read, also what this program has never
// heard of. Both arguments are pointers to structs.
func carry(dst, src any) {
	to, from := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for i := range to.NumField() {
		field := to.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		v := from.FieldByName(field.Name)
		if !v.IsValid() {
			continue
		}
		if v.Type() != field.Type {
			panic(fmt.Sprintf("BUG: %s has two types in the SDK", field.Name))
		}
		to.Field(i).Set(v)
	}
}
