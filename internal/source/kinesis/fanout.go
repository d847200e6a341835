package kinesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"go.uber.org/zap"
)

const (
	subscribeTimeout = 10 * time.Second // until a subscription is answered
	subscribeBackoff = 5 * time.Second  // at most; Kinesis refuses a second subscription for 5 s
	findEvery        = 2 * time.Second  // at least, between two look-ups of the consumer
	eventSilence     = 30 * time.Second // without an event, even an empty one, a subscription is dead
)

// Both make KCL's consumer end, after which the lease is given back.
var (
	errFinished = errors.New("the shard was read to its end before")
	errGone     = errors.New("the stream does not have the shard any more")
)

// fanout reads shards by enhanced fan-out on behalf of KCL's consumer. As with
// polling, a subscription that fails is tried again here; one that breaks off
// ends like one whose five minutes are over, and KCL subscribes anew from where
// it got to.
type fanout struct {
	stream stream
	name   string         // of the consumer
	http   aws.HTTPClient // for answers that stay open
	log    *zap.Logger
	quiet  *seldom
	m      *metrics

	mu       sync.Mutex
	consumer string    // ARN
	found    time.Time // when the ARN was last looked up
}

// subscribe returns a subscription once there is one.
func (f *fanout) subscribe(s *shard, from *types.StartingPosition) (*kinesis.SubscribeToShardOutput, error) {
	s.feed.clear()
	if aws.ToString(from.SequenceNumber) == shardEnd {
		return nil, errFinished
	}
	taking := s.lease.taking
	for fails := 0; ; fails++ {
		if fails > 0 {
			sleep(taking, backoff(fails-1, subscribeBackoff))
		}
		if taking.Err() != nil {
			return nil, fmt.Errorf("subscribe to shard %s: %w", s.id, context.Cause(taking))
		}
		out, err := f.open(s, from)
		if err == nil {
			return out, nil
		}
		kind := readErrorKind(err)
		s.stats.failed(kind, fails)
		var position []zap.Field
		if kind == readRefused {
			position = s.refuse(from)
		}
		f.failed(s, kind, err, position...)
		if kind == readGone {
			if s.gone.Load() {
				return nil, errGone
			}
			if f.find(taking) {
				fails = 0
			}
		}
	}
}

// find looks the consumer up again, or registers it again: one that was deregistered
// and comes back under its name has another ARN. Shards, which meet it all at once,
// share the answer. It tells whether there is a consumer that was not known.
func (f *fanout) find(ctx context.Context) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.found) < findEvery {
		return false
	}
	f.found = time.Now()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	arn, err := f.stream.register(ctx, f.name)
	switch {
	case err != nil && ctx.Err() == nil:
		f.log.Warn("consumer of enhanced fan-out cannot be used yet", zap.Error(err))
	case err == nil && arn != f.consumer:
		f.log.Info("consumer of enhanced fan-out is another one now", zap.String("arn", arn))
		f.consumer = arn
		return true
	}
	return false
}

func (f *fanout) arn() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.consumer
}

// open subscribes once.
func (f *fanout) open(s *shard, from *types.StartingPosition) (*kinesis.SubscribeToShardOutput, error) {
	ctx, cancel := context.WithCancel(s.lease.taking)
	t := &tap{Protocol: awsjson.New11(schemas.Kinesis_20131202), fanout: f, shard: s, cancel: cancel}
	t.silence = time.AfterFunc(subscribeTimeout, cancel)
	out, err := f.stream.api.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: aws.String(f.arn()), ShardId: &s.id, StartingPosition: from,
	}, func(o *kinesis.Options) {
		o.Protocol, o.HTTPClient = t, f.http
	})
	if err != nil {
		t.close()
		return nil, err
	}
	t.silence.Reset(eventSilence)
	return out, nil
}

func (f *fanout) failed(s *shard, kind string, err error, more ...zap.Field) {
	if s.lease.taking.Err() != nil {
		return
	}
	f.m.readErrors.WithLabelValues(kind).Inc()
	if skipped, ok := f.quiet.ok(); ok {
		f.log.Warn("subscription to shard failed", append(more, zap.String("shard", s.id), zap.Error(err), zap.Int("lines_left_out", skipped))...)
	}
}

// tap decodes the events of one subscription and keeps their records for the
// processor. Having a decoder for each also keeps subscriptions from sharing
// the client's, which is not made for that.
type tap struct {
	*awsjson.Protocol
	fanout  *fanout
	shard   *shard
	silence *time.Timer
	cancel  context.CancelFunc
}

// DeserializeEventMessage returns the next event. To KCL a subscription that
// broke off must look like one that ended, or it would drop the shard.
func (t *tap) DeserializeEventMessage(schema *smithy.Schema, known *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	event, err := t.Protocol.DeserializeEventMessage(schema, known, r)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			t.fanout.failed(t.shard, readStream, err)
		}
		t.close()
		return nil, io.EOF
	}
	t.silence.Reset(eventSilence)
	if e, ok := event.(*types.SubscribeToShardEvent); ok {
		t.shard.stats.sawPage(e.Records, aws.ToInt64(e.MillisBehindLatest))
		e.MillisBehindLatest = aws.Int64(aws.ToInt64(e.MillisBehindLatest))
		e.Records = t.shard.feed.put(e.Records)
	}
	return event, nil
}

func (t *tap) close() {
	t.silence.Stop()
	t.cancel()
}

// register returns the ARN of the consumer with a name, made if need be.
func (s stream) register(ctx context.Context, name string) (arn string, err error) {
	about, err := s.api.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: s.byName(), StreamARN: s.byARN()})
	if err != nil {
		return "", fmt.Errorf("describe stream %s: %w", s.id, err)
	}
	stream := about.StreamDescriptionSummary.StreamARN
	c, err := s.api.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: stream, ConsumerName: &name})
	var unknown *types.ResourceNotFoundException
	switch {
	case errors.As(err, &unknown):
		_, err = s.api.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: &name})
		if err != nil {
			return "", fmt.Errorf("register consumer %s of stream %s: %w", name, s.id, err)
		}
		return "", fmt.Errorf("consumer %s of stream %s was just registered", name, s.id)
	case err != nil:
		return "", fmt.Errorf("describe consumer %s of stream %s: %w", name, s.id, err)
	case c.ConsumerDescription.ConsumerStatus != types.ConsumerStatusActive:
		return "", fmt.Errorf("consumer %s of stream %s is %s", name, s.id, c.ConsumerDescription.ConsumerStatus)
	}
	return aws.ToString(c.ConsumerDescription.ConsumerARN), nil
}
