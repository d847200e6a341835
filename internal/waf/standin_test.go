package waf

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/awslocal"
)

// These run the Writer through the real SDK against the stand-in, which enforces
// AWS's quotas and answers with entries sorted and IPv6 spelled in full.

// inSets gives what the stand-in's sets of CLOUDFRONT scope hold, all together.
func inSets(s *awslocal.Server) map[netip.Prefix]int {
	all := make(map[netip.Prefix]int)
	for _, list := range s.WAF().Addresses("CLOUDFRONT") {
		for _, p := range list {
			all[p]++
		}
	}
	return all
}

func expectInSets(t *testing.T, s *awslocal.Server, want ...netip.Prefix) {
	t.Helper()
	all := inSets(s)
	for _, p := range want {
		if all[p] != 1 {
			t.Errorf("%s is in %d sets", p, all[p])
		}
		delete(all, p)
	}
	if len(all) > 0 {
		t.Errorf("not expected: %v", slices.Collect(maps.Keys(all)))
	}
}

func TestStandInFromBootstrapToUnban(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store := strict(), newStore()
		r := bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(2, 2), WebACL: "site", CreateWebACL: true})
		cfg := store.config(nil)
		cfg.Client, cfg.Sets, cfg.WritesPerSecond = client(s), r.SetARNs, 1
		w := start(t, cfg)
		pass(10 * time.Second)
		if err := w.Ready(); err != nil {
			t.Fatal(err)
		}
		bans := append(numbered(v4, 0, 12_000), numbered(v6, 0, 12_000)...)
		store.ban(time.Hour, bans...)
		pass(10 * time.Second)
		expectInSets(t, s, bans...)
		if got := s.WAF().Evaluate("CLOUDFRONT", "site", v6(11_999).Addr().Next(), time.Now()); got.Status != 429 {
			t.Errorf("a banned client gets %+v", got)
		}
		hand := netip.MustParsePrefix("2001:db8:aaaa::/48")
		if err := s.WAF().EditByHand("CLOUDFRONT", "weir-block-v6-1", []netip.Prefix{hand}, []netip.Prefix{v6(11_999)}); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		store.unban(bans[1:12_000]...)
		pass(10 * time.Second)
		left := slices.Concat(bans[:1], bans[12_000:], []netip.Prefix{hand})
		left = slices.DeleteFunc(left, func(p netip.Prefix) bool { return p == v6(11_999) })
		expectInSets(t, s, left...)
		w.halt()

		again := newStore() // lost
		cfg = again.config(nil)
		cfg.Client, cfg.Sets = client(s), []string{"weir-block-"}
		w = start(t, cfg)
		pass(time.Minute)
		w.halt()
		expectInSets(t, s, left...)
		if len(again.orphans) != len(left)-1 {
			t.Errorf("%d orphans, %d expected", len(again.orphans), len(left)-1)
		}
		if v := s.WAF().Violations(); len(v) > 0 {
			t.Errorf("over the quota: %v", v)
		}
		trace(t, s)
	})
}

// trace checks that a Writer, once everything is there, keeps to the rights that
// it is documented to need.
func trace(t *testing.T, s *awslocal.Server) {
	t.Helper()
	for _, c := range s.Calls() {
		switch c.Action {
		case "ListIPSets", "GetIPSet", "UpdateIPSet":
		case "CreateIPSet", "ListRuleGroups", "CreateRuleGroup", "ListWebACLs", "CreateWebACL": // bootstrap
		default:
			t.Errorf("called %s", c.Action)
		}
	}
}

func TestStandInFaults(t *testing.T) {
	kinds := awslocal.FaultKinds()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, store := strict(), newStore()
				bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(2, 0)})
				cfg := store.config(nil)
				cfg.Client = client(s)
				w := start(t, cfg)
				defer w.halt()
				store.ban(time.Hour, v4(0))
				pass(10 * time.Second)
				calls := len(s.Calls())
				s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "UpdateIPSet", For: 10 * time.Minute, Do: kind, Delay: 50 * time.Millisecond})
				s.Faults().Add(awslocal.Fault{Service: "wafv2", For: 10 * time.Minute, Probability: 0.3, Do: kind, Delay: 50 * time.Millisecond})
				for i := range 60 {
					store.ban(time.Hour, v4(1+i))
					store.ban(time.Minute, v4(1000+i)) // all over before the end
					pass(10 * time.Second)
				}
				if n := len(s.Calls()) - calls; n > 900 {
					t.Errorf("%d calls in ten minutes of trouble", n)
				}
				pass(30 * time.Second)
				all := inSets(s)
				for _, p := range numbered(v4, 0, 61) {
					if all[p] == 0 { // in two sets for a while: a write that seemed lost landed after all
						t.Errorf("%s is in no set, half a minute after the trouble", p)
					}
				}
				pass(2 * time.Minute)
				expectInSets(t, s, numbered(v4, 0, 61)...)
				if err := w.Ready(); err != nil {
					t.Error(err)
				}
				if v := s.WAF().Violations(); len(v) > 0 {
					t.Errorf("over the quota: %v", v)
				}
			})
		})
	}
}

// The SDK must not repeat an update on its own: each attempt is a slot.
func TestTheSDKDoesNotRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store := strict(), newStore()
		bootstrapped(t, s, BootstrapConfig{Scope: types.ScopeCloudfront, Sets: blocks(1, 0)})
		s.Faults().Add(awslocal.Fault{Service: "wafv2", Action: "UpdateIPSet", Do: awslocal.FaultThrottle})
		cfg := store.config(nil)
		cfg.Client = client(s)
		w := start(t, cfg)
		store.ban(time.Hour, v4(0))
		pass(time.Minute)
		w.halt()
		updates := 0
		for _, c := range s.Calls() {
			if c.Action == "UpdateIPSet" {
				updates++
			}
		}
		if st := w.Status(); updates != int(st.Writes) || updates < 10 || updates > 16 {
			t.Errorf("the stand-in saw %d updates, the Writer made %d", updates, st.Writes)
		}
	})
}

func TestExpiredCredentialsShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store := strict(), newStore()
		s.Faults().Add(awslocal.Fault{Service: "wafv2", Do: awslocal.FaultError, Code: "ExpiredTokenException", Status: 400, Message: "the security token is expired"})
		cfg := store.config(nil)
		cfg.Client = client(s)
		w := start(t, cfg)
		pass(time.Minute)
		if err := w.Ready(); err == nil || codeOf(err) != "ExpiredTokenException" {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.halt()
		if err := w.Flush(ctx); err == nil {
			t.Error("a last round without AWS says it worked")
		}
	})
}
