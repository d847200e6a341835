package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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
