package awslocal

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/sirupsen/logrus"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	kclconfig "github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
	"github.com/vmware/vmware-go-kcl-v2/logger"
)

// tally counts what KCL delivered. It makes the record processors, one for
// each shard.
type tally struct {
	t    *testing.T
	mu   sync.Mutex
	seen map[string]int
	ends int // shards that were read to their end
}

func (c *tally) CreateProcessor() kcl.IRecordProcessor { return processor{c} }

type processor struct{ *tally }

func (processor) Initialize(*kcl.InitializationInput) {}

func (p processor) ProcessRecords(in *kcl.ProcessRecordsInput) {
	p.mu.Lock()
	for _, rec := range in.Records {
		p.seen[string(rec.Data)]++
	}
	p.mu.Unlock()
	if err := in.Checkpointer.Checkpoint(in.Records[len(in.Records)-1].SequenceNumber); err != nil {
		p.t.Errorf("checkpoint: %v", err)
	}
}

func (p processor) Shutdown(in *kcl.ShutdownInput) {
	if in.ShutdownReason != kcl.TERMINATE {
		return
	}
	p.mu.Lock()
	p.ends++
	p.mu.Unlock()
	if err := in.Checkpointer.Checkpoint(nil); err != nil {
		p.t.Errorf("checkpoint of a shard's end: %v", err)
	}
}

// The real KCL reads a stream that is resharded under it, with its leases in
// the DynamoDB stand-in: 40 seconds of it in a moment.
func TestKCL(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fanOut bool
	}{{"polling", false}, {"enhanced fan-out", true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { readWithKCL(t, tt.fanOut) })
		})
	}
}

func readWithKCL(t *testing.T, fanOut bool) {
	r := newRig(t, Config{}, 4)
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	cfg := kclconfig.NewKinesisClientLibConfig("weir", r.stream, "us-east-1", "worker").
		WithInitialPositionInStream(kclconfig.TRIM_HORIZON).
		WithShardSyncIntervalMillis(500).
		WithEnhancedFanOutConsumer(fanOut).
		WithLogger(logger.NewLogrusLogger(quiet))
	cfg.ParentShardPollIntervalMillis = 500
	got := &tally{t: t, seen: make(map[string]int)}
	w := worker.NewWorker(got, cfg).
		WithKinesis(r.Client).
		WithCheckpointer(checkpoint.NewDynamoCheckpoint(cfg).WithDynamoDB(newDynamoClient(r.server)))
	r.ok(w.Start())
	defer w.Shutdown() // in a bubble, whoever leaves a goroutine behind panics

	const seconds, batch = 10, 400
	for second := range seconds {
		in := &kinesis.PutRecordsInput{StreamName: &r.stream}
		for i := range batch {
			data := fmt.Sprint(second, " ", i)
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(data), PartitionKey: &data})
		}
		out, err := r.PutRecords(r.ctx, in)
		r.ok(err)
		if *out.FailedRecordCount != 0 {
			t.Fatalf("%d records were refused", *out.FailedRecordCount)
		}
		if second == seconds/2 {
			_, err := r.UpdateShardCount(r.ctx, &kinesis.UpdateShardCountInput{
				StreamName: &r.stream, ScalingType: types.ScalingTypeUniformScaling, TargetShardCount: aws.Int32(6),
			})
			r.ok(err)
		}
		time.Sleep(time.Second)
	}
	time.Sleep(30 * time.Second) // KCL takes one lease at each sync, the children after their parents

	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.seen) != seconds*batch {
		t.Errorf("%d records of %d arrived", len(got.seen), seconds*batch)
	}
	for data, n := range got.seen {
		if n != 1 {
			t.Errorf("record %q arrived %d times", data, n)
		}
	}
	if closed := len(r.shards()) - len(r.openShards()); got.ends != closed || closed < 4 {
		t.Errorf("%d shards were read to their end, %d are closed", got.ends, closed)
	}
}
