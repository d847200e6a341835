package waf

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

const (
	globalARN   = "arn:aws:wafv2:us-east-1:123456789012:global/ipset/weir-block-v4-0/a1b2c3d4-5678-90ab-cdef-111111111111"
	regionalARN = "arn:aws:wafv2:eu-central-1:123456789012:regional/ipset/weir-block-v6-0/a1b2c3d4-5678-90ab-cdef-222222222222"
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
	bad(cf, `"weir-" is not a WAFv2 ARN`, globalARN, "weir-")
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

	sel, err := ParseSets([]string{globalARN}, cf)
	if err != nil || len(sel.ARNs) != 1 || sel.ARNs[0].Name != "weir-block-v4-0" || sel.ARNs[0].Region != "us-east-1" {
		t.Errorf("%+v, %v", sel, err)
	}
	sel, err = ParseSets([]string{"weir-block-"}, reg)
	if err != nil || sel.Prefix != "weir-block-" || sel.ARNs != nil {
		t.Errorf("%+v, %v", sel, err)
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add(globalARN)
	f.Add(regionalARN)
	f.Add("arn:aws-us-gov:wafv2:us-gov-west-1:123456789012:regional/ipset/x/y")
	f.Add("arn:aws:wafv2:us-east-1:123456789012:global/ipset/a/b/c")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseARN("ipset", s)
		if err != nil {
			return
		}
		if a.String() != s {
			t.Errorf("%q became %q", s, a)
		}
	})
}
