package awslocal

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// KinesisConfig is the stand-in streams' settings. The zero value behaves like
// the service: it refuses what is beyond a shard's limits.
type KinesisConfig struct {
	// Unlimited lifts the limits of shards (records, bytes and calls a second)
	// and lets iterators and tokens live for ever.
	Unlimited bool

	// Retention is how long a new stream keeps records, at least a millisecond;
	// 0 = 24h, the service's least. It bounds the memory that a stream takes.
	Retention time.Duration

	// EmptyEvery makes each so many-th GetRecords of a shard an empty page
	// though records wait, as the service's shards have them; 0 = never.
	EmptyEvery int

	// SubscriptionLife is how long a SubscribeToShard lasts; 0 = 5 min.
	SubscriptionLife time.Duration

	// PushEvery is how often a subscription looks for records; 0 = 50 ms.
	PushEvery time.Duration
}

func (c KinesisConfig) withDefaults() KinesisConfig {
	if c.Retention <= 0 {
		c.Retention = defaultRetention
	}
	if c.SubscriptionLife <= 0 {
		c.SubscriptionLife = defaultSubscription
	}
	if c.PushEvery <= 0 {
		c.PushEvery = 50 * time.Millisecond
	}
	return c
}

// Kinesis is the stand-in for Kinesis data streams. A stream is ACTIVE as soon
// as it is made, and resharding is done when its call returns.
type Kinesis struct {
	unlimited // by the server: shards and streams have limits of their own

	cfg       KinesisConfig
	now       func() time.Time
	account   string
	arnPrefix string // of a stream's ARN, up to its name

	mu      sync.RWMutex
	streams map[string]*stream // by name; guarded by mu
	made    uint64             // streams ever made; guarded by mu
}

func newKinesis(cfg Config) *Kinesis {
	return &Kinesis{
		cfg: cfg.Kinesis.withDefaults(), now: cfg.Now, account: cfg.AccountID,
		arnPrefix: "arn:aws:kinesis:" + cfg.Region + ":" + cfg.AccountID + ":stream/",
		streams:   make(map[string]*stream),
	}
}

// kinesisAction serves one action.
type kinesisAction func(k *Kinesis, w http.ResponseWriter, r *http.Request, body []byte)

var kinesisTable = map[string]kinesisAction{
	"CreateStream":                  control((*Kinesis).createStream),
	"DeleteStream":                  control((*Kinesis).deleteStream),
	"DescribeStream":                control((*Kinesis).describeStream),
	"DescribeStreamSummary":         control((*Kinesis).describeStreamSummary),
	"ListStreams":                   control((*Kinesis).listStreams),
	"ListShards":                    control((*Kinesis).listShards),
	"IncreaseStreamRetentionPeriod": control((*Kinesis).increaseRetention),
	"DecreaseStreamRetentionPeriod": control((*Kinesis).decreaseRetention),
	"PutRecord":                     (*Kinesis).servePutRecord,
	"PutRecords":                    (*Kinesis).servePutRecords,
	"GetShardIterator":              control((*Kinesis).getShardIterator),
	"GetRecords":                    (*Kinesis).serveGetRecords,
	"SplitShard":                    control((*Kinesis).splitShard),
	"MergeShards":                   control((*Kinesis).mergeShards),
	"UpdateShardCount":              control((*Kinesis).updateShardCount),
	"RegisterStreamConsumer":        control((*Kinesis).registerConsumer),
	"DescribeStreamConsumer":        control((*Kinesis).describeConsumer),
	"DeregisterStreamConsumer":      control((*Kinesis).deregisterConsumer),
	"ListStreamConsumers":           control((*Kinesis).listConsumers),
	"SubscribeToShard":              (*Kinesis).serveSubscribeToShard,
}

// kinesisActions are the actions that are routed to the stand-in.
var kinesisActions = slices.Sorted(maps.Keys(kinesisTable))

func (k *Kinesis) carryOut(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	kinesisTable[action](k, w, r, body)
}

// control makes an action of what has one input and one output.
func control[In any](do func(*Kinesis, *In) (any, error)) kinesisAction {
	return func(k *Kinesis, w http.ResponseWriter, _ *http.Request, body []byte) {
		in := new(In)
		if err := decode(body, in); err != nil {
			writeError(w, err)
			return
		}
		if named, ok := any(in).(interface{ name() string }); ok {
			noteResource(w, named.name())
		}
		out, err := do(k, in)
		reply(w, out, err)
	}
}

// streamRef is how a request says which stream it means.
type streamRef struct {
	StreamName string
	StreamARN  string
}

// name is the stream's name, also when only the ARN was given.
func (r *streamRef) name() string {
	if r.StreamName != "" {
		return r.StreamName
	}
	_, name, _ := strings.Cut(r.StreamARN, ":stream/")
	return name
}

// find returns the stream that a request means.
func (k *Kinesis) find(ref streamRef) (*stream, error) {
	name := ref.name()
	if ref.StreamName == "" && ref.StreamARN == "" {
		return nil, invalidArgument("neither StreamARN nor StreamName was given")
	}
	k.mu.RLock()
	s := k.streams[name]
	k.mu.RUnlock()
	if s == nil || ref.StreamARN != "" && ref.StreamARN != s.arn {
		return nil, notFound("stream %s under account %s not found", name, k.account)
	}
	s.sweep(k.now())
	return s, nil
}

// open is find, for requests that do not come through control.
func (k *Kinesis) open(w http.ResponseWriter, ref streamRef) (*stream, error) {
	noteResource(w, ref.name())
	return k.find(ref)
}

// shard returns a shard of the stream, open or closed.
func (s *stream) shard(id string) (*shard, error) {
	if sh := s.layout.Load().find(id); sh != nil {
		return sh, nil
	}
	return nil, notFound("shard %.60s in stream %s does not exist", id, s.name)
}

// epochSeconds is a time as JSON 1.1 has it, to the millisecond.
type epochSeconds float64

func fromMillis(ms int64) epochSeconds { return epochSeconds(float64(ms) / 1000) }

// millis is Unix milliseconds, with what no clock shows cut off.
func (e epochSeconds) millis() int64 {
	return int64(math.Round(min(max(float64(e), 0), 1e10) * 1000))
}

// millis is Unix milliseconds; times before 1970 count as 1970.
func millis(t time.Time) int64 { return max(0, t.UnixMilli()) }

func isoTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (k *Kinesis) rateExceeded(sh *shard) string {
	return "rate exceeded for shard " + sh.id + " in stream " + sh.stream.name + " under account " + k.account
}

func invalidArgument(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "InvalidArgumentException", format, args...)
}

// invalidShape is about a value that the action's model already rules out.
func invalidShape(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "ValidationException", format, args...)
}

// invalidNumber is invalidShape for what is no decimal number, and
// invalidArgument for a number that does not fit.
func invalidNumber(text, format string, args ...any) *apiError {
	if strings.Trim(text, "0123456789") != "" || text == "" || text[0] == '0' && text != "0" {
		return invalidShape(format, args...)
	}
	return invalidArgument(format, args...)
}

func notFound(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "ResourceNotFoundException", format, args...)
}

func inUse(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "ResourceInUseException", format, args...)
}

func limitExceeded(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "LimitExceededException", format, args...)
}

func throughputExceeded(message string) *apiError {
	return fail(http.StatusBadRequest, "ProvisionedThroughputExceededException", "%s", message)
}
