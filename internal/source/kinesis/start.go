package kinesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// begin returns where shards without a checkpoint are read from. The first
// worker that asks settles it for all: the given time, or the oldest record if
// that is zero.
//
// A stream that was deleted and made anew has another time of creation. The rows of
// the shards that the one before had are dropped then, and when that one was made is
// returned, as the table has it.
func (t *table) begin(ctx context.Context, stream string, created, first time.Time) (begin time.Time, dropped string, err error) {
	start := startOldest
	if !first.IsZero() {
		start = first.UTC().Format(time.RFC3339Nano)
	}
	item := key(startKey)
	item[attrStart], item[attrStream], item[attrCreated] = text(start), text(stream), text(created.Format(time.RFC3339))
	_, err = t.api.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.name, Item: item, ConditionExpression: aws.String("attribute_not_exists(ShardID)"),
	})
	if err = t.explain(err, "write the row of", startKey); err != nil && !errors.Is(err, errRefused) {
		return time.Time{}, "", err
	}
	if err != nil { // another was first
		if item, err = t.start(ctx); err != nil {
			return time.Time{}, "", err
		}
	}
	if begin, err = t.beginOf(item, stream); err != nil {
		return time.Time{}, "", err
	}
	if was := textOf(item[attrCreated]); was != created.Format(time.RFC3339) {
		return begin, cmp.Or(was, "an unknown time"), t.startOver(ctx, item, created)
	}
	return begin, "", nil
}

// start reads the start row.
func (t *table) start(ctx context.Context) (map[string]types.AttributeValue, error) {
	out, err := t.api.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: key(startKey), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, t.explain(err, "read the row of", startKey)
	}
	return out.Item, nil
}

// startOver drops the rows of all shards, which are those of an earlier stream, and
// then says so in the start row: until then no worker takes a shard of the new one.
func (t *table) startOver(ctx context.Context, seen map[string]types.AttributeValue, created time.Time) error {
	rows, err := t.scan(ctx)
	if err != nil {
		return err
	}
	now, err := t.start(ctx)
	if err != nil {
		return err
	}
	if textOf(now[attrCreated]) != textOf(seen[attrCreated]) {
		return fmt.Errorf("lease table %s: another worker has just begun with it: %w", t.name, errRefused)
	}
	for _, r := range rows {
		if err := t.drop(ctx, r); err != nil { // it may be in use by a worker that does not know yet
			return err
		}
	}
	set, v := "SET Created = :now", values{":now": text(created.Format(time.RFC3339))}
	condition := "attribute_not_exists(Created)"
	if was := now[attrCreated]; was != nil {
		v[":was"] = was
		condition = "Created = :was"
	}
	_, err = t.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: key(startKey), UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: v,
	})
	return t.explain(err, "write the row of", startKey)
}

// beginOf reads the start row.
func (t *table) beginOf(item map[string]types.AttributeValue, stream string) (time.Time, error) {
	if other := textOf(item[attrStream]); other != stream {
		return time.Time{}, fmt.Errorf("lease table %s is about stream %q, not %q: %w", t.name, other, stream, errMisused)
	}
	start := textOf(item[attrStart])
	if start == startOldest {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, start)
	if err != nil {
		return time.Time{}, fmt.Errorf("lease table %s: row %q: attribute %s %q is neither a time nor %s: %w",
			t.name, startKey, attrStart, start, startOldest, errMisused)
	}
	return at, nil
}
