package awslocal

import (
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

const tooFast = "ProvisionedThroughputExceededException"

// accepted counts what a PutRecords took, and wants the rest to be refused for
// the shard's throughput.
func accepted(t *testing.T, results []types.PutRecordsResultEntry) (n int) {
	t.Helper()
	for _, r := range results {
		switch {
		case r.SequenceNumber != nil && r.ShardId != nil && r.ErrorCode == nil:
			n++
		case aws.ToString(r.ErrorCode) != tooFast || !strings.Contains(aws.ToString(r.ErrorMessage), "shardId-0"):
			t.Errorf("refused with %q: %q", aws.ToString(r.ErrorCode), aws.ToString(r.ErrorMessage))
		}
	}
	return n
}

func TestShardTakes1000RecordsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 2)
		batch := func(hash string) int {
			in := &kinesis.PutRecordsInput{StreamName: &r.stream}
			for range 400 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte{1}, PartitionKey: aws.String("k"), ExplicitHashKey: &hash})
			}
			out, err := r.PutRecords(r.ctx, in)
			r.ok(err)
			n := accepted(t, out.Records)
			if int(*out.FailedRecordCount) != 400-n {
				t.Errorf("%d of 400 accepted, but %d are said to have failed", n, *out.FailedRecordCount)
			}
			return n
		}
		if a, b, c := batch("0"), batch("0"), batch("0"); a != 400 || b != 400 || c != 200 {
			t.Errorf("accepted %d, %d, %d; want 400, 400, 200", a, b, c)
		}
		_, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: []byte{1}, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0")})
		wantCode(t, err, tooFast)
		if n := batch("340282366920938463463374607431768211455"); n != 400 {
			t.Errorf("the other shard accepted %d of 400", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := batch("0"); n != 100 {
			t.Errorf("%d accepted after a tenth of a second, want 100", n)
		}
		time.Sleep(time.Hour)
		if a, b, c := batch("0"), batch("0"), batch("0"); a+b+c != 1000 {
			t.Errorf("%d accepted after an hour, want 1000: nothing is saved up beyond a second", a+b+c)
		}
		if s, _ := r.server.Kinesis().Status("s"); s.Shards[0].Refused == 0 || s.Shards[1].Refused != 0 {
			t.Errorf("refused: %d and %d", s.Shards[0].Refused, s.Shards[1].Refused)
		}
	})
}

func TestShardTakes1MiBASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 1)
		quarter := strings.Repeat("x", 1<<18-1) // and a key of one byte
		put := func() error {
			_, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: []byte(quarter), PartitionKey: aws.String("k")})
			return err
		}
		for range 4 {
			r.ok(put())
		}
		wantCode(t, put(), tooFast)
		time.Sleep(250 * time.Millisecond)
		r.ok(put())
		wantCode(t, put(), tooFast)
	})
}

func TestShardGives5CallsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 2)
		it := r.iterator(shardName(0), types.ShardIteratorTypeLatest)
		other := r.iterator(shardName(1), types.ShardIteratorTypeLatest)
		for range 5 {
			it = r.get(it).NextShardIterator
		}
		_, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		wantCode(t, err, tooFast)
		r.get(other)
		time.Sleep(200 * time.Millisecond)
		it = r.get(it).NextShardIterator
		_, err = r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		wantCode(t, err, tooFast)

		for range 4 {
			r.iterator(shardName(0), types.ShardIteratorTypeLatest)
		}
		_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{StreamName: &r.stream, ShardId: aws.String(shardName(0)), ShardIteratorType: "LATEST"})
		if err != nil {
			t.Errorf("200 ms after the first iterator, a sixth is refused: %v", err)
		}
		_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{StreamName: &r.stream, ShardId: aws.String(shardName(0)), ShardIteratorType: "LATEST"})
		wantCode(t, err, tooFast)
	})
}

// A page of 10 MiB uses up what the shard gives in 5 seconds.
func TestShardGives2MiBASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, 1)
		big := strings.Repeat("x", 1<<20-1)
		for range 12 {
			_, err := r.PutRecord(r.ctx, &kinesis.PutRecordInput{StreamName: &r.stream, Data: []byte(big), PartitionKey: aws.String("k")})
			r.ok(err)
			time.Sleep(time.Second)
		}
		page := r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon))
		if len(page.Records) != 10 || *page.MillisBehindLatest == 0 {
			t.Fatalf("%d records of 1 MiB on a page, %d ms behind", len(page.Records), *page.MillisBehindLatest)
		}
		time.Sleep(5*time.Second - time.Nanosecond)
		_, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
		wantCode(t, err, tooFast)
		time.Sleep(time.Nanosecond)
		page = r.get(page.NextShardIterator)
		if len(page.Records) != 2 || *page.MillisBehindLatest != 0 {
			t.Errorf("%d records at the end, %d ms behind", len(page.Records), *page.MillisBehindLatest)
		}
		time.Sleep(time.Second)
		r.get(page.NextShardIterator)
	})
}

func TestIteratorsAndTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, unlimited := range []bool{false, true} {
			r := newRig(t, Config{Kinesis: KinesisConfig{Unlimited: unlimited}}, 3)
			it := r.iterator(shardName(0), types.ShardIteratorTypeLatest)
			list, err := r.ListShards(r.ctx, &kinesis.ListShardsInput{StreamName: &r.stream, MaxResults: aws.Int32(1)})
			r.ok(err)
			try := func(iterator, token string) {
				t.Helper()
				_, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: it})
				wantCode(t, err, iterator)
				_, err = r.ListShards(r.ctx, &kinesis.ListShardsInput{NextToken: list.NextToken})
				wantCode(t, err, token)
			}
			time.Sleep(5 * time.Minute)
			try("", "")
			time.Sleep(time.Millisecond)
			if unlimited {
				try("", "")
			} else {
				try("ExpiredIteratorException", "ExpiredNextTokenException")
			}
		}
	})
}

func TestUnlimitedShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Kinesis: KinesisConfig{Unlimited: true}}, 1)
		data := strings.Repeat("x", 2500)
		for range 3 { // 3.6 MiB in 1,500 records
			in := &kinesis.PutRecordsInput{StreamName: &r.stream}
			for range 500 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(data), PartitionKey: aws.String("k")})
			}
			out, err := r.PutRecords(r.ctx, in)
			r.ok(err)
			if n := accepted(t, out.Records); n != 500 {
				t.Fatalf("%d of 500 accepted", n)
			}
		}
		for range 7 {
			r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon))
		}
	})
}

// The clock is the server's: nothing looks at the time by itself.
func TestKinesisClock(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	r := newRig(t, Config{Now: func() time.Time { return now }}, 1)
	r.put("a")
	now = now.Add(-time.Hour) // the records of a shard stay in order
	r.put("b")
	page := r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon))
	for _, rec := range page.Records {
		if !rec.ApproximateArrivalTimestamp.Equal(now.Add(time.Hour)) {
			t.Errorf("%s arrived at %s", rec.Data, rec.ApproximateArrivalTimestamp)
		}
	}
	now = now.Add(time.Hour + iteratorLife + time.Second)
	_, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator})
	wantCode(t, err, "ExpiredIteratorException")
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Kinesis: KinesisConfig{Retention: time.Hour}}, 1)
		r.put("a")
		// Not TRIM_HORIZON at the time of the call, but where the shard began:
		// it must go on at what is kept.
		first := r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
		time.Sleep(time.Hour - time.Minute)
		r.put("b")
		time.Sleep(time.Minute)
		it := r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
		if got := texts(r.get(it).Records); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("after an hour to the millisecond: %q", got)
		}
		time.Sleep(time.Millisecond)
		if got := texts(r.get(it).Records); !slices.Equal(got, []string{"b"}) {
			t.Errorf("a millisecond later: %q", got)
		}
		_, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: first})
		wantCode(t, err, "ExpiredIteratorException")

		_, err = r.IncreaseStreamRetentionPeriod(r.ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: &r.stream, RetentionPeriodHours: aws.Int32(24)})
		r.ok(err)
		time.Sleep(23*time.Hour + 58*time.Minute)
		if got := texts(r.get(r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)).Records); !slices.Equal(got, []string{"b"}) {
			t.Errorf("kept for longer: %q", got)
		}
	})
}

// What nobody reads or writes any more is forgotten, too.
func TestRetentionOfIdleShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Kinesis: KinesisConfig{Retention: time.Hour}}, 2)
		r.put("a", "b", "c", "d", "e", "f")
		_, err := r.MergeShards(r.ctx, &kinesis.MergeShardsInput{StreamName: &r.stream, ShardToMerge: aws.String(shardName(0)), AdjacentShardToMerge: aws.String(shardName(1))})
		r.ok(err)
		time.Sleep(time.Hour)
		if s, _ := r.server.Kinesis().Status("s"); len(s.Shards) != 3 || s.Shards[0].Kept+s.Shards[1].Kept != 6 {
			t.Errorf("after an hour to the millisecond: %+v", s)
		}
		time.Sleep(time.Hour/16 + time.Millisecond) // a sweep comes 16 times in the retention
		s, _ := r.server.Kinesis().Status("s")
		if len(s.Shards) != 1 || s.Shards[0].ID != shardName(2) || s.Shards[0].Parent != shardName(0) || s.Shards[0].AdjacentParent != shardName(1) {
			t.Errorf("the parents are still there: %+v", s)
		}
		_, err = r.GetShardIterator(r.ctx, &kinesis.GetShardIteratorInput{StreamName: &r.stream, ShardId: aws.String(shardName(0)), ShardIteratorType: "TRIM_HORIZON"})
		wantCode(t, err, "ResourceNotFoundException")
		r.put("g")
		time.Sleep(2 * time.Hour)
		if s, _ := r.server.Kinesis().Status("s"); s.Shards[0].Kept != 0 || s.Shards[0].KeptBytes != 0 || s.Shards[0].Records != 1 {
			t.Errorf("an idle shard holds %+v", s.Shards[0])
		}
	})
}

func TestShardFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Kinesis: KinesisConfig{Retention: 10 * time.Hour}}, 1)
		start := time.Now()
		split := func(shard int, key string) {
			time.Sleep(time.Hour)
			_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: aws.String(shardName(shard)), NewStartingHashKey: &key})
			r.ok(err)
		}
		split(0, "1000") // 0 lives for the first hour
		split(1, "500")  // 1 for the second; 2, 3 and 4 live on
		time.Sleep(time.Hour)
		at := func(d time.Duration) *time.Time { return aws.Time(start.Add(d)) }
		tests := []struct {
			filter types.ShardFilter
			want   string
		}{
			{types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, "2 3 4"},
			{types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}, "0 1 2 3 4"},
			{types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, "0"},
			{types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String(shardName(2))}, "3 4"},
			{types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String(shardName(7))}, ""},
			{types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: at(30 * time.Minute)}, "0"},
			{types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: at(time.Hour)}, "0 1 2"},
			{types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: at(90 * time.Minute)}, "1 2"},
			{types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: at(-time.Hour)}, "0 1 2 3 4"},
			{types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: at(90 * time.Minute)}, "1 2 3 4"},
			{types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: at(150 * time.Minute)}, "2 3 4"},
		}
		for _, tt := range tests {
			// In pages of one, so that the tokens carry the filter.
			var got []string
			in := &kinesis.ListShardsInput{StreamName: &r.stream, ShardFilter: &tt.filter, MaxResults: aws.Int32(1)}
			for {
				out, err := r.ListShards(r.ctx, in)
				r.ok(err)
				for _, sh := range out.Shards {
					got = append(got, strings.TrimLeft(strings.TrimPrefix(*sh.ShardId, "shardId-"), "0"))
				}
				if out.NextToken == nil {
					break
				}
				in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(1)}
			}
			want := strings.ReplaceAll(tt.want, "0", "") // the trimmed id of shard 0 is empty
			if strings.Join(got, " ") != want {
				t.Errorf("%s %v: %q, want %q", tt.filter.Type, tt.filter.Timestamp, got, tt.want)
			}
		}
	})
}

func TestEmptyPages(t *testing.T) {
	r := newRig(t, Config{Kinesis: KinesisConfig{EmptyEvery: 2, Unlimited: true}}, 1)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint(i))
	}
	r.put(want...)
	it := r.iterator(shardName(0), types.ShardIteratorTypeTrimHorizon)
	var got []string
	empty := 0
	for len(got) < len(want) {
		page, err := r.GetRecords(r.ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(1)})
		r.ok(err)
		if len(page.Records) == 0 {
			if empty++; *page.MillisBehindLatest == 0 {
				t.Fatal("an empty page before the tip claims to be at the tip")
			}
		}
		got = append(got, texts(page.Records)...)
		it = page.NextShardIterator
	}
	if !slices.Equal(got, want) || empty != 9 {
		t.Errorf("%q with %d empty pages", got, empty)
	}
	if page := r.get(it); *page.MillisBehindLatest != 0 || page.NextShardIterator == nil {
		t.Errorf("at the tip: %+v", page)
	}
}
