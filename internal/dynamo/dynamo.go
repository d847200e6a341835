// Package dynamo makes tables of DynamoDB, and tells whether one that is there has the
// keys that are wanted.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// tableWait bounds how long CreateTable waits for the table to be ready.
const tableWait = 2 * time.Minute

// HasTable reports whether there is a table of that name with these keys, one or two,
// which are strings. The error says so if there is one with others.
func HasTable(ctx context.Context, client *dynamodb.Client, name string, keys ...string) (bool, error) {
	out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	var none *types.ResourceNotFoundException
	switch {
	case errors.As(err, &none):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for table %s: %w", name, err)
	}
	err = checkKeys(out.Table, name, keys)
	return err == nil, err
}

// CreateTable makes a table with these keys, one or two, which are strings, billed by
// request, and returns once it can be used. One that is there already is left as it is;
// the error says so if it has other keys.
func CreateTable(ctx context.Context, client *dynamodb.Client, name string, keys ...string) error {
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	in.AttributeDefinitions, in.KeySchema = schema(keys)
	_, err := client.CreateTable(ctx, in)
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
	return checkKeys(out.Table, name, keys)
}

// schema says that these keys are strings, the first of them the partition's.
func schema(keys []string) (defined []types.AttributeDefinition, schema []types.KeySchemaElement) {
	roles := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}
	for i, k := range keys {
		defined = append(defined, types.AttributeDefinition{AttributeName: aws.String(k), AttributeType: types.ScalarAttributeTypeS})
		schema = append(schema, types.KeySchemaElement{AttributeName: aws.String(k), KeyType: roles[i]})
	}
	return defined, schema
}

// checkKeys refuses a table with other keys. What its indexes are about is its own.
func checkKeys(t *types.TableDescription, name string, keys []string) error {
	defined, want := schema(keys)
	fits := len(t.KeySchema) == len(want)
	for _, w := range want {
		fits = fits && slices.ContainsFunc(t.KeySchema, func(k types.KeySchemaElement) bool {
			return aws.ToString(k.AttributeName) == *w.AttributeName && k.KeyType == w.KeyType
		})
	}
	for _, w := range defined {
		fits = fits && slices.ContainsFunc(t.AttributeDefinitions, func(a types.AttributeDefinition) bool {
			return aws.ToString(a.AttributeName) == *w.AttributeName && a.AttributeType == w.AttributeType
		})
	}
	if !fits {
		said := "its key is not the string "
		if len(keys) > 1 {
			said = "its keys are not the strings "
		}
		return fmt.Errorf("table %s exists, but %s%s", name, said, strings.Join(keys, " and "))
	}
	return nil
}
