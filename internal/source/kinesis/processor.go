package kinesis

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"go.uber.org/zap"
)

// Handle is called with one batch at a time for each shard, and for many shards
// at once. Line i is the data of one record, arrived[i] when the stream got it
// (zero if it did not say). Both are the source's again when Handle returns.
//
// Nil means that the batch is done with. After an error the same batch comes
// again. The context outlives the stop signal: what was taken may be finished,
// within Config.StopGrace. It ends early when another worker has the shard.
type Handle = func(ctx context.Context, lines [][]byte, arrived []time.Time) error

// Batch is what [Source.RunBatches] hands over: what a [Handle] gets, where the
// records are from, and their sequence numbers.
type Batch struct {
	Shard     string
	Lines     [][]byte
	Arrived   []time.Time
	Sequences []string
}

// handleBackoff is the longest wait before a batch is handled again.
const handleBackoff = 5 * time.Second

// processor hands one shard's batches to handle. It belongs to the shard's
// consumer in KCL.
type processor struct {
	handle func(context.Context, Batch) error
	ledger *ledger
	gate   *gate
	log    *zap.Logger
	quiet  *seldom
	m      *metrics

	shard *shard
	// dropped is set when a batch was left unhandled because the lease or the
	// service ends. Nothing that comes after it may be handled or checkpointed.
	dropped bool
	batch   Batch
}

// processors makes one for every consumer.
type processors func() *processor

// CreateProcessor is what KCL calls it.
func (f processors) CreateProcessor() kcl.IRecordProcessor { return f() }

// Initialize is called once a shard's consumer knows where it starts.
func (p *processor) Initialize(in *kcl.InitializationInput) {
	p.shard = p.ledger.get(in.ShardId)
	if p.shard == nil {
		panic("BUG: consumer of shard " + in.ShardId + " has no lease")
	}
}

// ProcessRecords returns when the batch is handled, or when it cannot be any more.
func (p *processor) ProcessRecords(in *kcl.ProcessRecordsInput) {
	for _, ticket := range in.Records {
		records := p.fresh(p.shard.feed.take(ticket))
		if len(records) == 0 {
			continue
		}
		if p.dropped || !p.process(records) {
			p.dropped = true
			continue
		}
		last := records[len(records)-1].SequenceNumber
		_ = in.Checkpointer.Checkpoint(last) // a note in memory, see checkpointer
	}
}

// fresh leaves out what was handled before, wherever reading began.
func (p *processor) fresh(records []types.Record) []types.Record {
	at := p.shard.lease.progress()
	n := 0
	for n < len(records) && compareSequence(aws.ToString(records[n].SequenceNumber), at) <= 0 {
		n++
	}
	p.m.skipped.Add(float64(n))
	return records[n:]
}

// Shutdown is called at the end of a shard, and when the service stops, which
// needs nothing: the lease is given back with what is handled.
func (p *processor) Shutdown(in *kcl.ShutdownInput) {
	if in.ShutdownReason == kcl.TERMINATE && !p.dropped {
		_ = in.Checkpointer.Checkpoint(nil)
	}
}

// process handles a batch until that succeeds. It tells whether it did.
func (p *processor) process(records []types.Record) bool {
	size := p.fill(records)
	defer func() {
		p.shard.stats.retrying.Store(false)
		clear(p.batch.Lines) // a shard that is idle holds on to nothing
		clear(p.batch.Sequences)
	}()
	for fails := 0; ; fails++ {
		if p.shard.lease.confirm() != nil {
			return false
		}
		if fails == 0 {
			p.m.sawDelay(p.batch.Arrived)
		}
		err := p.once(aws.ToString(records[len(records)-1].SequenceNumber))
		if err == nil {
			p.m.records.Add(float64(len(records)))
			p.m.bytes.Add(float64(size))
			return true
		}
		p.shard.stats.retrying.Store(true)
		p.m.handleErrors.Inc()
		if skipped, ok := p.quiet.ok(); ok {
			p.log.Error("batch was not handled and will be handled again", zap.String("shard", p.shard.id),
				zap.Int("records", len(records)), zap.Error(err), zap.Int("lines_left_out", skipped))
		}
		if !sleep(p.shard.lease.taking, backoff(fails, handleBackoff)) {
			return false
		}
	}
}

// once handles the batch in hand and notes it, in a turn that no cut falls into.
func (p *processor) once(last string) error {
	p.shard.turn <- struct{}{}
	p.gate.enter()
	defer func() {
		p.gate.leave()
		<-p.shard.turn
	}()
	err := p.call()
	if err == nil {
		p.shard.lease.advance(last)
	}
	return err
}

func (p *processor) fill(records []types.Record) (size int) {
	b := &p.batch
	b.Shard, b.Lines, b.Arrived, b.Sequences = p.shard.id, b.Lines[:0], b.Arrived[:0], b.Sequences[:0]
	for i := range records {
		b.Lines = append(b.Lines, records[i].Data)
		b.Arrived = append(b.Arrived, aws.ToTime(records[i].ApproximateArrivalTimestamp))
		b.Sequences = append(b.Sequences, aws.ToString(records[i].SequenceNumber))
		size += len(records[i].Data)
	}
	return size
}

// call makes a panic an error. A record that makes handle panic would do so
// again after a restart.
func (p *processor) call() (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.m.panics.Inc()
			err = fmt.Errorf("handle panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return p.handle(p.shard.lease.doing, p.batch)
}
