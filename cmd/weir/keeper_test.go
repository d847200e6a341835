package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// slow needs ten requests of a client, however long they take.
const slow = `type: leaky
name: test/slow
description: "ten requests"
filter: "evt.Meta.log_type in ['http_access-log', 'http_error-log'] && evt.Meta.http_path == '/slow'"
groupby: evt.Meta.source_ip
capacity: 9
leakspeed: 10h
blackhole: 1m
labels:
  remediation: true
`

// metric returns the sum of a metric's values, 0 while the service does not answer.
func metric(ctx context.Context, api, name string) (sum float64) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), name); ok && (rest[0] == ' ' || rest[0] == '{') {
			v, _ := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			sum += v
		}
	}
	return sum
}

// A service that is killed goes on with half-full buckets: who needs ten requests is
// banned after ten, in whatever lives, and who has made nine is not, though records
// were read again.
func TestStateSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	w := newTown(t)
	scenarios := filepath.Join(w.dir, "slow.yaml")
	if err := os.WriteFile(scenarios, []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(w.dir, "state")
	w.environ = append(w.environ, "WEIR_SCENARIOS=builtin,"+scenarios, "WEIR_STATE_SNAPSHOT="+state, "WEIR_STATE_INTERVAL=1s", "WEIR_STATE_MEMORY=64MiB")

	var patient, careful []string // ten requests, and nine
	for i := range 20 {
		patient = append(patient, fmt.Sprintf("45.%d.1.1", i+10))
		careful = append(careful, fmt.Sprintf("46.%d.1.1", i+10))
	}
	id := 0
	ask := func(times int, clients ...string) {
		var entries []types.PutRecordsRequestEntry
		for range times {
			for _, c := range clients {
				id++
				line := fmt.Sprintf("%d.000\t%s\t200\tGET\twww.example.com\t/slow\trequest-%d\tHTTP/1.1\tcurl/8", time.Now().Unix(), c, id)
				entries = append(entries, types.PutRecordsRequestEntry{Data: []byte(line), PartitionKey: aws.String(strconv.Itoa(id))})
			}
		}
		_, err := kinesis.NewFromConfig(w.cloud).PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("log"), Records: entries})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := slices.Concat(patient, careful)
	handled := func(api string, n int) func() bool {
		return func() bool { return metric(t.Context(), api, "weir_kinesis_records_total") >= float64(n) }
	}
	snapshots := func() float64 {
		names, _ := filepath.Glob(filepath.Join(state, "us-east-1.000000000000.log", "weir-leases", "*.weir"))
		if len(names) == 0 {
			return 0
		}
		n, _ := strconv.ParseFloat(strings.TrimSuffix(filepath.Base(slices.Max(names)), ".weir"), 64)
		return n
	}

	first := w.start("run")
	api := first.api()
	ask(4, all...)
	eventually(t, "the first service has read its records", handled(api, 4*len(all)))
	kept := 0.0
	eventually(t, "a snapshot", func() bool { return snapshots() > kept })
	ask(3, all...)
	eventually(t, "the first service has read on", handled(api, 5*len(all)))
	first.kill()

	second := w.start("run")
	api = second.api()
	ask(2, all...) // nine by now
	eventually(t, "the second service has read its records", handled(api, 2*len(all)))
	second.kill()

	// The third has another store, and so would have hashed with another seed.
	third := &town{t: t, dir: w.dir, weir: w.weir, cloud: w.cloud, environ: append(slices.Clone(w.environ), "WEIR_BAN_FILE="+filepath.Join(w.dir, "third.db"))}
	last := third.start("run")
	api = last.api()
	ask(1, patient...)
	var now []string
	eventually(t, "who has made ten requests is banned", func() bool {
		now, _ = banned(t.Context(), api)
		return len(now) >= len(patient)
	})
	w.put([]string{"47.1.1.1"}) // after all others: when it is banned, they have been read
	eventually(t, "a last client is banned", func() bool {
		now, _ = banned(t.Context(), api)
		return slices.Contains(now, "47.1.1.1")
	})
	for _, c := range careful {
		if slices.Contains(now, c) {
			t.Errorf("%s was banned, whose nine requests are one too few", c)
		}
	}
	if n := metric(t.Context(), api, "weir_snapshot_refused_total"); n != 0 {
		t.Errorf("%v snapshots were refused", n)
	}
	if n := metric(t.Context(), api, "weir_detect_alerts_total"); n == 0 {
		t.Error("the metrics of what counts are not shown")
	}
	kept = snapshots()
	_ = last.cmd.Process.Signal(syscall.SIGTERM)
	if code := last.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if snapshots() < kept {
		t.Error("a snapshot was lost with the stop")
	}
}
