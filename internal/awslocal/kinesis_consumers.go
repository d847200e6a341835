package awslocal

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// consumer is a registered reader of a stream, for enhanced fan-out.
type consumer struct {
	name      string
	arn       string
	createdAt int64 // Unix milliseconds

	mu            sync.Mutex
	subscriptions map[uint64]subscription // the latest of each shard, by its index; guarded by mu
}

// subscription is a SubscribeToShard call.
type subscription struct {
	since time.Time
	end   context.CancelCauseFunc
}

var (
	errTakenOver    = errors.New("another call subscribed to the shard")
	errDeregistered = errors.New("the consumer is gone")
)

// subscribe makes a call the shard's subscriber. The one before it ends, if it
// is old enough; else the new one is refused.
func (c *consumer) subscribe(sh *shard, now time.Time, end context.CancelCauseFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.subscriptions[sh.index]
	if ok && now.Sub(last.since) < resubscribeAfter {
		return inUse("another active subscription exists for consumer %s and %s", c.name, sh.id)
	}
	if ok {
		last.end(errTakenOver)
	}
	c.subscriptions[sh.index] = subscription{now, end}
	return nil
}

// end ends all subscriptions.
func (c *consumer) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sub := range c.subscriptions {
		sub.end(errDeregistered)
	}
}

// consumerDescription is a consumer as the API shows it.
type consumerDescription struct {
	ConsumerName, ConsumerARN, ConsumerStatus string
	ConsumerCreationTimestamp                 epochSeconds
	StreamARN                                 string `json:",omitempty"`
}

func (c *consumer) describe() consumerDescription {
	return consumerDescription{
		ConsumerName: c.name, ConsumerARN: c.arn, ConsumerStatus: "ACTIVE",
		ConsumerCreationTimestamp: fromMillis(c.createdAt),
	}
}

// consumerRef is how a request says which consumer it means.
type consumerRef struct {
	StreamARN    string
	ConsumerName string
	ConsumerARN  string
	StreamId     string
}

// name is the stream's.
func (r *consumerRef) name() string {
	arn, _, _ := strings.Cut(r.ConsumerARN, "/consumer/")
	if arn == "" {
		arn = r.StreamARN
	}
	return (&streamRef{StreamARN: arn}).name()
}

// findConsumer returns a consumer and its stream, whose mutex is held.
func (k *Kinesis) findConsumer(ref *consumerRef) (*stream, *consumer, error) {
	if ref.ConsumerARN == "" && (ref.StreamARN == "" || ref.ConsumerName == "") {
		return nil, nil, invalidArgument("a consumer is known by its ARN, or by its name and its stream's ARN")
	}
	s, err := k.find(streamRef{StreamName: ref.name(), StreamARN: ref.StreamARN})
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	for _, c := range s.consumers {
		if (ref.ConsumerARN == "" || c.arn == ref.ConsumerARN) && (ref.ConsumerName == "" || c.name == ref.ConsumerName) {
			return s, c, nil
		}
	}
	s.mu.Unlock()
	return nil, nil, notFound("consumer %.200s%.128s of stream %s not found", ref.ConsumerARN, ref.ConsumerName, s.name)
}

type registerConsumerInput struct {
	consumerRef
	Tags map[string]string
}

func (k *Kinesis) registerConsumer(in *registerConsumerInput) (any, error) {
	s, err := k.find(streamRef{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := slices.BinarySearchFunc(s.consumers, in.ConsumerName, func(c *consumer, name string) int { return strings.Compare(c.name, name) })
	switch {
	case !streamNames.MatchString(in.ConsumerName):
		return nil, invalidShape("%.140q is no name for a consumer", in.ConsumerName)
	case found:
		return nil, inUse("consumer %s of stream %s already exists", in.ConsumerName, s.name)
	case len(s.consumers) == maxConsumers:
		return nil, limitExceeded("stream %s has %d consumers", s.name, maxConsumers)
	}
	now := millis(k.now())
	c := &consumer{
		name: in.ConsumerName, createdAt: now, subscriptions: make(map[uint64]subscription),
		arn: s.arn + "/consumer/" + in.ConsumerName + ":" + strconv.FormatInt(now/1000, 10),
	}
	s.consumers = slices.Insert(s.consumers, at, c)
	return struct{ Consumer consumerDescription }{c.describe()}, nil
}

func (k *Kinesis) describeConsumer(in *consumerRef) (any, error) {
	s, c, err := k.findConsumer(in)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := c.describe()
	out.StreamARN = s.arn
	return struct{ ConsumerDescription consumerDescription }{out}, nil
}

func (k *Kinesis) deregisterConsumer(in *consumerRef) (any, error) {
	s, c, err := k.findConsumer(in)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	c.end()
	s.consumers = slices.DeleteFunc(s.consumers, func(other *consumer) bool { return other == c })
	return nil, nil
}

type listConsumersInput struct {
	streamRef
	MaxResults              *int
	NextToken               string
	StreamCreationTimestamp *epochSeconds
	StreamId                string
}

func (k *Kinesis) listConsumers(in *listConsumersInput) (any, error) {
	limit, err := pageSize(in.MaxResults, maxConsumers, maxListedShards)
	if err != nil {
		return nil, err
	}
	now := k.now()
	s, err := k.find(in.streamRef)
	if err != nil {
		return nil, err
	}
	after := ""
	if in.NextToken != "" {
		c, err := k.openToken(cursorConsumers, in.NextToken, now)
		if err != nil {
			return nil, err
		}
		after = c.stream
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out struct {
		Consumers []consumerDescription
		NextToken string `json:",omitempty"`
	}
	out.Consumers = []consumerDescription{}
	for _, c := range s.consumers {
		if c.name <= after {
			continue
		}
		if len(out.Consumers) == limit {
			out.NextToken = kinesisCursor{kind: cursorConsumers, issued: millis(now), stream: out.Consumers[limit-1].ConsumerName}.text()
			break
		}
		out.Consumers = append(out.Consumers, c.describe())
	}
	return out, nil
}
