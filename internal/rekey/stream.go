package rekey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// callTimeout is how long a call of Kinesis may take.
const callTimeout = 10 * time.Second

// A stream is the one that frames are put into.
type stream struct {
	api *kinesis.Client
	id  string // name or ARN
}

// reference returns what requests name the stream by: one of both is nil.
func (s *stream) reference() (name, arn *string) {
	if strings.HasPrefix(s.id, "arn:") {
		return nil, &s.id
	}
	return &s.id, nil
}

// A layout is what is known of the stream's shards.
type layout struct {
	spans map[string]Span // of all shards that the stream has, closed ones included
	open  []string        // shards that take records
}

// list finds out the layout.
func (s *stream) list(ctx context.Context) (*layout, error) {
	l := &layout{spans: make(map[string]Span)}
	in := &kinesis.ListShardsInput{}
	in.StreamName, in.StreamARN = s.reference()
	for {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := s.api.ListShards(ctx, in)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("list shards of stream %s: %w", s.id, err)
		}
		for i := range out.Shards {
			if err := l.add(&out.Shards[i]); err != nil {
				return nil, fmt.Errorf("list shards of stream %s: %w", s.id, err)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return l, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which names the stream, too
	}
}

func (l *layout) add(s *types.Shard) error {
	id := aws.ToString(s.ShardId)
	if s.HashKeyRange == nil {
		return fmt.Errorf("shard %s: no hash keys are named", id)
	}
	span, err := SpanOf(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
	if err != nil {
		return fmt.Errorf("shard %s: %w", id, err)
	}
	l.spans[id] = span
	if s.SequenceNumberRange == nil || s.SequenceNumberRange.EndingSequenceNumber == nil {
		l.open = append(l.open, id)
	}
	return nil
}

// A refusal is why a frame was not taken.
type refusal uint8

const (
	refusalThrottled refusal = iota
	refusalFailed            // Kinesis says that it has a fault, or does not answer
	refusals
)

var refusalNames = [refusals]string{"throttled", "failed"}

func refusalOf(code string) refusal {
	if code == "ProvisionedThroughputExceededException" || strings.Contains(code, "Throttl") || code == "LimitExceededException" {
		return refusalThrottled
	}
	return refusalFailed
}

// codeOf returns the code of what a call failed with.
func codeOf(err error) string {
	var api interface{ ErrorCode() string }
	var network net.Error
	switch {
	case errors.As(err, &api):
		return api.ErrorCode()
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "no answer"
}

// put puts frames, each for a partition, and returns of each the shard that took it, or why
// none did.
func (s *stream) put(ctx context.Context, flights []*flight) {
	in := &kinesis.PutRecordsInput{Records: make([]types.PutRecordsRequestEntry, len(flights))}
	in.StreamName, in.StreamARN = s.reference()
	for i, f := range flights {
		key := &hashKeys[f.to]
		in.Records[i] = types.PutRecordsRequestEntry{Data: f.frame.data, PartitionKey: key, ExplicitHashKey: key}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := s.api.PutRecords(ctx, in)
	if err == nil && len(out.Records) != len(flights) {
		err = fmt.Errorf("of %d records Kinesis answers about %d", len(flights), len(out.Records))
	}
	for i, f := range flights {
		switch {
		case err != nil:
			f.shard, f.code, f.reason = "", codeOf(err), err.Error()
		case out.Records[i].ErrorCode != nil:
			f.shard, f.code, f.reason = "", *out.Records[i].ErrorCode, aws.ToString(out.Records[i].ErrorMessage)
		default:
			f.shard, f.code, f.reason = aws.ToString(out.Records[i].ShardId), "", ""
		}
	}
}
