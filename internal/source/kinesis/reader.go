package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"weir/internal/awshttp"
)

const (
	readTimeout = 8 * time.Second // of one call; a page of 10 MB takes 5 s at the rate that a shard is read
	readRate    = 2_000_000       // bytes a second that may be read from a shard
	readBackoff = 2 * time.Second // at most, between two tries of a read that fails
)

// reader polls one shard on behalf of KCL's consumer, which thinks that it
// calls Kinesis. A call ends with a page or when no more is to be taken; all
// else is tried again here, since KCL would drop the shard or sleep through the
// stop signal. The iterator that KCL is given is the shard's id, so a real one
// that has expired can be replaced behind its back.
type reader struct {
	stream stream
	shard  *shard
	pace   time.Duration
	most   int32
	log    *zap.Logger
	quiet  *seldom // shared by all shards, which fail together
	m      *metrics

	from     types.StartingPosition // where to read on without an iterator
	iterator *string
	decoder  *Decoder                 // the records in KCL's hands lie in its memory; nil until the first read
	begun    time.Time                // the latest read
	needed   time.Duration            // before the next one, for the bytes that it brought
	calls    [callsInWindow]time.Time // when KCL called, the latest ones
	called   int                      // how often
}

// A shard may be read five times a second. KCL counts that on its side, from
// when it calls, and sleeps when it thinks that it has called too often. So a
// read waits for the time of the call four before it, plus a second and a hair:
// requests that are a moment early or late on their way are refused, too.
const (
	callsInWindow = 5
	window        = time.Second + 20*time.Millisecond
)

// entered notes a call of KCL's and returns when the read that it leads to may begin.
func (r *reader) entered(now time.Time) time.Time {
	r.calls[r.called%callsInWindow] = now
	r.called++
	if r.called == 1 {
		return now
	}
	// What reading and handling take of each turn comes on top of the window.
	// Spread over all reads, or every fifth would be late.
	spread := (window + now.Sub(r.begun)) / callsInWindow
	at := r.begun.Add(max(r.pace, spread, r.needed))
	if r.called < callsInWindow {
		return at
	}
	if after := r.calls[r.called%callsInWindow].Add(window); after.After(at) {
		return after
	}
	return at
}

// page returns the next page, empty ones included. It takes no longer than the
// pace when all is well. That KCL calls says that the page before is handled, or
// never will be.
func (r *reader) page() (*kinesis.GetRecordsOutput, error) {
	if r.decoder == nil {
		r.decoder = NewDecoder()
	}
	r.decoder.Release()
	if aws.ToString(r.from.SequenceNumber) == shardEnd { // it was read to its end before
		return r.deliver(&kinesis.GetRecordsOutput{}), nil
	}
	wait := time.Until(r.entered(time.Now()))
	for fails := 0; ; fails++ {
		if fails > 0 {
			wait = max(r.pace, backoff(fails-1, readBackoff))
		}
		taking := r.shard.lease.taking
		if !sleep(taking, wait) {
			return nil, fmt.Errorf("read shard %s: %w", r.shard.id, context.Cause(taking))
		}
		out, err := r.read()
		if err == nil {
			return r.deliver(out), nil
		}
		if taking.Err() != nil {
			continue
		}
		kind := readErrorKind(err)
		r.m.readErrors.WithLabelValues(kind).Inc()
		r.shard.stats.failed(kind, fails)
		var position []zap.Field
		if kind == readRefused && r.iterator == nil { // not even an iterator was to be had
			position = r.shard.refuse(&r.from)
		}
		switch {
		case kind == readGone && r.shard.gone.Load():
			return r.deliver(&kinesis.GetRecordsOutput{}), nil // there is nothing left to read
		case kind == readExpired || kind == readRefused:
			r.iterator = nil
		}
		if skipped, ok := r.worthALine(kind, fails); ok {
			r.log.Warn("shard cannot be read", append(position, zap.String("shard", r.shard.id), zap.Error(err), zap.Int("lines_left_out", skipped))...)
		}
	}
}

// oftenFailed is how many tries in a row may fail and nothing is said of it.
const oftenFailed = 4

// worthALine leaves out what goes away by itself most of the time.
func (r *reader) worthALine(kind string, fails int) (skipped int, ok bool) {
	if fails < oftenFailed && kind != readRefused && kind != readGone {
		return 0, false
	}
	return r.quiet.ok()
}

// read makes one call, or two when it needs an iterator.
func (r *reader) read() (*kinesis.GetRecordsOutput, error) {
	ctx, cancel := context.WithTimeout(r.shard.lease.taking, readTimeout)
	defer cancel()
	r.begun = time.Now()
	if r.iterator == nil {
		out, err := r.stream.api.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: r.stream.byName(), StreamARN: r.stream.byARN(), ShardId: &r.shard.id,
			ShardIteratorType: r.from.Type, StartingSequenceNumber: r.from.SequenceNumber, Timestamp: r.from.Timestamp,
		})
		if err != nil {
			return nil, err
		}
		r.iterator = out.ShardIterator
	}
	out, err := r.stream.api.GetRecords(ctx, &kinesis.GetRecordsInput{
		ShardIterator: r.iterator, Limit: &r.most, StreamARN: r.stream.byARN(),
	}, func(o *kinesis.Options) { o.Protocol = r.decoder })
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range out.Records {
		size += len(out.Records[i].Data) + len(aws.ToString(out.Records[i].PartitionKey))
	}
	r.needed = time.Duration(size) * time.Second / readRate
	return out, nil
}

// deliver keeps the page's records for the processor and returns what KCL gets.
func (r *reader) deliver(out *kinesis.GetRecordsOutput) *kinesis.GetRecordsOutput {
	behind := aws.ToInt64(out.MillisBehindLatest) // some stand-ins leave it out, and KCL would not survive that
	r.shard.stats.sawPage(out.Records, behind)
	if n := len(out.Records); n > 0 {
		// The number is kept, here and as a checkpoint, and the rest of the page is not.
		last := &out.Records[n-1].SequenceNumber
		*last = aws.String(strings.Clone(aws.ToString(*last)))
		r.from = types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: *last}
	}
	page := &kinesis.GetRecordsOutput{MillisBehindLatest: &behind, Records: r.shard.feed.put(out.Records)}
	if out.NextShardIterator != nil {
		page.NextShardIterator = &r.shard.id
	}
	r.iterator = out.NextShardIterator
	return page
}

// The kinds of trouble that reading runs into; the values of a metric's label.
const (
	readThrottled   = "throttled"
	readExpired     = "expired_iterator"
	readGone        = "gone"        // the shard or the stream is not there
	readTimedOut    = "timeout"     // no answer, or a slow one
	readServer      = "server"      // Kinesis says that it is at fault
	readCredentials = "credentials" // there are none, or Kinesis does not know them any more
	readRefused     = "refused"     // Kinesis says that we are at fault
	readConnection  = "connection"  // cut, or never made
	readDamaged     = "damaged"     // an answer that ends early, or is not what it should be
	readStream      = "stream"      // an event stream broke off
)

var readErrorKinds = []string{
	readThrottled, readExpired, readGone, readTimedOut, readServer, readCredentials, readRefused, readConnection, readDamaged,
	readStream,
}

// readErrorKind sorts the errors of Kinesis. All are worth another try: none is
// about the records, and giving a shard up helps nobody.
func readErrorKind(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		var unsigned *awshttp.CredentialsError
		var damaged *smithy.DeserializationError
		switch {
		case errors.As(err, &unsigned):
			return readCredentials
		case errors.Is(err, context.DeadlineExceeded):
			return readTimedOut
		case errors.As(err, &damaged):
			return readDamaged
		}
		return readConnection
	}
	if awshttp.RefusesCredentials(err) {
		return readCredentials
	}
	switch api.ErrorCode() {
	case "ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException",
		"KMSThrottlingException", "ResourceInUseException":
		return readThrottled
	case "ExpiredIteratorException":
		return readExpired
	case "ResourceNotFoundException":
		return readGone
	}
	if api.ErrorFault() == smithy.FaultServer {
		return readServer
	}
	return readRefused
}
