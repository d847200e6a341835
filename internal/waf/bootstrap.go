package waf

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
)

// references is how many IP sets AWS lets one rule group refer to.
const references = 50

// BootstrapConfig says what [Bootstrap] sees to.
//
// What is left out of BlockStatus, BlockHeaders, BlockBody, the immunity times and Forwarded
// stays as it is in a rule that is there, and a new rule takes it from the others;
// so a later run that only adds sets need not repeat what an earlier one was told.
type BootstrapConfig struct {
	Scope  types.Scope
	Prefix string // of every name; "" = "weir-"

	// Sets is how many IP sets each pool has, by its word ([PoolWords]): 1 to 50
	// of them together. A pool without any has no rule.
	Sets map[string]SetCount

	// BlockStatus is what the rules answer a banned client with; 0 = as it is, 429
	// in a new rule. One that nothing else answers with tells such records from the
	// origin's own.
	BlockStatus  int
	BlockHeaders []Header // at most 10; nil = as they are, empty = none
	BlockBody    *Body    // nil = as it is, empty Content = none

	// How long a client that passed is let pass; 0 = as it is, AWS's five minutes
	// in a new rule. A minute (captcha) or five (challenge) to three days.
	CaptchaImmunity, ChallengeImmunity time.Duration

	// Forwarded takes the client's address from a header, for a distribution
	// behind another proxy; nil = as it is, no Header = the sender's address.
	Forwarded *Forwarded

	WebACL       string // name or ARN of the web ACL that is to use the rule group; "" = none
	CreateWebACL bool   // make one of that name if there is none, which lets everything else pass

	DryRun bool        // change nothing, report what would be done
	Logger *zap.Logger // told while AWS has to be waited for; nil = none
}

// SetCount is the number of a pool's IP sets of 10,000 entries, by family.
type SetCount struct{ IPv4, IPv6 int }

// Done says what became of one thing.
type Done string

// The values of Done. In a dry run they say what would become of it.
const (
	Created Done = "created"
	Changed Done = "changed"
	Kept    Done = "kept"
	Removed Done = "removed"
)

// Item is one thing that was seen to.
type Item struct {
	Kind   string // "IP set", "rule group", "web ACL"
	Name   string
	ARN    string // "" in a dry run if it does not exist yet
	Done   Done
	Detail string // what was changed and why; "" = nothing to say
}

// Report is what [Bootstrap], [Remove] or [Override] did, or would do in a dry run.
type Report struct {
	Items        []Item
	SetARNs      []string // in the order of PoolWords, IPv4 sets first, by number
	RuleGroupARN string
	WebACLARN    string // of the last one, if there are several
	BlockStatus  int    // what the rules that block answer with; 0 = there is none yet
}

// Changed reports whether anything was or would be written.
func (r Report) Changed() bool {
	return slices.ContainsFunc(r.Items, func(i Item) bool { return i.Done != Kept })
}

// Bootstrap makes what a [Writer] needs and what makes its sets count: the IP
// sets, a rule group with one rule for each pool, and the web ACL's reference to
// the group, before all its other rules but those at its top that allow. It may be
// run again at any time: what is there is kept, with what people changed of it or
// added, and what is missing or set otherwise is mended. A run that finds all in
// place writes nothing.
//
// Sets are PREFIXblock-v4-0, PREFIXlist-captcha-v6-0 and so on, so PREFIX selects
// all of them in [Config.Sets]. Sets of such names beyond the number asked for are
// kept in the rules: they may hold bans.
//
// A rule group's capacity is fixed when it is made; it gets enough for the 50 sets
// that it can ever refer to, so that sets can be added later.
//
// An error leaves behind what was done until then, which the Report tells; the
// next run goes on from there. AWS may need minutes until it lets one new thing
// refer to another, which ctx bounds.
func Bootstrap(ctx context.Context, client *wafv2.Client, cfg BootstrapConfig) (Report, error) {
	if err := cfg.complete(); err != nil {
		return Report{}, fmt.Errorf("bootstrap AWS WAF: %w", err)
	}
	b := &bootstrap{newOperator(client, cfg.Scope, cfg.Prefix, cfg.WebACL, cfg.DryRun, cfg.Logger), cfg}
	for n := 1; ; n++ {
		err := b.run(ctx)
		if err == nil {
			return b.report, nil
		}
		// Made just now, by a call of ours without an answer or by somebody else?
		if codeOf(err) != "WAFDuplicateItemException" || n == bootstrapTries {
			return b.report, fmt.Errorf("bootstrap AWS WAF: %w", err)
		}
	}
}

// bootstrap is one run of Bootstrap.
type bootstrap struct {
	*operator
	cfg BootstrapConfig
}

func (b *bootstrap) run(ctx context.Context) error {
	b.report = Report{}
	if err := b.expectACL(ctx); err != nil {
		return err
	}
	refs, err := b.ipSets(ctx)
	if err != nil {
		return err
	}
	if err := b.ruleGroup(ctx, refs); err != nil {
		return err
	}
	if b.cfg.WebACL == "" {
		return nil
	}
	return b.attach(ctx)
}

// complete puts in what was left out and checks the rest.
func (cfg *BootstrapConfig) complete() error {
	orElse(&cfg.Prefix, "weir-")
	errs := checkNames(cfg.Scope, cfg.Prefix, cfg.WebACL)
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	sum := 0
	for word, n := range cfg.Sets {
		_, known := keyOf(word)
		check(known, "pool %q: want one of %s", word, strings.Join(PoolWords(), ", "))
		check(n.IPv4 >= 0 && n.IPv6 >= 0, "%d IPv4 and %d IPv6 sets for %s: less than none", n.IPv4, n.IPv6, word)
		sum += n.IPv4 + n.IPv6
	}
	check(sum >= 1 && sum <= references, "%d IP sets: a rule group takes 1 to %d together", sum, references)
	check(cfg.BlockStatus == 0 || slices.Contains(blockStatuses(), cfg.BlockStatus), "block status %d: AWS WAF answers with one of %v", cfg.BlockStatus, blockStatuses())
	errs = append(errs, checkHeaders(cfg.BlockHeaders), cfg.BlockBody.check(), cfg.Forwarded.check(),
		checkImmunity("captcha", cfg.CaptchaImmunity, minCaptcha), checkImmunity("challenge", cfg.ChallengeImmunity, minChallenge))
	check(cfg.WebACL != "" || !cfg.CreateWebACL, "a web ACL that is to be made needs a name")
	check(!strings.HasPrefix(cfg.WebACL, "arn:") || !cfg.CreateWebACL, "a web ACL that is to be made needs a name, not an ARN")
	return errors.Join(errs...)
}

// checkNames checks what Bootstrap, Remove and Override are all told.
func checkNames(scope types.Scope, prefix, webACL string) (errs []error) {
	if scope != types.ScopeCloudfront && scope != types.ScopeRegional {
		errs = append(errs, fmt.Errorf("scope %q is neither CLOUDFRONT nor REGIONAL", scope))
	}
	if !regexp.MustCompile(`^[\w-]{1,100}$`).MatchString(prefix) {
		errs = append(errs, fmt.Errorf("prefix %q: letters, digits, - and _ only", prefix))
	}
	if strings.HasPrefix(webACL, "arn:") {
		a, err := ParseARN("webacl", webACL)
		if err != nil {
			errs = append(errs, fmt.Errorf("web ACL: %w", err))
		} else if a.Scope != scope {
			errs = append(errs, fmt.Errorf("web ACL %q is of scope %s, not %s", webACL, a.Scope, scope))
		}
	}
	return errs
}
