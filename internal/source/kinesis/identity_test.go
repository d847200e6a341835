package kinesis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// renew deletes the stream and makes another one of its name.
func (w *world) renew(shards int32) {
	w.t.Helper()
	_, err := w.k.DeleteStream(w.t.Context(), &kinesis.DeleteStreamInput{StreamName: new("logs"), EnforceConsumerDeletion: new(true)})
	w.must(err)
	w.mu.Lock()
	clear(w.marks)
	w.mu.Unlock()
	time.Sleep(2 * time.Second)
	_, err = w.k.CreateStream(w.t.Context(), &kinesis.CreateStreamInput{StreamName: new("logs"), ShardCount: &shards})
	w.must(err)
}

// What the lease table says of a stream's shards, that they are read to their end among it,
// is not held against a later stream of the name.
func TestStreamMadeAnew(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.add(20)
		w.split(0)
		w.add(20)
		r := w.run(w.note, nil)
		w.untilAll(time.Minute)
		w.until("end of a shard", time.Minute, func() bool { return w.rows()[shard0].checkpoint == shardEnd })
		before := r.s.Identity()
		r.stop()

		w.renew(2)
		w.add(20)
		time.Sleep(time.Hour) // past what a worker that is new to the table would read
		r = w.run(w.note, nil)
		w.untilAll(time.Minute)
		w.wantAll(false)
		is := r.s.Identity()
		if is.ARN != before.ARN || !is.Created.After(before.Created) || is.Folder() != "us-east-1.000000000000.logs" || before.Folder() != is.Folder() {
			t.Errorf("the stream was %v and is %v, in folder %s", before, is, is.Folder())
		}
		r.stop()
		if rows := w.rows(); len(rows) != 2 || rows[shard0].checkpoint == shardEnd {
			t.Errorf("rows %v", rows)
		}
	})
}

// Who reads a stream while another one takes its name ends; who starts then reads all of that.
func TestStreamMadeAnewWhileItIsRead(t *testing.T) {
	for _, fanout := range []string{"", "c"} {
		t.Run("consumer "+fanout, func(t *testing.T) {
			inWorld(t, 2, func(t *testing.T, w *world) {
				change := func(c *Config) { c.Fanout = fanout }
				w.add(20)
				r := w.run(w.note, change)
				w.untilAll(time.Minute)
				w.renew(2)
				w.add(20)
				<-r.done
				if !errors.Is(r.err, ErrAnew) || !strings.Contains(r.err.Error(), "logs") {
					t.Errorf("error %v", r.err)
				}
				r = w.run(w.note, change)
				w.untilAll(time.Minute)
				w.wantAll(false)
				r.stop()
			})
		})
	}
}

// A worker that writes rows of the earlier stream meanwhile keeps others from starting over,
// and so does one that was quicker.
func TestStartOver(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		ctx, tb := t.Context(), tables(w, "a")[0]
		first := time.Now().Add(-time.Minute)
		_, _, err := tb.begin(ctx, "logs", made, first)
		w.must(err)
		_, err = tb.take(ctx, row{shard: shard0}, "")
		w.must(err)
		seen, err := tb.start(ctx)
		w.must(err)
		later := made.Add(time.Hour)
		begin, dropped, err := tb.begin(ctx, "logs", later, time.Now())
		if err != nil || !begin.Equal(first) || dropped != "2026-01-02T03:04:05Z" || len(w.rows()) != 0 {
			t.Errorf("begin = %v, dropped %q, error %v, rows %v", begin, dropped, err, w.rows())
		}
		if _, dropped, err = tb.begin(ctx, "logs", later, time.Now()); err != nil || dropped != "" {
			t.Errorf("dropped %q, error %v", dropped, err)
		}
		_, err = tb.take(ctx, row{shard: shard0}, "")
		w.must(err)
		wantRefused(t, "start over, as was done", tb.startOver(ctx, seen, later))
		if len(w.rows()) != 1 {
			t.Error("a row of the new stream was dropped")
		}
		// One that does not say which stream it is about may be about any.
		_, err = w.d.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &tb.name, Key: key(startKey), UpdateExpression: new("REMOVE Created")})
		w.must(err)
		if _, dropped, err = tb.begin(ctx, "logs", later, time.Now()); err != nil || dropped != "an unknown time" || len(w.rows()) != 0 {
			t.Errorf("dropped %q, error %v", dropped, err)
		}
		var item map[string]ddbtypes.AttributeValue
		if item, err = tb.start(ctx); err != nil || textOf(item[attrCreated]) != "2026-01-02T04:04:05Z" {
			t.Errorf("the start row says %v, error %v", item, err)
		}
	})
}

// Where Kinesis refuses the position that a shard is to be read from, it is said what that is.
func TestRefusedPosition(t *testing.T) {
	for _, fanout := range []string{"", "c"} {
		t.Run("consumer "+fanout, func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				w.add(3)
				r := w.run(w.note, func(c *Config) {
					c.Fanout = fanout
					c.Resume = func(context.Context, Shard) (string, error) { return "17", nil }
					c.Whence = func(id string) string { return "a dream about " + id }
				})
				const want = "position 17 of a dream about " + shard0
				w.until("word of it", time.Minute, func() bool {
					list := r.s.Status().Shards
					return len(list) == 1 && list[0].Refused == want
				})
				r.stop()
			})
		})
	}
}
