package awslocal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type av = types.AttributeValue

func elements(v av) []av          { return v.(*types.AttributeValueMemberL).Value }
func members(v av) attributes     { return v.(*types.AttributeValueMemberM).Value }
func text(v av) string            { return v.(*types.AttributeValueMemberS).Value }
func moment(it attributes) string { return it["moment"].(*types.AttributeValueMemberN).Value }

func (s *dynamoSuite) returnValues(t *testing.T) {
	key := attributes{"ShardID": str("rv")}
	before := attributes{"ShardID": str("rv"), "a": str("1"), "m": doc(attributes{"x": str("1"), "y": str("2")})}
	update := func(expression string, want types.ReturnValue) attributes {
		s.put(t, s.leases, before)
		out, err := s.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &s.leases, Key: key, UpdateExpression: &expression, ReturnValues: want,
			ExpressionAttributeValues: attributes{":v": str("new")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	for _, tt := range []struct {
		expression string
		values     types.ReturnValue
		want       attributes
	}{
		{"SET a = :v", "", nil},
		{"SET a = :v", types.ReturnValueNone, nil},
		{"SET a = :v", types.ReturnValueAllOld, before},
		{"SET a = :v REMOVE m", types.ReturnValueAllNew, attributes{"ShardID": str("rv"), "a": str("new")}},
		{"SET a = :v, b2 = :v", types.ReturnValueUpdatedOld, attributes{"a": str("1")}},
		{"SET a = :v, b2 = :v", types.ReturnValueUpdatedNew, attributes{"a": str("new"), "b2": str("new")}},
		{"SET a = :v REMOVE m", types.ReturnValueUpdatedNew, attributes{"a": str("new")}},
	} {
		if got := update(tt.expression, tt.values); spell(got) != spell(tt.want) {
			t.Errorf("%s returning %q: %s, want %s", tt.expression, tt.values, spell(got), spell(tt.want))
		}
	}

	s.put(t, s.leases, before)
	put, err := s.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.leases, Item: attributes{"ShardID": str("rv")}, ReturnValues: types.ReturnValueAllOld})
	if err != nil || spell(put.Attributes) != spell(before) {
		t.Errorf("put returned %s, %v", spell(put.Attributes), err)
	}
	del, err := s.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.leases, Key: key, ReturnValues: types.ReturnValueAllOld})
	if err != nil || spell(del.Attributes) != spell(key) {
		t.Errorf("delete returned %s, %v", spell(del.Attributes), err)
	}
	del, err = s.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.leases, Key: key, ReturnValues: types.ReturnValueAllOld})
	if err != nil || del.Attributes != nil {
		t.Errorf("delete of nothing returned %s, %v", spell(del.Attributes), err)
	}
}

func (s *dynamoSuite) projections(t *testing.T) {
	s.put(t, s.leases, sample())
	for projection, want := range map[string]attributes{
		"s, n":                    {"s": str("héllo"), "n": num("12.5")},
		"#id":                     {"ShardID": str("sample")},
		"m.deep.er, nope":         {"m": doc(attributes{"deep": doc(attributes{"er": num("1")})})},
		"l[2], l[0]":              {"l": list(str("x"), doc(attributes{"in": str("y")}))},
		"m.#k,m.deep":             {"m": sample()["m"]},
		"l[9], s.x, n[0], nope.x": {},
	} {
		names, _ := mentioned(projection)
		out, err := s.GetItem(t.Context(), &dynamodb.GetItemInput{
			TableName: &s.leases, Key: attributes{"ShardID": str("sample")}, ProjectionExpression: &projection, ExpressionAttributeNames: names,
		})
		if err != nil {
			t.Errorf("%s: %v", projection, err)
			continue
		}
		if spell(out.Item) != spell(want) {
			t.Errorf("%s: %s, want %s", projection, spell(out.Item), spell(want))
		}
	}
	for _, projection := range []string{"", "s,", "s s", "m, m.deep", "s, s", "l[0], l.x", "name", "#undefined", ":s", "s = :s", "size(s)"} {
		_, err := s.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &s.leases, Key: attributes{"ShardID": str("sample")}, ProjectionExpression: &projection})
		if errorCode(err) != "ValidationException" {
			t.Errorf("projection %q: %v", projection, err)
		}
	}
}

// values: what may be stored, and how it comes back.
func (s *dynamoSuite) values(t *testing.T) {
	for sent, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "1.50": "1.5", "1e3": "1000", "-1.5E-3": "-0.0015", ".5": "0.5", "100": "100",
		"12345678901234567890123456789012345678":      "12345678901234567890123456789012345678",
		"0.00000000000000000000000000000000000000001": "0.00000000000000000000000000000000000000001",
		"9.9999999999999999999999999999999999999E125": "99999999999999999999999999999999999999" + strings.Repeat("0", 88),
	} {
		s.put(t, s.leases, attributes{"ShardID": str("number"), "v": num(sent)})
		if got := s.get(t, s.leases, attributes{"ShardID": str("number")})["v"]; spell(got) != spell(num(want)) {
			t.Errorf("%s came back as %s, want %s", sent, spell(got), want)
		}
	}
	for name, bad := range map[string]av{
		"a word as number": num("one"), "an empty number": num(""), "two points": num("1.2.3"), "a plus": num("+4"), "39 digits": num(strings.Repeat("1", 39)),
		"too large": num("1e126"), "too small": num("1e-131"), "an empty set": strs(), "a set twice": strs("a", "a"), "a number twice": nums("1", "1.0"),
		"null that is not": &types.AttributeValueMemberNULL{Value: false}, "a bad number in a list": list(num("x")), "a bad number in a map": doc(attributes{"x": num("x")}),
	} {
		_, err := s.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.leases, Item: attributes{"ShardID": str("bad"), "v": bad}})
		if errorCode(err) != "ValidationException" {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.put(t, s.leases, sample())
	want := sample()
	want["ns"] = nums("1", "2")
	if got := s.get(t, s.leases, attributes{"ShardID": str("sample")}); spell(got) != spell(want) {
		t.Errorf("came back as %s", spell(got))
	}
}

func (s *dynamoSuite) keys(t *testing.T) {
	for name, key := range map[string]attributes{
		"none": {}, "another": {"x": str("a")}, "one too many": {"ShardID": str("a"), "x": str("a")}, "of another kind": {"ShardID": num("1")}, "empty": {"ShardID": str("")},
		"too long": {"ShardID": str(strings.Repeat("a", 2049))},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &s.leases, Key: key})
			wantCode(t, err, "ValidationException")
			_, err = s.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.leases, Key: key})
			wantCode(t, err, "ValidationException")
			_, err = s.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: &s.leases, Key: key})
			wantCode(t, err, "ValidationException")
			if name == "one too many" {
				return
			}
			_, err = s.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.leases, Item: key})
			wantCode(t, err, "ValidationException")
		})
	}
	_, err := s.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.leases, Item: attributes{"ShardID": str("large"), "v": str(strings.Repeat("a", 400<<10))}})
	wantCode(t, err, "ValidationException")
	s.put(t, s.leases, attributes{"ShardID": str("large"), "v": str(strings.Repeat("a", 400<<10-20))})
	_, err = s.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &s.leases, Key: attributes{"ShardID": str("large")}, UpdateExpression: aws.String("SET w = v"),
	})
	wantCode(t, err, "ValidationException")
}

func (s *dynamoSuite) batches(t *testing.T) {
	put := func(id string) types.WriteRequest {
		return types.WriteRequest{PutRequest: &types.PutRequest{Item: attributes{"ShardID": str(id)}}}
	}
	del := func(id string) types.WriteRequest {
		return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: attributes{"ShardID": str(id)}}}
	}
	write := func(requests ...types.WriteRequest) error {
		out, err := s.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{s.leases: requests}})
		if err == nil && len(out.UnprocessedItems) != 0 {
			t.Errorf("unprocessed: %v", out.UnprocessedItems)
		}
		return err
	}
	there := func(id string) bool { return s.get(t, s.leases, attributes{"ShardID": str(id)}) != nil }
	wantCode(t, write(put("b1"), put("b2")), "")
	wantCode(t, write(del("b1"), put("b3"), del("never was")), "")
	if there("b1") || !there("b2") || !there("b3") {
		t.Errorf("b1 %v, b2 %v, b3 %v; want the last two", there("b1"), there("b2"), there("b3"))
	}
	wantCode(t, write(), "ValidationException")
	wantCode(t, write(put("b4"), put("b4")), "ValidationException")
	wantCode(t, write(put("b4"), del("b4")), "ValidationException")
	wantCode(t, write(types.WriteRequest{}), "ValidationException")
	wantCode(t, write(put("b4"), put("")), "ValidationException")
	var many []types.WriteRequest
	for i := range 26 {
		many = append(many, put(fmt.Sprint("many", i)))
	}
	wantCode(t, write(many...), "ValidationException")
	if there("b4") || there("many0") {
		t.Error("a refused batch wrote something")
	}
	wantCode(t, write(many[:25]...), "")
	_, err := s.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"nowhere": {put("x")}}})
	wantCode(t, err, "ResourceNotFoundException")
}

// lease goes through what KCL and Weir's own checkpoints do to a row.
func (s *dynamoSuite) lease(t *testing.T) {
	ctx, id := t.Context(), attributes{"ShardID": str("shard-1")}
	row := func(owner, timeout, checkpoint string) attributes {
		return attributes{"ShardID": str("shard-1"), "AssignedTo": str(owner), "LeaseTimeout": str(timeout), "Checkpoint": str(checkpoint)}
	}
	take := func(condition string, values attributes, it attributes) error {
		_, err := s.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.leases, Item: it, ConditionExpression: &condition, ExpressionAttributeValues: values})
		return err
	}
	wantCode(t, take("attribute_not_exists(AssignedTo)", nil, row("w1", "t1", "10")), "")
	wantCode(t, take("attribute_not_exists(AssignedTo)", nil, row("w2", "t1", "10")), "ConditionalCheckFailedException")
	held := "ShardID = :id AND AssignedTo = :assigned_to AND LeaseTimeout = :lease_timeout"
	by := func(owner, timeout string) attributes {
		return attributes{":id": str("shard-1"), ":assigned_to": str(owner), ":lease_timeout": str(timeout)}
	}
	wantCode(t, take(held, by("w1", "t1"), row("w2", "t2", "10")), "")
	wantCode(t, take(held, by("w1", "t1"), row("w1", "t3", "10")), "ConditionalCheckFailedException")
	// KCL puts no space before this AND.
	wantCode(t, take("attribute_not_exists(ClaimRequest)AND AssignedTo = :assigned_to", attributes{":assigned_to": str("w2")}, row("w2", "t3", "10")), "")

	checkpoint := func(owner, at string) error {
		_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.leases, Key: id,
			UpdateExpression:                    aws.String("SET Checkpoint = :at"),
			ConditionExpression:                 aws.String("AssignedTo = :me AND Checkpoint <> :end"),
			ExpressionAttributeValues:           attributes{":at": str(at), ":me": str(owner), ":end": str("SHARD_END")},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	}
	wantCode(t, checkpoint("w2", "11"), "")
	var lost *types.ConditionalCheckFailedException
	if err := checkpoint("w1", "9"); !errors.As(err, &lost) || lost.Item != nil && text(lost.Item["AssignedTo"]) != "w2" {
		t.Errorf("the old owner's checkpoint: %v", err)
	}
	wantCode(t, checkpoint("w2", "SHARD_END"), "")
	wantCode(t, checkpoint("w2", "12"), "ConditionalCheckFailedException")

	_, err := s.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.leases, Key: id, UpdateExpression: aws.String("remove AssignedTo"),
		ConditionExpression: aws.String("AssignedTo = :assigned_to"), ExpressionAttributeValues: attributes{":assigned_to": str("w2")},
	})
	wantCode(t, err, "")
	want := attributes{"ShardID": str("shard-1"), "LeaseTimeout": str("t3"), "Checkpoint": str("SHARD_END")}
	if got := s.get(t, s.leases, id); spell(got) != spell(want) {
		t.Errorf("at the end: %s", spell(got))
	}
	out, err := s.Scan(ctx, &dynamodb.ScanInput{
		TableName: &s.leases, Select: types.SelectSpecificAttributes, ProjectionExpression: aws.String("ShardID,AssignedTo,Checkpoint"),
	})
	delete(want, "LeaseTimeout")
	if err != nil || !slices.ContainsFunc(out.Items, func(it attributes) bool { return spell(it) == spell(want) }) {
		t.Errorf("not in the scan: %v", err)
	}
}
