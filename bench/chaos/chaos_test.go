package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/awslocal"
	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/scenario"
)

// uninterrupted runs a plan of three minutes through an engine that nobody stops, and
// returns the plan and what that engine would have decided.
func uninterrupted(t *testing.T) (*plan, []decision) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "chaos.yaml")
	if err := os.WriteFile(file, []byte(scenarios), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := scenario.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	set, err := scenario.Compile(list, scenario.Options{})
	if err != nil {
		t.Fatal(err)
	}
	names, err := cloudfront.ParseFields(fields)
	if err != nil {
		t.Fatal(err)
	}
	format, err := cloudfront.NewFormat(names)
	if err != nil {
		t.Fatal(err)
	}
	var alerts []decision
	engine, err := detect.New(set, detect.Config{
		Shards: 2, Memory: 32 << 20, Registerer: prometheus.NewRegistry(),
		Alert: func(a detect.Alert) {
			alerts = append(alerts, decision{ID: fmt.Sprint(len(alerts)), Value: shownAs(a.Client), Scenario: a.Scenario.Name, Active: true})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	p, now := newPlan(7), time.Now()
	pour := func(steps []step) {
		for i := range steps {
			var r cloudfront.Record
			if err := format.Parse(&r, steps[i].line(now)); err != nil {
				t.Fatal(err)
			}
			engine.Process([]cloudfront.Record{r})
		}
	}
	for range int(3 * time.Minute / tick) {
		now = now.Add(tick)
		pour(p.tick(now, tick))
	}
	pour(p.finish())
	return p, alerts
}

// inForce has an auditor see the decisions land in an IP set.
func inForce(t *testing.T, a *auditor, list []decision) {
	t.Helper()
	for _, d := range list {
		who, err := prefixOf(d.Value)
		if err != nil {
			t.Fatal(err)
		}
		w := awslocal.Write{At: time.Now()}
		w.Added = append(w.Added, who)
		a.wrote(w)
	}
}

func TestPlanSaysWhatAnUninterruptedRunDecides(t *testing.T) {
	p, list := uninterrupted(t)
	a := newAuditor()
	inForce(t, a, list)
	v := a.judge(p, list, t.Errorf)
	if v.Lost+v.Extra+v.Duplicated != 0 || v.Bans < 100 {
		t.Errorf("%+v", v)
	}
}

func TestAuditorFindsEachFault(t *testing.T) {
	p, list := uninterrupted(t)
	var short *suspect
	for _, c := range p.all {
		if c.kind.name == "drip-short" {
			short = c
		}
	}
	extra := decision{ID: "extra", Value: shownAs(short.who), Scenario: "chaos-drip"}
	again := list[3]
	again.ID = "again"
	for _, tc := range []struct {
		name                    string
		landed, final, shown    []decision
		lost, extra, duplicated int
	}{
		{"a ban that never was", list[1:], list[1:], nil, 1, 0, 0},
		{"a ban in no IP set", list[1:], list, nil, 1, 0, 0},
		{"a decision that is forgotten", list, list[1:], nil, 1, 0, 0},
		{"a decision that was shown", list, list, []decision{{ID: "gone", Value: "192.0.2.1"}}, 1, 0, 0},
		{"a record counted twice", append(list[:len(list):len(list)], extra), append(list[:len(list):len(list)], extra), nil, 0, 1, 0},
		{"an alert raised twice", list, append(list[:len(list):len(list)], again), nil, 0, 0, 1},
	} {
		a := newAuditor()
		inForce(t, a, tc.landed)
		a.show(tc.shown)
		v := a.judge(p, tc.final, func(string, ...any) {})
		if v.Lost != tc.lost || v.Extra != tc.extra || v.Duplicated != tc.duplicated || v.passes() {
			t.Errorf("%s: %+v", tc.name, v)
		}
	}
}

func TestCheckpointsAreCompared(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		less bool
	}{
		{"", "1", true},
		{"9", "10", true},
		{"10", "9", false},
		{"0010", "9", false},
		{"7", "7", false},
		{"7", "SHARD_END", true},
		{"SHARD_END", "7", false},
		{"SHARD_END", "SHARD_END", false},
	} {
		if got := less(tc.a, tc.b); got != tc.less {
			t.Errorf("less(%q, %q) = %v", tc.a, tc.b, got)
		}
	}
}

// TestHandoverIsWatched: a shard is read on when another task asks for it, or the one that was
// started in the place of the one that has ended, and not when somebody asks for another shard.
func TestHandoverIsWatched(t *testing.T) {
	g := newGate(nil, aws.Config{})
	g.took("task1", "log a")
	g.took("task1", "log b")
	g.took("task2", "log c")
	g.leaves("task1")
	for i, step := range []struct {
		key, shard string
		ended, ok  bool
	}{
		{"task1", "log a", false, false}, // it does not know yet
		{"task2", "log c", false, false},
		{"task2", "log a", false, false},
		{"task1", "log b", true, true},
	} {
		if step.ended {
			g.ended()
		}
		g.took(step.key, step.shard)
		since, ok := g.taken()
		if ok != step.ok || since.IsZero() == (i >= 2) {
			t.Errorf("%+v: %v since %v", step, ok, since)
		}
	}
	g.leaves("task3")
	if since, ok := g.taken(); !ok || !since.IsZero() {
		t.Errorf("a task that reads nothing: %v since %v", ok, since)
	}
}

// TestShardOfACall: the call goes on as it came.
func TestShardOfACall(t *testing.T) {
	const body = `{"StreamName":"log","ShardId":"shardId-000000000001","ShardIteratorType":"LATEST"}`
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if got, want := shardOf(r), "log shardId-000000000001"; got != want {
		t.Errorf("shardOf = %q, want %q", got, want)
	}
	if left, err := io.ReadAll(r.Body); err != nil || string(left) != body {
		t.Errorf("left of the call: %q, %v", left, err)
	}
}

func TestVerdictHasBars(t *testing.T) {
	for _, tc := range []struct {
		name   string
		v      verdict
		passes bool
	}{
		{"all is well", verdict{recoveries: []float64{29}, stops: []float64{19, 2}, resumes: []float64{4}}, true},
		{"a slow recovery", verdict{recoveries: []float64{1, 31}}, false},
		{"a slow stop", verdict{stops: []float64{1, 21, 2}}, false},
		{"a slow successor", verdict{resumes: []float64{6, 1}}, false},
		{"a checkpoint that moved back", verdict{Rewinds: 1}, false},
	} {
		var total verdict
		total.add(tc.v)
		total.add(verdict{})
		if total.passes() != tc.passes {
			t.Errorf("%s: %+v", tc.name, total)
		}
	}
}
