package awslocal

import "net/http"

// DynamoDBConfig is the DynamoDB stand-in's settings.
type DynamoDBConfig struct{}

// dynamoActions are the actions that are routed to the stand-in.
var dynamoActions = []string{"ListTables"}

type dynamo struct{}

func newDynamo(Config) *dynamo { return &dynamo{} }

func (*dynamo) serve(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	reply(w, map[string]any{"TableNames": []any{}}, nil)
}
