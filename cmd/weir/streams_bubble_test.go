package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"weir/internal/awslocal"
	source "weir/internal/source/kinesis"
)

// keepStates makes the bucket "states" and returns settings of services that keep theirs
// there, and count ten requests for /slow.
func (w *street) keepStates() []string {
	w.t.Helper()
	if _, err := s3.NewFromConfig(w.cloud).CreateBucket(w.t.Context(), &s3.CreateBucketInput{Bucket: aws.String("states")}); err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "slow.yaml")
	if err := os.WriteFile(file, []byte(slow), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return []string{"WEIR_SCENARIOS=" + file, "WEIR_STATE_SNAPSHOT=s3://states", "WEIR_STATE_MEMORY=16MiB"}
}

// askSlow puts requests for /slow into a stream.
func (w *street) askSlow(stream string, times int, client string) {
	w.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: &stream}
	for i := range times {
		line := fmt.Sprintf("%d.000\t%s\t200\tGET\twww.example.com\t/slow\trequest-%d-%d\tHTTP/1.1\tcurl/8", time.Now().Unix(), client, time.Now().UnixNano(), i)
		in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{Data: []byte(line), PartitionKey: aws.String(fmt.Sprint(i))})
	}
	if _, err := kinesis.NewFromConfig(w.cloud).PutRecords(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
}

// folders are those of the bucket that have snapshots.
func (w *street) folders() (list []string) {
	w.t.Helper()
	out, err := s3.NewFromConfig(w.cloud).ListObjectsV2(w.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("states")})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range out.Contents {
		list = append(list, (*o.Key)[:strings.LastIndexByte(*o.Key, '/')+1])
	}
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// Deployments that keep their states in one place, of different streams or of one that they
// read with different lease tables, do not meet.
func TestDeploymentsInOnePlace(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		environ := w.keepStates()
		if err := makeStream(t.Context(), w.cloud, "other-log", 2); err != nil {
			t.Fatal(err)
		}
		var all []*resident
		move := func() {
			for i, own := range [][]string{nil, {"WEIR_KINESIS_STREAM=other-log", "WEIR_KINESIS_LEASE_TABLE=other-leases"}, {"WEIR_KINESIS_LEASE_TABLE=trial-leases"}} {
				cfg := w.settings(own...)
				if err := source.CreateLeaseTable(t.Context(), newTables(w.cloud), cfg.Kinesis.LeaseTable); err != nil {
					t.Fatal(err)
				}
				all = append(all, w.moveIn(observer{}, nil, slices.Concat(environ, own, []string{fmt.Sprintf("WEIR_WAF_DRY_RUN=%t", i > 0)})...))
			}
		}
		move()
		for i := range 5 {
			w.askSlow("log", 1, "45.10.1.1")
			w.askSlow("other-log", 1, fmt.Sprintf("45.10.1.%d", i))
			time.Sleep(10 * time.Second)
		}
		if got := fmt.Sprint(w.folders()); got != "[us-east-1.000000000000.log/trial-leases/ us-east-1.000000000000.log/weir-leases/ us-east-1.000000000000.other-log/other-leases/]" {
			t.Errorf("the bucket has %s", got)
		}
		for _, r := range all {
			r.stop()
		}
		all = nil
		move()
		for _, r := range all {
			w.until("the shards", time.Minute, r.reads)
			time.Sleep(20 * time.Second)
			if reasons := r.reasons(); contains(reasons, "state:") || r.s.keeper.from("") == "" {
				t.Errorf("reasons = %q, gone on from %q", reasons, r.s.keeper.from(""))
			}
			r.stop()
		}
	})
}

// A stream that was deleted and made anew is read from its beginning and counted anew, and
// it is said which snapshot is of no use and why.
func TestStreamMadeAnew(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		environ := w.keepStates()
		r := w.moveIn(observer{}, nil, environ...)
		w.until("the shards", time.Minute, r.reads)
		w.askSlow("log", 9, "45.10.1.1")
		w.until("nine records", time.Minute, func() bool { return r.s.handled() == 9 })
		r.stop()

		api := kinesis.NewFromConfig(w.cloud)
		if _, err := api.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("log")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := makeStream(t.Context(), w.cloud, "log", 2); err != nil {
			t.Fatal(err)
		}
		w.askSlow("log", 9, "45.10.1.1")
		w.askSlow("log", 10, "46.10.1.1")
		r = w.moveIn(observer{}, nil, environ...)
		w.until("a refusal", time.Minute, func() bool { return contains(r.reasons(), "snapshot refused") })
		const before, now = "it is of the stream arn:aws:kinesis:us-east-1:000000000000:stream/log made at 2000-01-01T00:00:00Z", "made at 2000-01-01T01:0"
		if reasons := r.reasons(); !contains(reasons, before) || !contains(reasons, now) || !contains(reasons, "log/weir-leases/0000") {
			t.Errorf("reasons = %q", reasons)
		}
		w.until("a ban", time.Minute, func() bool { return w.holds("46.10.1.1") })
		time.Sleep(time.Minute)
		if w.holds("45.10.1.1") {
			t.Error("nine requests led to a ban")
		}
		if reasons := r.reasons(); contains(reasons, "state:") {
			t.Errorf("reasons = %q", reasons)
		}
		r.stop()
	})
}

// Where Kinesis refuses the position that a snapshot has, it is said which snapshot that is.
func TestRefusedPositionOfASnapshot(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		environ := w.keepStates()
		r := w.moveIn(observer{}, nil, environ...)
		w.until("the shards", time.Minute, r.reads)
		w.askSlow("log", 9, "45.10.1.1")
		w.until("nine records", time.Minute, func() bool { return r.s.handled() == 9 })
		r.stop()
		w.faults.Add(awslocal.Fault{Service: "kinesis", Action: "GetShardIterator", Do: awslocal.FaultError, Code: "InvalidArgumentException"})
		r = w.moveIn(observer{}, nil, environ...)
		w.until("word of the snapshot", time.Minute, func() bool {
			return contains(r.reasons(), "of snapshot 1 of s3://states (WEIR_STATE_SNAPSHOT)")
		})
		w.faults.Clear()
		w.askSlow("log", 1, "45.10.1.1")
		w.until("a ban", time.Minute, func() bool { return w.holds("45.10.1.1") })
		if reasons := r.reasons(); contains(reasons, "snapshot 1") {
			t.Errorf("reasons = %q", reasons)
		}
		r.stop()
	})
}
