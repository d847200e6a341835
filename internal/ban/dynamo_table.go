package ban

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// tableWait bounds how long CreateTable waits for the table to be ready.
const tableWait = 2 * time.Minute

// HasTable reports whether there is a table of that name that decisions can be kept in.
// The error says so if there is one that cannot serve.
func HasTable(ctx context.Context, client *dynamodb.Client, name string) (bool, error) {
	out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	var none *types.ResourceNotFoundException
	switch {
	case errors.As(err, &none):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for table %s: %w", name, err)
	}
	return true, checkKeys(out.Table, name)
}

// CreateTable makes the table that decisions are kept in, billed by request, and has
// DynamoDB delete from it what has ended; it returns once the table can be used. One
// that is there already is left as it is, but for the latter; the error says so if it
// cannot serve.
func CreateTable(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrPK), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrSK), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(attrPK), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(attrSK), KeyType: types.KeyTypeRange},
		},
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create table %s: %w", name, err)
	}
	wait := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 500*time.Millisecond, 5*time.Second
	})
	out, err := wait.WaitForOutput(ctx, &dynamodb.DescribeTableInput{TableName: &name}, tableWait)
	if err != nil {
		return fmt.Errorf("wait for table %s: %w", name, err)
	}
	if err := checkKeys(out.Table, name); err != nil {
		return err
	}
	return expire(ctx, client, name)
}

// expire has DynamoDB delete items by their attribute ttl, unless it does already: to
// ask for that again is an error.
func expire(ctx context.Context, client *dynamodb.Client, name string) error {
	is, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		return fmt.Errorf("look what table %s deletes by itself: %w", name, err)
	}
	if d := is.TimeToLiveDescription; d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
		if aws.ToString(d.AttributeName) != attrTTL {
			return fmt.Errorf("table %s deletes items by their attribute %s, where %s is wanted: switch that off, and run this again an hour later", name, aws.ToString(d.AttributeName), attrTTL)
		}
		return nil
	}
	_, err = client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(attrTTL), Enabled: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("have table %s delete what has ended: %w", name, err)
	}
	return nil
}

// checkKeys refuses a table with other keys than ours.
func checkKeys(t *types.TableDescription, name string) error {
	want := map[string]types.KeyType{attrPK: types.KeyTypeHash, attrSK: types.KeyTypeRange}
	fits := len(t.KeySchema) == len(want) && len(t.AttributeDefinitions) >= len(want)
	for _, k := range t.KeySchema {
		fits = fits && want[aws.ToString(k.AttributeName)] == k.KeyType
	}
	for _, a := range t.AttributeDefinitions {
		if _, ours := want[aws.ToString(a.AttributeName)]; ours {
			fits = fits && a.AttributeType == types.ScalarAttributeTypeS
		}
	}
	if !fits {
		return fmt.Errorf("table %s exists, but its keys are not the strings %s and %s: %w", name, attrPK, attrSK, errTable)
	}
	return nil
}
