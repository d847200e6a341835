package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
	"weir/internal/waf"
)

// words is a string or a list of them, as IAM has both.
type words []string

func (w *words) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*w = make(words, 1)
		return json.Unmarshal(raw, &(*w)[0])
	}
	return json.Unmarshal(raw, (*[]string)(w))
}

// policy is one of deploy's.
type policy struct {
	file      string
	Statement []struct {
		Effect           string
		Action, Resource words
	}
	used map[string]bool // actions that a call was allowed by
}

func readPolicy(t *testing.T, file string) *policy {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	p := &policy{file: file, used: make(map[string]bool)}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(raw), "WEB-ACL", "site")), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// allows reports whether a statement allows a call: its action, about a resource of
// that kind and name.
func (p *policy) allows(c awslocal.Call) bool {
	action := c.Service + ":" + c.Action
	for _, s := range p.Statement {
		if s.Effect == "Allow" && slices.Contains(s.Action, action) && slices.ContainsFunc(s.Resource, func(r string) bool { return about(r, c) }) {
			p.used[action] = true
			return true
		}
	}
	return false
}

// about reports whether a resource of a policy covers that of a call.
func about(resource string, c awslocal.Call) bool {
	if resource == "*" || c.Service != "wafv2" {
		return true
	}
	_, rest, _ := strings.Cut(resource, ":global/") // KIND/NAME/*
	parts := strings.Split(rest, "/")
	covers, err := path.Match(parts[1], c.Resource)
	return err == nil && covers && strings.HasSuffix(strings.ToLower(c.Action), parts[0])
}

// expect checks a trace of calls against the policy, both ways.
func (p *policy) expect(t *testing.T, calls []awslocal.Call) {
	t.Helper()
	for _, c := range calls {
		if !p.allows(c) {
			t.Errorf("%s:%s about %q is called, and deploy/%s does not allow it", c.Service, c.Action, c.Resource, p.file)
		}
	}
	for _, s := range p.Statement {
		for _, action := range s.Action {
			if !p.used[action] {
				t.Errorf("deploy/%s allows %s, which is never called", p.file, action)
			}
		}
	}
}

// All that an operator can do makes do with the documented rights, and needs them.
func TestOperatorsStayWithinTheirRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := awslocal.New(awslocal.Config{WAF: awslocal.WAFConfig{Enforce: true}})
		cloud := standInAWS(server)
		client := wafv2.NewFromConfig(cloud)
		cfg := waf.BootstrapConfig{
			Scope: waftypes.ScopeCloudfront, Sets: map[string]waf.SetCount{"block": {IPv4: 1, IPv6: 1}}, WebACL: "site", CreateWebACL: true,
		}
		provision := func() {
			t.Helper()
			if _, err := bootstrap(t.Context(), cloud, client, tableNames{leases: "weir-leases", bans: "weir-bans"}, cfg); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		provision()
		cfg.Sets["count"] = waf.SetCount{IPv4: 1}
		cfg.BlockBody = &waf.Body{ContentType: waftypes.ResponseContentTypeTextPlain, Content: "no"}
		server.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "UpdateRuleGroup", Times: 1, Do: awslocal.FaultErrorAfter})
		provision()
		before := len(server.Calls())
		for _, mode := range []waf.Mode{waf.Observe, waf.Enforce, waf.AsItIs} {
			if _, err := waf.Override(t.Context(), client, waf.OverrideConfig{Scope: waftypes.ScopeCloudfront, Mode: mode}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		readPolicy(t, "panic-policy.json").expect(t, server.Calls()[before:])
		remove := waf.RemoveConfig{Scope: waftypes.ScopeCloudfront, IPSets: true}
		if _, err := waf.Remove(t.Context(), client, remove); err != nil {
			t.Fatal(err)
		}
		provision()
		readPolicy(t, "operator-policy.json").expect(t, server.Calls())
	})
}

// A Writer can call what its interface has and nothing else, which says more than
// any trace; the task has the right to just that.
func TestTheWritersRights(t *testing.T) {
	var may, can []string
	for _, s := range readPolicy(t, "task-role.json").Statement {
		for _, action := range s.Action {
			if name, ok := strings.CutPrefix(action, "wafv2:"); ok {
				may = append(may, name)
			}
		}
	}
	api := reflect.TypeFor[waf.API]()
	for method := range api.Methods() {
		can = append(can, method.Name)
	}
	slices.Sort(may)
	slices.Sort(can)
	if !slices.Equal(may, can) {
		t.Errorf("deploy/task-role.json allows %v of WAFv2, a Writer can call %v", may, can)
	}
}

// An operator's credentials are good for one account: what lies in another is named,
// and not passed over.
func TestOperatedNamesOtherAccounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "targets.yaml")
	err := os.WriteFile(file, []byte(`targets:
  - {name: site, sets: [site-]}
  - {name: same, sets: [same-]}
  - {name: api, scope: REGIONAL, region: eu-west-1}
  - {name: shop, role: "arn:aws:iam::210987654321:role/weir"}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testSettings(t, "WEIR_WAF_TARGETS="+file)
	for name, want := range map[string]struct{ list, elsewhere string }{
		"":     {"[site api]", "[shop]"},
		"shop": {"[shop]", "[]"},
	} {
		list, elsewhere, err := operated(cfg, name)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, target := range list {
			if names = append(names, target.Name); target.Role != "" {
				t.Errorf("target %s: operators do not take on the role %s", target.Name, target.Role)
			}
		}
		if got := fmt.Sprint(names); got != want.list || fmt.Sprint(elsewhere) != want.elsewhere {
			t.Errorf("-target %q: %s, elsewhere %s; want %s, elsewhere %s", name, got, elsewhere, want.list, want.elsewhere)
		}
	}
}
