package waf

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"go.uber.org/zap"
)

// references is how many IP sets AWS lets one rule group refer to.
const references = 50

// BootstrapConfig says what [Bootstrap] sees to.
type BootstrapConfig struct {
	Scope  types.Scope
	Prefix string // of every name; "" = "weir-"
	IPv4   int    // IP sets of 10,000 entries for each family,
	IPv6   int    // 1 to 50 together

	// BlockStatus is what the rules answer a banned client with; 0 = 429. One
	// that nothing else answers with tells such records from the origin's own.
	BlockStatus int

	WebACL       string // name or ARN of the web ACL that is to use the rule group; "" = none
	CreateWebACL bool   // make one of that name if there is none, which lets everything else pass

	DryRun bool        // change nothing, report what would be done
	Logger *zap.Logger // told while AWS has to be waited for; nil = none
}

// Done says what became of one thing.
type Done string

// The values of Done. In a dry run they say what would become of it.
const (
	Created Done = "created"
	Changed Done = "changed"
	Kept    Done = "kept"
)

// Item is one thing that [Bootstrap] saw to.
type Item struct {
	Kind   string // "IP set", "rule group", "web ACL"
	Name   string
	ARN    string // "" in a dry run if it does not exist yet
	Done   Done
	Detail string // what was changed and why; "" = nothing to say
}

// Report is what [Bootstrap] did, or would do in a dry run.
type Report struct {
	Items        []Item
	SetARNs      []string // IPv4 sets first, by number
	RuleGroupARN string
	WebACLARN    string
}

// Changed reports whether anything was or would be written.
func (r Report) Changed() bool {
	return slices.ContainsFunc(r.Items, func(i Item) bool { return i.Done != Kept })
}

// Bootstrap makes what a [Writer] needs and what makes its sets count: the IP
// sets, the rule group that blocks what they hold, and the web ACL's reference to
// the group, before all its other rules. It may be run again at any time: what is
// there is kept, with what people changed of it, and what is missing is made. A
// run that finds all in place writes nothing.
//
// Sets are PREFIXblock-v4-0, PREFIXblock-v6-0 and so on, so "PREFIXblock-" is the
// name prefix for [Config.Sets]. Sets of such names beyond the number asked for
// are kept in the rules: they may hold bans.
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
	b := newBootstrap(client, cfg)
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

// complete puts in what was left out and checks the rest.
func (cfg *BootstrapConfig) complete() error {
	orElse(&cfg.Prefix, "weir-")
	orElse(&cfg.BlockStatus, 429)
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(cfg.Scope == types.ScopeCloudfront || cfg.Scope == types.ScopeRegional, "scope %q is neither CLOUDFRONT nor REGIONAL", cfg.Scope)
	check(regexp.MustCompile(`^[\w-]{1,100}$`).MatchString(cfg.Prefix), "prefix %q: letters, digits, - and _ only", cfg.Prefix)
	check(cfg.IPv4 >= 0 && cfg.IPv6 >= 0 && cfg.IPv4+cfg.IPv6 >= 1 && cfg.IPv4+cfg.IPv6 <= references,
		"%d IPv4 and %d IPv6 sets: a rule group takes 1 to %d together", cfg.IPv4, cfg.IPv6, references)
	check(slices.Contains(blockStatuses(), cfg.BlockStatus), "block status %d: AWS WAF answers with one of %v", cfg.BlockStatus, blockStatuses())
	if strings.HasPrefix(cfg.WebACL, "arn:") {
		a, err := ParseARN("webacl", cfg.WebACL)
		check(err == nil, "web ACL: %w", err)
		check(err != nil || a.Scope == cfg.Scope, "web ACL %q is of scope %s, not %s", cfg.WebACL, a.Scope, cfg.Scope)
		check(!cfg.CreateWebACL, "a web ACL that is to be made needs a name, not an ARN")
	}
	check(cfg.WebACL != "" || !cfg.CreateWebACL, "a web ACL that is to be made needs a name")
	return errors.Join(errs...)
}

// blockStatuses are what AWS lets a block action answer with, successes and
// redirections left out: they would be no block.
func blockStatuses() []int {
	return []int{400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 421, 429, 500, 501, 502, 503, 504, 505}
}

func (b *bootstrap) run(ctx context.Context) error {
	var refs [families][]string
	b.report = Report{}
	if err := b.ipSets(ctx, &refs); err != nil {
		return err
	}
	if err := b.ruleGroup(ctx, &refs); err != nil {
		return err
	}
	if b.cfg.WebACL == "" {
		return nil
	}
	return b.webACL(ctx)
}

// did adds to the report.
func (b *bootstrap) did(kind, name, arn string, done Done, detail string) {
	if done == Kept && b.made[kind+name] {
		done = Created
	}
	b.report.Items = append(b.report.Items, Item{kind, name, arn, done, detail})
}

// ipSets makes the sets that are missing, and gives the ARNs of all by family.
func (b *bootstrap) ipSets(ctx context.Context, refs *[families][]string) error {
	list, err := all(func(marker *string) ([]types.IPSetSummary, *string, error) {
		out, err := call(ctx, b, b.client.ListIPSets, &wafv2.ListIPSetsInput{Scope: b.cfg.Scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			return nil, nil, err
		}
		return out.IPSets, out.NextMarker, nil
	})
	if err != nil {
		return fmt.Errorf("list IP sets: %w", err)
	}
	there := make(map[string]types.IPSetSummary)
	for _, s := range list {
		there[aws.ToString(s.Name)] = s
	}
	for f := range families {
		for i := 0; ; i++ {
			name := fmt.Sprintf("%sblock-%s-%d", b.cfg.Prefix, f.short(), i)
			s, ok := there[name]
			if !ok && i >= b.planned[f] {
				break
			}
			arn, err := b.ipSet(ctx, f, name, s, ok)
			if err != nil {
				return err
			}
			refs[f] = append(refs[f], arn)
		}
	}
	if n := len(refs[ipv4]) + len(refs[ipv6]); n > references {
		return fmt.Errorf("there are %d IP sets named %sblock-...: a rule group can refer to %d", n, b.cfg.Prefix, references)
	}
	return nil
}

// ipSet keeps or makes one set, and gives its ARN.
func (b *bootstrap) ipSet(ctx context.Context, f family, name string, s types.IPSetSummary, there bool) (string, error) {
	if there {
		out, err := call(ctx, b, b.client.GetIPSet, &wafv2.GetIPSetInput{Id: s.Id, Name: s.Name, Scope: b.cfg.Scope})
		if err != nil {
			return "", fmt.Errorf("get IP set %s: %w", name, err)
		}
		if is, _ := familyFrom(out.IPSet.IPAddressVersion); is != f {
			return "", fmt.Errorf("IP set %s is there and of version %s", name, out.IPSet.IPAddressVersion)
		}
		arn := aws.ToString(s.ARN)
		b.report.SetARNs = append(b.report.SetARNs, arn)
		b.did("IP set", name, arn, Kept, "")
		return arn, nil
	}
	if b.cfg.DryRun {
		b.did("IP set", name, "", Created, "")
		return "the ARN of " + name, nil
	}
	version := types.IPAddressVersionIpv4
	if f == ipv6 {
		version = types.IPAddressVersionIpv6
	}
	b.made["IP set"+name] = true
	out, err := call(ctx, b, b.client.CreateIPSet, &wafv2.CreateIPSetInput{
		Name: &name, Scope: b.cfg.Scope, IPAddressVersion: version,
		Addresses: []string{}, Description: aws.String(description{}.String()), // as if a Writer had emptied it
	})
	if err != nil {
		return "", fmt.Errorf("create IP set %s: %w", name, err)
	}
	arn := aws.ToString(out.Summary.ARN)
	b.report.SetARNs = append(b.report.SetARNs, arn)
	b.did("IP set", name, arn, Created, "")
	return arn, nil
}
