package leader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Key is the key of the lease's row. Keys that begin with a # are of no shard, and
// who reads shards from the table passes over them.
const Key = "#leader"

// The attributes of the row.
const (
	attrKey      = "ShardID"      // S, the table's key
	attrHolder   = "Leader"       // S, absent when nobody holds the lease
	attrTimeout  = "LeaseTimeout" // S, RFC 3339; for people, nothing decides by it
	attrRevision = "Revision"     // N, grows with every write
	attrEpoch    = "Epoch"        // N, grows with every term; stays when the lease is given back
)

// errRefused means that a write's condition did not hold: the row is not, or no
// longer, what the writer took it for.
var errRefused = errors.New("the leader's row was changed by another process")

// errNoRow means that a write's condition did not hold as there is no row.
var errNoRow = fmt.Errorf("there is no row any more: %w", errRefused)

// row is what the table says about the lease.
type row struct {
	holder   string // "" = nobody
	revision int64  // 0 = there is no row
	epoch    uint64
}

// table is the row as one process writes it. Every write is tried once: one that
// was sent twice by the SDK would find its own trace and take it for another's.
type table struct {
	api      *dynamodb.Client
	name     string
	worker   string
	failover time.Duration // only to fill in attrTimeout
}

// read returns the row as it is now.
func (t *table) read(ctx context.Context) (row, error) {
	out, err := t.api.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: rowKey(), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return row{}, t.explain(err, "read")
	}
	return rowOf(out.Item), nil
}

// take makes the process the holder of a lease that was seen like that, and begins
// an epoch.
func (t *table) take(ctx context.Context, seen row, epoch uint64) (row, error) {
	v := map[string]types.AttributeValue{
		":me": text(t.worker), ":until": text(t.until()), ":epoch": number(epoch), ":next": number(seen.revision + 1),
	}
	condition := "attribute_not_exists(Revision)"
	if seen.revision != 0 {
		condition = "Revision = :seen"
		v[":seen"] = number(seen.revision)
	}
	return t.update(ctx, "take", "SET Leader = :me, LeaseTimeout = :until, Epoch = :epoch, Revision = :next", condition, v)
}

// write renews the lease of an epoch, or gives it back. One that comes in late has
// a lower revision than those after it, and is refused.
func (t *table) write(ctx context.Context, epoch uint64, revision int64, release bool) error {
	v := map[string]types.AttributeValue{":me": text(t.worker), ":epoch": number(epoch), ":next": number(revision)}
	set, doing := "SET Revision = :next REMOVE Leader, LeaseTimeout", "give back"
	if !release {
		set, doing = "SET Revision = :next, LeaseTimeout = :until", "renew"
		v[":until"] = text(t.until())
	}
	_, err := t.update(ctx, doing, set, "Leader = :me AND Epoch = :epoch AND Revision < :next", v)
	return err
}

func (t *table) update(ctx context.Context, doing, set, condition string, v map[string]types.AttributeValue) (row, error) {
	out, err := t.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: rowKey(), ReturnValues: types.ReturnValueAllNew,
		UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: v,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld, // tells whether there is a row
	})
	if err != nil {
		return row{}, t.explain(err, doing)
	}
	return rowOf(out.Attributes), nil
}

// explain says what was being done, and tells refusals from trouble.
func (t *table) explain(err error, doing string) error {
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) && len(refused.Item) == 0 {
		return fmt.Errorf("%s the leader lease: %w", doing, errNoRow)
	}
	if refused != nil {
		return fmt.Errorf("%s the leader lease: %w", doing, errRefused)
	}
	return fmt.Errorf("%s the leader lease in table %s: %w", doing, t.name, err)
}

func (t *table) until() string {
	return time.Now().Add(t.failover).UTC().Format(time.RFC3339Nano)
}

func rowOf(item map[string]types.AttributeValue) (r row) {
	if s, ok := item[attrHolder].(*types.AttributeValueMemberS); ok {
		r.holder = s.Value
	}
	if n, ok := item[attrRevision].(*types.AttributeValueMemberN); ok {
		r.revision, _ = strconv.ParseInt(n.Value, 10, 64) // only we write it
	}
	if n, ok := item[attrEpoch].(*types.AttributeValueMemberN); ok {
		r.epoch, _ = strconv.ParseUint(n.Value, 10, 64) // likewise
	}
	return r
}

func rowKey() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrKey: text(Key)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[N int64 | uint64](n N) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}
