package waf

import (
	"net/http"
	"os"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// What an operator does works, and leaves a web ACL as it was, at any server that
// speaks WAFv2.
func TestOperatorAtAnotherServer(t *testing.T) {
	url := os.Getenv("WEIR_TEST_WAFV2_ENDPOINT")
	if url == "" {
		t.Skip("WEIR_TEST_WAFV2_ENDPOINT is not set")
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	c := wafv2.New(client(awslocal.New(awslocal.Config{})).Options(), func(o *wafv2.Options) {
		o.BaseEndpoint, o.HTTPClient = &url, &http.Client{Transport: transport}
	})
	cfg := BootstrapConfig{Scope: types.ScopeCloudfront, Prefix: "weir-there-", Sets: map[string]SetCount{"block": {1, 1}, "count": {1, 0}}}
	r, err := Bootstrap(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	in := everything(r.SetARNs[0], r.RuleGroupARN)
	for i, rule := range in.Rules {
		if ref := groupReference(rule); ref != nil {
			in.Rules[i].Statement = setStatement(r.SetARNs[0])
			in.Rules[i].Action, in.Rules[i].OverrideAction = &types.RuleAction{Count: &types.CountAction{}}, nil
		}
	}
	made, err := c.CreateWebACL(t.Context(), in, callOptions(types.ScopeCloudfront))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		got, err := c.GetWebACL(t.Context(), &wafv2.GetWebACLInput{Id: made.Summary.Id, Name: in.Name, Scope: in.Scope}, callOptions(in.Scope))
		if err == nil {
			_, err = c.DeleteWebACL(t.Context(), &wafv2.DeleteWebACLInput{Id: made.Summary.Id, Name: in.Name, Scope: in.Scope, LockToken: got.LockToken}, callOptions(in.Scope))
		}
		if err != nil {
			t.Error(err)
		}
	}()
	before := raw(t, c, made.Summary.Id)
	cfg.WebACL = *made.Summary.ARN
	cfg.Sets["captcha"], cfg.CaptchaImmunity = SetCount{1, 0}, maxImmunity
	cfg.BlockHeaders, cfg.BlockBody = []Header{{"x-why", "banned"}}, &Body{types.ResponseContentTypeTextPlain, "no"}
	for _, changed := range []bool{true, false} {
		if r, err := Bootstrap(t.Context(), c, cfg); err != nil || r.Changed() != changed {
			t.Fatalf("%s: %v", dones(r), err)
		}
	}
	for _, mode := range []Mode{Observe, Enforce} {
		for _, done := range []Done{Changed, Kept} {
			r, err := Override(t.Context(), c, OverrideConfig{Scope: cfg.Scope, Prefix: cfg.Prefix, WebACL: "site", Mode: mode})
			if err != nil || len(r.Items) != 1 || r.Items[0].Done != done {
				t.Errorf("%s: %s, %v", mode, dones(r), err)
			}
		}
	}
	if r, err := Remove(t.Context(), c, RemoveConfig{Scope: cfg.Scope, Prefix: cfg.Prefix, IPSets: true}); err != nil {
		t.Errorf("%s: %v", dones(r), err)
	}
	if after := raw(t, c, made.Summary.Id); !reflect.DeepEqual(before, after) {
		t.Errorf("before: %v\nafter:  %v", before, after)
	}
}
