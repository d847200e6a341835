package kinesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/watchdog"
)

// Config is what a [Source] is made from. Zero values stand for the defaults
// named here.
type Config struct {
	// AWS has region, credentials and endpoints (AWS_ENDPOINT_URL and its kin) for
	// Kinesis and DynamoDB, and an HTTP client to start from; see awshttp.New.
	AWS aws.Config

	Stream     string // name or ARN
	LeaseTable string // made by CreateLeaseTable; one for each stream and purpose
	Worker     string // who holds a lease, for people who read the table; made unique for each process

	// Start is how far back the stream is read where no checkpoint says better.
	// What that means as a time is settled once, by the first worker that ever
	// uses the table, and holds for every shard that appears later, so a child of
	// a reshard is read from its first record. 0 is from now on.
	Start  time.Duration
	Oldest bool // read all that the stream still has instead; Start is not looked at

	Poll       time.Duration // between two reads of a shard, 200 ms (the default) to 10 s
	MaxRecords int           // in one batch, 1 to 10,000; default 3,000
	Fanout     string        // name of the enhanced fan-out consumer to read with; "" = polling

	Failover time.Duration // how long a lease outlives its worker, 2 s to 5 min; default 10 s

	// LeaseGrace is how much longer than Failover leases are held while the lease
	// table does not answer at all. Nobody can take them then, unless the table
	// answers others: such a worker reads the same records again, but cannot be
	// harmed by ours. Default 10 min, negative = none.
	LeaseGrace time.Duration

	// StopGrace is how long work that was taken may go on after the stop signal;
	// default 10 s. Run returns within StopGrace and 7 s, and mostly at once.
	StopGrace time.Duration

	// Share makes workers share the shards evenly. Without it one worker reads the
	// whole stream and the others stand by, which is what counting per client in
	// memory needs.
	Share bool

	// Resume, Whence, Leave and Hold are for who keeps state that has to stay in step with
	// the stream; see [Source.Cut]. All of them may be left out.
	//
	// Resume says how far the state that is at hand knows a shard: the sequence
	// number of the last record that is in it, [ShardEnd], or "" for where the table
	// says. It is called when a shard was taken, before its first read, for several
	// shards at once. The shard waits for it, and for another try after an error; the
	// others do not. Its context ends when the shard is not to be read any more.
	Resume func(ctx context.Context, shard Shard) (position string, err error)
	// Whence says, for people, what the position is of that Resume has just given for
	// a shard, like "snapshot 5 in s3://states"; "" = Resume gave none. nil = it is not asked.
	Whence func(shardID string) string
	// Leave is called when no more records of a shard will be handled and its lease is
	// still held: before the lease is given back. What it covers is in the table then.
	// Its context ends with the lease, or with StopGrace.
	Leave func(ctx context.Context, shardID string)
	// Hold keeps checkpoints at what [Source.Covered] was told.
	Hold bool

	Watch      *watchdog.Monitor     // of an event loop that does not get ahead; nil = none
	Logger     *zap.Logger           // nil = silent
	Registerer prometheus.Registerer // nil = not registered
}

const (
	minPoll, maxPoll         = 200 * time.Millisecond, 10 * time.Second
	minFailover, maxFailover = 2 * time.Second, 5 * time.Minute
	maxPage                  = 10_000 // records
)

// withDefaults fills in what is zero and checks the rest. The error names
// everything that is wrong.
func (c Config) withDefaults() (Config, error) {
	c.Poll = cmp.Or(c.Poll, minPoll)
	c.MaxRecords = cmp.Or(c.MaxRecords, 3000)
	c.Failover = cmp.Or(c.Failover, 10*time.Second)
	c.LeaseGrace = max(0, cmp.Or(c.LeaseGrace, 10*time.Minute))
	c.StopGrace = cmp.Or(c.StopGrace, 10*time.Second)
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(c.Stream != "", "no stream is named")
	need(c.LeaseTable != "", "no lease table is named")
	need(c.AWS.Region != "", "no AWS region is set")
	need(c.Start >= 0, "a start of %v ago lies ahead", c.Start)
	need(minPoll <= c.Poll && c.Poll <= maxPoll, "a poll interval of %v is not within %v and %v", c.Poll, minPoll, maxPoll)
	need(1 <= c.MaxRecords && c.MaxRecords <= maxPage, "a batch of %d records is not within 1 and %d", c.MaxRecords, maxPage)
	need(minFailover <= c.Failover && c.Failover <= maxFailover, "a failover time of %v is not within %v and %v", c.Failover, minFailover, maxFailover)
	need(c.StopGrace > 0, "a stop grace of %v is negative", c.StopGrace)
	return c, errors.Join(errs...)
}
