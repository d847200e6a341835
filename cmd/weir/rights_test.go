package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
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
	"weir/internal/config"
)

// rights are the actions that deploy/task-role.json allows.
func rights(t *testing.T) map[string]bool { return allowedBy(t, "task-role.json") }

// allowedBy are the actions that a policy in deploy allows.
func allowedBy(t *testing.T, file string) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Sid    string
			Action any // a string, or a list of them
		}
	}
	if err := json.Unmarshal(raw, &policy); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, s := range policy.Statement {
		switch a := s.Action.(type) {
		case string:
			allowed[a] = true
		case []any:
			for _, one := range a {
				allowed[fmt.Sprint(one)] = true
			}
		}
	}
	return allowed
}

// The service makes do with the rights that the README tells people to give it.
func TestServiceStaysWithinItsRights(t *testing.T) {
	allowed := rights(t)
	for name, environ := range map[string][]string{
		"polling": nil, "fan-out": {"WEIR_KINESIS_FANOUT=weir"},
		"snapshots":            {"WEIR_STATE_SNAPSHOT=s3://states/weir", "WEIR_STATE_INTERVAL=1s", "WEIR_STATE_OWNER=000000000000"},
		"a table of decisions": {"WEIR_BAN_TABLE=weir-bans"},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			recording := false
			called := map[string]bool{}
			server := awslocal.New(awslocal.Config{S3: awslocal.S3Config{Buckets: []string{"states"}}, OnCall: func(c awslocal.Call) {
				mu.Lock()
				defer mu.Unlock()
				if recording {
					called[strings.ToLower(c.Service)+":"+c.Action] = true
				}
			}})
			cloud := standInAWS(server)
			cfg := testSettings(t, environ...)
			if err := makeStream(t.Context(), cloud, cfg.Kinesis.Stream, 1); err != nil {
				t.Fatal(err)
			}
			if err := makeWebACL(t.Context(), cloud, demoWebACL); err != nil {
				t.Fatal(err)
			}
			if err := bootstrapDemo(t.Context(), cloud, cfg); err != nil {
				t.Fatal(err)
			}
			_, err := kinesis.NewFromConfig(cloud).PutRecords(t.Context(), &kinesis.PutRecordsInput{
				StreamName: &cfg.Kinesis.Stream,
				Records:    []types.PutRecordsRequestEntry{{Data: exploit("45.9.1.1"), PartitionKey: aws.String("x")}},
			})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			recording = true
			mu.Unlock()

			enforced := make(chan struct{})
			s, err := newService(t.Context(), cfg, cloud, zap.NewNop(), observer{enforced: func(ban.Decision, time.Time) { close(enforced) }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.run(ctx) }()
			select {
			case <-enforced:
			case <-time.After(patience):
				t.Error("the ban never reached an IP set")
			}
			eventually(t, "the service says that it is ready", func() bool { return len(s.notReady()) == 0 })
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, action := range slices.Sorted(maps.Keys(called)) {
				if action == "s3:ListObjectsV2" {
					action = "s3:ListBucket" // as the right is called
				}
				if !allowed[action] {
					t.Errorf("%s is called, and deploy/task-role.json does not allow it", action)
				}
			}
			if name == "snapshots" && !called["s3:PutObject"] {
				t.Error("no snapshot was kept")
			}
			if !called["wafv2:UpdateIPSet"] || !called["kinesis:ListShards"] {
				t.Errorf("calls were not recorded: %v", called)
			}
		})
	}
}

// testSettings are those of a service that leaves nothing behind.
func testSettings(t *testing.T, environ ...string) *config.Config {
	t.Helper()
	fs := newFlags(&world{stderr: os.Stderr}, "test", "", "")
	loader := config.Register(fs)
	if err := fs.Parse(nil); err != nil {
		t.Fatal(err)
	}
	cfg, err := loader.Load(append([]string{
		"WEIR_KINESIS_STREAM=log", "WEIR_KINESIS_START=oldest", "WEIR_API_LISTEN=127.0.0.1:0", "WEIR_WAF_WRITES_PER_SECOND=1",
		"WEIR_BAN_FILE=" + t.TempDir() + "/weir.db", "WEIR_STATE_MEMORY=64MiB",
		"WEIR_CRAWLERS_REFRESH=false", "WEIR_CRAWLERS_DNS=false", // tests ask nobody
		"WEIR_LOG_FIELDS=timestamp,c-ip,sc-status,cs-method,cs-host,cs-uri-stem,x-edge-request-id,cs-protocol-version,cs-user-agent",
	}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// What is done with the table of decisions needs each of the rights that the task has
// to it, and no other.
func TestTheTableOfDecisionsRights(t *testing.T) {
	server := awslocal.New(awslocal.Config{})
	tables := newTables(standInAWS(server))
	if err := ban.CreateTable(t.Context(), tables, "weir-bans"); err != nil {
		t.Fatal(err)
	}
	before := len(server.Calls())
	s, err := ban.Open(t.Context(), ban.Config{Table: "weir-bans", DynamoDB: tables, Duration: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p := netip.MustParsePrefix("192.0.2.1/32")
	d, err := s.Add(t.Context(), ban.Decision{Prefix: p})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Allow(t.Context(), ban.AllowEntry{Prefix: p}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), ban.Query{All: true, Limit: 10}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, c := range server.Calls()[before:] {
		used["dynamodb:"+c.Action] = true
		if c.Resource != "weir-bans" {
			t.Errorf("%s of %q", c.Action, c.Resource)
		}
	}
	allowed := map[string]bool{}
	for _, s := range readPolicy(t, "task-role.json").Statement {
		if strings.HasSuffix(s.Resource[0], ":table/weir-bans") {
			for _, a := range s.Action {
				allowed[a] = true
			}
		}
	}
	if !maps.Equal(used, allowed) {
		t.Errorf("called: %v\nallowed: %v", slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(allowed)))
	}
}
