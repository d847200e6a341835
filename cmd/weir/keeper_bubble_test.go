package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"

	"weir/internal/awslocal"
	"weir/internal/ban"
	"weir/internal/detect"
	"weir/internal/seeded"
)

// A place that cannot be read when a shard is taken is seen to keep it from being read, and
// one that there is not ends the start.
func TestStateThatCannotBeRead(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		environ := []string{"WEIR_STATE_SNAPSHOT=s3://states/weir", "WEIR_STATE_MEMORY=16MiB"}
		_, err := newService(t.Context(), w.settings(environ...), w.cloud, zap.NewNop(), observer{})
		if err == nil || !strings.Contains(err.Error(), "s3://states/weir") || !strings.Contains(err.Error(), "WEIR_STATE_SNAPSHOT") {
			t.Errorf("without the bucket the start ends with %v", err)
		}
		if _, err := s3.NewFromConfig(w.cloud).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("states")}); err != nil {
			t.Fatal(err)
		}
		w.faults.Add(awslocal.Fault{Service: "s3", Do: awslocal.FaultError, Code: "AccessDenied"})
		r := w.moveIn(observer{}, nil, environ...)
		w.until("the shards", time.Minute, r.reads)
		w.put("45.1.1.1")
		const what = "state: 2 of 2 shards held are not read"
		w.until(what, time.Minute, func() bool { return contains(r.reasons(), what) })
		if reasons := r.reasons(); !contains(reasons, "s3://states/weir") || !contains(reasons, "AccessDenied") {
			t.Errorf("reasons = %q", reasons)
		}
		w.faults.Clear()
		w.until("a ban", time.Minute, func() bool { return w.holds("45.1.1.1") })
		if contains(r.reasons(), "state:") {
			t.Errorf("reasons = %q", r.reasons())
		}
		r.stop()
	})
}

// Who was banned, and whose decision is in no store that lives on, is banned again as soon as
// he goes on, whatever the blackhole. Where the store lives on he is not alerted about twice.
func TestStateOutlivesDecisions(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		if _, err := s3.NewFromConfig(w.cloud).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("states")}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(ban.CreateTable(t.Context(), newTables(w.cloud), "one"), ban.CreateTable(t.Context(), newTables(w.cloud), "another")); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "slow.yaml")
		// Its action lets requests through, so that they are counted on.
		text := strings.Replace(slow, "blackhole: 1m", "blackhole: 5h", 1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{"WEIR_SCENARIOS=" + file, "WEIR_STATE_SNAPSHOT=s3://states/weir", "WEIR_STATE_MEMORY=16MiB", "WEIR_BAN_ACTION=count"}
		round := 0
		life := func(table string) (alerts int) { // of a task, to which the client makes ten requests
			var told atomic.Int64
			r := w.moveIn(observer{alert: func(detect.Alert, *ban.Decision) { told.Add(1) }}, nil, append(environ, "WEIR_BAN_TABLE="+table)...)
			w.until("the shards", time.Minute, r.reads)
			in := &kinesis.PutRecordsInput{StreamName: aws.String("log")}
			for i := range 10 {
				line := fmt.Sprintf("%d.000\t45.10.1.1\t200\tGET\twww.example.com\t/slow\trequest-%d-%d\tHTTP/1.1\tcurl/8", time.Now().Unix(), round, i)
				in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{Data: []byte(line), PartitionKey: aws.String(fmt.Sprint(i))})
			}
			round++
			if _, err := kinesis.NewFromConfig(w.cloud).PutRecords(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			w.until("ten records", time.Minute, func() bool { return r.s.handled() >= 10 })
			time.Sleep(5 * time.Second)
			r.stop()
			return int(told.Load())
		}
		for _, step := range []struct {
			table string
			want  int
		}{{"one", 1}, {"one", 0}, {"another", 1}, {"another", 0}} {
			if got := life(step.table); got != step.want {
				t.Errorf("%d alerts with the decisions in table %s, want %d", got, step.table, step.want)
			}
		}
	})
}

// A state that is gone on with is counted by the scenarios that the service began with,
// whatever became of their files.
func TestScenariosAreReadOnce(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		file := filepath.Join(t.TempDir(), "slow.yaml")
		if err := os.WriteFile(file, []byte(slow), 0o600); err != nil {
			t.Fatal(err)
		}
		r := w.moveIn(observer{}, nil, "WEIR_SCENARIOS="+file, "WEIR_STATE_MEMORY=16MiB")
		if err := os.WriteFile(file, []byte("name: test/half\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.s.count(seeded.New()); err != nil {
			t.Fatal(err)
		}
		if set := r.s.counts.Load().set; set.Len() != 1 || set.At(0).Name != "test/slow" {
			t.Errorf("%d scenarios, the first is %s", set.Len(), set.At(0).Name)
		}
		r.stop()
	})
}

// A process that is stopped for long, one that takes over meanwhile, and a third that
// finds its snapshot damaged: each record is counted once in what lives on.
func TestStateInABucket(t *testing.T) {
	inStreet(t, func(t *testing.T, w *street) {
		api := s3.NewFromConfig(w.cloud)
		if _, err := api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("states")}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "slow.yaml")
		if err := os.WriteFile(file, []byte(slow), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{"WEIR_SCENARIOS=" + file, "WEIR_STATE_SNAPSHOT=s3://states/weir", "WEIR_STATE_MEMORY=16MiB"}
		id := 0
		ask := func(times int, clients ...string) {
			in := &kinesis.PutRecordsInput{StreamName: aws.String("log")}
			for range times {
				for _, c := range clients {
					id++
					line := fmt.Sprintf("%d.000\t%s\t200\tGET\twww.example.com\t/slow\trequest-%d\tHTTP/1.1\tcurl/8", time.Now().Unix(), c, id)
					in.Records = append(in.Records, kinesistypes.PutRecordsRequestEntry{Data: []byte(line), PartitionKey: aws.String(fmt.Sprint(id))})
				}
			}
			if _, err := kinesis.NewFromConfig(w.cloud).PutRecords(t.Context(), in); err != nil {
				t.Fatal(err)
			}
		}
		const patient, careful = "45.10.1.1", "46.10.1.1" // ten requests, and nine
		names := func() (list []string) {
			out, err := api.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("states")})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out.Contents {
				list = append(list, *o.Key)
			}
			return list
		}
		age := func(r *resident) time.Duration { return time.Duration(r.s.keeper.age() * float64(time.Second)) }

		first := w.moveIn(observer{}, nil, environ...)
		ask(4, patient, careful)
		w.until("a snapshot", 30*time.Second, func() bool { return len(names()) > 0 })
		ask(2, patient, careful) // in no snapshot before the process is stopped
		time.Sleep(3 * time.Second)
		resume := first.line.pause()
		second := w.moveIn(observer{}, nil, environ...)
		w.until("a takeover", time.Minute, second.reads)
		ask(2, patient, careful)
		time.Sleep(20 * time.Second)
		before := len(names())
		resume() // and wants to keep what it has
		time.Sleep(40 * time.Second)
		if before == 0 || age(second) > 15*time.Second || len(second.s.keeper.trouble()) != 0 {
			t.Errorf("the latest snapshot is %v old: %v", age(second), second.s.keeper.trouble())
		}
		if first.reads() {
			t.Error("two processes read the stream")
		}
		// While the bucket answers nobody, counting goes on, and is seen to be in danger.
		w.faults.Add(awslocal.Fault{Service: "s3", Do: awslocal.FaultError, For: time.Minute})
		ask(1, patient, careful) // nine by now
		time.Sleep(50 * time.Second)
		if !contains(second.reasons(), "the latest snapshot is") {
			t.Errorf("reasons = %q", second.reasons())
		}
		time.Sleep(25 * time.Second)
		if age(second) > 15*time.Second {
			t.Errorf("the latest snapshot is %v old", age(second))
		}
		first.cancel()
		<-first.done // with an error or without: it had led
		if took := second.stop(); took > 5*time.Second {
			t.Errorf("the stop took %v", took)
		}

		list := names()
		if len(list) != 3 {
			t.Fatalf("the bucket has %q", list)
		}
		_, err := api.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("states"), Key: &list[2], Body: strings.NewReader("WEIRSNAP and what somebody thought of it"),
		})
		if err != nil {
			t.Fatal(err)
		}
		third := w.moveIn(observer{}, nil, environ...)
		w.until("the shards", time.Minute, third.reads)
		time.Sleep(time.Second)
		if !contains(third.reasons(), "snapshot refused") {
			t.Errorf("reasons = %q", third.reasons())
		}
		ask(1, patient)
		w.until("a ban", 30*time.Second, func() bool { return w.holds(patient) })
		time.Sleep(30 * time.Second)
		if w.holds(careful) {
			t.Error("nine requests led to a ban")
		}
		if reasons := third.s.keeper.trouble(); len(reasons) != 0 {
			t.Errorf("reasons = %q", reasons)
		}
		third.stop()
	})
}
