package waf

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// provisioned is a stand-in with two web ACLs that use the rule group, and a ban.
func provisioned(t *testing.T) (s *awslocal.Server, w *running) {
	t.Helper()
	s, store := strict(), newStore()
	for _, site := range []string{"site", "shop"} {
		bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: map[string]SetCount{"block": {1, 1}, "count": {1, 0}}, WebACL: site, CreateWebACL: true})
		pass(time.Second)
	}
	cfg := store.config(nil)
	cfg.Client, cfg.Sets = client(s), []string{"weir-block-"}
	w = start(t, cfg)
	store.ban(time.Hour, v4(0))
	pass(10 * time.Second)
	expectInSets(t, s, v4(0))
	return s, w
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := provisioned(t)
		w.halt()
		kept := "kept weir-block-v4-0, kept weir-block-v6-0, kept weir-count-v4-0"
		cfg := RemoveConfig{Scope: types.ScopeCloudfront, DryRun: true}
		n := changes(s)
		sorted := func(r Report) string { // AWS lists in an order of its own
			text := dones(r)
			return strings.Replace(text, "changed site, changed shop", "changed shop, changed site", 1)
		}
		want := "changed shop, changed site, removed weir-bans, " + kept
		if got := sorted(removed(t, s, cfg)); got != want || changes(s) != n {
			t.Errorf("a dry run did %s, %d changes", got, changes(s)-n)
		}
		cfg.DryRun = false
		if got := sorted(removed(t, s, cfg)); got != want {
			t.Errorf("did %s", got)
		}
		n = changes(s)
		if r := removed(t, s, cfg); dones(r) != kept || r.Changed() || changes(s) != n {
			t.Errorf("a second run did %s", dones(r))
		}
		// The sets still hold the ban, which a new group enforces again.
		bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0), WebACL: "site"})
		if v := s.WAF().Evaluate("CLOUDFRONT", "site", v4(0).Addr(), time.Now()); v.Status != 429 {
			t.Errorf("a banned client gets %+v", v)
		}
		cfg.IPSets, cfg.WebACL = true, "site"
		if got := dones(removed(t, s, cfg)); got != "changed site, removed weir-bans, "+strings.ReplaceAll(kept, "kept", "removed") {
			t.Errorf("did %s", got)
		}
		if r := removed(t, s, cfg); len(r.Items) != 0 || len(s.WAF().Addresses("CLOUDFRONT")) != 0 {
			t.Errorf("a last run did %s", dones(r))
		}
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
	})
}

// All that people would lose keeps everything as it is, in a dry run, too.
func TestRemoveRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := provisioned(t)
		c := client(s)
		east := callOptions(types.ScopeCloudfront)
		groups, err := c.ListRuleGroups(t.Context(), &wafv2.ListRuleGroupsInput{Scope: types.ScopeCloudfront}, east)
		if err != nil {
			t.Fatal(err)
		}
		g := groups.RuleGroups[0]
		got := group(t, s, *g.ARN)
		own := types.Rule{Name: new("own"), Priority: 3, VisibilityConfig: visibility("own"), Statement: setStatement(*referencesOf(got.Rules[0].Statement)[0].ARN), Action: &types.RuleAction{Count: &types.CountAction{}}}
		if _, err := c.UpdateRuleGroup(t.Context(), &wafv2.UpdateRuleGroupInput{
			Id: g.Id, Name: g.Name, Scope: types.ScopeCloudfront, LockToken: g.LockToken, VisibilityConfig: got.VisibilityConfig, Rules: append(got.Rules, own),
		}, east); err != nil {
			t.Fatal(err)
		}
		hand := netip.MustParsePrefix("192.0.2.0/24")
		w.halt()
		for _, set := range []string{"weir-block-v4-0", "weir-count-v4-0"} {
			if err := s.WAF().EditByHand("CLOUDFRONT", set, []netip.Prefix{hand}, nil); err != nil {
				t.Fatal(err)
			}
		}
		n := changes(s)
		cfg := RemoveConfig{Scope: types.ScopeCloudfront, WebACL: "shop", IPSets: true}
		for _, dry := range []bool{true, false} {
			cfg.DryRun = dry
			_, err := Remove(t.Context(), c, cfg)
			for _, part := range []string{
				"web ACL site uses rule group weir-bans, too", "has rules that are not Weir's: own",
				"IP set weir-block-v4-0 holds 2 entries, and not all of them were written by a Weir", "IP set weir-count-v4-0 holds 1 entries",
			} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%v, want %q", err, part)
				}
			}
		}
		cfg = RemoveConfig{Scope: types.ScopeCloudfront}
		if _, err := Remove(t.Context(), c, cfg); err == nil || strings.Contains(err.Error(), "IP set") {
			t.Error(err)
		}
		if changes(s) != n {
			t.Errorf("%d changes of what was refused", changes(s)-n)
		}
		cfg.IPSets, cfg.Force = true, true
		removed(t, s, cfg)
		if left := s.WAF().Addresses("CLOUDFRONT"); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
	})
}

// An entry that people added while a Weir was running is known as theirs, too.
func TestRemoveKnowsHandsBySight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := provisioned(t)
		if err := s.WAF().EditByHand("CLOUDFRONT", "weir-block-v4-0", []netip.Prefix{v4(7)}, nil); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		w.halt()
		_, err := Remove(t.Context(), client(s), RemoveConfig{Scope: types.ScopeCloudfront, IPSets: true})
		if err == nil || !strings.Contains(err.Error(), "weir-block-v4-0 holds 2 entries") {
			t.Error(err)
		}
	})
}

func TestRemoveWaitsForAWS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := provisioned(t)
		w.halt()
		fault := func(action, code string, times int) awslocal.Fault {
			return awslocal.Fault{Service: "wafv2", Action: action, Times: times, Do: awslocal.FaultError, Code: code, Status: 400}
		}
		s.Faults().Add(
			fault("DeleteRuleGroup", "WAFAssociatedItemException", 8),
			fault("DeleteIPSet", "WAFAssociatedItemException", 3),
			fault("UpdateWebACL", "WAFOptimisticLockException", 2),
			fault("UpdateWebACL", "WAFUnavailableEntityException", 2),
			awslocal.Fault{Service: "wafv2", Action: "UpdateWebACL", Times: 1, Do: awslocal.FaultErrorAfter},
			awslocal.Fault{Service: "wafv2", Action: "DeleteRuleGroup", Times: 1, Do: awslocal.FaultErrorAfter},
			awslocal.Fault{Service: "wafv2", Action: "DeleteIPSet", Times: 1, Do: awslocal.FaultReset},
		)
		r := removed(t, s, RemoveConfig{Scope: types.ScopeCloudfront, IPSets: true})
		if got := dones(r); strings.Count(got, "changed") != 2 || strings.Count(got, "removed") != 4 || strings.Contains(got, "kept") {
			t.Errorf("did %s", got)
		}
		if r := removed(t, s, RemoveConfig{Scope: types.ScopeCloudfront, IPSets: true}); len(r.Items) != 0 {
			t.Errorf("a second run did %s", dones(r))
		}
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
	})
}

func TestRemoveErrors(t *testing.T) {
	if _, err := Remove(t.Context(), nil, RemoveConfig{Scope: "GLOBAL", Prefix: "a b", WebACL: "arn:x"}); err == nil ||
		!strings.Contains(err.Error(), "scope") || !strings.Contains(err.Error(), "prefix") || !strings.Contains(err.Error(), "web ACL") {
		t.Error(err)
	}
}
