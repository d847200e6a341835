package kinesis

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
)

// front is what KCL takes for Kinesis.
type front struct {
	board  *board
	ledger *ledger
	reader func(*shard, types.StartingPosition) *reader
	fanout *fanout // nil when polling
}

// client returns the client that KCL is handed. It answers before a request
// would be built, so it needs no credentials and sends nothing.
func (f *front) client(region string) *kinesis.Client {
	answer := middleware.InitializeMiddlewareFunc("Front", f.answer)
	return kinesis.New(kinesis.Options{
		Region: region,
		APIOptions: []func(*middleware.Stack) error{
			func(s *middleware.Stack) error { return s.Initialize.Add(answer, middleware.Before) },
		},
	})
}

func (f *front) answer(_ context.Context, in middleware.InitializeInput, _ middleware.InitializeHandler) (
	out middleware.InitializeOutput, _ middleware.Metadata, err error,
) {
	switch in := in.Parameters.(type) {
	case *kinesis.ListShardsInput:
		out.Result, err = f.listShards()
	case *kinesis.GetShardIteratorInput:
		out.Result, err = f.getShardIterator(in)
	case *kinesis.GetRecordsInput:
		out.Result, err = f.getRecords(in)
	case *kinesis.SubscribeToShardInput:
		out.Result, err = f.subscribeToShard(in)
	default:
		err = fmt.Errorf("%T is not answered", in)
	}
	return out, middleware.Metadata{}, err
}

// listShards paces the event loop, which takes one shard after each answer. The
// answer has no parents in it: KCL would wait for them in a loop that nothing
// ends, while the board does not give out a shard before its parents are done.
func (f *front) listShards() (*kinesis.ListShardsOutput, error) {
	if err := f.board.wait(); err != nil {
		return nil, err
	}
	out := &kinesis.ListShardsOutput{}
	for _, s := range f.board.shards {
		out.Shards = append(out.Shards, types.Shard{ShardId: aws.String(s.id), SequenceNumberRange: s.numbers})
	}
	for _, s := range f.ledger.all() { // of a shard left out KCL forgets that it reads it
		if _, ok := f.board.shards[s.id]; !ok {
			out.Shards = append(out.Shards, types.Shard{ShardId: &s.id, SequenceNumberRange: &types.SequenceNumberRange{
				StartingSequenceNumber: aws.String(""),
			}})
		}
	}
	return out, nil
}

var errNotHeld = errors.New("this worker does not hold the shard")

func (f *front) getShardIterator(in *kinesis.GetShardIteratorInput) (*kinesis.GetShardIteratorOutput, error) {
	s := f.ledger.get(aws.ToString(in.ShardId))
	if s == nil {
		return nil, errNotHeld
	}
	s.reader = f.reader(s, types.StartingPosition{
		Type: in.ShardIteratorType, SequenceNumber: in.StartingSequenceNumber, Timestamp: in.Timestamp,
	})
	return &kinesis.GetShardIteratorOutput{ShardIterator: &s.id}, nil
}

func (f *front) getRecords(in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
	s := f.ledger.get(aws.ToString(in.ShardIterator))
	if s == nil {
		return nil, errNotHeld
	}
	return s.reader.page()
}

func (f *front) subscribeToShard(in *kinesis.SubscribeToShardInput) (*kinesis.SubscribeToShardOutput, error) {
	s := f.ledger.get(aws.ToString(in.ShardId))
	if s == nil {
		return nil, errNotHeld
	}
	return f.fanout.subscribe(s, in.StartingPosition)
}
