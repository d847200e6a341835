package awslocal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func (r *rig) arn() *string {
	return aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/" + r.stream)
}

func (r *rig) register(name string) string {
	r.t.Helper()
	out, err := r.RegisterStreamConsumer(r.ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: r.arn(), ConsumerName: &name})
	r.ok(err)
	return *out.Consumer.ConsumerARN
}

func (r *rig) trySubscribe(ctx context.Context, consumer, shard string, from types.StartingPosition) (*kinesis.SubscribeToShardEventStream, error) {
	out, err := r.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: &shard, StartingPosition: &from})
	if err != nil {
		return nil, err
	}
	return out.GetStream(), nil
}

func (r *rig) subscribe(consumer, shard string, from types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	r.t.Helper()
	s, err := r.trySubscribe(r.ctx, consumer, shard, from)
	r.ok(err)
	return s
}

// next returns the next event, or false at the end of the stream.
func next(t *testing.T, s *kinesis.SubscribeToShardEventStream) (types.SubscribeToShardEvent, bool) {
	t.Helper()
	ev, ok := <-s.Events()
	if !ok {
		return types.SubscribeToShardEvent{}, false
	}
	return ev.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value, true
}

var (
	fromHorizon = types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
	fromLatest  = types.StartingPosition{Type: types.ShardIteratorTypeLatest}
)

func TestSubscribeToShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 1)
		r.put("a", "b")
		arn := r.register("c")
		s := r.subscribe(arn, shardName(0), fromHorizon)
		ev, _ := next(t, s)
		if got := texts(ev.Records); !slices.Equal(got, []string{"a", "b"}) || *ev.MillisBehindLatest != 0 {
			t.Errorf("first event: %q, %d ms behind", got, *ev.MillisBehindLatest)
		}
		start := time.Now()
		r.put("c")
		ev, _ = next(t, s)
		if got := texts(ev.Records); !slices.Equal(got, []string{"c"}) || time.Since(start) > 50*time.Millisecond {
			t.Errorf("pushed %q after %s", got, time.Since(start))
		}
		// Where nothing comes, the place is told now and then.
		start = time.Now()
		ev, _ = next(t, s)
		if len(ev.Records) != 0 || time.Since(start) > 2*heartbeat {
			t.Errorf("%d records after %s", len(ev.Records), time.Since(start))
		}
		place := ev.ContinuationSequenceNumber
		r.put("d")
		next(t, s)
		r.ok(s.Close())

		time.Sleep(5 * time.Second)
		s = r.subscribe(arn, shardName(0), types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: place})
		ev, _ = next(t, s)
		if got := texts(ev.Records); !slices.Equal(got, []string{"d"}) {
			t.Errorf("after the noted place: %q", got)
		}
		r.ok(s.Close())
	})
}

// A reader who subscribes again and again from the number it was told must get
// each record once, also when a record comes at the very moment it is told.
func TestSubscriptionsFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Kinesis: KinesisConfig{SubscriptionLife: 6 * time.Second}}, 1)
		arn := r.register("c")
		done := make(chan []string)
		go func() {
			var got []string
			from := fromLatest
			for {
				s, err := r.trySubscribe(t.Context(), arn, shardName(0), from)
				if err != nil {
					t.Error(err)
					break
				}
				end := false
				for ev := range s.Events() {
					v := ev.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
					got = append(got, texts(v.Records)...)
					end = v.ContinuationSequenceNumber == nil
					from = types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: v.ContinuationSequenceNumber}
				}
				if s.Close(); end {
					break
				}
			}
			done <- got
		}()
		synctest.Wait()
		var want []string
		for i := range 300 {
			time.Sleep(100 * time.Millisecond)
			d := fmt.Sprint(i)
			r.put(d)
			want = append(want, d)
		}
		_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(0)), NewStartingHashKey: aws.String("7")})
		r.ok(err)
		if got := <-done; !slices.Equal(got, want) {
			t.Errorf("%d records of %d: %q", len(got), len(want), got)
		}
	})
}

func TestSubscriptionAtTheEndOfAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 1)
		r.put("a")
		_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(0)), NewStartingHashKey: aws.String("7")})
		r.ok(err)
		s := r.subscribe(r.register("c"), shardName(0), fromHorizon)
		ev, _ := next(t, s)
		if len(ev.Records) != 1 || ev.ContinuationSequenceNumber != nil || len(ev.ChildShards) != 2 || *ev.ChildShards[1].ShardId != shardName(2) ||
			!slices.Equal(ev.ChildShards[0].ParentShards, []string{shardName(0)}) {
			t.Errorf("last event: %+v", ev)
		}
		if ev, ok := next(t, s); ok {
			t.Errorf("one more event: %+v", ev)
		}
		if err := s.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubscriptionEnds(t *testing.T) {
	drain := func(s *kinesis.SubscribeToShardEventStream) error {
		for range s.Events() {
		}
		return s.Err()
	}
	for _, tt := range []struct {
		name string
		end  func(r *rig, arn string, cancel context.CancelFunc)
		code string
		life time.Duration
	}{
		{"by its life", func(*rig, string, context.CancelFunc) {}, "", 5 * time.Minute},
		{"by its context", func(_ *rig, _ string, cancel context.CancelFunc) { time.Sleep(time.Second); cancel() }, "canceled", time.Second},
		{"by another one", func(r *rig, arn string, _ context.CancelFunc) {
			time.Sleep(5 * time.Second)
			r.ok(r.subscribe(arn, shardName(0), fromLatest).Close())
		}, "ResourceInUseException", 5 * time.Second},
		{"with its consumer", func(r *rig, arn string, _ context.CancelFunc) {
			time.Sleep(time.Second)
			_, err := r.DeregisterStreamConsumer(r.ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &arn})
			r.ok(err)
		}, "", time.Second},
		{"with its stream", func(r *rig, _ string, _ context.CancelFunc) {
			time.Sleep(time.Second)
			_, err := r.DeleteStream(r.ctx, &kinesis.DeleteStreamInput{StreamARN: r.arn(), EnforceConsumerDeletion: aws.Bool(true)})
			r.ok(err)
		}, "", time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, 1)
				arn := r.register("c")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				s, err := r.trySubscribe(ctx, arn, shardName(0), fromHorizon)
				r.ok(err)
				ended := make(chan error)
				go func() { ended <- drain(s) }()
				tt.end(r, arn, cancel)
				switch err := <-ended; tt.code {
				case "canceled":
					if !errors.Is(err, context.Canceled) {
						t.Errorf("ended with %v", err)
					}
				default:
					if errorCode(err) != tt.code || tt.code == "" && err != nil {
						t.Errorf("ended with %v, want %q", err, tt.code)
					}
				}
				if lived := time.Since(start); lived != tt.life {
					t.Errorf("ended after %s, want %s", lived, tt.life)
				}
				s.Close()
			})
		})
	}
}

func TestSubscribeAgainTooSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 2)
		arn := r.register("c")
		s := r.subscribe(arn, shardName(0), fromLatest)
		r.ok(s.Close())
		time.Sleep(5*time.Second - time.Millisecond)
		_, err := r.trySubscribe(r.ctx, arn, shardName(0), fromLatest)
		wantCode(t, err, "ResourceInUseException")
		r.ok(r.subscribe(arn, shardName(1), fromLatest).Close())
		r.ok(r.subscribe(r.register("d"), shardName(0), fromLatest).Close())
		time.Sleep(time.Millisecond)
		r.ok(r.subscribe(arn, shardName(0), fromLatest).Close())
	})
}

// A subscription has 2 MiB a second for itself, whatever pollers take.
func TestSubscriptionGives2MiBASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 1)
		big := strings.Repeat("x", 1<<18-1)
		for range 80 { // 20 MiB
			_, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: []byte(big), PartitionKey: aws.String("k")})
			r.ok(err)
			time.Sleep(250 * time.Millisecond)
		}
		r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)) // a page of 10 MiB
		s := r.subscribe(r.register("c"), shardName(0), fromHorizon)
		start := time.Now()
		for n := 0; n < 80; {
			ev, ok := next(t, s)
			if !ok {
				t.Fatal("the subscription ended")
			}
			n += len(ev.Records)
			if behind := *ev.MillisBehindLatest; (behind == 0) != (n == 80) {
				t.Errorf("%d ms behind after %d of 80 records", behind, n)
			}
		}
		if took := time.Since(start); took < 8*time.Second || took > 11*time.Second {
			t.Errorf("20 MiB took %s", took)
		}
		r.ok(s.Close())
	})
}

func TestConsumers(t *testing.T) {
	r := newRig(t, Config{}, 1)
	list := func(in kinesis.ListStreamConsumersInput) ([]string, *string) {
		in.StreamARN = r.arn()
		out, err := r.ListStreamConsumers(r.ctx, &in)
		r.ok(err)
		var names []string
		for _, c := range out.Consumers {
			names = append(names, *c.ConsumerName)
		}
		return names, out.NextToken
	}
	b, a := r.register("b"), r.register("a")
	if first, token := list(kinesis.ListStreamConsumersInput{MaxResults: aws.Int32(1)}); !slices.Equal(first, []string{"a"}) {
		t.Errorf("first page %q", first)
	} else if second, token := list(kinesis.ListStreamConsumersInput{NextToken: token}); !slices.Equal(second, []string{"b"}) || token != nil {
		t.Errorf("second page %q", second)
	}
	for _, in := range []kinesis.DescribeStreamConsumerInput{{ConsumerARN: &b}, {StreamARN: r.arn(), ConsumerName: aws.String("b")}} {
		out, err := r.DescribeStreamConsumer(r.ctx, &in)
		r.ok(err)
		if d := out.ConsumerDescription; *d.ConsumerARN != b || *d.ConsumerName != "b" || d.ConsumerStatus != types.ConsumerStatusActive || *d.StreamARN != *r.arn() {
			t.Errorf("%+v", d)
		}
	}
	describe := func(in kinesis.DescribeStreamConsumerInput) error {
		_, err := r.DescribeStreamConsumer(r.ctx, &in)
		return err
	}
	register := func(arn *string, name string) error {
		_, err := r.RegisterStreamConsumer(r.ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: &name})
		return err
	}
	subscribe := func(arn, shard string, from types.StartingPosition) error {
		_, err := r.trySubscribe(r.ctx, arn, shard, from)
		return err
	}
	_, deleteErr := r.DeleteStream(r.ctx, &kinesis.DeleteStreamInput{StreamName: &r.stream})
	for _, tt := range []struct {
		name, code string
		err        error
	}{
		{"no reference", "InvalidArgumentException", describe(kinesis.DescribeStreamConsumerInput{ConsumerName: aws.String("b")})},
		{"no such consumer", "ResourceNotFoundException", describe(kinesis.DescribeStreamConsumerInput{StreamARN: r.arn(), ConsumerName: aws.String("z")})},
		{"no such stream", "ResourceNotFoundException", register(aws.String(*r.arn()+"2"), "c")},
		{"twice", "ResourceInUseException", register(r.arn(), "a")},
		{"a bad name", "ValidationException", register(r.arn(), "a b")},
		{"subscribe as nobody", "ResourceNotFoundException", subscribe(a+"0", shardName(0), fromLatest)},
		{"subscribe to no shard", "ResourceNotFoundException", subscribe(a, shardName(9), fromLatest)},
		{"subscribe from nowhere", "ValidationException", subscribe(a, shardName(0), types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber})},
		{"delete a stream that has consumers", "ResourceInUseException", deleteErr},
	} {
		t.Run(tt.name, func(t *testing.T) { wantCode(t, tt.err, tt.code) })
	}
	for i := range maxConsumers - 2 {
		r.register(fmt.Sprint("more", i))
	}
	wantCode(t, register(r.arn(), "one too many"), "ValidationException")
	wantCode(t, register(r.arn(), "one-too-many"), "LimitExceededException")
	_, err := r.DeregisterStreamConsumer(r.ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: r.arn(), ConsumerName: aws.String("a")})
	r.ok(err)
	r.register("one-too-many")
}

// A cut connection must end the handler, or it would push for 5 minutes more.
func TestSubscriptionOverLoopback(t *testing.T) {
	s := New(Config{})
	srv := newLoopback(t, s)
	r := &rig{Client: newLoopbackClient(srv), t: t, ctx: t.Context(), server: s, stream: "s"}
	r.create(1)
	r.put("a", "b")
	stream := r.subscribe(r.register("c"), shardName(0), fromHorizon)
	if ev, ok := next(t, stream); !ok || len(ev.Records) != 2 {
		t.Errorf("first event: %+v, %v", ev, ok)
	}
	r.ok(stream.Close())
	srv.Close() // waits for the handler
	if calls := s.Counts()[CallKey{"kinesis", "SubscribeToShard", ""}]; calls != 1 {
		t.Errorf("%d subscriptions ended", calls)
	}
}
