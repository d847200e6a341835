package ban

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/zap"

	"weir/internal/awslocal"
)

// dynamoClient reaches a stand-in, in this process or at an address.
func dynamoClient(client aws.HTTPClient, url string) *dynamodb.Client {
	o := dynamodb.Options{
		Region: "us-east-1", HTTPClient: client, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
	if url != "" {
		o.BaseEndpoint = &url
	}
	return dynamodb.New(o)
}

const testTable = "weir-bans"

// cloud is a stand-in with a table, and the tasks that share it.
type cloud struct {
	server *awslocal.Server
	client *dynamodb.Client
}

func newCloud(t testing.TB, cfg awslocal.Config) *cloud {
	t.Helper()
	server := awslocal.New(cfg)
	w := &cloud{server, dynamoClient(server.HTTPClient(), "")}
	if err := CreateTable(t.Context(), w.client, testTable); err != nil {
		t.Fatal(err)
	}
	return w
}

// storage is one process's view of the table.
func (w *cloud) storage() *table { return newTable(w.client, testTable, 30*24*time.Hour, zap.NewNop()) }
