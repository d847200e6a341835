package waf

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// blocks are the numbers of IP sets of the block pool alone.
func blocks(v4, v6 int) map[string]SetCount { return map[string]SetCount{"block": {v4, v6}} }

// strict is a stand-in that refuses what is over AWS's quotas.
func strict() *awslocal.Server {
	return awslocal.New(awslocal.Config{WAF: awslocal.WAFConfig{Enforce: true, Page: 3}})
}

// client is the real SDK's, with its retries, in process.
func client(s *awslocal.Server) *wafv2.Client {
	return wafv2.New(wafv2.Options{
		Region: "eu-central-1", HTTPClient: s.HTTPClient(), // calls of CLOUDFRONT scope go to us-east-1 all the same
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
		}),
	})
}

// changes counts the accepted calls that write.
func changes(s *awslocal.Server) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Status == 200 && !strings.HasPrefix(c.Action, "Get") && !strings.HasPrefix(c.Action, "List") {
			n++
		}
	}
	return n
}

func bootstrapped(t *testing.T, s *awslocal.Server, cfg BootstrapConfig) Report {
	t.Helper()
	r, err := Bootstrap(t.Context(), client(s), cfg)
	if err != nil {
		t.Fatalf("%v after %+v", err, r)
	}
	return r
}

// dones lists a report in a line: "created weir-block-v4-0, ...".
func dones(r Report) string {
	var list []string
	for _, i := range r.Items {
		list = append(list, fmt.Sprintf("%s %s", i.Done, i.Name))
	}
	return strings.Join(list, ", ")
}

func expectDones(t *testing.T, r Report, want string) {
	t.Helper()
	if got := dones(r); got != want {
		t.Errorf("did %s\nwant %s", got, want)
	}
}

func TestBootstrapMakesAllAndThenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(2, 1), WebACL: "site", CreateWebACL: true}
		all := "weir-block-v4-0, %[1]s weir-block-v4-1, %[1]s weir-block-v6-0, %[1]s weir-bans, %[1]s site"
		cfg.DryRun = true
		expectDones(t, bootstrapped(t, s, cfg), fmt.Sprintf("%[1]s "+all, Created))
		if n := changes(s); n != 0 {
			t.Errorf("a dry run made %d changes", n)
		}
		cfg.DryRun = false
		r := bootstrapped(t, s, cfg)
		expectDones(t, r, fmt.Sprintf("%[1]s "+all, Created))
		if n := changes(s); n != 5 || len(r.SetARNs) != 3 || r.RuleGroupARN == "" || r.WebACLARN == "" || !r.Changed() {
			t.Errorf("%d changes, %+v", n, r)
		}
		again := bootstrapped(t, s, cfg)
		expectDones(t, again, fmt.Sprintf("%[1]s "+all, Kept))
		if n := changes(s); n != 5 || again.Changed() || !slices.Equal(again.SetARNs, r.SetARNs) {
			t.Errorf("%d changes after a second run, %+v", n, again)
		}
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
		for _, c := range []struct{ addr, set string }{{"192.0.2.1", "weir-block-v4-1"}, {"2001:db8::1", "weir-block-v6-0"}} {
			addr := netip.MustParseAddr(c.addr)
			if got := s.WAF().Evaluate("CLOUDFRONT", "site", addr, time.Now()); got.Status != 0 && got.Status != 200 {
				t.Errorf("%s is blocked before it is banned: %+v", addr, got)
			}
			if err := s.WAF().EditByHand("CLOUDFRONT", c.set, []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, nil); err != nil {
				t.Fatal(err)
			}
			if got := s.WAF().Evaluate("CLOUDFRONT", "site", addr, time.Now()); got.Status != 429 {
				t.Errorf("%s gets %+v", addr, got)
			}
		}
	})
}

func TestBootstrapAddsSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		cfg := BootstrapConfig{Scope: types.ScopeRegional, Prefix: "shop_", Sets: blocks(1, 0), BlockStatus: 421}
		bootstrapped(t, s, cfg)
		cfg.Sets = blocks(3, 1)
		r := bootstrapped(t, s, cfg)
		expectDones(t, r, "kept shop_block-v4-0, created shop_block-v4-1, created shop_block-v4-2, created shop_block-v6-0, changed shop_bans")
		if d := r.Items[4].Detail; d != "rule block refers to 4 IP set(s)" {
			t.Errorf("changed: %s", d)
		}
		cfg.Sets = blocks(1, 0) // what is there stays in the rules
		expectDones(t, bootstrapped(t, s, cfg), "kept shop_block-v4-0, kept shop_block-v4-1, kept shop_block-v4-2, kept shop_block-v6-0, kept shop_bans")
		cfg.BlockStatus = 0 // as it is
		r = bootstrapped(t, s, cfg)
		expectDones(t, r, "kept shop_block-v4-0, kept shop_block-v4-1, kept shop_block-v4-2, kept shop_block-v6-0, kept shop_bans")
		if r.BlockStatus != 421 {
			t.Errorf("kept: status %d", r.BlockStatus)
		}
		cfg.BlockStatus = 429
		r = bootstrapped(t, s, cfg)
		if d := r.Items[4].Detail; d != "rule block blocks with status 429 and 0 header(s)" || r.BlockStatus != 429 {
			t.Errorf("changed: %s, status %d", d, r.BlockStatus)
		}
	})
}

// Fifty sets are as many as fit, and the capacity set at first suffices.
func TestBootstrapGrowsToFiftySets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)}
		bootstrapped(t, s, cfg)
		cfg.Sets = map[string]SetCount{"block": {30, 10}, "list-count": {4, 4}, "count": {1, 1}}
		bootstrapped(t, s, cfg)
		cfg.Sets = blocks(1, 11)
		if _, err := Bootstrap(t.Context(), client(s), cfg); err == nil || !strings.Contains(err.Error(), "can refer to 50") {
			t.Error(err)
		}
	})
}

func setStatement(arn string) *types.Statement {
	return &types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{ARN: &arn}}
}

// What people changed about our reference stays: place, name, overrides.
func TestBootstrapRespectsTheOwnersReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		group := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)}).RuleGroupARN
		_, err := c.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
			Name: new("site"), Scope: types.ScopeCloudfront, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}}, VisibilityConfig: visibility("site"),
			Rules: []types.Rule{{
				Name: new("bans"), Priority: 7, VisibilityConfig: visibility("bans"), OverrideAction: &types.OverrideAction{Count: &types.CountAction{}},
				Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: &group}},
			}},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0), WebACL: "site"})
		expectDones(t, r, "kept weir-block-v4-0, kept weir-bans, kept site")
	})
}

func TestBootstrapWaitsForAWS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		s.Faults().Add(
			awslocal.Fault{Service: "wafv2", Action: "CreateIPSet", Nth: 1, Do: awslocal.FaultErrorAfter},
			awslocal.Fault{Service: "wafv2", Action: "CreateIPSet", Times: 1, Do: awslocal.FaultThrottle},
			awslocal.Fault{Service: "wafv2", Action: "CreateRuleGroup", Times: 8, Do: awslocal.FaultError, Code: "WAFUnavailableEntityException", Status: 400},
			awslocal.Fault{Service: "wafv2", Action: "CreateWebACL", Times: 1, Do: awslocal.FaultReset},
			awslocal.Fault{Service: "wafv2", Action: "ListWebACLs", Times: 1, Do: awslocal.FaultHang},
		)
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 1), WebACL: "site", CreateWebACL: true})
		expectDones(t, r, "created weir-block-v4-0, created weir-block-v6-0, created weir-bans, created site")
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
		// Somebody else writes the web ACL in between.
		s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "UpdateRuleGroup", Times: 2, Do: awslocal.FaultError, Code: "WAFOptimisticLockException", Status: 400})
		r = bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(2, 1), WebACL: "site"})
		expectDones(t, r, "kept weir-block-v4-0, created weir-block-v4-1, kept weir-block-v6-0, changed weir-bans, kept site")

		s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "CreateIPSet", Do: awslocal.FaultError, Code: "WAFUnavailableEntityException", Status: 400})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		_, err := Bootstrap(ctx, client(s), BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(3, 0)})
		if codeOf(err) != "WAFUnavailableEntityException" || time.Since(begin) > 2*bootstrapWait {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

func TestBootstrapErrors(t *testing.T) {
	good := BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)}
	for part, bend := range map[string]func(*BootstrapConfig){
		"scope":                             func(c *BootstrapConfig) { c.Scope = "" },
		"0 IP sets":                         func(c *BootstrapConfig) { c.Sets = nil },
		"51 IP sets":                        func(c *BootstrapConfig) { c.Sets = blocks(30, 21) },
		"block status 418":                  func(c *BootstrapConfig) { c.BlockStatus = 418 },
		"prefix":                            func(c *BootstrapConfig) { c.Prefix = "we ir" },
		"is not a WAFv2 ARN":                func(c *BootstrapConfig) { c.WebACL = "arn:aws:wafv2:x" },
		"needs a name":                      func(c *BootstrapConfig) { c.CreateWebACL = true },
		"of scope REGIONAL, not CLOUDFRONT": func(c *BootstrapConfig) { c.WebACL = strings.Replace(regionalARN, "/ipset/", "/webacl/", 1) },
	} {
		cfg := good
		bend(&cfg)
		if _, err := Bootstrap(t.Context(), nil, cfg); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		cfg := good
		for webACL, part := range map[string]string{
			"nowhere": `no web ACL "nowhere"`,
			"arn:aws:wafv2:us-east-1:123456789012:global/webacl/nowhere/12345678-1234-1234-1234-123456789012": "WAFNonexistentItemException",
		} {
			cfg.WebACL = webACL
			if report, err := Bootstrap(t.Context(), client(s), cfg); err == nil || !strings.Contains(err.Error(), part) || len(report.Items) > 0 {
				t.Errorf("%v after %+v, want %s and nothing made", err, report.Items, part)
			}
		}
		time.Sleep(time.Second)
		_, err := client(s).CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{
			Name: new("weir-block-v4-1"), Scope: types.ScopeCloudfront, IPAddressVersion: types.IPAddressVersionIpv6, Addresses: []string{},
		}, callOptions(types.ScopeCloudfront))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Bootstrap(t.Context(), client(s), good); err == nil || !strings.Contains(err.Error(), "of version IPV6") {
			t.Error(err)
		}
	})
}

// A rule group with rules of the owner's, and a web ACL whose rule of our name
// refers to a group that is not the one: only what is wrong changes.
func TestBootstrapMendsAndLeavesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		set := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Prefix: "other-", Sets: blocks(1, 0)}).SetARNs[0]
		pass(time.Second)
		count := &types.RuleAction{Count: &types.CountAction{CustomRequestHandling: &types.CustomRequestHandling{
			InsertHeaders: []types.CustomHTTPHeader{{Name: new("seen"), Value: new("1")}},
		}}}
		old, err := c.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
			Name: new("weir-bans"), Scope: types.ScopeCloudfront, Capacity: new(int64(20)), VisibilityConfig: visibility("own"), Description: new("ours and yours"),
			CustomResponseBodies: map[string]types.CustomResponseBody{"sorry": {ContentType: types.ResponseContentTypeTextPlain, Content: new("no")}},
			Rules: []types.Rule{
				{Name: new("yours"), Priority: 30, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("yours")},
				{Name: new("count"), Priority: 5, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("mine"), RuleLabels: []types.Label{{Name: new("banned")}}},
				{Name: new("captcha"), Priority: 4, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("x")},
			},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		other, err := c.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
			Name: new("gone"), Scope: types.ScopeCloudfront, Capacity: new(int64(1)), VisibilityConfig: visibility("gone"), Rules: []types.Rule{
				{Name: new("block"), Priority: 0, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("x")},
			},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		override := []types.RuleActionOverride{{Name: new("block"), ActionToUse: count}}
		made, err := c.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
			Name: new("site"), Scope: types.ScopeCloudfront, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}}, VisibilityConfig: visibility("site"),
			Rules: []types.Rule{{
				Name: new("weir-bans"), Priority: 3, VisibilityConfig: visibility("bans"), OverrideAction: &types.OverrideAction{None: &types.NoneAction{}},
				Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: other.Summary.ARN, RuleActionOverrides: override}},
			}},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		cfg := BootstrapConfig{
			Scope: types.ScopeCloudfront, WebACL: "site", DryRun: true,
			Sets: map[string]SetCount{"block": {1, 1}, "count": {1, 0}, "captcha": {1, 0}}, CaptchaImmunity: time.Minute,
		}
		want := "rule count refers to 1 IP set(s), rule count labels with weir:count, rule block added, " +
			"rule captcha refers to 1 IP set(s), rule captcha asks to solve a captcha, rule captcha labels with weir:captcha, rule captcha has a captcha immunity of 1m0s; " +
			"rule weir-bans refers to the rule group"
		for range 2 {
			r := bootstrapped(t, s, cfg)
			if got := r.Items[4].Detail + "; " + r.Items[5].Detail; got != want {
				t.Errorf("dry run %v: %s", cfg.DryRun, got)
			}
			cfg.DryRun = false
		}
		if r := bootstrapped(t, s, cfg); r.Changed() {
			t.Errorf("a second run did %s", dones(r))
		}
		group, err := c.GetRuleGroup(t.Context(), &wafv2.GetRuleGroupInput{ARN: old.Summary.ARN}, east)
		if err != nil {
			t.Fatal(err)
		}
		g := group.RuleGroup
		if aws.ToString(g.Description) != "ours and yours" || len(g.CustomResponseBodies) != 1 || *g.VisibilityConfig.MetricName != "own" || len(g.Rules) != 4 {
			t.Errorf("the rule group is %+v", g)
		}
		for _, r := range g.Rules {
			switch *r.Name {
			case "yours":
				if r.Action.Count == nil || r.Priority != 30 || len(r.RuleLabels) != 0 {
					t.Errorf("the owner's rule is %+v", r)
				}
			case "block":
				if r.Action.Block == nil || r.Priority != 31 {
					t.Errorf("the new rule is %+v", r)
				}
			case "count":
				if r.Action.Count == nil || r.Action.Count.CustomRequestHandling == nil || r.Priority != 5 || len(r.RuleLabels) != 2 || *r.VisibilityConfig.MetricName != "mine" {
					t.Errorf("the mended rule is %+v", r)
				}
			case "captcha":
				if r.Action.Captcha == nil || r.Action.Count != nil || *r.CaptchaConfig.ImmunityTimeProperty.ImmunityTime != 60 {
					t.Errorf("the mended rule is %+v", r)
				}
			}
		}
		acl, err := c.GetWebACL(t.Context(), &wafv2.GetWebACLInput{ARN: made.Summary.ARN}, east)
		if err != nil {
			t.Fatal(err)
		}
		rule := acl.WebACL.Rules[0]
		if ref := groupReference(rule); *ref.ARN != *old.Summary.ARN || !reflect.DeepEqual(ref.RuleActionOverrides, override) || rule.Priority != 3 || len(acl.WebACL.Rules) != 1 {
			t.Errorf("the reference is %+v of %+v", ref, rule)
		}
	})
}

func TestBootstrapSaysThatAGroupIsTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		_, err := client(s).CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
			Name: new("weir-bans"), Scope: types.ScopeCloudfront, Capacity: new(int64(1)), VisibilityConfig: visibility("x"),
		}, callOptions(types.ScopeCloudfront))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Bootstrap(t.Context(), client(s), BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(2, 0)})
		if err == nil || !strings.Contains(err.Error(), "its capacity of 1 units cannot grow") {
			t.Error(err)
		}
	})
}
