package ban

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// maxBatch is how many items DynamoDB writes in a call, and maxBatchBytes how
	// many bytes of them we send at once, of the 16 MB that it takes: a call has only
	// so much time.
	maxBatch      = 25
	maxBatchBytes = 2 << 20

	// The pause before items are sent again that DynamoDB did not come to.
	unprocessedPause    = 50 * time.Millisecond
	maxUnprocessedPause = 2 * time.Second
)

// each does something n times, at most parallel at once. After an error nothing more
// is begun.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := 0; i < n && ctx.Err() == nil; i++ {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// writeAll makes requests that need no condition, of which no two have the same key.
func (t *table) writeAll(ctx context.Context, requests []types.WriteRequest) error {
	var batches [][]types.WriteRequest
	size := 0
	for i, r := range requests {
		n := sizeOf(r)
		if last := len(batches) - 1; i == 0 || len(batches[last]) == maxBatch || size+n > maxBatchBytes {
			batches, size = append(batches, nil), 0
		}
		size += n
		batches[len(batches)-1] = append(batches[len(batches)-1], r)
	}
	return each(ctx, len(batches), func(ctx context.Context, i int) error { return t.writeBatch(ctx, batches[i]) })
}

// sizeOf estimates how large a request is, in bytes: what is not text or binary is small.
func sizeOf(r types.WriteRequest) int {
	n := 0
	if r.PutRequest != nil {
		for _, v := range r.PutRequest.Item {
			n += len(textOf(v)) + len(bytesOf(v)) + 20
		}
	}
	return n
}

// writeBatch makes at most maxBatch requests, and those again that DynamoDB did not come
// to, for as long as ctx lasts.
func (t *table) writeBatch(ctx context.Context, requests []types.WriteRequest) error {
	for pause := unprocessedPause; ; pause = min(2*pause, maxUnprocessedPause) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		out, err := t.api.BatchWriteItem(call, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{t.name: requests}})
		cancel()
		if err != nil {
			return t.explain("write to", err)
		}
		left := 0
		for _, r := range out.UnprocessedItems { // under the one name that we gave
			requests, left = r, len(r)
		}
		if left == 0 {
			return nil
		}
		if !sleep(ctx, rand.N(pause)+pause/2) {
			return t.explain("write to", errors.Join(errors.New("the table's throughput does not suffice"), context.Cause(ctx)))
		}
	}
}

// sleep reports whether ctx lasted so long.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func putRequest(it item) types.WriteRequest {
	return types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
}

func deleteRequest(pk, sk string) types.WriteRequest {
	return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key(pk, sk)}}
}

// stretch is a range of sort keys of one partition, both ends belonging to it. The zero
// ends are those of all keys.
type stretch struct {
	pk       string
	low      string
	high     string
	backward bool
	limit    int32 // items of a page; 0: as many as fit into a megabyte
}

const lastSortKey = "\U0010ffff"

// query yields the items of a stretch as they are now, page by page.
func (t *table) query(ctx context.Context, s stretch) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		in := &dynamodb.QueryInput{
			TableName: &t.name, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(!s.backward),
			KeyConditionExpression:    aws.String("pk = :pk"),
			ExpressionAttributeValues: item{":pk": text(s.pk)},
		}
		if s.low != "" || s.high != "" {
			high := s.high
			if high == "" {
				high = lastSortKey
			}
			low := s.low
			if low == "" {
				low = " "
			}
			if low > high {
				return
			}
			in.KeyConditionExpression = aws.String("pk = :pk AND sk BETWEEN :low AND :high")
			in.ExpressionAttributeValues[":low"], in.ExpressionAttributeValues[":high"] = text(low), text(high)
		}
		if s.limit > 0 {
			in.Limit = &s.limit
		}
		for {
			call, cancel := context.WithTimeout(ctx, callTimeout)
			out, err := t.api.Query(call, in)
			cancel()
			if err != nil {
				yield(nil, t.explain("read from", err))
				return
			}
			for _, it := range out.Items {
				if !yield(it, nil) {
					return
				}
			}
			if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
				return
			}
		}
	}
}

// all returns the items of several partitions.
func (t *table) all(ctx context.Context, spans []stretch) ([]item, error) {
	parts := make([][]item, len(spans))
	err := each(ctx, len(spans), func(ctx context.Context, i int) error {
		for it, err := range t.query(ctx, spans[i]) {
			if err != nil {
				return err
			}
			parts[i] = append(parts[i], it)
		}
		return nil
	})
	return slices.Concat(parts...), err
}

// spreadOver gives the partitions of what has several.
func spreadOver(what string) (spans []stretch) {
	for i := range spread {
		spans = append(spans, stretch{pk: what + "#" + string("0123456789abcdef"[i])})
	}
	return spans
}
