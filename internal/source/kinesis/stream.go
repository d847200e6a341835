package kinesis

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// stream is the stream that is read, through the client that does call Kinesis.
type stream struct {
	api *kinesis.Client
	id  string // name or ARN, as set
}

// name returns the name in an ARN (arn:aws:kinesis:region:account:stream/name).
func (s stream) name() string { return s.id[strings.LastIndexByte(s.id, '/')+1:] }

// byName and byARN are for requests, which want either of them.
func (s stream) byName() *string {
	if strings.HasPrefix(s.id, "arn:") {
		return nil
	}
	return &s.id
}

func (s stream) byARN() *string {
	if strings.HasPrefix(s.id, "arn:") {
		return &s.id
	}
	return nil
}

// listed is a shard of the stream.
type listed struct {
	id      string
	parents []string // none, one, or the two that were merged
	open    bool
	numbers *types.SequenceNumberRange

	hashFrom, hashTo string
}

// list asks for every shard that the stream has, closed ones included.
func (s stream) list(ctx context.Context) (map[string]listed, error) {
	shards := make(map[string]listed)
	in := &kinesis.ListShardsInput{StreamName: s.byName(), StreamARN: s.byARN()}
	for {
		out, err := s.api.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list shards of stream %s: %w", s.id, err)
		}
		for _, sh := range out.Shards {
			shards[aws.ToString(sh.ShardId)] = listedOf(sh)
		}
		if aws.ToString(out.NextToken) == "" {
			return shards, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which names the stream, too
	}
}

func listedOf(s types.Shard) listed {
	l := listed{id: aws.ToString(s.ShardId), numbers: s.SequenceNumberRange}
	if l.numbers == nil { // some stand-ins leave it out, and the library would not survive that
		l.numbers = &types.SequenceNumberRange{}
	}
	l.open = l.numbers.EndingSequenceNumber == nil
	if h := s.HashKeyRange; h != nil {
		l.hashFrom, l.hashTo = aws.ToString(h.StartingHashKey), aws.ToString(h.EndingHashKey)
	}
	for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if aws.ToString(p) != "" {
			l.parents = append(l.parents, *p)
		}
	}
	return l
}
