package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Identity tells a stream from all others, and from one that had its name before: what is
// known of that one's shards says nothing of this one's, though they are called alike.
type Identity struct {
	ARN     string
	Created time.Time // UTC, whole seconds
}

// String names the stream for people.
func (i Identity) String() string {
	return fmt.Sprintf("%s made at %s", i.ARN, i.Created.Format(time.RFC3339))
}

// Folder returns a name that no stream of another region, account or name has, whenever it
// was made: REGION.ACCOUNT.NAME. It has letters, digits, '_', '-' and '.' only, and never
// begins with a '.'.
func (i Identity) Folder() string {
	a, err := arn.Parse(i.ARN)
	if err != nil {
		return "" // none that identify lets through
	}
	return a.Region + "." + a.AccountID + "." + strings.TrimPrefix(a.Resource, "stream/")
}

// ErrAnew means that the stream was deleted while it was read, and that another one has
// its name now.
var ErrAnew = errors.New("the stream was made anew while it was read: start again")

// Identity tells which stream is read. It is zero until that is known, as it is whenever
// Resume, Leave or the handle function is called.
func (s *Source) Identity() Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity
}

func (s *Source) setIdentity(is Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = is
}

// identify asks which stream it is.
func (s stream) identify(ctx context.Context) (Identity, error) {
	out, err := s.api.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: s.byName(), StreamARN: s.byARN()})
	if err != nil {
		return Identity{}, fmt.Errorf("describe stream %s: %w", s.id, err)
	}
	about := out.StreamDescriptionSummary
	i := Identity{ARN: aws.ToString(about.StreamARN), Created: aws.ToTime(about.StreamCreationTimestamp).UTC().Truncate(time.Second)}
	if a, err := arn.Parse(i.ARN); err != nil || a.Service != "kinesis" || !strings.HasPrefix(a.Resource, "stream/") || a.Region == "" {
		return Identity{}, fmt.Errorf("describe stream %s: its ARN %q is none of a stream", s.id, i.ARN)
	}
	return i, nil
}

// sameShards tells whether two listings are of one stream: a shard begins where it began.
func sameShards(before, after map[string]listed) bool {
	for id, s := range after {
		b, ok := before[id]
		if !ok {
			continue
		}
		was, is := aws.ToString(b.numbers.StartingSequenceNumber), aws.ToString(s.numbers.StartingSequenceNumber)
		if was != "" && is != "" && was != is {
			return false
		}
	}
	return true
}
