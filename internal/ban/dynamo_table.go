package ban

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/dynamo"
)

// HasTable reports whether there is a table of that name that decisions can be kept in.
// The error says so if there is one that cannot serve.
func HasTable(ctx context.Context, client *dynamodb.Client, name string) (bool, error) {
	return dynamo.HasTable(ctx, client, name, attrPK, attrSK)
}

// CreateTable makes the table that decisions are kept in, billed by request, and has
// DynamoDB delete from it what has ended; it returns once the table can be used. One
// that is there already is left as it is, but for the latter; the error says so if it
// cannot serve.
func CreateTable(ctx context.Context, client *dynamodb.Client, name string) error {
	if err := dynamo.CreateTable(ctx, client, name, attrPK, attrSK); err != nil {
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
