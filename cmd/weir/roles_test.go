package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/zap"

	"weir/internal/awslocal"
	"weir/internal/ban"
)

// A crew is services that count as one, over stand-ins.
type crew struct {
	t      *testing.T
	server *awslocal.Server
	cloud  aws.Config
	common []string // settings

	mu     sync.Mutex
	banned map[netip.Prefix]bool // who is in an IP set
	called map[string]bool
}

// A member of a crew runs until it is stopped.
type member struct {
	*service
	stop func()
}

const countingScenario = `
type: leaky
name: t-missing
description: Asks for what is not there.
filter: evt.Meta.http_status == '404'
groupby: evt.Meta.source_ip
capacity: 10
leakspeed: 10m
blackhole: 1m
labels: {service: http, remediation: true}
`

func newCrew(t *testing.T) *crew {
	c := &crew{t: t, banned: map[netip.Prefix]bool{}, called: map[string]bool{}}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "t.yaml"), []byte(countingScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	c.common = []string{
		"WEIR_SCENARIOS=" + filepath.Join(dir, "t.yaml"), "WEIR_REKEY_STREAM=events", "WEIR_BAN_TABLE=weir-bans",
		"WEIR_STATE_SNAPSHOT=" + filepath.Join(dir, "state"), "WEIR_STATE_INTERVAL=1s", "WEIR_KINESIS_FAILOVER=3s",
	}
	c.server = awslocal.New(awslocal.Config{OnCall: func(call awslocal.Call) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.called[strings.ToLower(call.Service)+":"+call.Action] = true
	}})
	c.cloud = standInAWS(c.server)
	for stream, shards := range map[string]int32{"log": 3, "events": 4} {
		if err := makeStream(t.Context(), c.cloud, stream, shards); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeWebACL(t.Context(), c.cloud, demoWebACL); err != nil {
		t.Fatal(err)
	}
	if err := bootstrapDemo(t.Context(), c.cloud, testSettings(t, append(c.common, "WEIR_ROLE=ingest")...)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *crew) start(role string) *member {
	c.t.Helper()
	s, err := newService(c.t.Context(), testSettings(c.t, append(c.common, "WEIR_ROLE="+role)...), c.cloud, zap.NewNop(), observer{
		enforced: func(d ban.Decision, _ time.Time) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.banned[d.Prefix] = true
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	return &member{s, func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("a task that %ss: %v", role, err)
		}
	}}
}

// put puts one request of each client, each into any shard.
func (c *crew) put(clients, round int) {
	c.t.Helper()
	var records []types.PutRecordsRequestEntry
	for i := range clients {
		line := fmt.Sprintf("%d.000\t45.9.1.%d\t404\tGET\tshop.example\t/gone/%d\tid-%d-%d\tHTTP/2.0\tMozilla/5.0\n", time.Now().Unix(), i, round, i, round)
		records = append(records, types.PutRecordsRequestEntry{Data: []byte(line), PartitionKey: aws.String(fmt.Sprint(i, "/", round))})
	}
	if _, err := kinesis.NewFromConfig(c.cloud).PutRecords(c.t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("log"), Records: records}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crew) inSets() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.banned)
}

// TestRolesCountAsOne: what tasks that ingest match, and tasks that detect count, among them one that takes over
// from another, ends in the IP sets.
func TestRolesCountAsOne(t *testing.T) {
	c := newCrew(t)
	ingests := []*member{c.start(roleIngest), c.start(roleIngest)}
	detects := []*member{c.start(roleDetect), c.start(roleDetect)}
	shared := func(of []*member, shards int) func() bool {
		return func() bool {
			n := 0
			for _, m := range of {
				held := 0
				for _, sh := range m.source.Status().Shards {
					if sh.Resumed {
						held++
					}
				}
				if n += held; held == 0 {
					return false
				}
			}
			return n == shards
		}
	}
	eventually(t, "the tasks share the shards", func() bool { return shared(ingests, 3)() && shared(detects, 4)() })
	const clients = 40
	for round := range 6 {
		c.put(clients, round)
	}
	counted := func() (n float64) {
		for _, m := range detects {
			n += counterOf(t, m.service, "weir_rekey_events_total", "outcome", "counted")
		}
		return n
	}
	// At least: a shard that changes hands, as on a machine that stands still for a moment, is counted on from its snapshot.
	eventually(t, "half of the requests are counted", func() bool { return counted() >= 6*clients })
	for _, m := range slices.Concat(ingests, detects) {
		eventually(t, fmt.Sprintf("a task that %ss is ready (%v)", m.cfg.Role, m.notReady()), func() bool { return len(m.notReady()) == 0 })
	}
	if n := c.inSets(); n != 0 {
		t.Errorf("%d clients are banned for half of it", n)
	}
	detects[0].stop()
	for round := range 5 {
		c.put(clients, 6+round)
	}
	eventually(t, "all clients are banned", func() bool { return c.inSets() == clients })
	knowMetrics(t, "../../README.md", ofRoles.MatchString, ingests[0].service, detects[1].service)
	for _, m := range []*member{detects[1], ingests[0], ingests[1]} {
		m.stop()
	}
	allowed := rights(t)
	for _, action := range slices.Sorted(maps.Keys(c.called)) {
		made := strings.Contains(action, "create") || strings.Contains(action, "Create")
		if !allowed[action] && !made && !strings.HasPrefix(action, "wafv2:") && !strings.HasSuffix(action, "TimeToLive") {
			t.Errorf("%s is called, and deploy/task-role.json does not allow it", action)
		}
	}
}

// counterOf returns the value of a counter of a service.
func counterOf(t *testing.T, s *service, name, label, value string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == label && l.GetValue() == value {
					return m.Counter.GetValue()
				}
			}
		}
	}
	return 0
}

// TestRolesNeedWhatTheyShare: a task that could not count as one with others does not start.
func TestRolesNeedWhatTheyShare(t *testing.T) {
	var errs strings.Builder
	code := run(t.Context(), &world{
		args: []string{"config"}, environ: []string{"WEIR_ROLE=detect", "WEIR_KINESIS_STREAM=log"}, stdout: new(strings.Builder), stderr: &errs,
	})
	for _, want := range []string{"WEIR_REKEY_STREAM", "WEIR_BAN_TABLE", "WEIR_STATE_SNAPSHOT"} {
		if code != exitConfig || !strings.Contains(errs.String(), want) {
			t.Errorf("exit code %d, %s; want %s named", code, errs.String(), want)
		}
	}
}
