package dynamo

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/awslocal"
)

// newClient reaches a stand-in whose tables take so long to be ready.
func newClient(delay time.Duration) *dynamodb.Client {
	server := awslocal.New(awslocal.Config{DynamoDB: awslocal.DynamoDBConfig{TableDelay: delay}})
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", HTTPClient: server.HTTPClient(), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// A table is made once, and can be used when CreateTable returns.
func TestCreateTable(t *testing.T) {
	for _, keys := range [][]string{{"a"}, {"a", "b"}} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(10 * time.Second)
			for _, want := range []bool{false, true} {
				if is, err := HasTable(t.Context(), client, "table", keys...); is != want || err != nil {
					t.Errorf("%q: there %t, %v; want %t", keys, is, err, want)
				}
				if err := CreateTable(t.Context(), client, "table", keys...); err != nil {
					t.Fatal(err)
				}
			}
			it := map[string]types.AttributeValue{}
			for _, k := range keys {
				it[k] = &types.AttributeValueMemberS{Value: "x"}
			}
			if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("table"), Item: it}); err != nil {
				t.Error(err)
			}
		})
	}
}

// One with other keys is refused, and left as it is.
func TestOtherKeys(t *testing.T) {
	made := [][]string{{"a"}, {"b"}, {"a", "b"}, {"b", "a"}, {"a", "c"}}
	for _, is := range made {
		for _, want := range made {
			client := newClient(0)
			if err := CreateTable(t.Context(), client, "table", is...); err != nil {
				t.Fatal(err)
			}
			same := strings.Join(is, " ") == strings.Join(want, " ")
			err := CreateTable(t.Context(), client, "table", want...)
			has, errs := HasTable(t.Context(), client, "table", want...)
			if has != same || (err == nil) != same || (errs == nil) != same {
				t.Errorf("%q where %q is wanted: %t, %v, %v", is, want, has, err, errs)
			}
			if !same && (!strings.Contains(err.Error(), "table table exists") || !strings.HasSuffix(errs.Error(), strings.Join(want, " and "))) {
				t.Errorf("%v; %v", err, errs)
			}
		}
	}
	client := newClient(0)
	in := &dynamodb.CreateTableInput{TableName: aws.String("table"), BillingMode: types.BillingModePayPerRequest}
	in.AttributeDefinitions, in.KeySchema = schema([]string{"a"})
	in.AttributeDefinitions[0].AttributeType = types.ScalarAttributeTypeN
	if _, err := client.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if has, err := HasTable(t.Context(), client, "table", "a"); has || err == nil {
		t.Errorf("a number is taken for a string: %t, %v", has, err)
	}
}

// What cannot be found out is an error, and says of which table.
func TestTrouble(t *testing.T) {
	client := newClient(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if has, err := HasTable(ctx, client, "table", "a"); has || err == nil || !strings.Contains(err.Error(), "look for table table") {
		t.Errorf("%t, %v", has, err)
	}
	if err := CreateTable(ctx, client, "table", "a"); err == nil || !strings.Contains(err.Error(), "create table table") {
		t.Error(err)
	}
}
