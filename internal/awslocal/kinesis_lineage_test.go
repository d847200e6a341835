package awslocal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"pgregory.net/rapid"
)

// follower reads a stream as a consumer does: it finds the shards, starts one
// when the parents are read to their end, and notes what came. It keeps, for
// each partition key, the data in the order of arrival.
type follower struct {
	*rig
	shards map[string]*followed
	byKey  map[string][]string
	last   map[string]string // latest sequence number of each key

	childless bool // the server does not name child shards at the end of a shard
}

type followed struct {
	parents  []string
	iterator *string // nil: not begun
	seen     string  // latest sequence number
	ended    bool
}

func newFollower(r *rig) *follower {
	return &follower{
		rig: r, shards: make(map[string]*followed), byKey: make(map[string][]string), last: make(map[string]string),
	}
}

// discover looks for new shards.
func (f *follower) discover() {
	for _, sh := range f.rig.shards() {
		if f.shards[*sh.ShardId] != nil {
			continue
		}
		n := new(followed)
		for _, p := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
			if p != nil {
				n.parents = append(n.parents, *p)
			}
		}
		f.shards[*sh.ShardId] = n
	}
}

// ready returns the shards that can be read now.
func (f *follower) ready() []string {
	var out []string
	for id, sh := range f.shards {
		blocked := slices.ContainsFunc(sh.parents, func(p string) bool { return !f.shards[p].ended })
		if !sh.ended && !blocked {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// read reads one page of a shard that is ready, and tells whether it is at the
// tip. With forget it gets a new iterator from what it saw last, as a consumer
// does that was restarted.
func (f *follower) read(id string, limit int32, forget bool) (tip bool) {
	f.t.Helper()
	sh := f.shards[id]
	switch {
	case sh.iterator == nil || forget && sh.seen == "":
		sh.iterator = f.rig.iterator(id, types.ShardIteratorTypeTrimHorizon)
	case forget:
		out, err := f.GetShardIterator(f.ctx, &kinesis.GetShardIteratorInput{
			StreamName: &f.stream, ShardId: &id, ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &sh.seen,
		})
		f.ok(err)
		sh.iterator = out.ShardIterator
	}
	page, err := f.GetRecords(f.ctx, &kinesis.GetRecordsInput{ShardIterator: sh.iterator, Limit: &limit})
	f.ok(err)
	for _, rec := range page.Records {
		f.note(id, sh, rec)
	}
	sh.iterator = page.NextShardIterator
	if sh.ended = sh.iterator == nil; sh.ended {
		f.checkChildren(id, page.ChildShards)
	}
	return *page.MillisBehindLatest == 0
}

func (f *follower) note(id string, sh *followed, rec types.Record) {
	key, seq := *rec.PartitionKey, *rec.SequenceNumber
	if seq <= sh.seen {
		f.t.Fatalf("%s: sequence number %s comes after %s", id, seq, sh.seen)
	}
	if seq <= f.last[key] {
		f.t.Fatalf("key %q: sequence number %s comes after %s", key, seq, f.last[key])
	}
	sh.seen, f.last[key] = seq, seq
	f.byKey[key] = append(f.byKey[key], string(rec.Data))
}

// checkChildren compares what the end of a shard says with the list of shards.
func (f *follower) checkChildren(id string, children []types.ChildShard) {
	if f.childless {
		return
	}
	f.discover()
	var want, got []string
	for child, sh := range f.shards {
		if slices.Contains(sh.parents, id) {
			want = append(want, child)
		}
	}
	for _, c := range children {
		got = append(got, *c.ShardId)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(got) == 0 {
		f.t.Fatalf("%s ends with the children %q, listed are %q", id, got, want)
	}
}

// drain reads until every shard is at its tip.
func (f *follower) drain() {
	f.discover()
	for again := true; again; {
		again = false
		for _, id := range f.ready() {
			for !f.shards[id].ended && !f.read(id, 1000, false) {
			}
			again = again || f.shards[id].ended // its children are ready now
		}
	}
}

// check wants the n-th record of each key to be "key n".
func (f *follower) check(put map[string]int) {
	f.t.Helper()
	for key, n := range put {
		got := f.byKey[key]
		for i, data := range got {
			if data != fmt.Sprint(key, " ", i) {
				f.t.Fatalf("key %q: record %d is %q", key, i, data)
			}
		}
		if len(got) != n {
			f.t.Fatalf("key %q: %d records were read, %d were put", key, len(got), n)
		}
	}
}

// reshard splits a shard in the middle, or merges two neighbours.
func reshard(r *rig, pick, which int) {
	r.t.Helper()
	open := slices.DeleteFunc(r.shards(), func(s types.Shard) bool { return s.SequenceNumberRange.EndingSequenceNumber != nil })
	byRange := func(a, b types.Shard) int {
		x, y := *a.HashKeyRange.StartingHashKey, *b.HashKeyRange.StartingHashKey
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
	}
	slices.SortFunc(open, byRange)
	i := pick % len(open)
	if which == 0 || len(open) == 1 {
		start, _ := parseHashKey([]byte(*open[i].HashKeyRange.StartingHashKey))
		end, _ := parseHashKey([]byte(*open[i].HashKeyRange.EndingHashKey))
		mid := start.big()
		mid.Add(mid, end.big()).Rsh(mid, 1)
		if mid.Cmp(start.big()) == 0 {
			return // a single key cannot be split
		}
		_, err := r.SplitShard(r.ctx, &kinesis.SplitShardInput{StreamName: &r.stream, ShardToSplit: open[i].ShardId, NewStartingHashKey: aws.String(mid.String())})
		r.ok(err)
		return
	}
	i %= len(open) - 1
	a, b := open[i].ShardId, open[i+1].ShardId
	if which == 2 {
		a, b = b, a
	}
	_, err := r.MergeShards(r.ctx, &kinesis.MergeShardsInput{StreamName: &r.stream, ShardToMerge: a, AdjacentShardToMerge: b})
	r.ok(err)
}

// Whatever puts, splits, merges and reads come in whatever order: who follows
// the shards gets each record once, and those of a key in order.
func TestEveryRecordOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		cfg := KinesisConfig{Unlimited: true, EmptyEvery: rapid.SampledFrom([]int{0, 2, 3}).Draw(t, "emptyEvery")}
		r := newRig(t, Config{Kinesis: cfg, Now: func() time.Time { return now }}, rapid.IntRange(1, 4).Draw(t, "shards"))
		f := newFollower(r)
		put := make(map[string]int)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				var in []types.PutRecordsRequestEntry
				for range rapid.IntRange(1, 20).Draw(t, "records") {
					key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(t, "key")
					in = append(in, types.PutRecordsRequestEntry{Data: fmt.Append(nil, key, " ", put[key]), PartitionKey: &key})
					put[key]++
				}
				out, err := r.PutRecords(r.ctx, &kinesis.PutRecordsInput{StreamName: &r.stream, Records: in})
				r.ok(err)
				if *out.FailedRecordCount != 0 {
					t.Fatalf("%d records failed", *out.FailedRecordCount)
				}
			},
			"reshard": func(t *rapid.T) {
				reshard(r, rapid.IntRange(0, 100).Draw(t, "shard"), rapid.IntRange(0, 2).Draw(t, "how"))
			},
			"read": func(t *rapid.T) {
				f.discover()
				ready := f.ready()
				f.read(rapid.SampledFrom(ready).Draw(t, "shard"), rapid.Int32Range(1, 10).Draw(t, "limit"), rapid.Bool().Draw(t, "forget"))
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(-2, 5).Draw(t, "ms")) * time.Millisecond)
			},
		})
		f.drain()
		f.check(put)
	})
}

// The same with producers, resharding and readers that do not wait for each other.
func TestEveryRecordOnceAtFullSpeed(t *testing.T) {
	r := newRig(t, Config{Kinesis: KinesisConfig{Unlimited: true}}, 4)
	const producers, batches, batch = 4, 40, 50
	var mu sync.Mutex
	put := make(map[string]int)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			count := make(map[string]int)
			for b := range batches {
				in := &kinesis.PutRecordsInput{StreamName: &r.stream}
				for i := range batch {
					key := fmt.Sprint("p", p, "k", (b+i)%16)
					in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: fmt.Append(nil, key, " ", count[key]), PartitionKey: &key})
					count[key]++
				}
				if out, err := r.PutRecords(r.ctx, in); err != nil || *out.FailedRecordCount != 0 {
					t.Errorf("put: %v", err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(put, count)
		})
	}
	wg.Go(func() {
		for i := range 60 {
			reshard(r, i*7, i%3)
		}
	})
	f := newFollower(r)
	wg.Go(func() {
		for i := range int32(200) {
			f.discover()
			for _, id := range f.ready() {
				f.read(id, 1+i, i%5 == 0)
			}
		}
	})
	wg.Wait()
	f.drain()
	f.check(put)
}
