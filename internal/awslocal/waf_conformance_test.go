package awslocal

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// The conformance suite says what Weir relies on in WAFv2. It runs against our
// stand-in and, with WEIR_TEST_WAFV2_ENDPOINT, against any other server. Most
// doubles take nearly everything, so what AWS refuses is asked of them only if
// WEIR_TEST_WAFV2_STRICT is set, too.

func TestWAFConformance(t *testing.T) {
	testWAF(t, newWAFClient(New(Config{}), "us-east-1"), true)
}

func TestWAFConformanceEndpoint(t *testing.T) {
	url := os.Getenv("WEIR_TEST_WAFV2_ENDPOINT")
	if url == "" {
		t.Skip("WEIR_TEST_WAFV2_ENDPOINT is not set")
	}
	testWAF(t, wafv2.New(wafv2.Options{
		Region: "us-east-1", BaseEndpoint: &url, HTTPClient: httpClient(t), Credentials: testCredentials(),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 20 }),
	}), os.Getenv("WEIR_TEST_WAFV2_STRICT") != "")
}

type wafSuite struct {
	*wafv2.Client
	run string // makes names unique, for servers that outlive the test
}

func testWAF(t *testing.T, client *wafv2.Client, strict bool) {
	s := &wafSuite{client, "weir-" + newID()[:8] + "-"}
	t.Run("a life of an IP set", s.life)
	t.Run("a rule group overridden and back", s.panicSwitch)
	if !strict {
		return
	}
	t.Run("senseless addresses", s.addresses)
	t.Run("names and descriptions", s.names)
	t.Run("identity", s.identity)
	t.Run("ten thousand", s.tenThousand)
	t.Run("association", s.association)
	t.Run("capacity", s.capacity)
	t.Run("senseless rules", s.badRules)
	t.Run("answers and labels", s.answers)
	t.Run("a web ACL keeps every member", s.wholeACL)
	t.Run("senseless web ACLs", s.badACLs)
	t.Run("tags", s.tags)
}

const scope = types.ScopeCloudfront

// set makes an IP set that is deleted when the test ends.
func (s *wafSuite) set(t *testing.T, name string, addresses ...string) *types.IPSetSummary {
	t.Helper()
	version := types.IPAddressVersionIpv4
	if len(addresses) > 0 && strings.Contains(addresses[0], ":") {
		version = types.IPAddressVersionIpv6
	}
	out, err := s.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{
		Name: aws.String(s.run + name), Scope: scope, IPAddressVersion: version, Addresses: append([]string{}, addresses...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		got, err := s.GetIPSet(ctx, &wafv2.GetIPSetInput{Name: out.Summary.Name, Scope: scope, Id: out.Summary.Id})
		if errorCode(err) == "WAFNonexistentItemException" {
			return
		}
		if err == nil {
			_, err = s.DeleteIPSet(ctx, &wafv2.DeleteIPSetInput{Name: out.Summary.Name, Scope: scope, Id: out.Summary.Id, LockToken: got.LockToken})
		}
		if err != nil {
			t.Errorf("clean up %s: %v", name, err)
		}
	})
	return out.Summary
}

func (s *wafSuite) content(t *testing.T, set *types.IPSetSummary) []netip.Prefix {
	t.Helper()
	out, err := s.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: set.Name, Scope: scope, Id: set.Id})
	if err != nil {
		t.Fatal(err)
	}
	var list []netip.Prefix
	for _, a := range out.IPSet.Addresses {
		list = append(list, netip.MustParsePrefix(a))
	}
	slices.SortFunc(list, comparePrefixes)
	return list
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func (s *wafSuite) life(t *testing.T) {
	ctx := t.Context()
	set := s.set(t, "life", "192.0.2.1/32", "198.51.100.0/24")
	update := func(token *string, addresses ...string) (*string, error) {
		out, err := s.UpdateIPSet(ctx, &wafv2.UpdateIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: token, Addresses: append([]string{}, addresses...)})
		if err != nil {
			return nil, err
		}
		return out.NextLockToken, nil
	}
	// A chain of tokens needs no Get in between.
	second, err := update(set.LockToken, "192.0.2.7/32")
	wantCode(t, err, "")
	third, err := update(second)
	wantCode(t, err, "")
	if got := s.content(t, set); len(got) != 0 {
		t.Errorf("emptied: %v", got)
	}
	_, err = update(second, "192.0.2.8/32")
	wantCode(t, err, "WAFOptimisticLockException")
	_, err = s.DeleteIPSet(ctx, &wafv2.DeleteIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: second})
	wantCode(t, err, "WAFOptimisticLockException")
	fourth, err := update(third, "203.0.113.0/25", "192.0.2.8/32", "10.0.0.0/8")
	wantCode(t, err, "")
	if got := s.content(t, set); !slices.Equal(got, prefixes("10.0.0.0/8", "192.0.2.8/32", "203.0.113.0/25")) {
		t.Errorf("holds %v", got)
	}
	listed, err := s.ListIPSets(ctx, &wafv2.ListIPSetsInput{Scope: scope, Limit: aws.Int32(100)})
	wantCode(t, err, "")
	at := slices.IndexFunc(listed.IPSets, func(x types.IPSetSummary) bool { return *x.Id == *set.Id })
	if at < 0 || *listed.IPSets[at].LockToken != *fourth || *listed.IPSets[at].ARN != *set.ARN {
		t.Errorf("listed as %+v", listed.IPSets)
	}
	if !strings.HasPrefix(*set.ARN, "arn:aws:wafv2:us-east-1:") || !strings.HasSuffix(*set.ARN, ":global/ipset/"+*set.Name+"/"+*set.Id) {
		t.Errorf("ARN %s", *set.ARN)
	}
	_, err = s.DeleteIPSet(ctx, &wafv2.DeleteIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: fourth})
	wantCode(t, err, "")
	_, err = update(fourth)
	wantCode(t, err, "WAFNonexistentItemException")
}

func (s *wafSuite) addresses(t *testing.T) {
	four, six := s.set(t, "four"), s.set(t, "six", "2001:db8::/64")
	if got := s.content(t, six); !slices.Equal(got, prefixes("2001:db8::/64")) {
		t.Errorf("holds %v", got)
	}
	for _, tt := range []struct {
		set  *types.IPSetSummary
		list []string
		bad  string
	}{
		{four, []string{"192.0.2.1/32", "195.178.188.66/29"}, "195.178.188.66/29"},
		{four, []string{"0.0.0.0/0"}, "0.0.0.0/0"},
		{four, []string{"192.0.2.1"}, "192.0.2.1"},
		{four, []string{"192.0.2.1/33"}, "192.0.2.1/33"},
		{four, []string{"2001:db8::1/128"}, "2001:db8::1/128"},
		{four, []string{"nonsense"}, "nonsense"},
		{six, []string{"::/0"}, "::/0"},
		{six, []string{"192.0.2.1/32"}, "192.0.2.1/32"},
		{six, []string{"::ffff:192.0.2.1/128"}, "::ffff:192.0.2.1/128"},
		{six, []string{"2001:db8::1/64"}, "2001:db8::1/64"},
	} {
		_, err := s.UpdateIPSet(t.Context(), &wafv2.UpdateIPSetInput{Name: tt.set.Name, Scope: scope, Id: tt.set.Id, LockToken: tt.set.LockToken, Addresses: tt.list})
		var bad *types.WAFInvalidParameterException
		if !errors.As(err, &bad) || aws.ToString(bad.Parameter) != tt.bad || bad.Field != types.ParameterExceptionFieldIpAddress {
			t.Errorf("%v: %v", tt.list, err)
		}
	}
	if got := s.content(t, four); len(got) != 0 {
		t.Errorf("a refused update left %v", got)
	}
}

func (s *wafSuite) names(t *testing.T) {
	for _, tt := range []struct {
		name        string
		description *string
		code        string
	}{
		{"with space", nil, "ValidationException"},
		{strings.Repeat("x", 129), nil, "ValidationException"},
		{"semicolon", aws.String("a;b;c"), "ValidationException"},
		{"two-characters", aws.String("ab"), "ValidationException"},
		{"ends-in-space", aws.String("abc "), "ValidationException"},
		{"long", aws.String(strings.Repeat("x", 257)), "ValidationException"},
		{"fine", aws.String("weir v1 pool:block4 ep:17 n:9870"), ""},
	} {
		name := tt.name
		if tt.code == "" {
			name = s.run + tt.name
		}
		out, err := s.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: &name, Description: tt.description, Scope: scope, IPAddressVersion: "IPV4", Addresses: []string{}})
		if errorCode(err) != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			_, err = s.DeleteIPSet(t.Context(), &wafv2.DeleteIPSetInput{Name: &name, Scope: scope, Id: out.Summary.Id, LockToken: out.Summary.LockToken})
			wantCode(t, err, "")
		}
	}
}

// identity: name, id and scope must all be right, and the region for the scope.
func (s *wafSuite) identity(t *testing.T) {
	a, b := s.set(t, "identity-a"), s.set(t, "identity-b")
	_, err := s.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: a.Name, Scope: scope, IPAddressVersion: "IPV4", Addresses: []string{}})
	wantCode(t, err, "WAFDuplicateItemException")
	get := func(name, id *string, in types.Scope, options ...func(*wafv2.Options)) error {
		_, err := s.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: name, Id: id, Scope: in}, options...)
		return err
	}
	wantCode(t, get(a.Name, a.Id, scope), "")
	wantCode(t, get(a.Name, b.Id, scope), "WAFNonexistentItemException")
	wantCode(t, get(aws.String("other"), a.Id, scope), "WAFNonexistentItemException")
	wantCode(t, get(a.Name, a.Id, types.ScopeRegional), "WAFNonexistentItemException")
	wantCode(t, get(a.Name, aws.String("not-an-id"), scope), "ValidationException")
	wantCode(t, get(a.Name, a.Id, scope, func(o *wafv2.Options) { o.Region = "eu-west-1" }), "WAFInvalidParameterException")
	wantCode(t, get(a.Name, a.Id, "GLOBAL"), "ValidationException")
	wantCode(t, get(a.Name, a.Id, types.ScopeRegional, func(o *wafv2.Options) { o.Region = "eu-west-1" }), "WAFNonexistentItemException")
}

func (s *wafSuite) tenThousand(t *testing.T) {
	set := s.set(t, "ten-thousand")
	list := make([]string, 10_001)
	for i := range list {
		list[i] = fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)
	}
	in := &wafv2.UpdateIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: set.LockToken, Addresses: list}
	_, err := s.UpdateIPSet(t.Context(), in)
	wantCode(t, err, "WAFLimitsExceededException")
	in.Addresses = list[:10_000]
	_, err = s.UpdateIPSet(t.Context(), in)
	wantCode(t, err, "")
	if got := s.content(t, set); len(got) != 10_000 {
		t.Errorf("holds %d", len(got))
	}
}

func visibility(name string) *types.VisibilityConfig {
	return &types.VisibilityConfig{MetricName: &name, CloudWatchMetricsEnabled: true, SampledRequestsEnabled: true}
}

func inSet(arn *string) *types.Statement {
	return &types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{ARN: arn}}
}

// blockRule blocks with status 429.
func blockRule(name string, priority int32, s *types.Statement) types.Rule {
	return types.Rule{
		Name: &name, Priority: priority, Statement: s, VisibilityConfig: visibility(name),
		Action: &types.RuleAction{Block: &types.BlockAction{CustomResponse: &types.CustomResponse{ResponseCode: aws.Int32(429)}}},
	}
}

// group makes a rule group that is deleted when the test ends.
func (s *wafSuite) group(t *testing.T, name string, capacity int64, rules ...types.Rule) (*types.RuleGroupSummary, error) {
	t.Helper()
	out, err := s.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
		Name: aws.String(s.run + name), Scope: scope, Capacity: &capacity, Rules: rules, VisibilityConfig: visibility("group"),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		got, err := s.GetRuleGroup(ctx, &wafv2.GetRuleGroupInput{Name: out.Summary.Name, Scope: scope, Id: out.Summary.Id})
		if err == nil {
			_, err = s.DeleteRuleGroup(ctx, &wafv2.DeleteRuleGroupInput{Name: out.Summary.Name, Scope: scope, Id: out.Summary.Id, LockToken: got.LockToken})
		}
		if err != nil {
			t.Errorf("clean up %s: %v", name, err)
		}
	})
	return out.Summary, nil
}

func (s *wafSuite) association(t *testing.T) {
	set := s.set(t, "used", "192.0.2.1/32")
	_, err := s.group(t, "user", 10, blockRule("block", 0, inSet(set.ARN)))
	wantCode(t, err, "")
	_, err = s.DeleteIPSet(t.Context(), &wafv2.DeleteIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: set.LockToken})
	wantCode(t, err, "WAFAssociatedItemException")
	_, err = s.group(t, "user-of-nothing", 10, blockRule("block", 0, inSet(aws.String(*set.ARN+"0"))))
	wantCode(t, err, "WAFNonexistentItemException")
	_, err = s.group(t, "user-of-nonsense", 10, blockRule("block", 0, inSet(aws.String("arn:aws:s3:::bucket/with/a/long/name"))))
	wantCode(t, err, "WAFInvalidParameterException")
}

func (s *wafSuite) capacity(t *testing.T) {
	set := s.set(t, "cost", "192.0.2.1/32")
	either := &types.Statement{OrStatement: &types.OrStatement{Statements: []types.Statement{*inSet(set.ARN), *inSet(set.ARN)}}}
	forwarded := &types.Statement{IPSetReferenceStatement: &types.IPSetReferenceStatement{
		ARN:                    set.ARN,
		IPSetForwardedIPConfig: &types.IPSetForwardedIPConfig{HeaderName: aws.String("X-Forwarded-For"), Position: "ANY", FallbackBehavior: "NO_MATCH"},
	}}
	for _, tt := range []struct {
		rules []types.Rule
		want  int64
	}{
		{[]types.Rule{blockRule("one", 0, inSet(set.ARN))}, 1},
		{[]types.Rule{blockRule("two", 0, either)}, 2},
		{[]types.Rule{blockRule("not", 0, &types.Statement{NotStatement: &types.NotStatement{Statement: either}})}, 2},
		{[]types.Rule{blockRule("five", 0, forwarded), blockRule("one", 1, inSet(set.ARN))}, 6},
	} {
		out, err := s.CheckCapacity(t.Context(), &wafv2.CheckCapacityInput{Scope: scope, Rules: tt.rules})
		if err != nil || out.Capacity != tt.want {
			t.Errorf("%s: %v, %v, want %d", *tt.rules[0].Name, out, err, tt.want)
		}
	}
	_, err := s.group(t, "too-small", 1, blockRule("two", 0, either))
	wantCode(t, err, "WAFLimitsExceededException")
	group, err := s.group(t, "fixed", 2, blockRule("two", 0, either))
	wantCode(t, err, "")
	update := func(rules ...types.Rule) error {
		out, err := s.UpdateRuleGroup(t.Context(), &wafv2.UpdateRuleGroupInput{
			Name: group.Name, Scope: scope, Id: group.Id, LockToken: group.LockToken, Rules: rules, VisibilityConfig: visibility("group"),
		})
		if err == nil {
			group.LockToken = out.NextLockToken
		}
		return err
	}
	wantCode(t, update(blockRule("two", 0, either), blockRule("one", 1, inSet(set.ARN))), "WAFLimitsExceededException")
	wantCode(t, update(blockRule("one", 1, inSet(set.ARN))), "")
	var many []types.Rule
	for i := range int32(51) {
		many = append(many, blockRule(fmt.Sprint("rule", i), i, inSet(set.ARN)))
	}
	_, err = s.group(t, "fifty-one", 100, many...)
	wantCode(t, err, "WAFLimitsExceededException")
	_, err = s.group(t, "vast", 5001)
	wantCode(t, err, "WAFLimitsExceededException")
}

func (s *wafSuite) badRules(t *testing.T) {
	set := s.set(t, "rules", "192.0.2.1/32")
	group, err := s.group(t, "inner", 10, blockRule("block", 0, inSet(set.ARN)))
	wantCode(t, err, "")
	reference := &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: group.ARN}}
	for name, spoil := range map[string]func(*types.Rule) []types.Rule{
		"an action that is none": func(r *types.Rule) []types.Rule { r.Action = &types.RuleAction{}; return nil },
		"no action":              func(r *types.Rule) []types.Rule { r.Action = nil; return nil },
		"an override of no group": func(r *types.Rule) []types.Rule {
			r.Action, r.OverrideAction = nil, &types.OverrideAction{None: &types.NoneAction{}}
			return nil
		},
		"status 418": func(r *types.Rule) []types.Rule {
			r.Action.Block.CustomResponse.ResponseCode = aws.Int32(418)
			return nil
		},
		"a body that is none": func(r *types.Rule) []types.Rule {
			r.Action.Block.CustomResponse.CustomResponseBodyKey = aws.String("x")
			return nil
		},
		"an empty statement": func(r *types.Rule) []types.Rule { r.Statement = &types.Statement{}; return nil },
		"an OR of one": func(r *types.Rule) []types.Rule {
			r.Statement = &types.Statement{OrStatement: &types.OrStatement{Statements: []types.Statement{*r.Statement}}}
			return nil
		},
		"the same name twice":     func(r *types.Rule) []types.Rule { return []types.Rule{*r, blockRule(*r.Name, 7, r.Statement)} },
		"the same priority twice": func(r *types.Rule) []types.Rule { return []types.Rule{*r, blockRule("other", r.Priority, r.Statement)} },
		"a group in a group":      func(r *types.Rule) []types.Rule { r.Statement = reference; return nil },
		"a group inside statement": func(r *types.Rule) []types.Rule {
			r.Statement = &types.Statement{NotStatement: &types.NotStatement{Statement: reference}}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := blockRule("rule", 3, inSet(set.ARN))
			rules := spoil(&r)
			if rules == nil {
				rules = []types.Rule{r}
			}
			_, err := s.group(t, "bad", 100, rules...)
			wantCode(t, err, "WAFInvalidParameterException")
		})
	}
}

func (s *wafSuite) tags(t *testing.T) {
	set := s.set(t, "tagged")
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	for _, tags := range [][]types.Tag{{tag("a", "1"), tag("b", "2")}, {tag("a", "3")}} {
		_, err := s.TagResource(t.Context(), &wafv2.TagResourceInput{ResourceARN: set.ARN, Tags: tags})
		wantCode(t, err, "")
	}
	out, err := s.ListTagsForResource(t.Context(), &wafv2.ListTagsForResourceInput{ResourceARN: set.ARN})
	wantCode(t, err, "")
	got := make(map[string]string)
	for _, tag := range out.TagInfoForResource.TagList {
		got[*tag.Key] = *tag.Value
	}
	if len(got) != 2 || got["a"] != "3" || got["b"] != "2" {
		t.Errorf("tags %v", got)
	}
	var many []types.Tag
	for i := range 51 {
		many = append(many, tag(fmt.Sprint(i), ""))
	}
	_, err = s.TagResource(t.Context(), &wafv2.TagResourceInput{ResourceARN: set.ARN, Tags: many})
	wantCode(t, err, "WAFTagOperationException")
	for _, bad := range []types.Tag{tag("long", strings.Repeat("x", 257)), tag("symbol", "a;b"), tag("a*", "b"), tag("", "b")} {
		_, err = s.TagResource(t.Context(), &wafv2.TagResourceInput{ResourceARN: set.ARN, Tags: []types.Tag{bad}})
		wantCode(t, err, "ValidationException")
	}
	_, err = s.TagResource(t.Context(), &wafv2.TagResourceInput{ResourceARN: aws.String(*set.ARN + "0"), Tags: []types.Tag{tag("a", "1")}})
	wantCode(t, err, "WAFNonexistentItemException")
}
