package kinesis

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"weir/internal/dynamo"
)

// HasLeaseTable reports whether there is a table of that name that a [Source] can
// keep its leases in. The error says so if there is one that cannot serve.
func HasLeaseTable(ctx context.Context, client *dynamodb.Client, name string) (bool, error) {
	return dynamo.HasTable(ctx, client, name, attrShard)
}

// CreateLeaseTable makes the table that a [Source] keeps its leases in, billed
// by request, and returns once it can be used. A table that is there already is
// left as it is; the error says so if it cannot serve.
func CreateLeaseTable(ctx context.Context, client *dynamodb.Client, name string) error {
	return dynamo.CreateTable(ctx, client, name, attrShard)
}
