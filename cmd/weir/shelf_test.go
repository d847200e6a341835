package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"

	"weir/internal/awslocal"
	"weir/internal/rekey"
	"weir/internal/snapshot"
	"weir/internal/source/kinesis"
)

// A cupboard is shelves of several tasks, in one bucket.
type cupboard struct {
	t      *testing.T
	server *awslocal.Server
	cloud  aws.Config
	stream kinesis.Identity
}

func inCupboard(t *testing.T, story func(t *testing.T, c *cupboard)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cupboard{t: t, server: awslocal.New(awslocal.Config{S3: awslocal.S3Config{Buckets: []string{"states"}}})}
		c.cloud = standInAWS(c.server)
		c.stream = kinesis.Identity{ARN: "arn:aws:kinesis:us-east-1:000000000000:stream/events", Created: time.Now().UTC()}
		story(t, c)
	})
}

func (c *cupboard) shelf(task string) *shelf {
	c.t.Helper()
	store, err := snapshot.Open(snapshot.Config{Place: "s3://states/p", AWS: c.cloud, Writer: task})
	if err != nil {
		c.t.Fatal(err)
	}
	return &shelf{store: store, stream: func() kinesis.Identity { return c.stream }, table: "leases", place: "s3://states/p"}
}

// save keeps a state of a shard: its position.
func save(s *shelf, shard string, after int64, position string) (int64, error) {
	time.Sleep(time.Second)
	return s.Save(context.Background(), shard, after, position, func(w io.Writer) error { _, err := io.WriteString(w, "state at "+position); return err })
}

func load(s *shelf, shard string) (state string, number int64, err error) {
	number, err = s.Load(context.Background(), shard, func(position string, in io.Reader) error {
		b, err := io.ReadAll(in)
		state = position + ": " + string(b)
		return err
	})
	return state, number, err
}

func TestShelf(t *testing.T) {
	inCupboard(t, func(t *testing.T, c *cupboard) {
		const shard = "shardId-000000000000"
		mine, other := c.shelf("mine"), c.shelf("other")
		if _, n, err := load(mine, shard); n != 0 || !errors.Is(err, rekey.ErrNoState) {
			t.Errorf("of a shard that nobody had there is %d, %v", n, err)
		}
		// It is kept, and nobody can say so: the next one goes on from it.
		c.server.Faults().Add(awslocal.Fault{Service: "s3", Action: "ListObjectsV2", Do: awslocal.FaultError, Code: "AccessDenied", Nth: 2})
		if _, err := save(mine, shard, 0, "10"); err == nil || errors.Is(err, rekey.ErrConflict) {
			t.Errorf("error %v", err)
		}
		c.server.Faults().Clear()
		if n, err := save(mine, shard, 0, "20"); n != 2 || err != nil {
			t.Errorf("number %d, error %v", n, err)
		}
		if mine.whence(shard) != "" {
			t.Errorf("it was gone on from %s", mine.whence(shard))
		}
		if state, n, err := load(other, shard); state != "20: state at 20" || n != 2 || err != nil {
			t.Errorf("loaded %q, %d, error %v", state, n, err)
		}
		if of := other.whence(shard); of != "snapshot 2 of shard shardId-000000000000 in s3://states/p (WEIR_STATE_SNAPSHOT)" {
			t.Errorf("it was gone on from %s", of)
		}
		if n, err := save(other, shard, 2, "30"); n != 3 || err != nil {
			t.Errorf("number %d, error %v", n, err)
		}
		if _, err := save(mine, shard, 2, "31"); !errors.Is(err, rekey.ErrConflict) {
			t.Errorf("who is behind: error %v", err)
		}
		// Of a stream that was made anew nothing is kept yet.
		c.stream.Created = c.stream.Created.Add(time.Hour)
		if _, n, err := load(other, shard); n != 3 || !errors.Is(err, rekey.ErrNoState) {
			t.Errorf("of another stream there is %d, %v", n, err)
		}
		if why := strings.Join(other.store.Refused(), " "); !strings.Contains(why, "made at 2000-01-01T00:00:00Z") || !strings.Contains(why, "made at 2000-01-01T01:00:00Z") {
			t.Errorf("refused: %s", why)
		}
		if n, err := save(other, shard, 3, "5"); n != 4 || err != nil {
			t.Errorf("number %d, error %v", n, err)
		}
	})
}

// States of a shard go when the stream has not had it for an hour, and its children have
// states of their own.
func TestStatesOfShardsThatAreGone(t *testing.T) {
	inCupboard(t, func(t *testing.T, c *cupboard) {
		s := c.shelf("mine")
		keep := func(shard string) {
			t.Helper()
			var after int64
			for range 3 {
				n, err := save(s, shard, after, "10")
				if after = n; err != nil {
					t.Fatal(err)
				}
			}
		}
		kept := func() string {
			t.Helper()
			names, err := s.store.Below(t.Context(), seriesOf(c.stream, "leases"))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(slices.Sorted(slices.Values(names)))
		}
		keep("a")
		keep("b")
		keep("child-of-a")
		all := map[string][]string{"b": nil, "child-of-a": {"a"}, "quiet-child-of-a": {"a"}}
		var listed atomic.Value
		listed.Store(all)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.tidy(ctx, func() map[string][]string { return listed.Load().(map[string][]string) }, zap.NewNop())
		time.Sleep(10 * time.Hour)
		if got := kept(); got != "[a b child-of-a]" {
			t.Errorf("kept are %s while a child may need a's", got)
		}
		keep("quiet-child-of-a")
		time.Sleep(tidyEvery)
		if got := kept(); got != "[b child-of-a quiet-child-of-a]" {
			t.Errorf("kept are %s", got)
		}
		// One that is missing for a moment stays, and all do while it is not known what there is.
		for range 10 {
			listed.Store(map[string][]string{"quiet-child-of-a": {"a"}, "child-of-a": {"a"}})
			time.Sleep(2 * tidyEvery)
			listed.Store(all)
			time.Sleep(tidyEvery)
		}
		listed.Store(map[string][]string(nil))
		time.Sleep(10 * time.Hour)
		if got := kept(); got != "[b child-of-a quiet-child-of-a]" {
			t.Errorf("kept are %s", got)
		}
		out, err := s3.NewFromConfig(c.cloud).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("states")})
		if err != nil || len(out.Contents) != 9 {
			t.Errorf("%d objects are left, error %v", len(out.Contents), err)
		}
	})
}
