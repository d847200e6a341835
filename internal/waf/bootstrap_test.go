package waf

import (
	"context"
	"encoding/json"
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
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 2, IPv6: 1, WebACL: "site", CreateWebACL: true}
		all := "weir-block-v4-0, %[1]s weir-block-v4-1, %[1]s weir-block-v6-0, %[1]s weir-block, %[1]s site"
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
		cfg := BootstrapConfig{Scope: types.ScopeRegional, Prefix: "shop_", IPv4: 1, BlockStatus: 421}
		bootstrapped(t, s, cfg)
		cfg.IPv4, cfg.IPv6 = 3, 1
		r := bootstrapped(t, s, cfg)
		expectDones(t, r, "kept shop_block-v4-0, created shop_block-v4-1, created shop_block-v4-2, created shop_block-v6-0, changed shop_block")
		if d := r.Items[4].Detail; d != "rule block-v4 refers to 3 IP set(s), rule block-v6 added" {
			t.Errorf("changed: %s", d)
		}
		cfg.IPv4, cfg.IPv6 = 1, 0 // what is there stays in the rules
		expectDones(t, bootstrapped(t, s, cfg), "kept shop_block-v4-0, kept shop_block-v4-1, kept shop_block-v4-2, kept shop_block-v6-0, kept shop_block")
		cfg.BlockStatus = 429
		if d := bootstrapped(t, s, cfg).Items[4].Detail; d != "rule block-v4 blocks with status 429, rule block-v6 blocks with status 429" {
			t.Errorf("changed: %s", d)
		}
	})
}

// Fifty sets are as many as fit, and the capacity set at first suffices.
func TestBootstrapGrowsToFiftySets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1}
		bootstrapped(t, s, cfg)
		cfg.IPv4, cfg.IPv6 = 40, 10
		bootstrapped(t, s, cfg)
		cfg.IPv4 = 10
		cfg.IPv6 = 11
		if _, err := Bootstrap(t.Context(), client(s), cfg); err == nil || !strings.Contains(err.Error(), "can refer to 50") {
			t.Error(err)
		}
	})
}

func setStatement(arn string) *types.Statement {
	return &types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{ARN: &arn}}
}

// rich is a web ACL that uses every field there is.
func rich(setARN string) *wafv2.CreateWebACLInput {
	block := func(name string, priority int32) types.Rule {
		return types.Rule{
			Name: &name, Priority: priority, VisibilityConfig: visibility(name), Statement: setStatement(setARN),
			Action: &types.RuleAction{Block: &types.BlockAction{CustomResponse: &types.CustomResponse{
				ResponseCode: new(int32(403)), CustomResponseBodyKey: new("sorry"),
				ResponseHeaders: []types.CustomHTTPHeader{{Name: new("x-why"), Value: new("listed")}},
			}}},
			RuleLabels:      []types.Label{{Name: new("listed")}},
			CaptchaConfig:   &types.CaptchaConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: new(int64(90))}},
			ChallengeConfig: &types.ChallengeConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: new(int64(400))}},
		}
	}
	return &wafv2.CreateWebACLInput{
		Name: new("site"), Scope: types.ScopeCloudfront, Description: new("everything"),
		DefaultAction:        &types.DefaultAction{Block: &types.BlockAction{CustomResponse: &types.CustomResponse{ResponseCode: new(int32(404))}}},
		VisibilityConfig:     visibility("site"),
		CustomResponseBodies: map[string]types.CustomResponseBody{"sorry": {ContentType: types.ResponseContentTypeTextPlain, Content: new("no")}},
		CaptchaConfig:        &types.CaptchaConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: new(int64(70))}},
		ChallengeConfig:      &types.ChallengeConfig{ImmunityTimeProperty: &types.ImmunityTimeProperty{ImmunityTime: new(int64(700))}},
		TokenDomains:         []string{"example.org", "example.net"},
		AssociationConfig: &types.AssociationConfig{RequestBody: map[string]types.RequestBodyAssociatedResourceTypeConfig{
			"CLOUDFRONT": {DefaultSizeInspectionLimit: types.SizeInspectionLimitKb64},
		}},
		DataProtectionConfig: &types.DataProtectionConfig{DataProtections: []types.DataProtection{{
			Action: types.DataProtectionActionSubstitution, Field: &types.FieldToProtect{FieldType: types.FieldToProtectTypeQueryString},
		}}},
		OnSourceDDoSProtectionConfig: &types.OnSourceDDoSProtectionConfig{ALBLowReputationMode: types.LowReputationModeActiveUnderDdos},
		ApplicationConfig:            &types.ApplicationConfig{Attributes: []types.ApplicationAttribute{{Name: new("team"), Values: []string{"web"}}}},
		Tags:                         []types.Tag{{Key: new("stage"), Value: new("live")}},
		Rules:                        []types.Rule{block("first", 0), block("second", 1), block("tenth", 10)},
	}
}

func TestBootstrapKeepsEveryFieldOfTheWebACL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		set := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1}).SetARNs[0]
		in := rich(set)
		for i := range reflect.TypeFor[wafv2.CreateWebACLInput]().NumField() {
			if f := reflect.ValueOf(in).Elem().Field(i); reflect.TypeFor[wafv2.CreateWebACLInput]().Field(i).IsExported() && f.IsZero() {
				t.Fatalf("the test's web ACL has no %s", reflect.TypeFor[wafv2.CreateWebACLInput]().Field(i).Name)
			}
		}
		made, err := c.CreateWebACL(t.Context(), in, east)
		if err != nil {
			t.Fatal(err)
		}
		// Without rules and capacity, as JSON; and the rules by name.
		read := func() (string, map[string]types.Rule) {
			t.Helper()
			out, err := c.GetWebACL(t.Context(), &wafv2.GetWebACLInput{Id: made.Summary.Id, Name: in.Name, Scope: in.Scope}, east)
			if err != nil {
				t.Fatal(err)
			}
			rules := make(map[string]types.Rule)
			for _, r := range out.WebACL.Rules {
				rules[*r.Name] = r
			}
			out.WebACL.Rules, out.WebACL.Capacity = nil, 0
			text, err := json.Marshal(out.WebACL)
			if err != nil {
				t.Fatal(err)
			}
			return string(text), rules
		}
		before, rules := read()
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1, WebACL: *made.Summary.ARN}
		r := bootstrapped(t, s, cfg)
		if d := r.Items[2].Detail; d != "rule weir-block added with priority 0, the 2 rules before moved down by one" {
			t.Errorf("changed: %s", d)
		}
		after, now := read()
		if before != after {
			t.Errorf("before: %s\nafter:  %s", before, after)
		}
		moved := map[string]int32{"first": 1, "second": 2, "tenth": 10}
		for name, was := range rules {
			was.Priority = moved[name]
			if !reflect.DeepEqual(was, now[name]) {
				t.Errorf("rule %s was changed: %+v, %+v", name, was, now[name])
			}
		}
		if ours := now["weir-block"]; ours.Priority != 0 || len(now) != 4 || ours.OverrideAction.None == nil {
			t.Errorf("%d rules, ours is %+v", len(now), ours)
		}
		n := changes(s)
		if r := bootstrapped(t, s, cfg); r.Changed() || changes(s) != n {
			t.Errorf("a second run did %s", dones(r))
		}
	})
}

// Fields that the SDK adds one day must not get lost unnoticed.
func TestUpdatesCoverAllThatIsRead(t *testing.T) {
	check := func(in, read reflect.Type, only, readOnly []string) {
		t.Helper()
		for _, f := range reflect.VisibleFields(in) {
			if _, ok := read.FieldByName(f.Name); f.IsExported() && !ok && !slices.Contains(only, f.Name) {
				t.Errorf("%s.%s is not in what is read", in, f.Name)
			}
		}
		for _, f := range reflect.VisibleFields(read) {
			if _, ok := in.FieldByName(f.Name); f.IsExported() && !ok && !slices.Contains(readOnly, f.Name) {
				t.Errorf("%s.%s is read and not written back", read, f.Name)
			}
		}
	}
	check(reflect.TypeFor[wafv2.UpdateWebACLInput](), reflect.TypeFor[types.WebACL](),
		[]string{"LockToken", "Scope"},
		[]string{
			"ARN", "Capacity", "LabelNamespace", "ManagedByFirewallManager", "RetrofittedByFirewallManager",
			"PreProcessFirewallManagerRuleGroups", "PostProcessFirewallManagerRuleGroups",
		})
	check(reflect.TypeFor[wafv2.UpdateRuleGroupInput](), reflect.TypeFor[types.RuleGroup](),
		[]string{"LockToken", "Scope"},
		[]string{"ARN", "Capacity", "LabelNamespace", "AvailableLabels", "ConsumedLabels"})
	carry(&wafv2.UpdateWebACLInput{}, &types.WebACL{}) // panics where types differ
	carry(&wafv2.UpdateRuleGroupInput{}, &types.RuleGroup{})
}

func TestTopPriority(t *testing.T) {
	f := func(have []int32, want int32, then ...int32) {
		t.Helper()
		var rules []types.Rule
		for _, p := range have {
			rules = append(rules, types.Rule{Priority: p})
		}
		got, moved := topPriority(rules)
		var now []int32
		for _, r := range rules {
			now = append(now, r.Priority)
		}
		if then == nil {
			then = have
		}
		if got != want || !slices.Equal(now, then) || moved > 0 != !slices.Equal(have, then) {
			t.Errorf("%v: priority %d, then %v, %d moved", have, got, now, moved)
		}
	}
	f(nil, newACLPriority)
	f([]int32{1}, 0)
	f([]int32{50, 20}, 19)
	f([]int32{0}, 0, 1)
	f([]int32{2, 0, 1, 7}, 0, 3, 1, 2, 7)
	f([]int32{0, 2}, 0, 1, 2)
}

// What people changed about our reference stays: place, name, overrides.
func TestBootstrapRespectsTheOwnersReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := strict()
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		group := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1}).RuleGroupARN
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
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1, WebACL: "site"})
		expectDones(t, r, "kept weir-block-v4-0, kept weir-block, kept site")
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
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1, IPv6: 1, WebACL: "site", CreateWebACL: true})
		expectDones(t, r, "created weir-block-v4-0, created weir-block-v6-0, created weir-block, created site")
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
		// Somebody else writes the web ACL in between.
		s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "UpdateRuleGroup", Times: 2, Do: awslocal.FaultError, Code: "WAFOptimisticLockException", Status: 400})
		r = bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 2, IPv6: 1, WebACL: "site"})
		expectDones(t, r, "kept weir-block-v4-0, created weir-block-v4-1, kept weir-block-v6-0, changed weir-block, kept site")

		s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "CreateIPSet", Do: awslocal.FaultError, Code: "WAFUnavailableEntityException", Status: 400})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		_, err := Bootstrap(ctx, client(s), BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 3})
		if codeOf(err) != "WAFUnavailableEntityException" || time.Since(begin) > 2*bootstrapWait {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

func TestBootstrapErrors(t *testing.T) {
	good := BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1}
	for part, bend := range map[string]func(*BootstrapConfig){
		"scope":                             func(c *BootstrapConfig) { c.Scope = "" },
		"0 IPv4 and 0 IPv6 sets":            func(c *BootstrapConfig) { c.IPv4 = 0 },
		"30 IPv4 and 21 IPv6 sets":          func(c *BootstrapConfig) { c.IPv4, c.IPv6 = 30, 21 },
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
		cfg.WebACL = "nowhere"
		if _, err := Bootstrap(t.Context(), client(s), cfg); err == nil || !strings.Contains(err.Error(), `no web ACL "nowhere"`) {
			t.Error(err)
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
		set := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Prefix: "other-", IPv4: 1}).SetARNs[0]
		pass(time.Second)
		count := &types.RuleAction{Count: &types.CountAction{}}
		old, err := c.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
			Name: new("weir-block"), Scope: types.ScopeCloudfront, Capacity: new(int64(20)), VisibilityConfig: visibility("own"), Description: new("ours and yours"),
			CustomResponseBodies: map[string]types.CustomResponseBody{"sorry": {ContentType: types.ResponseContentTypeTextPlain, Content: new("no")}},
			Rules: []types.Rule{
				{Name: new("yours"), Priority: 0, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("yours")},
				{Name: new("block-v6"), Priority: 5, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("mine"), RuleLabels: []types.Label{{Name: new("banned")}}},
			},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		other, err := c.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
			Name: new("gone"), Scope: types.ScopeCloudfront, Capacity: new(int64(1)), VisibilityConfig: visibility("gone"), Rules: []types.Rule{
				{Name: new("block-v4"), Priority: 0, Statement: setStatement(set), Action: count, VisibilityConfig: visibility("x")},
			},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		override := []types.RuleActionOverride{{Name: new("block-v4"), ActionToUse: count}}
		made, err := c.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
			Name: new("site"), Scope: types.ScopeCloudfront, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}}, VisibilityConfig: visibility("site"),
			Rules: []types.Rule{{
				Name: new("weir-block"), Priority: 3, VisibilityConfig: visibility("bans"), OverrideAction: &types.OverrideAction{None: &types.NoneAction{}},
				Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: other.Summary.ARN, RuleActionOverrides: override}},
			}},
		}, east)
		if err != nil {
			t.Fatal(err)
		}
		cfg := BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 1, IPv6: 1, WebACL: "site", DryRun: true}
		want := "rule block-v4 added, rule block-v6 refers to 1 IP set(s), rule block-v6 blocks with status 429; rule weir-block refers to the rule group"
		for range 2 {
			r := bootstrapped(t, s, cfg)
			if got := r.Items[2].Detail + "; " + r.Items[3].Detail; got != want {
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
		if aws.ToString(g.Description) != "ours and yours" || len(g.CustomResponseBodies) != 1 || *g.VisibilityConfig.MetricName != "own" || len(g.Rules) != 3 {
			t.Errorf("the rule group is %+v", g)
		}
		for _, r := range g.Rules {
			switch *r.Name {
			case "yours":
				if r.Action.Count == nil || r.Priority != 0 {
					t.Errorf("the owner's rule is %+v", r)
				}
			case "block-v4":
				if r.Action.Block == nil || r.Priority != 1 {
					t.Errorf("the new rule is %+v", r)
				}
			case "block-v6":
				if r.Action.Block == nil || r.Priority != 5 || len(r.RuleLabels) != 1 || *r.VisibilityConfig.MetricName != "mine" {
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
			Name: new("weir-block"), Scope: types.ScopeCloudfront, Capacity: new(int64(1)), VisibilityConfig: visibility("x"),
		}, callOptions(types.ScopeCloudfront))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Bootstrap(t.Context(), client(s), BootstrapConfig{Scope: types.ScopeCloudfront, IPv4: 2})
		if err == nil || !strings.Contains(err.Error(), "its capacity of 1 cannot grow") {
			t.Error(err)
		}
	})
}
