package awslocal

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/awslocal/expression"
)

// DynamoDBConfig is the DynamoDB stand-in's settings.
type DynamoDBConfig struct {
	// TableDelay is how long a table is CREATING before it is ACTIVE, and
	// DELETING before it is gone. 0 = not at all.
	TableDelay time.Duration

	// BatchLimit is how many requests of a BatchWriteItem are carried out at most: the
	// others are left unprocessed. 0 = all.
	BatchLimit int
}

// dynamo is the DynamoDB stand-in: tables of items without secondary indexes,
// streams or transactions, from which nothing expires. All reads are consistent, so it cannot show that a
// client forgot to ask for one.
type dynamo struct {
	unlimited
	cfg Config

	mu     sync.Mutex
	tables map[string]*table
}

func newDynamo(cfg Config) *dynamo {
	return &dynamo{cfg: cfg, tables: make(map[string]*table)}
}

type dynamoAction func(d *dynamo, w http.ResponseWriter, body []byte) (any, error)

var dynamoTable = map[string]dynamoAction{
	"CreateTable":   on((*dynamo).createTable),
	"DescribeTable": on((*dynamo).describeTable),
	"DeleteTable":   on((*dynamo).deleteTable),
	"ListTables":    on((*dynamo).listTables),

	"DescribeTimeToLive": on((*dynamo).describeTTL),
	"UpdateTimeToLive":   on((*dynamo).updateTTL),

	"GetItem":        on((*dynamo).getItem),
	"PutItem":        on((*dynamo).putItem),
	"UpdateItem":     on((*dynamo).updateItem),
	"DeleteItem":     on((*dynamo).deleteItem),
	"Scan":           on((*dynamo).scan),
	"Query":          on((*dynamo).query),
	"BatchWriteItem": on((*dynamo).batchWriteItem),
}

// dynamoActions are the actions that are routed to the stand-in.
var dynamoActions = slices.Sorted(maps.Keys(dynamoTable))

// tableName is the member that all inputs but two have.
type tableName struct{ TableName string }

// table returns the name, also of a table that was given by its ARN.
func (n tableName) table() string {
	if i := strings.Index(n.TableName, ":table/"); i >= 0 && strings.HasPrefix(n.TableName, "arn:") {
		return n.TableName[i+len(":table/"):]
	}
	return n.TableName
}

// on makes an action of a method: the body is decoded and the table noted first.
func on[In any, P interface {
	*In
	table() string
}](method func(*dynamo, P) (any, error)) dynamoAction {
	return func(d *dynamo, w http.ResponseWriter, body []byte) (any, error) {
		in := P(new(In))
		if err := decode(body, in); err != nil {
			return nil, err
		}
		noteResource(w, in.table())
		return method(d, in)
	}
}

func (d *dynamo) carryOut(w http.ResponseWriter, _ *http.Request, action string, body []byte) {
	out, err := dynamoTable[action](d, w, body)
	reply(w, out, validation(err))
}

// validation gives errors of the expression package their AWS name.
func validation(err error) error {
	var bad *expression.Error
	if !errors.As(err, &bad) {
		return err
	}
	var wrapped *apiError
	if errors.As(err, &wrapped) {
		return invalid("%v", bad) // it is the JSON of a value that was wrong
	}
	return invalid("%v", err)
}

func invalid(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "ValidationException", format, args...)
}

func tableNotFound(what string) error {
	return fail(http.StatusBadRequest, "ResourceNotFoundException", "requested resource not found: %s", what)
}

// checkOneOf refuses an enumeration's unknown members. "" is the default.
func checkOneOf(member, got string, known ...string) error {
	if got == "" || slices.Contains(known, got) {
		return nil
	}
	return invalid("%s: %q is none of %q", member, got, known)
}

// parsed runs one of the expression parsers on a member that may be missing.
func parsed[T any](parse func(string) (T, error), member string, text *string) (T, error) {
	if text == nil {
		var none T
		return none, nil
	}
	out, err := parse(*text)
	if err != nil {
		return out, fmt.Errorf("invalid %s: %w", member, err)
	}
	return out, nil
}
