package awslocal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// lineSize is what a CloudFront log line has, about.
const lineSize = 650 // bytes

// sink drops an answer, so that a benchmark sees the stand-in alone.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}

func benchRig(b *testing.B) *rig {
	// Memory must not grow with b.N.
	return newRig(b, Config{Kinesis: KinesisConfig{Unlimited: true, Retention: 200 * time.Millisecond}}, 4)
}

func benchBatch(stream string) *kinesis.PutRecordsInput {
	in := &kinesis.PutRecordsInput{StreamName: &stream}
	for i := range 500 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{
			Data: bytes.Repeat([]byte{byte(i)}, lineSize), PartitionKey: aws.String(fmt.Sprint("key", i)),
		})
	}
	return in
}

// measured runs loop and reports records a second, and the CPU time that a
// record takes of all threads: on a busy machine only the latter means much.
func measured(b *testing.B, perOp int, loop func()) {
	b.ReportAllocs()
	before := cpuTime(b)
	loop()
	records := float64(b.N) * float64(perOp)
	b.ReportMetric(float64(cpuTime(b)-before)/records, "cpu-ns/record")
	b.ReportMetric(records/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(0, "ns/op") // of a whole batch; hidden
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkPutRecords(b *testing.B) {
	put := func(b *testing.B, c *kinesis.Client, in *kinesis.PutRecordsInput) {
		measured(b, len(in.Records), func() {
			for b.Loop() {
				if _, err := c.PutRecords(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("stand-in", func(b *testing.B) {
		r := benchRig(b)
		body, err := json.Marshal(map[string]any{"StreamName": r.stream, "Records": benchBatch("").Records})
		r.ok(err)
		measured(b, 500, func() {
			for b.Loop() {
				r.server.kinesis.carryOut(sink{make(http.Header)}, nil, "PutRecords", body)
			}
		})
		if s, _ := r.server.Kinesis().Status(r.stream); s.Records() < uint64(b.N)*500 {
			b.Errorf("%d records were taken of %d", s.Records(), b.N*500)
		}
	})
	b.Run("in-process", func(b *testing.B) {
		r := benchRig(b)
		put(b, r.Client, benchBatch(r.stream))
	})
	b.Run("loopback", func(b *testing.B) {
		r := benchRig(b)
		put(b, newLoopbackClient(newLoopback(b, r.server)), benchBatch(r.stream))
	})
}

func BenchmarkGetRecords(b *testing.B) {
	load := func(b *testing.B) (*rig, *string) {
		r := newRig(b, Config{Kinesis: KinesisConfig{Unlimited: true}}, 1)
		for range 20 {
			_, err := r.PutRecords(r.ctx, benchBatch(r.stream))
			r.ok(err)
		}
		return r, r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
	}
	get := func(b *testing.B, c *kinesis.Client, iterator *string) {
		measured(b, 10_000, func() {
			for b.Loop() {
				out, err := c.GetRecords(b.Context(), &kinesis.GetRecordsInput{ShardIterator: iterator})
				if err != nil || len(out.Records) != 10_000 {
					b.Fatal(len(out.Records), err)
				}
			}
		})
	}
	b.Run("stand-in", func(b *testing.B) {
		r, iterator := load(b)
		body := fmt.Appendf(nil, `{"ShardIterator":%q}`, *iterator)
		w := httptest.NewRecorder()
		r.server.kinesis.carryOut(w, nil, "GetRecords", body)
		if w.Body.Len() < 10_000*lineSize {
			b.Fatalf("a page of %d bytes", w.Body.Len())
		}
		measured(b, 10_000, func() {
			for b.Loop() {
				r.server.kinesis.carryOut(sink{make(http.Header)}, nil, "GetRecords", body)
			}
		})
	})
	b.Run("in-process", func(b *testing.B) {
		r, iterator := load(b)
		get(b, r.Client, iterator)
	})
	b.Run("loopback", func(b *testing.B) {
		r, iterator := load(b)
		get(b, newLoopbackClient(newLoopback(b, r.server)), iterator)
	})
}
