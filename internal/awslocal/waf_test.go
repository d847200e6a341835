package awslocal

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
	"pgregory.net/rapid"
)

// newSet makes an empty IPv4 set in the CLOUDFRONT scope.
func newSet(t testing.TB, client *wafv2.Client, name string) *types.IPSetSummary {
	t.Helper()
	out, err := client.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: &name, Scope: scope, IPAddressVersion: "IPV4", Addresses: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Summary
}

// fill replaces a set's addresses and keeps its lock token up to date.
func fill(t testing.TB, client *wafv2.Client, set *types.IPSetSummary, addresses ...string) {
	t.Helper()
	out, err := client.UpdateIPSet(t.Context(), &wafv2.UpdateIPSetInput{
		Name: set.Name, Scope: scope, Id: set.Id, LockToken: set.LockToken, Addresses: append([]string{}, addresses...),
	})
	if err != nil {
		t.Fatal(err)
	}
	set.LockToken = out.NextLockToken
}

func TestWAFQuotaIsEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{WAF: WAFConfig{Enforce: true}})
		client := newWAFClient(s, "us-east-1")
		list := func() error {
			_, err := client.ListIPSets(t.Context(), &wafv2.ListIPSetsInput{Scope: scope})
			return err
		}
		create := func(name string, options ...func(*wafv2.Options)) error {
			_, err := client.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: &name, Scope: types.ScopeRegional, IPAddressVersion: "IPV4", Addresses: []string{}}, options...)
			return err
		}
		for range 5 {
			wantCode(t, list(), "")
		}
		wantCode(t, list(), "ThrottlingException")
		wantCode(t, create("a"), "")
		wantCode(t, create("b"), "ThrottlingException")
		wantCode(t, create("b", func(o *wafv2.Options) { o.Region = "eu-west-1" }), "") // a quota of its own
		time.Sleep(time.Second - time.Nanosecond)
		wantCode(t, list(), "ThrottlingException")
		wantCode(t, create("b"), "ThrottlingException")
		time.Sleep(time.Nanosecond)
		wantCode(t, list(), "")
		wantCode(t, create("b"), "")
		if v := s.WAF().Violations(); v["ListIPSets"] != 2 || v["CreateIPSet"] != 2 || len(v) != 2 {
			t.Errorf("violations %v", v)
		}
	})
}

func TestWAFQuotaIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{WAF: WAFConfig{WritesPerSecond: 0.5}})
		client := newWAFClient(s, "us-east-1")
		set := newSet(t, client, "set")
		fill(t, client, set, "192.0.2.1/32")
		time.Sleep(2 * time.Second)
		fill(t, client, set, "192.0.2.2/32")
		if v := s.WAF().Violations(); len(v) != 0 {
			t.Fatalf("violations %v of a client that keeps to its pace", v)
		}
		time.Sleep(2*time.Second - 1)
		fill(t, client, set, "192.0.2.3/32")
		if v := s.WAF().Violations(); v["UpdateIPSet"] != 1 {
			t.Errorf("violations %v, want one update that came too soon", v)
		}
	})
}

// In no window of a second may more calls pass than the quota says, however
// they come.
func TestWAFQuotaProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1e9, 0)
		w := newWAF(Config{Now: func() time.Time { return now }, WAF: WAFConfig{Enforce: true}}.withDefaults())
		action := rapid.SampledFrom([]string{"UpdateIPSet", "GetIPSet"}).Draw(t, "action")
		limit := map[string]int{"UpdateIPSet": 1, "GetIPSet": 5}[action]
		var passed []time.Time
		for _, ms := range rapid.SliceOfN(rapid.IntRange(0, 700), 1, 60).Draw(t, "pauses") {
			now = now.Add(time.Duration(ms) * time.Millisecond)
			inWindow := 0
			for _, p := range passed {
				if now.Sub(p) < time.Second {
					inWindow++
				}
			}
			if got, want := w.withinQuota("us-east-1", action), inWindow < limit; got != want {
				t.Fatalf("%d calls in the second before, this one passes: %v", inWindow, got)
			} else if got {
				passed = append(passed, now)
			}
		}
	})
}

func TestWAFReadLagAndPropagation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{WAF: WAFConfig{ReadLag: 3 * time.Second, Propagation: 10 * time.Second}})
		client := newWAFClient(s, "us-east-1")
		set := newSet(t, client, "set")
		get := func() (*wafv2.GetIPSetOutput, error) {
			return client.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: set.Name, Scope: scope, Id: set.Id})
		}
		_, err := get()
		wantCode(t, err, "WAFNonexistentItemException") // created, but not to be seen yet
		time.Sleep(3 * time.Second)
		before, err := get()
		wantCode(t, err, "")
		aclOf(t, client, "acl", set.ARN)
		time.Sleep(20 * time.Second)
		fill(t, client, set, "192.0.2.1/32")
		if stale, _ := get(); *stale.LockToken != *before.LockToken || len(stale.IPSet.Addresses) != 0 {
			t.Error("the new state shows at once")
		}
		bad, now := netip.MustParseAddr("192.0.2.1"), time.Now()
		if v := s.WAF().Evaluate(ScopeCloudFront, "acl", bad, now); v.Action != "allow" {
			t.Errorf("at once: %+v", v)
		}
		if v := s.WAF().Evaluate(ScopeCloudFront, "acl", bad, now.Add(10*time.Second)); v.Action != "block" {
			t.Errorf("after the propagation: %+v", v)
		}
		time.Sleep(3 * time.Second)
		if fresh, _ := get(); *fresh.LockToken != *set.LockToken || len(fresh.IPSet.Addresses) != 1 {
			t.Error("the new state does not show after the lag")
		}
		for range 50 {
			time.Sleep(5 * time.Second)
			fill(t, client, set)
		}
		if n := len(s.WAF().byARN[*set.ARN].states); n > 5 {
			t.Errorf("%d states kept, of which no more than 13 s can show", n)
		}
	})
}

// Get and List may lag behind by times of their own, which may change: then a
// list can be older than the read before it.
func TestWAFReadLagChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		client := newWAFClient(s, "us-east-1")
		set := newSet(t, client, "set")
		old := *set.LockToken
		time.Sleep(10 * time.Second)
		s.WAF().SetReadLag(0, 3*time.Second)
		fill(t, client, set, "192.0.2.1/32")
		tokens := func() (get, list string) {
			g, err := client.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: set.Name, Scope: scope, Id: set.Id})
			wantCode(t, err, "")
			l, err := client.ListIPSets(t.Context(), &wafv2.ListIPSetsInput{Scope: scope})
			wantCode(t, err, "")
			return *g.LockToken, *l.IPSets[0].LockToken
		}
		if get, list := tokens(); get != *set.LockToken || list != old {
			t.Error("the Get is old, or the List is not")
		}
		s.WAF().SetReadLag(3*time.Second, 0)
		if get, list := tokens(); get != old || list != *set.LockToken {
			t.Error("the Get is not old, or the List is")
		}
		time.Sleep(3 * time.Second)
		if get, list := tokens(); get != *set.LockToken || list != *set.LockToken {
			t.Error("the lag does not end")
		}
		s.WAF().SetReadLag(0, 0)
		fill(t, client, set)
		newest := *set.LockToken
		s.WAF().SetReadLag(time.Hour, 0) // the state of an hour ago was forgotten, or never was
		if _, err := client.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: set.Name, Scope: scope, Id: set.Id}); errorCode(err) != "WAFNonexistentItemException" {
			t.Errorf("seen as it was before it was made: %v", err)
		}
		time.Sleep(time.Hour)
		if get, _ := tokens(); get != newest {
			t.Error("of what is forgotten, another state shows than the oldest that is kept")
		}
	})
}

func TestWAFIDsFromASeed(t *testing.T) {
	id := func(seed uint64) string {
		set := newSet(t, newWAFClient(New(Config{WAF: WAFConfig{Seed: seed}}), "us-east-1"), "set")
		return *set.Id + *set.LockToken
	}
	if first, again := id(7), id(7); first != again || first == id(8) {
		t.Error("ids do not follow from the seed alone")
	}
	if first, again := id(0), id(0); first == again {
		t.Error("without a seed, ids come again")
	}
}

func TestWAFMeddling(t *testing.T) {
	var s *Server
	var seen []Write
	s = New(Config{WAF: WAFConfig{
		Meddle: func(set string) {
			if err := s.WAF().EditByHand(ScopeCloudFront, set, prefixes("198.51.100.0/24"), nil); err != nil {
				t.Error(err)
			}
		},
		OnWrite: func(w Write) { seen = append(seen, w) },
	}})
	client := newWAFClient(s, "us-east-1")
	set := newSet(t, client, "set")
	_, err := client.UpdateIPSet(t.Context(), &wafv2.UpdateIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: set.LockToken, Addresses: []string{}})
	wantCode(t, err, "WAFOptimisticLockException")
	if got := s.WAF().Addresses(ScopeCloudFront)["set"]; !slices.Equal(got, prefixes("198.51.100.0/24")) {
		t.Errorf("holds %v", got)
	}
	listed, err := client.ListIPSets(t.Context(), &wafv2.ListIPSetsInput{Scope: scope})
	wantCode(t, err, "")
	if len(seen) != 2 || seen[0].ByHand || !seen[1].ByHand || len(s.WAF().Writes()) != 2 ||
		seen[0].Token != *set.LockToken || seen[1].Token != *listed.IPSets[0].LockToken {
		t.Errorf("told of %+v", seen)
	}
}

// aclOf makes a web ACL that blocks a set's addresses with 429 by a rule group.
func aclOf(t testing.TB, client *wafv2.Client, name string, set *string) (group *types.RuleGroupSummary) {
	t.Helper()
	g, err := client.CreateRuleGroup(t.Context(), &wafv2.CreateRuleGroupInput{
		Name: aws.String(name + "-group"), Scope: scope, Capacity: aws.Int64(10), VisibilityConfig: visibility("g"),
		Rules: []types.Rule{blockRule("banned", 0, inSet(set))},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
		Name: &name, Scope: scope, VisibilityConfig: visibility("acl"), DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}},
		Rules: []types.Rule{{
			Name: aws.String("weir"), Priority: 0, VisibilityConfig: visibility("r"), OverrideAction: &types.OverrideAction{None: &types.NoneAction{}},
			Statement: &types.Statement{RuleGroupReferenceStatement: &types.RuleGroupReferenceStatement{ARN: g.Summary.ARN}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.Summary
}

func TestWAFListsPages(t *testing.T) {
	s := New(Config{WAF: WAFConfig{Page: 3}})
	client := newWAFClient(s, "us-east-1")
	want := make(map[string]bool)
	for i := range maxResources {
		want[*newSet(t, client, fmt.Sprint("set-", i)).Id] = true
	}
	_, err := client.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{Name: aws.String("one-too-many"), Scope: scope, IPAddressVersion: "IPV4", Addresses: []string{}})
	wantCode(t, err, "WAFLimitsExceededException")
	pages := 0
	for marker := (*string)(nil); ; pages++ {
		out, err := client.ListIPSets(t.Context(), &wafv2.ListIPSetsInput{Scope: scope, NextMarker: marker, Limit: aws.Int32(100)})
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range out.IPSets {
			if !want[*set.Id] {
				t.Fatalf("%s listed twice or out of nowhere", *set.Name)
			}
			delete(want, *set.Id)
		}
		if marker = out.NextMarker; marker == nil {
			break
		}
	}
	if len(want) != 0 || pages != 33 {
		t.Errorf("%d never listed, in %d pages", len(want), pages)
	}
}

func TestWAFSpellsIPv6InFull(t *testing.T) {
	s := New(Config{})
	client := newWAFClient(s, "us-east-1")
	made, err := client.CreateIPSet(t.Context(), &wafv2.CreateIPSetInput{
		Name: aws.String("six"), Scope: scope, IPAddressVersion: "IPV6", Addresses: []string{"2001:db8::/64", "2001:0DB8:1::/48", "2001:db8:0:0:1::1/128"},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.GetIPSet(t.Context(), &wafv2.GetIPSetInput{Name: made.Summary.Name, Scope: scope, Id: made.Summary.Id})
	want := []string{"2001:0db8:0000:0000:0000:0000:0000:0000/64", "2001:0db8:0000:0000:0001:0000:0000:0001/128", "2001:0db8:0001:0000:0000:0000:0000:0000/48"}
	if err != nil || !slices.Equal(out.IPSet.Addresses, want) {
		t.Errorf("%v, %v", out, err)
	}
}

func TestWAFRefusesATwin(t *testing.T) {
	client := newWAFClient(New(Config{}), "us-east-1")
	set := newSet(t, client, "set")
	_, err := client.UpdateIPSet(t.Context(), &wafv2.UpdateIPSetInput{
		Name: set.Name, Scope: scope, Id: set.Id, LockToken: set.LockToken, Addresses: []string{"192.0.2.1/32", "192.0.2.0/24", "192.0.2.1/32"},
	})
	wantCode(t, err, "WAFInvalidParameterException")
}

func TestWAFEditByHand(t *testing.T) {
	s := New(Config{})
	client := newWAFClient(s, "us-east-1")
	set := newSet(t, client, "set")
	fill(t, client, set, "192.0.2.1/32", "192.0.2.2/32")
	if err := s.WAF().EditByHand(ScopeCloudFront, "set", prefixes("198.51.100.0/24", "192.0.2.2/32"), prefixes("192.0.2.1/32", "203.0.113.1/32")); err != nil {
		t.Fatal(err)
	}
	if got := s.WAF().Addresses(ScopeCloudFront)["set"]; !slices.Equal(got, prefixes("192.0.2.2/32", "198.51.100.0/24")) {
		t.Errorf("holds %v", got)
	}
	_, err := client.UpdateIPSet(t.Context(), &wafv2.UpdateIPSetInput{Name: set.Name, Scope: scope, Id: set.Id, LockToken: set.LockToken, Addresses: []string{}})
	wantCode(t, err, "WAFOptimisticLockException")
	writes := s.WAF().Writes()
	if len(writes) != 3 {
		t.Fatalf("%d writes", len(writes))
	}
	last := writes[2]
	if !last.ByHand || writes[1].ByHand || last.Set != "set" || last.Size != 2 ||
		!slices.Equal(last.Added, prefixes("198.51.100.0/24")) || !slices.Equal(last.Removed, prefixes("192.0.2.1/32")) {
		t.Errorf("last write %+v", last)
	}
	for _, bad := range []error{
		s.WAF().EditByHand(ScopeCloudFront, "other", nil, nil),
		s.WAF().EditByHand(ScopeRegional, "set", nil, nil),
		s.WAF().EditByHand(ScopeCloudFront, "set", prefixes("2001:db8::/64"), nil),
	} {
		if bad == nil {
			t.Error("a senseless edit is no error")
		}
	}
}

// raw sends a body as it is, which the SDK would not let pass.
func raw(t *testing.T, s *Server, target, service, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://aws.test/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/"+service+"/aws4_request, Signature=0")
	resp, err := s.HTTPClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("X-Amzn-Errortype")
}

func TestWAFRefusesMalformedBodies(t *testing.T) {
	s := New(Config{})
	for body, code := range map[string]string{
		``:                          "ValidationException",
		`{`:                         "SerializationException",
		`[]`:                        "SerializationException",
		`{"Scope":1}`:               "SerializationException",
		`{"Scop":"REGIONAL"}`:       "SerializationException",
		`{"Scope":"CLOUDFRONT"} {}`: "SerializationException",
		`{"Scope":"CLOUDFRONT","Name":"x","IPAddressVersion":"IPV4"}`:                            "ValidationException",
		`{"Scope":"CLOUDFRONT","Name":"x","IPAddressVersion":"IPV4","Addresses":null}`:           "ValidationException",
		`{"Scope":"CLOUDFRONT","Name":"x","IPAddressVersion":"IPV5","Addresses":[]}`:             "ValidationException",
		`{"Scope":"CLOUDFRONT","Name":"x","IPAddressVersion":"IPV4","Addresses":[],"Typo":true}`: "SerializationException",
	} {
		if status, got := raw(t, s, "AWSWAF_20190729.CreateIPSet", "wafv2", body); status != 400 || got != code {
			t.Errorf("%s: %d %s, want %s", body, status, got, code)
		}
	}
	for body, code := range map[string]string{
		`{"Scope":"CLOUDFRONT","Rules":[{"Name":"r","Priority":0,"Typo":1}]}`:                                                                                                                           "SerializationException",
		`{"Scope":"CLOUDFRONT","Rules":[{"Name":"r","Priority":0,"VisibilityConfig":{"MetricName":"m"}}]}`:                                                                                              "ValidationException",
		`{"Scope":"CLOUDFRONT","Rules":[{"Name":"r","Priority":0,"VisibilityConfig":{"MetricName":"m","SampledRequestsEnabled":true,"CloudWatchMetricsEnabled":true},"Statement":{"NoStatement":{}}}]}`: "SerializationException",
		`{"Scope":"CLOUDFRONT","Rules":[{"Name":"r","Priority":0,"VisibilityConfig":{"MetricName":"m","SampledRequestsEnabled":true,"CloudWatchMetricsEnabled":true}}]}`:                                "WAFInvalidParameterException",
	} {
		if status, got := raw(t, s, "AWSWAF_20190729.CheckCapacity", "wafv2", body); status != 400 || got != code {
			t.Errorf("%s: %d %s, want %s", body, status, got, code)
		}
	}
}
