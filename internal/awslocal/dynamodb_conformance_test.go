package awslocal

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"weir/internal/awslocal/npm"
)

// The conformance suite says what Weir and KCL rely on in DynamoDB. It runs
// against our stand-in and against an independent one, so that what ours does
// is not merely what we believe.

func TestDynamoConformance(t *testing.T) {
	testDynamo(t, newDynamoClient(New(Config{})), nil)
}

func TestDynamoConformanceDynalite(t *testing.T) {
	url := npm.Start(t, "dynalite", "4.0.0", map[string]any{"createTableMs": 0, "deleteTableMs": 0})
	testDynamo(t, dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(url), HTTPClient: httpClient(t),
		Credentials: testCredentials(), Retryer: aws.NopRetryer{},
	}), []string{
		// What dynalite is known to do otherwise than AWS, by the end of the test's name.
		"m_=_:m",                       // takes 1 and 1.0 for different numbers inside a map
		"s_<_:t", "s_>_:ss", "s_<=_:m", // compares what has no order
		"s_=_:s_OR_s_=_:s_OR_s_=_:s_OR_s_=_:s_OR_",                              // has no limit for expressions
		"size(nil1)_<_:1",                                                       // an empty string has no size
		"REMOVE_l[0],_l[1],_l[9]",                                               // counts from the list as the first removal left it
		"a_segment_of_nothing", "specific_but_none_named", "all_but_some_named", // lets these pass
	})
}

type attributes = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
func bin(s string) types.AttributeValue { return &types.AttributeValueMemberB{Value: []byte(s)} }
func strs(s ...string) types.AttributeValue {
	return &types.AttributeValueMemberSS{Value: s}
}
func nums(s ...string) types.AttributeValue { return &types.AttributeValueMemberNS{Value: s} }
func list(v ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: v}
}
func doc(m attributes) types.AttributeValue { return &types.AttributeValueMemberM{Value: m} }
func yes(b bool) types.AttributeValue       { return &types.AttributeValueMemberBOOL{Value: b} }
func null() types.AttributeValue            { return &types.AttributeValueMemberNULL{Value: true} }

// spell writes attributes so that equal ones look equal: a set has no order.
func spell(v any) string {
	switch v := v.(type) {
	case attributes:
		var parts []string
		for name, a := range v {
			parts = append(parts, name+"="+spell(a))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, " ") + "}"
	case *types.AttributeValueMemberM:
		return spell(v.Value)
	case *types.AttributeValueMemberL:
		var parts []string
		for _, a := range v.Value {
			parts = append(parts, spell(a))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case *types.AttributeValueMemberSS:
		return fmt.Sprintf("SS%q", slices.Sorted(slices.Values(v.Value)))
	case *types.AttributeValueMemberNS:
		return fmt.Sprintf("NS%q", slices.Sorted(slices.Values(v.Value)))
	}
	e := reflect.ValueOf(v).Elem()
	return fmt.Sprintf("%s(%q)", strings.TrimPrefix(e.Type().Name(), "AttributeValueMember"), fmt.Sprint(e.FieldByName("Value")))
}

// dynamoSuite is the suite's two tables and the client.
type dynamoSuite struct {
	*dynamodb.Client
	leases string // hash key ShardID
	visits string // hash key client (S), sort key moment (N)
	gaps   []string
}

// skipGap skips a test in which the server is known to be wrong.
func (s *dynamoSuite) skipGap(t *testing.T) {
	t.Helper()
	for _, gap := range s.gaps {
		if strings.HasSuffix(t.Name(), "/"+gap) {
			t.Skip("this server is known to do otherwise than AWS")
		}
	}
}

func testDynamo(t *testing.T, client *dynamodb.Client, gaps []string) {
	s := &dynamoSuite{Client: client, leases: "leases", visits: "visits", gaps: gaps}
	t.Run("tables", s.tables)
	for _, in := range []*dynamodb.CreateTableInput{leaseTable(s.leases), visitTable(s.visits)} {
		if _, err := client.CreateTable(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		s.waitActive(t, *in.TableName)
	}
	t.Run("conditions", s.conditions)
	t.Run("senseless conditions", s.badConditions)
	t.Run("updates", s.updates)
	t.Run("senseless updates", s.badUpdates)
	t.Run("return values", s.returnValues)
	t.Run("projections", s.projections)
	t.Run("values", s.values)
	t.Run("keys", s.keys)
	t.Run("scan", s.scan)
	t.Run("query", s.query)
	t.Run("senseless queries", s.badQueries)
	t.Run("pages of a megabyte", s.megabyte)
	t.Run("batches", s.batches)
	t.Run("a life of a lease", s.lease)
}

func leaseTable(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:            aws.String(name),
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("ShardID"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("ShardID"), KeyType: "HASH"}},
		BillingMode:          types.BillingModePayPerRequest,
	}
}

func visitTable(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName: aws.String(name),
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("client"), AttributeType: "S"},
			{AttributeName: aws.String("moment"), AttributeType: "N"},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("client"), KeyType: "HASH"},
			{AttributeName: aws.String("moment"), KeyType: "RANGE"},
		},
		ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(100), WriteCapacityUnits: aws.Int64(100)},
	}
}

// waitActive asks until the table can be used: another server may take its time.
func (s *dynamoSuite) waitActive(t *testing.T, table string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		out, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		if out.Table.TableStatus == types.TableStatusActive {
			return
		}
	}
}

func (s *dynamoSuite) put(t *testing.T, table string, items ...attributes) {
	t.Helper()
	for _, it := range items {
		if _, err := s.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it}); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *dynamoSuite) get(t *testing.T, table string, key attributes) attributes {
	t.Helper()
	out, err := s.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

func (s *dynamoSuite) tables(t *testing.T) {
	ctx := t.Context()
	_, err := s.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("nowhere")})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = s.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("nowhere")})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = s.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("nowhere"), Key: attributes{"ShardID": str("a")}})
	wantCode(t, err, "ResourceNotFoundException")

	bad := map[string]func(*dynamodb.CreateTableInput){
		"name too short":          func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("ab") },
		"name with a slash":       func(in *dynamodb.CreateTableInput) { in.TableName = aws.String("a/b/c") },
		"key that is not defined": func(in *dynamodb.CreateTableInput) { in.KeySchema[0].AttributeName = aws.String("other") },
		"definition without a key": func(in *dynamodb.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("x"), AttributeType: "S"})
		},
		"range key only": func(in *dynamodb.CreateTableInput) { in.KeySchema[0].KeyType = types.KeyTypeRange },
		"units on demand": func(in *dynamodb.CreateTableInput) {
			in.ProvisionedThroughput = &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(1), WriteCapacityUnits: aws.Int64(1)}
		},
		"no units when provisioned": func(in *dynamodb.CreateTableInput) { in.BillingMode = types.BillingModeProvisioned },
		"a map as key":              func(in *dynamodb.CreateTableInput) { in.AttributeDefinitions[0].AttributeType = "M" },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			in := leaseTable("spoilt")
			spoil(in)
			_, err := s.CreateTable(t.Context(), in)
			wantCode(t, err, "ValidationException")
		})
	}

	in := visitTable("shortlived")
	created, err := s.CreateTable(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if d := created.TableDescription; !strings.HasSuffix(aws.ToString(d.TableArn), ":table/shortlived") || len(d.KeySchema) != 2 {
		t.Errorf("created %+v", d)
	}
	_, err = s.CreateTable(ctx, in)
	wantCode(t, err, "ResourceInUseException")
	s.waitActive(t, "shortlived")
	_, err = s.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: in.TableName})
	wantCode(t, err, "")
	_, err = s.PutItem(ctx, &dynamodb.PutItemInput{TableName: in.TableName, Item: attributes{"client": str("a"), "moment": num("1")}})
	wantCode(t, err, "ResourceNotFoundException")
}
