package waf

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

func TestParseSets(t *testing.T) {
	bad := func(scope types.Scope, part string, list ...string) {
		t.Helper()
		if _, err := ParseSets(list, scope); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want %q", list, err, part)
		}
	}
	cf, reg := types.ScopeCloudfront, types.ScopeRegional
	bad(cf, "no IP sets named")
	bad(cf, `"we ir" cannot start`, "we ir")
	bad(cf, `"" cannot start`, "")
	bad(cf, `"weir-" is named twice`, "weir-", "captcha=weir-")
	bad(cf, `"weird" is no use of IP sets: want one of block, captcha,`, "weird=weir-")
	bad(cf, "is of scope REGIONAL, not CLOUDFRONT", regionalARN)
	bad(reg, "is of scope CLOUDFRONT, not REGIONAL", globalARN)
	bad(cf, "is named twice", globalARN, globalARN)
	bad(cf, "names a webacl, not a ipset", strings.Replace(globalARN, "/ipset/", "/webacl/", 1))
	bad(cf, "lives in us-east-1, not in eu-west-1", strings.Replace(globalARN, "us-east-1", "eu-west-1", 1))
	bad(reg, "is not in the account and region of", regionalARN,
		strings.NewReplacer("eu-central-1", "eu-west-1", "222222222222", "333333333333").Replace(regionalARN))
	two := []string{"arn:x", "arn:y"}
	bad(cf, `"arn:x"`, two...) // both are named
	bad(cf, `"arn:y"`, two...)

	sel, err := ParseSets([]string{globalARN, "list-count=" + strings.Replace(globalARN, "111111111111", "333333333333", 1), "weir-"}, cf)
	if err != nil || len(sel.ARNs) != 2 || sel.ARNs[0].ARN.Name != "weir-block-v4-0" || sel.ARNs[0].Pool != "block" || sel.ARNs[1].Pool != "list-count" || len(sel.Prefixes) != 1 {
		t.Errorf("%+v, %v", sel, err)
	}
	for name, want := range map[string]string{
		"weir-captcha-v6-0": "captcha", "weir-list-captcha-v4-3": "list-captcha", "weir-list-v4-0": "list", "weir-list-block-v4-0": "list",
		"weir-blacklist-v4-0": "block", "bans": "block", "weir-count-v4-0-old": "block",
	} {
		sel, err := ParseSets([]string{strings.Replace(globalARN, "weir-block-v4-0", name, 1)}, cf)
		if err != nil || sel.ARNs[0].Pool != want {
			t.Errorf("%s: %+v, %v, want %s", name, sel, err, want)
		}
	}
}

func TestNamesSayThePool(t *testing.T) {
	sel, err := ParseSets([]string{"weir-", "weir-block-", "weir-list-", "blocklist-", "challenge=odd-", "x-captcha-", "list-count=weir-list-captcha-old-"}, types.ScopeRegional)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"weir-captcha-v4-0":       "captcha",
		"weir-list-v4-0":          "list",
		"weir-list-captcha-v4-0":  "list-captcha",
		"weir-block-v4-0":         "block",
		"weir-trusted":            "", // people's own: no place for bans
		"weir-listing-v4-0":       "",
		"weir-list-office":        "list",
		"blocklist-v4-0":          "",
		"x-captcha-v4-0":          "captcha",
		"x-captcha-count-v4-0":    "count",
		"odd-block-v4-0":          "challenge",
		"weir-list-captcha-old-1": "list-count",
		"weir-allow-office":       "",
		"office":                  "",
	} {
		key, ok := sel.pool(name)
		if got := key.Word(); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s, %v, want %q", name, got, ok, want)
		}
	}
	for i := range poolCount {
		k := keyAt(i)
		if again, ok := keyOf(k.Word()); k.index() != i || !ok || again.action != k.action || again.list != k.list {
			t.Errorf("pool %d is %s, and not found again", i, k)
		}
	}
}
