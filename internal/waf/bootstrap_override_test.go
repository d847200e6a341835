package waf

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

func overridden(t *testing.T, s *awslocal.Server, webACL string, mode Mode) string {
	t.Helper()
	r, err := Override(t.Context(), client(s), OverrideConfig{Scope: types.ScopeCloudfront, WebACL: webACL, Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, i := range r.Items {
		list = append(list, fmt.Sprintf("%s %s", i.Done, i.Detail))
	}
	return strings.Join(list, "; ")
}

func TestOverride(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := provisioned(t)
		defer w.halt()
		banned := func(site string) bool {
			return s.WAF().Evaluate("CLOUDFRONT", site, v4(0).Addr(), time.Now()).Action == "block"
		}
		for _, tt := range []struct {
			webACL string
			mode   Mode
			want   string
			writes int
			banned [2]bool // at site, at shop
		}{
			{"", AsItIs, "kept bans are enforced; kept bans are enforced", 0, [2]bool{true, true}},
			{"site", Observe, "changed bans are only counted", 1, [2]bool{false, true}},
			{"site", Observe, "kept bans are only counted", 0, [2]bool{false, true}},
			{"", Enforce, "", 1, [2]bool{true, true}},
			{"", Observe, "changed bans are only counted; changed bans are only counted", 2, [2]bool{false, false}},
			{"", AsItIs, "kept bans are only counted; kept bans are only counted", 0, [2]bool{false, false}},
			{"shop", Enforce, "changed bans are enforced", 1, [2]bool{false, true}},
		} {
			n := changes(s)
			got := overridden(t, s, tt.webACL, tt.mode)
			if tt.want != "" && got != tt.want || changes(s)-n != tt.writes || [2]bool{banned("site"), banned("shop")} != tt.banned {
				t.Errorf("%q %q: %s, %d writes, banned %v %v", tt.webACL, tt.mode, got, changes(s)-n, banned("site"), banned("shop"))
			}
			pass(time.Second)
		}
		// A bootstrap leaves it so.
		if r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0), WebACL: "site"}); r.Changed() {
			t.Errorf("bootstrap did %s", dones(r))
		}
		for webACL, part := range map[string]string{"other": `there is no web ACL "other"`, "plain": "does not use rule group weir-bans"} {
			pass(time.Second)
			if webACL == "plain" {
				_, err := client(s).CreateWebACL(t.Context(), &wafv2.CreateWebACLInput{
					Name: &webACL, Scope: types.ScopeCloudfront, DefaultAction: &types.DefaultAction{Allow: &types.AllowAction{}}, VisibilityConfig: visibility("x"),
				}, callOptions(types.ScopeCloudfront))
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Override(t.Context(), client(s), OverrideConfig{Scope: types.ScopeCloudfront, WebACL: webACL, Mode: Observe}); err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want %q", err, part)
			}
		}
		if _, err := Override(t.Context(), client(s), OverrideConfig{Scope: types.ScopeCloudfront, Prefix: "shop-", Mode: Observe}); err == nil || !strings.Contains(err.Error(), "uses a rule group shop-bans") {
			t.Error(err)
		}
		if v := s.WAF().Violations(); v["UpdateWebACL"] > 0 {
			t.Errorf("over the quota: %v", v)
		}
	})
}

// In an emergency AWS may be in one, too.
func TestOverrideInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := provisioned(t)
		defer w.halt()
		for _, f := range []awslocal.Fault{
			{Times: 3, Do: awslocal.FaultThrottle},
			{Times: 5, Do: awslocal.FaultError, Code: "WAFUnavailableEntityException", Status: 400},
			{Times: 3, Do: awslocal.FaultError, Code: "WAFOptimisticLockException", Status: 400},
			{Times: 1, Do: awslocal.FaultErrorAfter}, // applied, and nobody was told
			{Times: 1, Do: awslocal.FaultHang},
			{Times: 2, Do: awslocal.FaultReset},
		} {
			for mode, want := range map[Mode]string{Observe: "changed bans are only counted", Enforce: "changed bans are enforced"} {
				pass(time.Minute)
				other := Enforce
				if mode == Enforce {
					other = Observe
				}
				overridden(t, s, "site", other)
				f.Service, f.Action = "wafv2", "UpdateWebACL"
				s.Faults().Add(f)
				if got := overridden(t, s, "site", mode); got != want {
					t.Errorf("%+v: %s", f, got)
				}
			}
		}
		// One web ACL that cannot be read, or written, does not save the others from it.
		for _, action := range []string{"GetWebACL", "UpdateWebACL"} {
			pass(time.Minute)
			overridden(t, s, "", Enforce)
			pass(time.Second)
			s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: action, Times: 1, Do: awslocal.FaultError, Code: "AccessDeniedException", Status: 400})
			_, err := Override(t.Context(), client(s), OverrideConfig{Scope: types.ScopeCloudfront, Mode: Observe})
			if codeOf(err) != "AccessDeniedException" {
				t.Errorf("%s denied: %v", action, err)
			}
			n := 0
			for _, site := range []string{"site", "shop"} {
				if s.WAF().Evaluate("CLOUDFRONT", site, v4(0).Addr(), time.Now()).Action == "allow" {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s denied once: %d web ACLs were written", action, n)
			}
		}
	})
}
