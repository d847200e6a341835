package ban

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"
)

// table is a storage in one table of DynamoDB, which any number of processes share.
// Its key is pk and sk, both strings. It holds
//
//	pk                    sk                        what
//	id#ID                 decision                  a decision: d is what never changes, until, removed, held what may
//	id#ID                 alert                     an alert, in d
//	id#ID                 context                   what led to it, in c
//	force#0 to force#f    ID                        the same as the decision, for as long as it is in force and two hours more
//	decisions#YYYYMMDD    MS#ID                     that there is a decision made on that day, newest last
//	alerts#YYYYMMDD       MS#ID                     an alert of that day, in d
//	prefix#PREFIX         decision#MS#ID            that there is a decision about a prefix
//	prefix#PREFIX         alert#MS#ID               an alert about a prefix, in d
//	unban#0 to unban#f    PREFIX                    the latest unban of a prefix, in at
//	allow                 PREFIX                    an entry of the allowlist, in d and version
//	audit#YYYYMM          MS#ID                     an entry of the audit log, in d
//	days                  decisions#..., audit#...  which of those are there
//	secret                NAME                      a secret, in c
//	feed                  NUMBER                    what changed, in c: see append
//	meta                  format                    the version of all this
//
// MS are Unix milliseconds in fifteen digits, d is JSON, c is binary (of contexts and
// changes: JSON, compressed). ttl, where it is there, is the Unix time after which
// DynamoDB may delete an item. Nothing is read from whether it has: what is too old is
// known by its own times.
//
// # Why no update is lost
//
// There are no transactions: they cost twice as much, and a batch may be larger than
// they take. Instead, every change can be made again, and in any order with others:
//
//   - A decision is made once, under a condition; whoever comes second, as a record was
//     replayed elsewhere, finds what is there. Afterwards until only becomes earlier and
//     held only becomes empty. So an end that two processes give, one that is written
//     late, or one that the retry of the decision itself follows, all lead to the same.
//   - Of unbans of a prefix the latest counts, of entries of the allowlist that of the
//     highest version: each write has that as its condition.
//   - All else is written once and never changed, under a key that follows from what it
//     is, or is random.
//
// A batch is written in an order in which every part of it is of use, or at least does
// no harm, without the rest: decisions before the lists that name them, and last of all
// the feed. A batch that fails is written again by the same process, from its start, if
// it is of alerts. What a person wanted is not: he is told, and asks again. Since a part
// of it may be there, and others do not know, the feed gets an entry as soon as there
// can be one that has every process read all again; a process that dies before it can
// leaves that to the reading that each does every ten minutes anyway.
//
// # Why no change is missed
//
// The feed's entries have numbers without gaps: entry n+1 is put, under the condition
// that it is not there, by somebody who has seen entry n, lately: else n+1 may have been
// there and been deleted, and he asks for the last one. No other's clock is asked. So a put
// that comes late either takes the next number, or finds it taken and does nothing, and
// whoever has read up to n and reads on, consistently, has missed nothing. A reading
// that fails is done again from the same number. Who finds a gap, as entries an hour
// old are deleted, or is too far behind, reads everything; the number from which he
// follows then is read first, so that what changes meanwhile comes once more, which
// changes nothing.
type table struct {
	api  *dynamodb.Client
	name string
	bad  unreadable

	keep    time.Duration // how long what has ended is kept
	process string        // random; begins the token of each entry of the feed that is of this process
	days    sync.Map      // rows of pk days that this process has written
	feed    feed
}

const (
	attrPK, attrSK = "pk", "sk"
	attrTTL        = "ttl"

	tableFormat = 1  // of what the table holds
	spread      = 16 // partitions of what one could not take all of
	parallel    = 32 // calls at once

	// callTimeout is how long a call may take, with what the SDK tries again by itself;
	// batchTimeout, all of a batch.
	callTimeout  = 5 * time.Second
	callAttempts = 8
	batchTimeout = time.Minute

	maxCallBackoff = 500 * time.Millisecond

	// forceLife is how long a decision is kept among those in force after its end: who
	// loads them wants to know what ended within the last hour, too.
	forceLife = endedLife + time.Hour

	// slack is how much longer than it is read an item is kept, so that a longer
	// retention finds something.
	slack = 24 * time.Hour
)

// errTable means that the table is not there, or is none of ours: waiting does not help.
var errTable = errors.New("it cannot hold decisions")

// newTable makes a storage of a table that exists.
func newTable(client *dynamodb.Client, name string, keep time.Duration, log *zap.Logger) *table {
	var id [8]byte
	rand.Read(id[:]) // never returns an error
	client = dynamodb.New(client.Options(), func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = callAttempts, maxCallBackoff })
	})
	return &table{api: client, name: name, keep: keep, bad: unreadable{log: log.With(zap.String("table", name))}, process: hex.EncodeToString(id[:])}
}

type item = map[string]types.AttributeValue

func key(pk, sk string) item { return item{attrPK: text(pk), attrSK: text(sk)} }

func shard(s string) string {
	h := fnv.New32a()
	h.Write([]byte(s))
	return fmt.Sprintf("%x", h.Sum32()%spread)
}

// check makes sure that the table is of this format, and has it be of it if it is new.
func (t *table) check(ctx context.Context) error {
	meta := key("meta", "format")
	meta["version"] = number(tableFormat)
	ok, err := t.put(ctx, meta, "attribute_not_exists(pk)", nil)
	if err != nil || ok {
		return err
	}
	found, err := t.get1(ctx, "meta", "format")
	if err != nil {
		return err
	}
	if v := numberOf(found["version"]); v > tableFormat {
		return t.explain("open", fmt.Errorf("%w: it was written by a newer Weir (format %d, this one knows up to %d): run that version, or name another table", errTable, v, tableFormat))
	}
	return nil
}

// put writes an item under a condition, and reports whether it held.
func (t *table) put(ctx context.Context, it item, condition string, values item) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	in := &dynamodb.PutItemInput{TableName: &t.name, Item: it, ExpressionAttributeValues: values}
	if condition != "" {
		in.ConditionExpression = &condition
	}
	_, err := t.api.PutItem(ctx, in)
	return t.held("write to", err)
}

// update changes an item under a condition, and reports whether it held.
func (t *table) update(ctx context.Context, k item, set, condition string, values item) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := t.api.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: k, UpdateExpression: &set, ConditionExpression: &condition,
		ExpressionAttributeNames: namesIn(set + condition), ExpressionAttributeValues: values,
	})
	return t.held("write to", err)
}

// held tells a condition that did not hold from trouble.
func (t *table) held(doing string, err error) (bool, error) {
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, t.explain(doing, err)
}

// get1 returns an item as it is now; nil: there is none.
func (t *table) get1(ctx context.Context, pk, sk string) (item, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := t.api.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: key(pk, sk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, t.explain("read from", err)
	}
	return out.Item, nil
}

// explain says what was being done and to which table, and, where the cause is known,
// what to do about it.
func (t *table) explain(doing string, err error) error {
	var none *types.ResourceNotFoundException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &none):
		err = fmt.Errorf("%w: %w (weir bootstrap makes it)", errTable, err)
	}
	return fmt.Errorf("%s table %s: %w", doing, t.name, err)
}

func (t *table) secret(ctx context.Context, name string, fresh [32]byte) (secret [32]byte, err error) {
	it := key("secret", name)
	it["c"] = &types.AttributeValueMemberB{Value: fresh[:]}
	ok, err := t.put(ctx, it, "attribute_not_exists(pk)", nil)
	if err != nil || ok {
		return fresh, err
	}
	found, err := t.get1(ctx, "secret", name)
	if err != nil {
		return secret, err
	}
	value := bytesOf(found["c"])
	if len(value) != len(secret) {
		return secret, t.explain("read from", fmt.Errorf("a secret of %d bytes", len(value)))
	}
	return [32]byte(value), nil
}

func (t *table) unread() int64 { return t.bad.left.Load() }

func (t *table) shared() bool { return true }

func (t *table) close() error { return nil }
