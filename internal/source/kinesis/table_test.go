package kinesis

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"weir/internal/awslocal"
)

const shard0 = "shardId-000000000000"

func tables(w *world, workers ...string) []*table {
	list := make([]*table, len(workers))
	for i, name := range workers {
		list[i] = &table{api: w.d, name: "leases", worker: name, failover: 10 * time.Second}
	}
	return list
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, errRefused) {
		t.Errorf("%s: error = %v, want it refused", what, err)
	}
}

func TestTable(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		ctx := t.Context()
		ab := tables(w, "a", "b")
		a, b := ab[0], ab[1]
		none := row{shard: shard0}
		mine, err := a.take(ctx, none, "parent")
		w.must(err)
		if mine != (row{shard: shard0, owner: "a", revision: 1}) {
			t.Errorf("row = %+v", mine)
		}
		_, err = b.take(ctx, none, "")
		wantRefused(t, "take what another took", err)
		_, err = b.write(ctx, change{shard: shard0, revision: 7, checkpoint: "100"})
		wantRefused(t, "write what another holds", err)

		r, err := a.write(ctx, change{shard: shard0, revision: 3, checkpoint: "200"})
		w.must(err)
		if r.checkpoint != "200" || r.revision != 3 {
			t.Errorf("row = %+v", r)
		}
		_, err = a.write(ctx, change{shard: shard0, revision: 2, checkpoint: "100"})
		wantRefused(t, "write that comes in late", err)

		w.must(b.claim(ctx, r))
		wantRefused(t, "second claim", a.claim(ctx, r))
		r, err = a.write(ctx, change{shard: shard0, revision: 4})
		w.must(err)
		if r.claim != "b" || r.checkpoint != "200" {
			t.Errorf("row = %+v", r)
		}
		r, err = a.write(ctx, change{shard: shard0, revision: 5, checkpoint: "300", release: true})
		w.must(err)
		if r.owner != "" || r.checkpoint != "300" {
			t.Errorf("row = %+v", r)
		}
		_, err = a.write(ctx, change{shard: shard0, revision: 6})
		wantRefused(t, "write after giving back", err)

		r, err = b.take(ctx, r, "")
		w.must(err)
		if r.owner != "b" || r.claim != "" || r.checkpoint != "300" {
			t.Errorf("row = %+v", r)
		}
		wantRefused(t, "drop what has changed", a.drop(ctx, mine))
		r, err = b.write(ctx, change{shard: shard0, revision: r.revision + 1, checkpoint: shardEnd, release: true})
		w.must(err)
		_, err = a.take(ctx, r, "")
		wantRefused(t, "take what is finished", err)
		w.must(a.drop(ctx, r))
		if rows := w.rows(); len(rows) != 0 {
			t.Errorf("rows = %v", rows)
		}
	})
}

// A row that a worker of another make has left behind is taken like any other.
func TestRowWithoutRevision(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		_, err := w.d.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: new("leases"), Item: map[string]ddbtypes.AttributeValue{
				attrShard: text(shard0), attrOwner: text("old"), attrTimeout: text("2000-01-01T00:00:00Z"),
			},
		})
		w.must(err)
		w.add(10)
		r := w.run(w.note, nil)
		w.untilAll(15 * time.Second)
		r.stop()
		w.wantAll(false)
		row := w.rows()[shard0]
		if row.owner != "" || row.revision == 0 {
			t.Errorf("row = %+v", row)
		}
		row.revision = 0
		wantRefused(t, "drop as seen without a revision", tables(w, "a")[0].drop(t.Context(), row))
	})
}

var made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The first worker settles where reading begins; the others go by it.
func TestBegin(t *testing.T) {
	t.Run("the first settles it", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			ab := tables(w, "a", "b")
			first := time.Now().Add(-time.Minute)
			for i, tb := range ab {
				got, _, err := tb.begin(t.Context(), "logs", made, first.Add(time.Duration(i)*time.Hour))
				w.must(err)
				if !got.Equal(first) {
					t.Errorf("begin = %v, want %v", got, first)
				}
			}
			if rows := w.rows(); len(rows) != 0 {
				t.Errorf("the row of the start counts as a shard's: %v", rows)
			}
		})
	})
	t.Run("the oldest record", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			ab := tables(w, "a", "b")
			for i, tb := range ab {
				got, _, err := tb.begin(t.Context(), "logs", made, time.Time{}.Add(time.Duration(i)))
				w.must(err)
				if !got.IsZero() {
					t.Errorf("begin = %v, want the oldest record", got)
				}
			}
		})
	})
	t.Run("a row that rules the table out", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			_, err := w.d.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: new("leases"), Item: map[string]ddbtypes.AttributeValue{attrShard: text(startKey), attrStart: text("noon"), attrStream: text("logs")},
			})
			w.must(err)
			for stream, want := range map[string]string{"logs": `"noon"`, "other": `about stream "logs", not "other"`} {
				_, _, err := tables(w, "a")[0].begin(t.Context(), stream, made, time.Now())
				if !errors.Is(err, errMisused) || !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %s", err, want)
				}
			}
		})
	})
}

// Rows that are not about a shard are none of this package's business.
func TestScanPassesOverOtherRows(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		item := key("#leader")
		item["Leader"], item[attrRevision] = text("x"), number(7)
		_, err := w.d.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: new("leases"), Item: item})
		w.must(err)
		if rows := w.rows(); len(rows) != 0 {
			t.Errorf("rows %v", rows)
		}
	})
}

func TestScanFollowsPages(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		pad := strings.Repeat("x", 300<<10) // a page of a scan ends at 1 MB
		for i := range 10 {
			_, err := w.d.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: new("leases"), Item: map[string]ddbtypes.AttributeValue{
					attrShard: text(fmt.Sprintf("shardId-%012d", i)), "Pad": text(pad),
				},
			})
			w.must(err)
		}
		if n := len(w.rows()); n != 10 {
			t.Errorf("scan found %d rows of 10", n)
		}
	})
}

func TestCreateLeaseTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		server := awslocal.New(awslocal.Config{DynamoDB: awslocal.DynamoDBConfig{TableDelay: 10 * time.Second}})
		w.d = dynamodb.NewFromConfig(awsConfig(server.HTTPClient()))
		begun := time.Now()
		has := func(want bool) {
			t.Helper()
			if is, err := HasLeaseTable(t.Context(), w.d, "leases"); err != nil || is != want {
				t.Errorf("there is a table: %t, %v; want %t", is, err, want)
			}
		}
		has(false)
		w.must(CreateLeaseTable(t.Context(), w.d, "leases"))
		has(true)
		if time.Since(begun) < 10*time.Second {
			t.Error("did not wait for the table")
		}
		w.must(CreateLeaseTable(t.Context(), w.d, "leases"))
		out, err := w.d.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: new("leases")})
		w.must(err)
		if b := out.Table.BillingModeSummary; b == nil || b.BillingMode != ddbtypes.BillingModePayPerRequest {
			t.Errorf("billing mode: %+v", b)
		}

		for key, kind := range map[string]ddbtypes.ScalarAttributeType{"ID": "S", attrShard: "N"} {
			name := "other-" + key
			_, err := w.d.CreateTable(t.Context(), &dynamodb.CreateTableInput{
				TableName: &name, BillingMode: ddbtypes.BillingModePayPerRequest,
				AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: &key, AttributeType: kind}},
				KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: &key, KeyType: ddbtypes.KeyTypeHash}},
			})
			w.must(err)
			if err := CreateLeaseTable(t.Context(), w.d, name); err == nil || !strings.Contains(err.Error(), "its key is not the string "+attrShard) {
				t.Errorf("table with key %s %s: error = %v", key, kind, err)
			}
			if is, err := HasLeaseTable(t.Context(), w.d, name); is || err == nil || !strings.Contains(err.Error(), "its key is not the string "+attrShard) {
				t.Errorf("table with key %s %s: it is one: %t, %v", key, kind, is, err)
			}
		}
	})
}

// Sequence numbers are numbers, of any length.
func TestCompareSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[0-9]{1,60}`)
		a, b := digits.Draw(t, "a"), digits.Draw(t, "b")
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		if got := compareSequence(a, b); got != x.Cmp(y) {
			t.Fatalf("compareSequence(%s, %s) = %d", a, b, got)
		}
		if compareSequence("", a) != -1 || compareSequence(a, shardEnd) != -1 || compareSequence(shardEnd, a) != 1 {
			t.Fatalf("none, %s and the end of the shard are not in order", a)
		}
	})
	if compareSequence("", "") != 0 || compareSequence(shardEnd, shardEnd) != 0 || compareSequence("", shardEnd) != -1 {
		t.Error("checkpoints that are no numbers are not in order")
	}
}
