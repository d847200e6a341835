package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	chk "github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
)

// The attributes of a row. The first six are the library's own.
const (
	attrShard      = chk.LeaseKeyKey       // S, the key
	attrOwner      = chk.LeaseOwnerKey     // S, absent when nobody holds the lease
	attrTimeout    = chk.LeaseTimeoutKey   // S, RFC 3339; for people, nothing decides by it
	attrCheckpoint = chk.SequenceNumberKey // S, absent before the first one
	attrParent     = chk.ParentShardIdKey  // S, for people
	attrClaim      = chk.ClaimRequestKey   // S, who asks for the lease
	attrRevision   = "Revision"            // N, grows with every write
	attrStart      = "Start"               // S, in the row startKey only
	attrStream     = "Stream"              // S, likewise: the name of the stream
	attrCreated    = "Created"             // S, likewise: when that stream was made, RFC 3339
)

// otherKeys is what the keys of rows begin with that are none of this package's,
// such as the leader's.
const otherKeys = "#"

// startKey is the key of the one row of ours that is not a shard's. It says which stream
// the table is about, and where shards without a checkpoint are read from: a
// time, or startOldest.
const (
	startKey    = "start"
	startOldest = "TRIM_HORIZON"
)

// errRefused means that a write's condition did not hold: the row is not, or no
// longer, what the writer took it for.
var errRefused = errors.New("the row was changed by another worker")

// errNoRow means that a write's condition did not hold as there is no row.
var errNoRow = fmt.Errorf("there is no row any more: %w", errRefused)

// errMisused means that a table's start row rules the table out.
var errMisused = errors.New("the lease table is not this stream's")

// row is what the lease table says about a shard.
type row struct {
	shard      string
	owner      string // "" = nobody
	checkpoint string // "" = none, shardEnd = finished
	claim      string // "" = nobody
	revision   int64  // 0 = never written by a worker of ours
}

// table is the lease table as one worker writes it. Every write has a
// condition and is tried once: a write that was sent twice by the SDK would
// find its own trace and take it for another worker's.
type table struct {
	api      *dynamodb.Client
	name     string
	worker   string        // unique for each process, see Config.Worker
	failover time.Duration // only to fill in attrTimeout
}

// scan returns every shard's row as it is now.
func (t *table) scan(ctx context.Context) (map[string]row, error) {
	rows := make(map[string]row)
	var from map[string]types.AttributeValue
	for {
		out, err := t.api.Scan(ctx, &dynamodb.ScanInput{
			TableName: &t.name, ConsistentRead: aws.Bool(true), ExclusiveStartKey: from,
		})
		if err != nil {
			return nil, fmt.Errorf("scan lease table %s: %w", t.name, err)
		}
		for _, item := range out.Items {
			if r := rowOf(item); r.shard != startKey && !strings.HasPrefix(r.shard, otherKeys) {
				rows[r.shard] = r
			}
		}
		if from = out.LastEvaluatedKey; len(from) == 0 {
			return rows, nil
		}
	}
}

// take makes the worker the owner of a shard whose row was seen like that; a
// shard without a row is seen with revision 0. It returns the row as written.
func (t *table) take(ctx context.Context, seen row, parent string) (row, error) {
	v := values{":me": text(t.worker), ":until": text(t.until()), ":next": number(seen.revision + 1)}
	set := "SET AssignedTo = :me, LeaseTimeout = :until, Revision = :next"
	if parent != "" {
		set += ", ParentShardId = :parent"
		v[":parent"] = text(parent)
	}
	return t.update(ctx, "take the lease of", seen.shard,
		set+" REMOVE ClaimRequest", v.unchanged(seen)+" AND "+v.unfinished(), v)
}

// A change is what the owner of a row writes.
type change struct {
	shard      string
	revision   int64  // greater than any before
	checkpoint string // "" = leave it
	release    bool   // give the lease back
}

// write renews the worker's lease, or gives it back, and moves the checkpoint,
// in one step. An older write that comes in late has a lower revision and is
// refused, so it cannot take the checkpoint back.
func (t *table) write(ctx context.Context, c change) (row, error) {
	v := values{":me": text(t.worker), ":next": number(c.revision)}
	set := "SET Revision = :next"
	if c.checkpoint != "" {
		set += ", Checkpoint = :checkpoint"
		v[":checkpoint"] = text(c.checkpoint)
	}
	if c.release {
		set += " REMOVE AssignedTo, LeaseTimeout"
	} else {
		set += ", LeaseTimeout = :until"
		v[":until"] = text(t.until())
	}
	return t.update(ctx, "write the lease of", c.shard,
		set, "AssignedTo = :me AND Revision < :next AND "+v.unfinished(), v)
}

// claim asks the owner of a shard to give its lease to this worker.
func (t *table) claim(ctx context.Context, seen row) error {
	v := values{":me": text(t.worker), ":owner": text(seen.owner)}
	_, err := t.update(ctx, "claim the lease of", seen.shard,
		"SET ClaimRequest = :me", "AssignedTo = :owner AND attribute_not_exists(ClaimRequest)", v)
	return err
}

// drop deletes the row of a shard that the stream no longer has.
func (t *table) drop(ctx context.Context, seen row) error {
	v := make(values)
	condition := v.unchanged(seen)
	if len(v) == 0 {
		v = nil // DynamoDB takes an empty list for a mistake
	}
	_, err := t.api.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &t.name, Key: key(seen.shard),
		ConditionExpression: &condition, ExpressionAttributeValues: v,
	})
	return t.explain(err, "delete the row of", seen.shard)
}

// update changes a row under a condition and returns it as written.
func (t *table) update(ctx context.Context, doing, shard, set, condition string, v values) (row, error) {
	out, err := t.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: key(shard), ReturnValues: types.ReturnValueAllNew,
		UpdateExpression: &set, ConditionExpression: &condition, ExpressionAttributeValues: v,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld, // tells whether there is a row
	})
	var refused *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &refused) && len(refused.Item) == 0:
		return row{}, fmt.Errorf("%s %s: %w", doing, shard, errNoRow)
	case err != nil:
		return row{}, t.explain(err, doing, shard)
	}
	return rowOf(out.Attributes), nil
}

// explain says what was being done, and tells refusals from trouble.
func (t *table) explain(err error, doing, shard string) error {
	var refused *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("%s %s: %w", doing, shard, errRefused)
	}
	return fmt.Errorf("%s %s in lease table %s: %w", doing, shard, t.name, err)
}

func (t *table) until() string {
	return time.Now().Add(t.failover).UTC().Format(time.RFC3339Nano)
}

// values are what an expression's placeholders stand for. Its methods return a
// piece of a condition and add what that needs.
type values map[string]types.AttributeValue

// unchanged: the row is still as it was seen.
func (v values) unchanged(seen row) string {
	if seen.revision == 0 {
		return "attribute_not_exists(Revision)"
	}
	v[":seen"] = number(seen.revision)
	return "Revision = :seen"
}

// unfinished: the shard was not read to its end.
func (v values) unfinished() string {
	v[":end"] = text(shardEnd)
	return "(attribute_not_exists(Checkpoint) OR Checkpoint <> :end)"
}

func rowOf(item map[string]types.AttributeValue) row {
	r := row{
		shard: textOf(item[attrShard]), owner: textOf(item[attrOwner]),
		checkpoint: textOf(item[attrCheckpoint]), claim: textOf(item[attrClaim]),
	}
	if n, ok := item[attrRevision].(*types.AttributeValueMemberN); ok {
		r.revision, _ = strconv.ParseInt(n.Value, 10, 64) // only we write it
	}
	return r
}

func key(shard string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrShard: text(shard)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func textOf(v types.AttributeValue) string {
	s, ok := v.(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return s.Value
}
