package awslocal

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// newKinesisClient is the real SDK's client, in process, without its retries.
func newKinesisClient(s *Server) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://kinesis.test"), HTTPClient: s.HTTPClient(),
		Credentials: testCredentials(), Retryer: aws.NopRetryer{},
	}, withEventProtocol)
}

// newLoopback serves s on a port. It is closed when the test ends.
func newLoopback(t testing.TB, s *Server) *httptest.Server {
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv
}

// newLoopbackClient is the real SDK's client over a connection.
func newLoopbackClient(srv *httptest.Server) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL), Credentials: testCredentials(), Retryer: aws.NopRetryer{},
		HTTPClient: &http.Client{Transport: plainBodies{srv.Client().Transport}},
	}, withEventProtocol)
}

// withEventProtocol must be an option: a Protocol in kinesis.Options is
// overwritten by kinesis.New.
func withEventProtocol(o *kinesis.Options) { o.Protocol = newEventProtocol() }

// eventProtocol gives every event stream a decoder of its own. The SDK shares
// one among all subscriptions of a client, which the race detector reports.
type eventProtocol struct{ *awsjson.Protocol }

func newEventProtocol() eventProtocol {
	return eventProtocol{awsjson.New11(schemas.Kinesis_20131202)}
}

func (eventProtocol) DeserializeInitialResponse(schema *smithy.Schema, r io.Reader, out smithy.Deserializable) error {
	return newEventProtocol().Protocol.DeserializeInitialResponse(schema, r, out)
}

func (eventProtocol) DeserializeEventMessage(schema *smithy.Schema, registry *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	return newEventProtocol().Protocol.DeserializeEventMessage(schema, registry, r)
}

// failer is what *testing.T, *testing.B and *rapid.T have in common.
type failer interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// A rig is a server with one stream, and short ways to use it. Its methods
// fail the test on every error.
type rig struct {
	*kinesis.Client
	t      failer
	ctx    context.Context
	server *Server
	stream string
}

func newRig(t failer, cfg Config, shards int) *rig {
	t.Helper()
	s := New(cfg)
	r := &rig{Client: newKinesisClient(s), t: t, ctx: t.Context(), server: s, stream: "s"}
	r.create(shards)
	return r
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) create(shards int) {
	r.t.Helper()
	_, err := r.CreateStream(r.ctx, &kinesis.CreateStreamInput{StreamName: &r.stream, ShardCount: aws.Int32(int32(shards))})
	r.ok(err)
}

// put puts records whose key is their data.
func (r *rig) put(data ...string) []types.PutRecordsResultEntry {
	r.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: &r.stream}
	for _, d := range data {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(d), PartitionKey: aws.String(d)})
	}
	out, err := r.PutRecords(r.ctx, in)
	r.ok(err)
	return out.Records
}

func (r *rig) shards() []types.Shard {
	r.t.Helper()
	out, err := r.ListShards(r.ctx, &kinesis.ListShardsInput{StreamName: &r.stream})
	r.ok(err)
	return out.Shards
}

// openShards returns the ids of the shards without an end.
func (r *rig) openShards() []string {
	r.t.Helper()
	var ids []string
	for _, sh := range r.shards() {
		if sh.SequenceNumberRange.EndingSequenceNumber == nil {
			ids = append(ids, *sh.ShardId)
		}
	}
	return ids
}

func (r *rig) iterator(shard string, kind types.ShardIteratorType) *string {
	r.t.Helper()
	out, err := r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{
		StreamName: &r.stream, ShardId: &shard, ShardIteratorType: kind,
	})
	r.ok(err)
	return out.ShardIterator
}

func (r *rig) get(iterator *string) *kinesis.GetRecordsOutput {
	r.t.Helper()
	out, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
	r.ok(err)
	return out
}

func texts(records []types.Record) []string {
	var out []string
	for _, rec := range records {
		out = append(out, string(rec.Data))
	}
	return out
}

func shardName(i int) string { return shardID(uint64(i)) }

func TestKinesisErrors(t *testing.T) {
	r := newRig(t, Config{Kinesis: KinesisConfig{Unlimited: true}}, 2)
	r.put("a", "b", "c", "d")
	old := r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
	_, err := r.DeleteStream(r.ctx, &kinesis.DeleteStreamInput{StreamName: &r.stream})
	r.ok(err)
	r.create(2)
	half := aws.String("170141183460469231731687303715884105728")
	_, err = r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(0)), NewStartingHashKey: aws.String("5")})
	r.ok(err) // 0 is now 2 and 3
	other := aws.String("other")
	arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")
	put := func(in kinesis.PutRecordsInput, records int) error {
		for i := range records {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte{1}, PartitionKey: aws.String(fmt.Sprint(i))})
		}
		_, err := r.PutRecords(r.ctx, &in)
		return err
	}
	putOne := func(data, key string, hash *string) error {
		_, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: []byte(data), PartitionKey: &key, ExplicitHashKey: hash})
		return err
	}
	iterator := func(in kinesis.GetShardIteratorInput) error {
		if in.StreamName == nil && in.StreamARN == nil {
			in.StreamName = &r.stream
		}
		_, err := r.GetShardIterator(r.ctx, &in)
		return err
	}
	split := func(shard, key string) error {
		_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: &shard, NewStartingHashKey: &key})
		return err
	}
	merge := func(a, b string) error {
		_, err := r.MergeShards(r.ctx, &kinesis.MergeShardsInput{StreamName: &r.stream, ShardToMerge: &a, AdjacentShardToMerge: &b})
		return err
	}
	count := func(n int32) error {
		_, err := r.UpdateShardCount(r.ctx, &kinesis.UpdateShardCountInput{StreamName: &r.stream, ScalingType: types.ScalingTypeUniformScaling, TargetShardCount: &n})
		return err
	}
	create := func(in kinesis.CreateStreamInput) error {
		_, err := r.CreateStream(r.ctx, &in)
		return err
	}
	records := func(in kinesis.GetRecordsInput) error {
		_, err := r.GetRecords(r.ctx, &in)
		return err
	}
	list := func(in kinesis.ListShardsInput) error {
		_, err := r.ListShards(r.ctx, &in)
		return err
	}
	retention := func(hours int32) error {
		_, err := r.IncreaseStreamRetentionPeriod(r.ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: &r.stream, RetentionPeriodHours: &hours})
		return err
	}
	tests := []struct {
		name, code string
		err        error
	}{
		{"create a stream twice", "ResourceInUseException", create(kinesis.CreateStreamInput{StreamName: &r.stream, ShardCount: aws.Int32(1)})},
		{"create without a count", "ValidationException", create(kinesis.CreateStreamInput{StreamName: other})},
		{"create with no shards", "ValidationException", create(kinesis.CreateStreamInput{StreamName: other, ShardCount: aws.Int32(0)})},
		{"create with a bad name", "ValidationException", create(kinesis.CreateStreamInput{StreamName: aws.String("a b"), ShardCount: aws.Int32(1)})},
		{"create with a bad mode", "ValidationException", create(kinesis.CreateStreamInput{StreamName: other, StreamModeDetails: &types.StreamModeDetails{StreamMode: "X"}})},
		{"create for huge records", "ValidationException", create(kinesis.CreateStreamInput{StreamName: other, ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(10241)})},

		{"put into another stream", "ResourceNotFoundException", put(kinesis.PutRecordsInput{StreamName: other}, 1)},
		{"put into an ARN of another region", "ResourceNotFoundException", put(kinesis.PutRecordsInput{StreamARN: aws.String("arn:aws:kinesis:eu-west-1:000000000000:stream/s")}, 1)},
		{"put into no stream", "InvalidArgumentException", put(kinesis.PutRecordsInput{}, 1)},
		{"put by name", "", put(kinesis.PutRecordsInput{StreamName: &r.stream}, 500)},
		{"put by ARN", "", put(kinesis.PutRecordsInput{StreamARN: arn}, 1)},
		{"put no records", "ValidationException", put(kinesis.PutRecordsInput{StreamName: &r.stream, Records: []types.PutRecordsRequestEntry{}}, 0)},
		{"put 501 records", "ValidationException", put(kinesis.PutRecordsInput{StreamName: &r.stream}, 501)},
		{"put a long key", "ValidationException", putOne("x", strings.Repeat("é", 257), nil)},
		{"put the longest key", "", putOne("x", strings.Repeat("é", 256), nil)},
		{"put an empty key", "ValidationException", putOne("x", "", nil)},
		{"put 1 MiB", "", putOne(strings.Repeat("x", 1<<20-1), "k", aws.String("0"))},
		{"put a byte more", "ValidationException", putOne(strings.Repeat("x", 1<<20), "k", nil)},
		{"put to no hash key", "ValidationException", putOne("x", "k", aws.String("-1"))},
		{"put beyond the hash space", "InvalidArgumentException", putOne("x", "k", aws.String("340282366920938463463374607431768211456"))},

		{"an iterator without a shard", "ResourceNotFoundException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(9)), ShardIteratorType: "LATEST"})},
		{"an iterator of no type", "ValidationException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(1)), ShardIteratorType: "NEWEST"})},
		{"an iterator at no time", "InvalidArgumentException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(1)), ShardIteratorType: "AT_TIMESTAMP"})},
		{"an iterator in the future", "InvalidArgumentException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(1)), ShardIteratorType: "AT_TIMESTAMP", Timestamp: aws.Time(time.Now().Add(time.Hour))})},
		{"an iterator at no number", "ValidationException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(1)), ShardIteratorType: "AT_SEQUENCE_NUMBER"})},
		{"an iterator at another shard's number", "InvalidArgumentException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(1)), ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: aws.String(sequence{shard: 2}.String())})},
		{"an iterator at a number to come", "InvalidArgumentException", iterator(kinesis.GetShardIteratorInput{ShardId: aws.String(shardName(3)), ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: aws.String(sequence{shard: 3, n: 1 << 40}.String())})},

		{"records of a made-up iterator", "InvalidArgumentException", records(kinesis.GetRecordsInput{ShardIterator: aws.String("AAAA")})},
		{"records of a token", "InvalidArgumentException", records(kinesis.GetRecordsInput{ShardIterator: aws.String(kinesisCursor{kind: cursorShards, stream: "s"}.text())})},
		{"records of a stream before this one", "ResourceNotFoundException", records(kinesis.GetRecordsInput{ShardIterator: old})},
		{"no records", "ValidationException", records(kinesis.GetRecordsInput{ShardIterator: r.iterator(shardName(1), "LATEST"), Limit: aws.Int32(0)})},
		{"10,001 records", "ValidationException", records(kinesis.GetRecordsInput{ShardIterator: r.iterator(shardName(1), "LATEST"), Limit: aws.Int32(10_001)})},
		{"records of another ARN", "ResourceNotFoundException", records(kinesis.GetRecordsInput{ShardIterator: r.iterator(shardName(1), "LATEST"), StreamARN: aws.String(*arn + "2")})},

		{"split at the start", "InvalidArgumentException", split(shardName(1), *half)},
		{"split outside", "InvalidArgumentException", split(shardName(1), "5")},
		{"split at no key", "ValidationException", split(shardName(1), "x")},
		{"split a closed shard", "ResourceInUseException", split(shardName(0), "7")},
		{"split no shard", "ResourceNotFoundException", split("shard-1", "7")},
		{"merge what is apart", "InvalidArgumentException", merge(shardName(1), shardName(2))},
		{"merge a shard with itself", "InvalidArgumentException", merge(shardName(1), shardName(1))},
		{"merge a closed shard", "ResourceInUseException", merge(shardName(1), shardName(0))},
		{"three shards to seven", "InvalidArgumentException", count(7)},
		{"three shards to one", "InvalidArgumentException", count(1)},

		{"list by a bad token", "InvalidArgumentException", list(kinesis.ListShardsInput{NextToken: aws.String("x")})},
		{"list by token and name", "InvalidArgumentException", list(kinesis.ListShardsInput{NextToken: aws.String("x"), StreamName: &r.stream})},
		{"list no shards", "ValidationException", list(kinesis.ListShardsInput{StreamName: &r.stream, MaxResults: aws.Int32(0)})},
		{"list by no filter", "ValidationException", list(kinesis.ListShardsInput{StreamName: &r.stream, ShardFilter: &types.ShardFilter{Type: "X"}})},
		{"list from no time", "InvalidArgumentException", list(kinesis.ListShardsInput{StreamName: &r.stream, ShardFilter: &types.ShardFilter{Type: "FROM_TIMESTAMP"}})},
		{"list after no shard", "InvalidArgumentException", list(kinesis.ListShardsInput{StreamName: &r.stream, ExclusiveStartShardId: other})},

		{"keep for less than a day", "InvalidArgumentException", retention(23)},
		{"keep for more than a year", "InvalidArgumentException", retention(366 * 24)},
		{"keep for a week", "", retention(168)},
		{"keep for longer, to a day", "InvalidArgumentException", retention(24)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantCode(t, tt.err, tt.code) })
	}
}

func TestKinesisDescribes(t *testing.T) {
	r := newRig(t, Config{AccountID: "123456789012", Region: "eu-west-1"}, 3)
	d, err := r.DescribeStream(r.ctx, &kinesis.DescribeStreamInput{StreamName: &r.stream, Limit: aws.Int32(2)})
	r.ok(err)
	const arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/s"
	if s := d.StreamDescription; *s.StreamARN != arn || s.StreamStatus != types.StreamStatusActive || !*s.HasMoreShards ||
		len(s.Shards) != 2 || *s.RetentionPeriodHours != 24 || time.Since(*s.StreamCreationTimestamp) > time.Minute {
		t.Errorf("DescribeStream: %+v", s)
	}
	d, err = r.DescribeStream(r.ctx, &kinesis.DescribeStreamInput{StreamARN: aws.String(arn), ExclusiveStartShardId: aws.String(shardName(1))})
	r.ok(err)
	if s := d.StreamDescription; *s.HasMoreShards || len(s.Shards) != 1 || *s.Shards[0].ShardId != shardName(2) {
		t.Errorf("the rest: %+v", s)
	}
	_, err = r.UpdateShardCount(r.ctx, &kinesis.UpdateShardCountInput{StreamName: &r.stream, ScalingType: types.ScalingTypeUniformScaling, TargetShardCount: aws.Int32(6)})
	r.ok(err)
	sum, err := r.DescribeStreamSummary(r.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &r.stream})
	r.ok(err)
	if s := sum.StreamDescriptionSummary; *s.OpenShardCount != 6 || *s.ConsumerCount != 0 || *s.MaxRecordSizeInKiB != 1024 || *s.StreamName != "s" {
		t.Errorf("DescribeStreamSummary: %+v", s)
	}

	r.stream = "t"
	_, err = r.CreateStream(r.ctx, &kinesis.CreateStreamInput{StreamName: &r.stream, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
	r.ok(err)
	if n := len(r.shards()); n != 4 {
		t.Errorf("an on-demand stream begins with %d shards", n)
	}
	first, err := r.ListStreams(r.ctx, &kinesis.ListStreamsInput{Limit: aws.Int32(1)})
	r.ok(err)
	second, err := r.ListStreams(r.ctx, &kinesis.ListStreamsInput{NextToken: first.NextToken})
	r.ok(err)
	if !*first.HasMoreStreams || *second.HasMoreStreams || !slices.Equal(append(first.StreamNames, second.StreamNames...), []string{"s", "t"}) {
		t.Errorf("ListStreams: %v, %v", first.StreamNames, second.StreamNames)
	}
	if second.StreamSummaries[0].StreamModeDetails.StreamMode != types.StreamModeOnDemand {
		t.Errorf("summary: %+v", second.StreamSummaries[0])
	}
}

// UpdateShardCount must leave equal ranges, whatever it starts from, and every
// record where a reader who follows the shards finds it.
func TestUpdateShardCountIsUniform(t *testing.T) {
	for _, counts := range [][]int32{{4, 8, 4}, {4, 6, 3}, {5, 7, 10, 5, 3}, {1, 2, 3, 5}} {
		r := newRig(t, Config{Kinesis: KinesisConfig{Unlimited: true}}, int(counts[0]))
		put := 0
		for _, n := range counts[1:] {
			for range 20 {
				r.put(fmt.Sprint(put))
				put++
			}
			out, err := r.UpdateShardCount(r.ctx, &kinesis.UpdateShardCountInput{StreamName: &r.stream, ScalingType: types.ScalingTypeUniformScaling, TargetShardCount: &n})
			r.ok(err)
			if *out.TargetShardCount != n {
				t.Errorf("target %d, want %d", *out.TargetShardCount, n)
			}
			open := r.server.kinesis.streams["s"].layout.Load().open
			for i, want := range evenRanges(int(n)) {
				if len(open) != int(n) || open[i].keys != want {
					t.Fatalf("%v at %d: %d shards, the %dth is %v", counts, n, len(open), i, open[i].keys)
				}
			}
		}
		if got := readAll(r); len(got) != put {
			t.Errorf("%v: %d records of %d were read", counts, len(got), put)
		}
	}
}

// readAll follows the shards from parents to children and returns the data of
// all records. It fails the test when one comes twice.
func readAll(r *rig) []string {
	r.t.Helper()
	var out []string
	seen := make(map[string]bool)
	for _, sh := range r.shards() { // by index: parents come before their children
		for it := r.iterator(*sh.ShardId, types.ShardIteratorTypeTrimHorizon); it != nil; {
			page := r.get(it)
			for _, d := range texts(page.Records) {
				if seen[d] {
					r.t.Fatalf("record %q came twice", d)
				}
				seen[d] = true
				out = append(out, d)
			}
			it = page.NextShardIterator
			if len(page.Records) == 0 && *page.MillisBehindLatest == 0 {
				break
			}
		}
	}
	return out
}

func TestKinesisExplicitHashKey(t *testing.T) {
	r := newRig(t, Config{}, 2)
	for _, tt := range []struct{ hash, shard string }{
		{"0", shardName(0)},
		{"170141183460469231731687303715884105727", shardName(0)},
		{"170141183460469231731687303715884105728", shardName(1)},
		{"340282366920938463463374607431768211455", shardName(1)},
	} {
		out, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{
			StreamName: &r.stream, Data: []byte("x"), PartitionKey: aws.String("same"), ExplicitHashKey: &tt.hash,
		})
		r.ok(err)
		if *out.ShardId != tt.shard {
			t.Errorf("hash %s went to %s", tt.hash, *out.ShardId)
		}
	}
}

func TestKinesisLargeRecords(t *testing.T) {
	r := newRig(t, Config{}, 1)
	r.stream = "large"
	_, err := r.CreateStream(r.ctx, &kinesis.CreateStreamInput{StreamName: &r.stream, ShardCount: aws.Int32(4), MaxRecordSizeInKiB: aws.Int32(2048)})
	r.ok(err)
	put := func(records, size int) error {
		one := types.PutRecordsRequestEntry{Data: make([]byte, size-1), PartitionKey: aws.String("k")}
		_, err := r.PutRecords(r.ctx, &kinesis.PutRecordsInput{StreamName: &r.stream, Records: slices.Repeat([]types.PutRecordsRequestEntry{one}, records)})
		return err
	}
	wantCode(t, put(1, 2<<20+1), "ValidationException")
	wantCode(t, put(6, 10<<20/6+1), "InvalidArgumentException") // 10 MiB and a little
	wantCode(t, put(1, 2<<20), "")                              // more than a second's worth, but it must pass some time
	page := r.get(r.iterator(r.shardOf("k"), types.ShardIteratorTypeTrimHorizon))
	if len(page.Records) != 1 || len(page.Records[0].Data) != 2<<20-1 {
		t.Errorf("%d records", len(page.Records))
	}
}

// shardOf returns the id of the open shard that a key belongs to.
func (r *rig) shardOf(key string) string {
	return r.server.kinesis.streams[r.stream].layout.Load().at(hashOf([]byte(key))).id
}

// A producer who has found a shard that is split before he gets to put must
// end up at a child, or the record would lie behind the end of its shard.
func TestPutIntoAShardThatWasJustClosed(t *testing.T) {
	r := newRig(t, Config{}, 1)
	s := r.server.kinesis.streams[r.stream]
	before := s.layout.Load().at(hashKey{})
	reshard(r, 0, 0)
	e := &putEntry{key: []byte("k"), size: 1}
	if _, outcome := before.put(e, time.Now()); outcome != putClosed {
		t.Errorf("outcome %d of a put into a closed shard", outcome)
	}
	if sh, q, ok := s.put(e, time.Now()); !ok || sh == before || q.shard != sh.index {
		t.Errorf("put into %s as %+v, %v", sh.id, q, ok)
	}
	if page := r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)); len(page.Records) != 0 || page.NextShardIterator != nil {
		t.Errorf("the closed shard has %d records", len(page.Records))
	}
}

func TestKinesisStatus(t *testing.T) {
	r := newRig(t, Config{}, 1)
	if _, ok := r.server.Kinesis().Status("other"); ok {
		t.Error("a stream that is not there has a status")
	}
	if s, ok := r.server.Kinesis().Status("s"); !ok || s.Records() != 0 || s.Shards[0].Tip != "" || !s.Shards[0].LastRecord.IsZero() || !s.Shards[0].Open {
		t.Errorf("empty: %+v", s)
	}
	out := r.put("a", "bb", "ccc")
	_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(0)), NewStartingHashKey: aws.String("9")})
	r.ok(err)
	s, _ := r.server.Kinesis().Status("s")
	sh := s.Shards[0]
	if s.Records() != 3 || len(s.Shards) != 3 || sh.Records != 3 || sh.Bytes != 12 || sh.Kept != 3 || sh.KeptBytes < 3*100 ||
		sh.Open || sh.Tip != *out[2].SequenceNumber || time.Since(sh.LastRecord) > time.Minute {
		t.Errorf("%+v", s)
	}
	if s.Shards[2].Parent != shardName(0) || !s.Shards[2].Open || s.ARN != "arn:aws:kinesis:us-east-1:000000000000:stream/s" {
		t.Errorf("%+v", s.Shards[2])
	}
}

// Faults are the server's, but some must mean to a Kinesis client what it
// knows how to handle.
func TestKinesisFaults(t *testing.T) {
	faults := NewFaults(0,
		Fault{Service: "kinesis", Action: "PutRecords", Do: FaultThrottle, Times: 1},
		Fault{Service: "kinesis", Action: "PutRecords", Do: FaultErrorAfter, Times: 1},
		Fault{Service: "kinesis", Action: "GetRecords", Do: FaultError, Code: "ExpiredIteratorException", Times: 1},
		Fault{Service: "kinesis", Action: "GetRecords", Do: FaultError, Times: 1},
	)
	r := newRig(t, Config{Faults: faults}, 1)
	in := &kinesis.PutRecordsInput{StreamName: &r.stream, Records: []types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String("k")}}}
	for _, code := range []string{"ProvisionedThroughputExceededException", "InternalFailure", ""} {
		_, err := r.PutRecords(r.ctx, in)
		wantCode(t, err, code)
	}
	it := r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
	for _, code := range []string{"ExpiredIteratorException", "InternalFailure", ""} {
		out, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		wantCode(t, err, code)
		if code == "" && len(out.Records) != 2 { // the failed put was carried out
			t.Errorf("%d records, want 2", len(out.Records))
		}
	}
}

// Whatever is sent, the server answers, and nothing that was there is lost.
func FuzzKinesis(f *testing.F) {
	seeds := map[string]string{
		"GetRecords":                    `{"ShardIterator":"AAAA","Limit":1}`,
		"GetShardIterator":              `{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1e300}`,
		"ListShards":                    `{"StreamName":"s","ShardFilter":{"Type":"AFTER_SHARD_ID","ShardId":"shardId-1"},"MaxResults":1}`,
		"SplitShard":                    `{"StreamName":"s","ShardToSplit":"shardId-0","NewStartingHashKey":"12"}`,
		"MergeShards":                   `{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s","ShardToMerge":"shardId-0","AdjacentShardToMerge":"shardId-1"}`,
		"UpdateShardCount":              `{"StreamName":"s","ScalingType":"UNIFORM_SCALING","TargetShardCount":3}`,
		"IncreaseStreamRetentionPeriod": `{"StreamName":"s","RetentionPeriodHours":9223372036854775807}`,
		"CreateStream":                  `{"StreamName":"t","ShardCount":1,"MaxRecordSizeInKiB":9007199254740993}`,
		"DescribeStreamConsumer":        `{"ConsumerARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"}`,
		"ListStreams":                   `{"NextToken":"x","Limit":1}`,
		"PutRecord":                     `{"StreamName":"s","Data":"QQ==","PartitionKey":"k"}`,
	}
	for action, body := range seeds {
		f.Add(uint8(slices.Index(kinesisActions, action)), []byte(body))
	}
	f.Add(uint8(slices.Index(kinesisActions, "GetRecords")), []byte(`{"ShardIterator":"`+kinesisCursor{
		kind: cursorIterator, stream: "s", streamID: 1, shard: 1, n: 1 << 63, issued: time.Now().UnixMilli(),
	}.text()+`"}`))
	f.Fuzz(func(t *testing.T, action uint8, body []byte) {
		name := kinesisActions[int(action)%len(kinesisActions)]
		if name == "SubscribeToShard" || name == "DeleteStream" {
			return
		}
		r := newRig(t, Config{Kinesis: KinesisConfig{Unlimited: true}}, 2)
		r.put("a", "b", "c", "d", "e")
		w := httptest.NewRecorder()
		r.server.kinesis.carryOut(w, httptest.NewRequest("POST", "/", nil), name, body)
		if w.Code != 200 && w.Code != 400 {
			t.Fatalf("%s %q: %d %s", name, body, w.Code, w.Body)
		}
		if got := readAll(r); len(got) < 5 {
			t.Errorf("%s %q: %d records are left", name, body, len(got))
		}
	})
}
