package main

import (
	"fmt"
	"slices"
	"testing"

	"weir/internal/awslocal"
	"weir/internal/waf"
)

// While the shards cannot be read, readiness says so and why; afterwards the service
// is ready again by itself.
func TestReadinessSaysWhatReadingFailsBy(t *testing.T) {
	m := newMarket(t, "targets: [{name: site, sets: weir-}]", observer{})
	eventually(t, "the service is ready", func() bool { return len(m.service.notReady()) == 0 })
	m.server.Faults().Add(awslocal.Fault{Service: "kinesis", Action: "GetRecords", Do: awslocal.FaultError, Code: "ExpiredTokenException"})
	n := len(m.service.source.Status().Shards)
	want := fmt.Sprintf("stream: reading %d of %d shards held fails: credentials", n, n)
	eventually(t, want, func() bool { return slices.Contains(m.service.notReady(), want) })
	m.server.Faults().Clear()
	eventually(t, "the service is ready again", func() bool { return len(m.service.notReady()) == 0 })
}

// Lists are enforced where there are sets for them, or for those of the fallback.
func TestListSets(t *testing.T) {
	block := waf.PoolStatus{Pool: "block", Action: "block", Sets: 1}
	for name, tt := range map[string]struct {
		pools    []waf.PoolStatus
		fallback string
		want     bool
	}{
		"none":         {[]waf.PoolStatus{block}, "block", false},
		"gone":         {[]waf.PoolStatus{block, {Pool: "list", Action: "block", List: true, Wanted: 3}}, "block", false},
		"there":        {[]waf.PoolStatus{block, {Pool: "list", Action: "block", List: true, Sets: 1}}, "captcha", true},
		"fallback":     {[]waf.PoolStatus{{Pool: "list-captcha", Action: "captcha", List: true, Sets: 1}}, "captcha", true},
		"other action": {[]waf.PoolStatus{{Pool: "list-captcha", Action: "captcha", List: true, Sets: 1}}, "none", false},
	} {
		if got := hasListSets(&waf.Status{Pools: tt.pools}, tt.fallback); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
