package main

import (
	"fmt"
	"slices"
	"testing"

	"weir/internal/awslocal"
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
