package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/awslocal"
)

// A moment is when a task is killed: at a time, or at one of its calls to AWS.
type moment struct {
	action string // "UpdateIPSet"; "" = at any time
	after  bool   // AWS has carried the call out, and the task never learns of it
}

func (m moment) String() string {
	switch {
	case m.action == "":
		return "at a time of no importance"
	case m.after:
		return "after " + m.action + " was carried out"
	}
	return "before " + m.action + " was carried out"
}

// moments are those at which something is half done. A bare time comes often, too:
// it is most likely in the middle of a batch.
var moments = []moment{
	{},
	{},
	{},
	{"UpdateIPSet", false},
	{"UpdateIPSet", true},
	{"UpdateItem", false}, // checkpoints, renewals and decisions
	{"UpdateItem", true},
	{"BatchWriteItem", true},
	{"PutItem", true},
	{"PutRecords", false}, // between tasks that ingest and tasks that detect
	{"PutRecords", true},
	{"PutObject", false}, // snapshots, where they are in S3
	{"PutObject", true},
	{"GetRecords", true},
}

func pickMoment(rnd *rand.Rand) moment { return moments[rnd.IntN(len(moments))] }

// A gate stands before the stand-ins. It kills a task at a call of its own, and sees
// checkpoints move.
type gate struct {
	server http.Handler
	tables *dynamodb.Client // in process
	leases []string         // tables

	mu      sync.Mutex
	key     string // access key of the task to be killed; "" = none
	at      moment
	kill    func()
	seen    map[string]string // checkpoints by shard
	rewinds int
	readers map[string]string // by stream and shard: access key of the task that began to read it last
	leaving *handover         // what is watched; nil = nothing
}

// arm has the task with that access key killed at its next call of that kind.
func (g *gate) arm(key string, at moment, kill func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.key, g.at, g.kill = key, at, kill
}

// disarm takes that back, and reports whether it was still to come.
func (g *gate) disarm() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	armed := g.key != ""
	g.key = ""
	return armed
}

// due takes the kill that a call meets.
func (g *gate) due(r *http.Request) (kill func(), after bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.key == "" || keyOf(r) != g.key || actionOf(r) != g.at.action {
		return nil, false
	}
	g.key = ""
	return g.kill, g.at.after
}

// keyOf is the access key that signed a call.
func keyOf(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

// actionOf names what a call asks for; of S3 by its method alone.
func actionOf(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndexByte(target, '.')+1:]
	}
	if r.Method == http.MethodPut {
		return "PutObject"
	}
	return ""
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kill, after := g.due(r)
	if kill != nil {
		if after {
			g.server.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		} else {
			_, _ = io.Copy(io.Discard, r.Body) // whatever comes of it, the task is gone
		}
		kill()
		panic(http.ErrAbortHandler)
	}
	var taken string
	if actionOf(r) == "GetShardIterator" {
		taken = shardOf(r)
	}
	g.server.ServeHTTP(w, r)
	switch actionOf(r) {
	case "UpdateItem", "PutItem", "DeleteItem", "BatchWriteItem":
		g.look()
	case "GetShardIterator":
		g.took(keyOf(r), taken)
	}
}

// look compares all checkpoints with what they were.
func (g *gate) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, table := range g.leases {
		out, err := g.tables.Scan(ctx, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
		if err != nil {
			continue // it is there after the bootstrap, where it is needed
		}
		for _, item := range out.Items {
			shard, _ := item["ShardID"].(*types.AttributeValueMemberS)
			checkpoint, _ := item["Checkpoint"].(*types.AttributeValueMemberS)
			if shard == nil || checkpoint == nil {
				continue
			}
			key := table + " " + shard.Value
			if old := g.seen[key]; less(checkpoint.Value, old) {
				g.rewinds++
			}
			g.seen[key] = checkpoint.Value
		}
	}
}

// less compares sequence numbers, which are decimal numbers of any length.
func less(a, b string) bool {
	if a == "SHARD_END" || b == "SHARD_END" {
		return a != b && b == "SHARD_END"
	}
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}

func newGate(server *awslocal.Server, cloud aws.Config, leases ...string) *gate {
	return &gate{server: server, tables: dynamodb.NewFromConfig(cloud), leases: leases, seen: make(map[string]string), readers: make(map[string]string)}
}
