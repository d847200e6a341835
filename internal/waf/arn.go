package waf

import (
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// cloudFrontRegion is where every call of CLOUDFRONT scope has to go.
const cloudFrontRegion = "us-east-1"

// ARN is the name of a WAFv2 entity, taken apart.
type ARN struct {
	Partition string // "aws", "aws-us-gov", "aws-cn"
	Region    string
	Account   string // twelve digits
	Scope     types.Scope
	Kind      string // "ipset", "rulegroup", "webacl"
	Name, ID  string
}

// String puts the ARN together again.
func (a ARN) String() string {
	scope := "regional"
	if a.Scope == types.ScopeCloudfront {
		scope = "global"
	}
	return fmt.Sprintf("arn:%s:wafv2:%s:%s:%s/%s/%s/%s", a.Partition, a.Region, a.Account, scope, a.Kind, a.Name, a.ID)
}

// arnForm is compiled per call: ARNs are read at start only.
const arnForm = `^arn:(aws[a-z-]*):wafv2:([a-z0-9-]+):(\d{12}):(global|regional)/(ipset|rulegroup|webacl)/([\w-]{1,128})/([\w-]{1,64})$`

// ParseARN reads the ARN of a WAFv2 entity of the given kind ("ipset",
// "rulegroup", "webacl"). An error names the ARN.
func ParseARN(kind, s string) (ARN, error) {
	m := regexp.MustCompile(arnForm).FindStringSubmatch(s)
	if m == nil {
		return ARN{}, fmt.Errorf("%q is not a WAFv2 ARN (arn:aws:wafv2:REGION:ACCOUNT:global|regional/%s/NAME/ID)", s, kind)
	}
	a := ARN{Partition: m[1], Region: m[2], Account: m[3], Scope: types.ScopeRegional, Kind: m[5], Name: m[6], ID: m[7]}
	if m[4] == "global" {
		a.Scope = types.ScopeCloudfront
	}
	if a.Kind != kind {
		return ARN{}, fmt.Errorf("%q names a %s, not a %s", s, a.Kind, kind)
	}
	if a.Scope == types.ScopeCloudfront && a.Region != cloudFrontRegion {
		return ARN{}, fmt.Errorf("%q: an entity of CLOUDFRONT scope lives in %s, not in %s", s, cloudFrontRegion, a.Region)
	}
	return a, nil
}
