package awslocal

import (
	"crypto/md5"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"weir/internal/awslocal/npm"
)

// What Weir and KCL rely on, asked of ours and of kinesalite, which others
// wrote: both must pass the same suite.

func TestKinesisConformance(t *testing.T) {
	s := New(Config{Kinesis: KinesisConfig{Unlimited: true}}) // as kinesalite is
	kinesisConformance(t, newKinesisClient(s), false)
}

func TestKinesisConformanceOfKinesalite(t *testing.T) {
	url := npm.Start(t, "kinesalite", "3.3.3", map[string]any{"shardLimit": 200, "createStreamMs": 20, "deleteStreamMs": 20, "updateStreamMs": 20})
	kinesisConformance(t, kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &url, HTTPClient: httpClient(t), Credentials: testCredentials(),
	}), true)
}

// kinesisConformance runs the suite. An early server is of the time before
// shards were listed in pages and named their children at their end.
func kinesisConformance(t *testing.T, c *kinesis.Client, early bool) {
	for _, tt := range []struct {
		name   string
		shards int
		run    func(*testing.T, *rig)
	}{
		{"shards divide the hash space", 3, conformShards},
		{"records go where their keys belong", 4, conformPlacement},
		{"iterators", 1, conformIterators},
		{"records come as they were put", 1, conformRecords},
		{"lineage", 2, func(t *testing.T, r *rig) { conformLineage(t, r, early) }},
		{"pages of records", 2, conformRecordPages},
		{"pages of shards", 5, func(t *testing.T, r *rig) {
			if early {
				t.Skip("SKIPPED: not of that time")
			}
			conformShardPages(t, r)
		}},
		{"errors", 2, conformErrors},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &rig{Client: c, t: t, ctx: t.Context(), stream: strings.ReplaceAll(tt.name, " ", "-")}
			r.create(tt.shards)
			r.settle()
			tt.run(t, r)
			_, err := r.DeleteStream(r.ctx, &kinesis.DeleteStreamInput{StreamName: &r.stream})
			r.ok(err)
		})
	}
}

// settle waits until a stream that was made or resharded is ACTIVE. Ours is at
// once; another process has its own clock.
func (r *rig) settle() {
	r.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		out, err := r.DescribeStreamSummary(r.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &r.stream})
		r.ok(err)
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
		<-poll.C
	}
}

func decimal(t *testing.T, text *string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(aws.ToString(text), 10)
	if !ok {
		t.Fatalf("%q is no number", aws.ToString(text))
	}
	return n
}

func conformShards(t *testing.T, r *rig) {
	next := new(big.Int)
	for i, sh := range r.shards() {
		if *sh.ShardId != fmt.Sprintf("shardId-%012d", i) || sh.ParentShardId != nil || sh.AdjacentParentShardId != nil {
			t.Errorf("shard %d: %s with parents", i, *sh.ShardId)
		}
		if start := decimal(t, sh.HashKeyRange.StartingHashKey); start.Cmp(next) != 0 {
			t.Errorf("shard %d begins at %s, want %s", i, start, next)
		}
		next = decimal(t, sh.HashKeyRange.EndingHashKey)
		next.Add(next, big.NewInt(1))
		if sh.SequenceNumberRange.EndingSequenceNumber != nil || len(*sh.SequenceNumberRange.StartingSequenceNumber) != 56 {
			t.Errorf("shard %d has sequence numbers %s to %s", i, *sh.SequenceNumberRange.StartingSequenceNumber, aws.ToString(sh.SequenceNumberRange.EndingSequenceNumber))
		}
	}
	if next.Cmp(new(big.Int).Lsh(big.NewInt(1), 128)) != 0 {
		t.Errorf("the last shard ends before %s", next)
	}
}

func conformPlacement(t *testing.T, r *rig) {
	shards := r.shards()
	owner := func(hash *big.Int) string {
		i := slices.IndexFunc(shards, func(s types.Shard) bool { return hash.Cmp(decimal(t, s.HashKeyRange.EndingHashKey)) <= 0 })
		return *shards[i].ShardId
	}
	in := &kinesis.PutRecordsInput{StreamName: &r.stream}
	for i := range 50 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte{1}, PartitionKey: aws.String(fmt.Sprint("clé ", i))})
	}
	explicit := shards[2].HashKeyRange.StartingHashKey
	in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte{1}, PartitionKey: aws.String("x"), ExplicitHashKey: explicit})
	out, err := r.PutRecords(r.ctx, in)
	r.ok(err)
	last := make(map[string]*big.Int)
	for i, res := range out.Records {
		sum := md5.Sum([]byte(*in.Records[i].PartitionKey))
		want := owner(new(big.Int).SetBytes(sum[:]))
		if in.Records[i].ExplicitHashKey != nil {
			want = owner(decimal(t, explicit))
		}
		if *res.ShardId != want {
			t.Errorf("record %d went to %s, want %s", i, *res.ShardId, want)
		}
		q := decimal(t, res.SequenceNumber)
		if before := last[want]; before != nil && q.Cmp(before) <= 0 || len(*res.SequenceNumber) != 56 {
			t.Errorf("record %d of %s got %s after %s", i, want, q, before)
		}
		last[want] = q
	}
}

func conformIterators(t *testing.T, r *rig) {
	latest := r.iterator(shardName(0), types.ShardIteratorTypeLatest)
	var numbers []*string
	for i := range 5 {
		out, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: fmt.Append(nil, i), PartitionKey: aws.String("k")})
		r.ok(err)
		numbers = append(numbers, out.SequenceNumber)
	}
	page := r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon))
	if got := texts(page.Records); !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) || *page.MillisBehindLatest != 0 || page.NextShardIterator == nil {
		t.Fatalf("TRIM_HORIZON: %q", got)
	}
	third := page.Records[2].ApproximateArrivalTimestamp
	var since []string
	for _, rec := range page.Records {
		if !rec.ApproximateArrivalTimestamp.Before(*third) {
			since = append(since, string(rec.Data))
		}
	}
	from := func(in kinesis.GetShardIteratorInput) []string {
		in.StreamName, in.ShardId = &r.stream, aws.String(shardName(0))
		out, err := r.GetShardIterator(r.ctx, &in)
		r.ok(err)
		return texts(r.get(out.ShardIterator).Records)
	}
	for _, tt := range []struct {
		name string
		got  []string
		want []string
	}{
		{"LATEST before the records", texts(r.get(latest).Records), []string{"0", "1", "2", "3", "4"}},
		{"AT_SEQUENCE_NUMBER", from(kinesis.GetShardIteratorInput{ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: numbers[2]}), []string{"2", "3", "4"}},
		{"AFTER_SEQUENCE_NUMBER", from(kinesis.GetShardIteratorInput{ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: numbers[2]}), []string{"3", "4"}},
		{"AT_TIMESTAMP", from(kinesis.GetShardIteratorInput{ShardIteratorType: "AT_TIMESTAMP", Timestamp: third}), since},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	r.put("5") // an iterator goes on where the page before it ended
	if got := texts(r.get(page.NextShardIterator).Records); !slices.Equal(got, []string{"5"}) {
		t.Errorf("the page after: %q", got)
	}
}

func conformRecords(t *testing.T, r *rig) {
	keys := []string{"k", `a"b\c/d`, "\u00e9\U0001F600", "<&>\u2028", "\t\x01"}
	data := [][]byte{{0}, {0xff, 0xfe}, []byte("text"), {}, []byte("a tab\tand a line\n")}
	in := &kinesis.PutRecordsInput{StreamName: &r.stream}
	for i, key := range keys {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: data[i], PartitionKey: &key})
	}
	put, err := r.PutRecords(r.ctx, in)
	r.ok(err)
	for i, rec := range r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)).Records {
		if *rec.PartitionKey != keys[i] || !slices.Equal(rec.Data, data[i]) || *rec.SequenceNumber != *put.Records[i].SequenceNumber {
			t.Errorf("record %d came as %q %q %s", i, *rec.PartitionKey, rec.Data, *rec.SequenceNumber)
		}
		if d := time.Since(*rec.ApproximateArrivalTimestamp); d < -time.Minute || d > time.Minute {
			t.Errorf("record %d arrived at %s", i, rec.ApproximateArrivalTimestamp)
		}
	}
}

func conformLineage(t *testing.T, r *rig, early bool) {
	f := newFollower(r)
	f.childless = early
	put := make(map[string]int)
	fill := func() {
		in := &kinesis.PutRecordsInput{StreamName: &r.stream}
		for i := range 60 {
			key := fmt.Sprint(i % 12)
			in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: fmt.Append(nil, key, " ", put[key]), PartitionKey: &key})
			put[key]++
		}
		_, err := r.PutRecords(r.ctx, in)
		r.ok(err)
	}
	fill()
	f.drain() // the follower waits at the tips while the shards under it change
	split := r.shards()[0]
	mid := decimal(t, split.HashKeyRange.EndingHashKey)
	mid.Rsh(mid, 1)
	_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: split.ShardId, NewStartingHashKey: aws.String(mid.String())})
	r.ok(err)
	r.settle()
	fill()
	_, err = r.MergeShards(r.ctx, &kinesis.MergeShardsInput{StreamName: &r.stream, ShardToMerge: aws.String(shardName(3)), AdjacentShardToMerge: aws.String(shardName(1))})
	r.ok(err)
	r.settle()
	fill()

	shards := r.shards()
	parents := func(i int) [2]string {
		return [2]string{aws.ToString(shards[i].ParentShardId), aws.ToString(shards[i].AdjacentParentShardId)}
	}
	if len(shards) != 5 || parents(2) != [2]string{shardName(0), ""} || parents(3) != [2]string{shardName(0), ""} || parents(4) != [2]string{shardName(3), shardName(1)} {
		t.Fatalf("%d shards; parents of 2 %q, of 3 %q, of 4 %q", len(shards), parents(2), parents(3), parents(4))
	}
	if *shards[3].HashKeyRange.StartingHashKey != mid.String() || *shards[4].HashKeyRange.StartingHashKey != mid.String() {
		t.Errorf("3 begins at %s, 4 at %s, want %s", *shards[3].HashKeyRange.StartingHashKey, *shards[4].HashKeyRange.StartingHashKey, mid)
	}
	for i, closed := range []bool{true, true, false, true, false} {
		if (shards[i].SequenceNumberRange.EndingSequenceNumber != nil) != closed {
			t.Errorf("shard %d: closed is %v", i, !closed)
		}
	}
	for _, pair := range [][2]int{{0, 2}, {0, 3}, {1, 4}, {3, 4}} {
		end := decimal(t, shards[pair[0]].SequenceNumberRange.EndingSequenceNumber)
		start := decimal(t, shards[pair[1]].SequenceNumberRange.StartingSequenceNumber)
		if start.Cmp(end) <= 0 {
			t.Errorf("shard %d begins at %s, its parent %d ends at %s", pair[1], start, pair[0], end)
		}
	}
	f.drain()
	f.check(put)
	for id, sh := range f.shards {
		i := slices.IndexFunc(shards, func(s types.Shard) bool { return *s.ShardId == id })
		if end := shards[i].SequenceNumberRange.EndingSequenceNumber; end != nil && sh.seen != "" && decimal(t, end).Cmp(decimal(t, &sh.seen)) < 0 {
			t.Errorf("%s ends at %s, before its record %s", id, *end, sh.seen)
		}
	}
}

func conformShardPages(t *testing.T, r *rig) {
	var ids []string
	in := &kinesis.ListShardsInput{StreamName: &r.stream, MaxResults: aws.Int32(2)}
	pages := 0
	for {
		out, err := r.ListShards(r.ctx, in)
		r.ok(err)
		pages++
		for _, sh := range out.Shards {
			ids = append(ids, *sh.ShardId)
		}
		if out.NextToken == nil {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(2)}
	}
	want := []string{shardName(0), shardName(1), shardName(2), shardName(3), shardName(4)}
	if !slices.Equal(ids, want) || pages != 3 {
		t.Errorf("ListShards: %q in %d pages", ids, pages)
	}
	d, err := r.DescribeStream(r.ctx, &kinesis.DescribeStreamInput{StreamName: &r.stream, Limit: aws.Int32(2), ExclusiveStartShardId: aws.String(shardName(1))})
	r.ok(err)
	if s := d.StreamDescription; len(s.Shards) != 2 || *s.Shards[0].ShardId != shardName(2) || !*s.HasMoreShards {
		t.Errorf("DescribeStream: %d shards, more: %v", len(s.Shards), *s.HasMoreShards)
	}
}

func conformRecordPages(t *testing.T, r *rig) {
	hash := r.shards()[0].HashKeyRange.StartingHashKey
	for i := range 5 {
		_, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: fmt.Append(nil, i), PartitionKey: aws.String("k"), ExplicitHashKey: hash})
		r.ok(err)
	}
	it := r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
	for _, want := range [][]string{{"0", "1"}, {"2", "3"}, {"4"}, nil} {
		page, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(2)})
		r.ok(err)
		if got := texts(page.Records); !slices.Equal(got, want) || page.MillisBehindLatest == nil || page.NextShardIterator == nil {
			t.Errorf("a page of two: %q, want %q", got, want)
		}
		it = page.NextShardIterator
	}
}

func conformErrors(t *testing.T, r *rig) {
	other := aws.String("another-stream")
	_, err := r.CreateStream(r.ctx, &kinesis.CreateStreamInput{StreamName: &r.stream, ShardCount: aws.Int32(1)})
	wantCode(t, err, "ResourceInUseException")
	_, err = r.DescribeStream(r.ctx, &kinesis.DescribeStreamInput{StreamName: other})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = r.ListShards(r.ctx, &kinesis.ListShardsInput{StreamName: other})
	wantCode(t, err, "ResourceNotFoundException")
	one := types.PutRecordsRequestEntry{Data: []byte{1}, PartitionKey: aws.String("k")}
	_, err = r.PutRecords(r.ctx, &kinesis.PutRecordsInput{StreamName: other, Records: []types.PutRecordsRequestEntry{one}})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = r.PutRecords(r.ctx, &kinesis.PutRecordsInput{StreamName: &r.stream, Records: slices.Repeat([]types.PutRecordsRequestEntry{one}, 501)})
	wantCode(t, err, "ValidationException")
	_, err = r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: []byte{1}, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("340282366920938463463374607431768211456")})
	wantCode(t, err, "InvalidArgumentException")
	_, err = r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("bad")})
	wantCode(t, err, "InvalidArgumentException")
	_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{StreamName: other, ShardId: aws.String(shardName(0)), ShardIteratorType: "LATEST"})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{StreamName: &r.stream, ShardId: aws.String(shardName(9)), ShardIteratorType: "LATEST"})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{
		StreamName: &r.stream, ShardId: aws.String(shardName(0)), ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: aws.String("x"),
	})
	wantCode(t, err, "ValidationException")
	_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{
		StreamName: &r.stream, ShardId: aws.String(shardName(0)), ShardIteratorType: "AFTER_SEQUENCE_NUMBER",
		StartingSequenceNumber: r.shards()[1].SequenceNumberRange.StartingSequenceNumber, // of another shard
	})
	wantCode(t, err, "InvalidArgumentException")
	_, err = r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(0)), NewStartingHashKey: r.shards()[1].HashKeyRange.EndingHashKey})
	wantCode(t, err, "InvalidArgumentException")
	_, err = r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(9)), NewStartingHashKey: aws.String("7")})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = r.MergeShards(r.ctx, &kinesis.MergeShardsInput{StreamName: &r.stream, ShardToMerge: aws.String(shardName(0)), AdjacentShardToMerge: aws.String(shardName(0))})
	wantCode(t, err, "InvalidArgumentException")
	_, err = r.DeleteStream(r.ctx, &kinesis.DeleteStreamInput{StreamName: other})
	wantCode(t, err, "ResourceNotFoundException")
}
