package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// tableWait bounds how long CreateLeaseTable waits for the table to be ready.
const tableWait = 2 * time.Minute

// HasLeaseTable reports whether there is a table of that name that a [Source] can
// keep its leases in. The error says so if there is one that cannot serve.
func HasLeaseTable(ctx context.Context, client *dynamodb.Client, name string) (bool, error) {
	out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	var none *types.ResourceNotFoundException
	switch {
	case errors.As(err, &none):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for lease table %s: %w", name, err)
	case !hasLeaseKey(out.Table):
		return false, noLeaseTable(name)
	}
	return true, nil
}

// CreateLeaseTable makes the table that a [Source] keeps its leases in, billed
// by request, and returns once it can be used. A table that is there already is
// left as it is; the error says so if it cannot serve.
func CreateLeaseTable(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrShard), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(attrShard), KeyType: types.KeyTypeHash}},
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create lease table %s: %w", name, err)
	}
	wait := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 500*time.Millisecond, 5*time.Second
	})
	out, err := wait.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableWait)
	if err != nil {
		return fmt.Errorf("wait for lease table %s: %w", name, err)
	}
	if !hasLeaseKey(out.Table) {
		return noLeaseTable(name)
	}
	return nil
}

func noLeaseTable(name string) error {
	return fmt.Errorf("table %s exists, but its key is not the string %s: it is no lease table", name, attrShard)
}

func hasLeaseKey(t *types.TableDescription) bool {
	if len(t.KeySchema) != 1 || *t.KeySchema[0].AttributeName != attrShard {
		return false
	}
	for _, a := range t.AttributeDefinitions {
		if *a.AttributeName == attrShard {
			return a.AttributeType == types.ScalarAttributeTypeS
		}
	}
	return false
}
