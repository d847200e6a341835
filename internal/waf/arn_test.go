package waf

import (
	"testing"
)

const (
	globalARN   = "arn:aws:wafv2:us-east-1:123456789012:global/ipset/weir-block-v4-0/a1b2c3d4-5678-90ab-cdef-111111111111"
	regionalARN = "arn:aws:wafv2:eu-central-1:123456789012:regional/ipset/weir-block-v6-0/a1b2c3d4-5678-90ab-cdef-222222222222"
)

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
