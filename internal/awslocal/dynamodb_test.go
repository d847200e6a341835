package awslocal

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"
)

func TestDynamoTableTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newDynamoClient(New(Config{DynamoDB: DynamoDBConfig{TableDelay: 5 * time.Second}}))
		name := aws.String("leases")
		status := func() types.TableStatus {
			out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: name})
			if errorCode(err) == "ResourceNotFoundException" {
				return "gone"
			}
			if err != nil {
				t.Fatal(err)
			}
			return out.Table.TableStatus
		}
		put := func() error {
			_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: name, Item: attributes{"ShardID": str("a")}})
			return err
		}
		del := func() error {
			_, err := client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: name})
			return err
		}
		_, err := client.CreateTable(t.Context(), leaseTable("leases"))
		wantCode(t, err, "")
		wantCode(t, put(), "ResourceNotFoundException")
		wantCode(t, del(), "ResourceInUseException")
		if got := status(); got != "CREATING" {
			t.Errorf("at once: %s", got)
		}
		time.Sleep(5 * time.Second)
		wantCode(t, put(), "")
		wantCode(t, del(), "")
		wantCode(t, put(), "ResourceNotFoundException")
		wantCode(t, del(), "ResourceInUseException")
		_, err = client.CreateTable(t.Context(), leaseTable("leases"))
		wantCode(t, err, "ResourceInUseException")
		if got := status(); got != "DELETING" {
			t.Errorf("deleted: %s", got)
		}
		time.Sleep(5 * time.Second)
		if got := status(); got != "gone" {
			t.Errorf("long deleted: %s", got)
		}
	})
}

func TestDynamoTables(t *testing.T) {
	s := New(Config{AccountID: "123456789012", Region: "eu-west-1"})
	client := newDynamoClient(s)
	for i := range 5 {
		in := leaseTable(fmt.Sprint("table-", i))
		in.DeletionProtectionEnabled = aws.Bool(i == 3)
		_, err := client.CreateTable(t.Context(), in)
		wantCode(t, err, "")
	}
	_, err := client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("table-3")})
	wantCode(t, err, "ValidationException")
	var names []string
	for in := (&dynamodb.ListTablesInput{Limit: aws.Int32(2)}); ; {
		out, err := client.ListTables(t.Context(), in)
		wantCode(t, err, "")
		names = append(names, out.TableNames...)
		if in.ExclusiveStartTableName = out.LastEvaluatedTableName; in.ExclusiveStartTableName == nil {
			break
		}
	}
	if !slices.Equal(names, strings.Fields("table-0 table-1 table-2 table-3 table-4")) {
		t.Errorf("tables %v", names)
	}
	_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("arn:aws:dynamodb:eu-west-1:123456789012:table/table-1"), Item: attributes{"ShardID": str("a")}})
	wantCode(t, err, "")
	out, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("table-1")})
	wantCode(t, err, "")
	if d := out.Table; *d.TableArn != "arn:aws:dynamodb:eu-west-1:123456789012:table/table-1" || *d.ItemCount != 1 || *d.TableSizeBytes != 8 || d.BillingModeSummary.BillingMode != "PAY_PER_REQUEST" {
		t.Errorf("%+v", d)
	}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("table-1")}, time.Second); err != nil {
		t.Errorf("the SDK's waiter: %v", err)
	}
}

func TestDynamoCountsCapacity(t *testing.T) {
	client := newDynamoClient(New(Config{}))
	_, err := client.CreateTable(t.Context(), leaseTable("leases"))
	wantCode(t, err, "")
	table, key := aws.String("leases"), attributes{"ShardID": str("a")}
	put, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: table, Item: attributes{"ShardID": str("a"), "v": str(strings.Repeat("x", 5000))}, ReturnConsumedCapacity: "TOTAL",
	})
	if err != nil || *put.ConsumedCapacity.CapacityUnits != 5 {
		t.Errorf("put: %+v, %v", put, err)
	}
	for consistent, want := range map[bool]float64{true: 2, false: 1} {
		get, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: &consistent, ReturnConsumedCapacity: "INDEXES"})
		if err != nil || *get.ConsumedCapacity.CapacityUnits != want || *get.ConsumedCapacity.Table.CapacityUnits != want {
			t.Errorf("get, consistent %v: %+v, %v", consistent, get, err)
		}
	}
	scan, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: table})
	if err != nil || scan.ConsumedCapacity != nil {
		t.Errorf("scan: %+v, %v", scan.ConsumedCapacity, err)
	}
}

func TestDynamoReturnsTheItemThatWasInTheWay(t *testing.T) {
	client := newDynamoClient(New(Config{}))
	_, err := client.CreateTable(t.Context(), leaseTable("leases"))
	wantCode(t, err, "")
	in := &dynamodb.PutItemInput{
		TableName: aws.String("leases"), Item: attributes{"ShardID": str("a"), "AssignedTo": str("w1")}, ConditionExpression: aws.String("attribute_not_exists(ShardID)"),
	}
	_, err = client.PutItem(t.Context(), in)
	wantCode(t, err, "")
	for want, mode := range map[string]types.ReturnValuesOnConditionCheckFailure{"": "NONE", "w1": "ALL_OLD"} {
		in.ReturnValuesOnConditionCheckFailure = mode
		_, err = client.PutItem(t.Context(), in)
		var failed *types.ConditionalCheckFailedException
		if !errors.As(err, &failed) {
			t.Fatal(err)
		}
		if want == "" && failed.Item != nil || want != "" && text(failed.Item["AssignedTo"]) != want {
			t.Errorf("%s: %v", mode, failed.Item)
		}
	}
}

// leaseTwin is the table of leases as plain Go would have it.
type leaseTwin map[string]twinLease

type twinLease struct {
	owner string
	count int
}

// Any sequence of conditional writes leaves the table as a map would be left,
// and each of them succeeds when the map says it should.
func TestDynamoProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		client := newDynamoClient(New(Config{}))
		ctx, table := t.Context(), aws.String("leases")
		if _, err := client.CreateTable(ctx, leaseTable(*table)); err != nil {
			t.Fatal(err)
		}
		twin := make(leaseTwin)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
			owner := rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "owner")
			key, me := attributes{"ShardID": str(id)}, attributes{":me": str(owner)}
			was := twin[id] // no owner if it is not there
			var err error
			var allowed bool
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0: // take what nobody has
				_, err = client.PutItem(ctx, &dynamodb.PutItemInput{
					TableName: table, Item: attributes{"ShardID": str(id), "AssignedTo": str(owner), "n": num("0")},
					ConditionExpression: aws.String("attribute_not_exists(AssignedTo)"),
				})
				if allowed = was.owner == ""; allowed {
					twin[id] = twinLease{owner, 0}
				}
			case 1: // count as the owner
				_, err = client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
					TableName: table, Key: key, UpdateExpression: aws.String("SET n = n + :one"), ConditionExpression: aws.String("AssignedTo = :me"),
					ExpressionAttributeValues: attributes{":me": str(owner), ":one": num("1")},
				})
				if allowed = was.owner == owner; allowed {
					twin[id] = twinLease{owner, was.count + 1}
				}
			case 2: // let go
				_, err = client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
					TableName: table, Key: key, UpdateExpression: aws.String("REMOVE AssignedTo"), ConditionExpression: aws.String("AssignedTo = :me"), ExpressionAttributeValues: me,
				})
				if allowed = was.owner == owner; allowed {
					twin[id] = twinLease{"", was.count}
				}
			case 3: // delete what is not another's
				_, err = client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
					TableName: table, Key: key, ConditionExpression: aws.String("attribute_not_exists(AssignedTo) OR AssignedTo = :me"), ExpressionAttributeValues: me,
				})
				if allowed = was.owner == "" || was.owner == owner; allowed {
					delete(twin, id)
				}
			}
			if (err == nil) != allowed || err != nil && errorCode(err) != "ConditionalCheckFailedException" {
				t.Fatalf("%s by %s on %+v: %v, want success %v", id, owner, was, err, allowed)
			}
			checkTwin(t, client, twin)
		}
	})
}

func checkTwin(t *rapid.T, client *dynamodb.Client, twin leaseTwin) {
	out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("leases")})
	if err != nil {
		t.Fatal(err)
	}
	got := make(leaseTwin)
	for _, it := range out.Items {
		row := got[text(it["ShardID"])]
		if owner, ok := it["AssignedTo"]; ok {
			row.owner = text(owner)
		}
		row.count, err = strconv.Atoi(it["n"].(*types.AttributeValueMemberN).Value)
		if err != nil {
			t.Fatal(err)
		}
		got[text(it["ShardID"])] = row
	}
	if !maps.Equal(got, twin) {
		t.Fatalf("the table holds %v, want %v", got, twin)
	}
}

// However pages are cut, a query gives the rows of its range in order.
func TestDynamoQueryProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		client := newDynamoClient(New(Config{}))
		if _, err := client.CreateTable(t.Context(), visitTable("visits")); err != nil {
			t.Fatal(err)
		}
		moments := rapid.SliceOfNDistinct(rapid.IntRange(-9, 9), 0, 12, rapid.ID).Draw(t, "moments")
		for _, at := range moments {
			for _, who := range []string{"me", "other"} {
				if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("visits"), Item: visit(who, at)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		low, forward := rapid.IntRange(-10, 10).Draw(t, "low"), rapid.Bool().Draw(t, "forward")
		var want []int
		for _, at := range moments {
			if at >= low && at%2 == 0 {
				want = append(want, at)
			}
		}
		slices.Sort(want)
		if !forward {
			slices.Reverse(want)
		}
		in := &dynamodb.QueryInput{
			TableName: aws.String("visits"), KeyConditionExpression: aws.String("client = :c AND moment >= :low"), FilterExpression: aws.String("parity = :even"),
			ExpressionAttributeValues: attributes{":c": str("me"), ":low": num(strconv.Itoa(low)), ":even": num("0")},
			Limit:                     aws.Int32(int32(rapid.IntRange(1, 4).Draw(t, "limit"))), ScanIndexForward: &forward,
		}
		var got []int
		for {
			out, err := client.Query(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range out.Items {
				n, err := strconv.Atoi(moment(it))
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, n)
			}
			if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// Of several that count with a condition on what they have read, none
// overwrites another.
func TestDynamoConditionsAreAtomic(t *testing.T) {
	client := newDynamoClient(New(Config{}))
	_, err := client.CreateTable(t.Context(), leaseTable("leases"))
	wantCode(t, err, "")
	table, key := aws.String("leases"), attributes{"ShardID": str("a")}
	const workers, each = 8, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: aws.Bool(true)})
				if err != nil {
					t.Error(err)
					return
				}
				in := &dynamodb.UpdateItemInput{
					TableName: table, Key: key, UpdateExpression: aws.String("SET n = if_not_exists(n, :zero) + :one"),
					ExpressionAttributeValues: attributes{":zero": num("0"), ":one": num("1")},
				}
				if n, ok := out.Item["n"]; ok {
					in.ConditionExpression = aws.String("n = :was")
					in.ExpressionAttributeValues[":was"] = n
				} else {
					in.ConditionExpression = aws.String("attribute_not_exists(n)")
				}
				switch _, err := client.UpdateItem(t.Context(), in); {
				case err == nil:
					done++
				case errorCode(err) != "ConditionalCheckFailedException":
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: table, Key: key})
	if err != nil || spell(out.Item["n"]) != spell(num(strconv.Itoa(workers*each))) {
		t.Errorf("counted %v, %v; want %d", spell(out.Item["n"]), err, workers*each)
	}
}

func TestDynamoRefusesMalformedBodies(t *testing.T) {
	s := New(Config{})
	_, err := newDynamoClient(s).CreateTable(t.Context(), leaseTable("leases"))
	wantCode(t, err, "")
	for body, code := range map[string]string{
		`{`:                  "SerializationException",
		`{"TableName":"x"`:   "SerializationException",
		`{"TableName":7}`:    "SerializationException",
		`{"Tablename_":"x"}`: "SerializationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":7}}}`:                          "SerializationException",
		`{"TableName":"leases","Item":{"ShardID":{"X":"a"}}}`:                        "SerializationException",
		`{"TableName":"leases","Item":{"ShardID":"a"}}`:                              "SerializationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":"a"},"b":{"B":"not base64"}}}`: "SerializationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":"a"}},"Expected":{}}`:          "SerializationException",
		`{"TableName":"leases","Item":{"ShardID":{}}}`:                               "ValidationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":"a","N":"1"}}}`:                "ValidationException",
		`{"TableName":"leases","Item":{"ShardID":null}}`:                             "ValidationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":null}}}`:                       "ValidationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":"a"},"":{"S":"x"}}}`:           "ValidationException",
		`{"TableName":"leases"}`:                                                     "ValidationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":"a"}},"ExpressionAttributeNames":{"#a":""},"ConditionExpression":"attribute_exists(#a)"}`: "ValidationException",
		`{"TableName":"leases","Item":{"ShardID":{"S":"a"}}}`: "",
	} {
		if status, got := raw(t, s, "DynamoDB_20120810.PutItem", "dynamodb", body); got != code || (status == 200) != (code == "") {
			t.Errorf("%s: %d %s, want %s", body, status, got, code)
		}
	}
}

// Whatever is sent, the server answers, and never with a 500.
func FuzzBodies(f *testing.F) {
	targets := []string{
		"DynamoDB_20120810.PutItem", "DynamoDB_20120810.UpdateItem", "DynamoDB_20120810.Query", "DynamoDB_20120810.Scan", "DynamoDB_20120810.BatchWriteItem", "DynamoDB_20120810.CreateTable",
		"AWSWAF_20190729.CreateIPSet", "AWSWAF_20190729.CreateRuleGroup", "AWSWAF_20190729.CreateWebACL", "AWSWAF_20190729.ListIPSets", "AWSWAF_20190729.CheckCapacity",
	}
	for i, body := range []string{
		`{"TableName":"leases","Item":{"ShardID":{"S":"a"},"l":{"L":[{"N":"1"}]}},"ConditionExpression":"attribute_not_exists(ShardID)"}`,
		`{"TableName":"leases","Key":{"ShardID":{"S":"a"}},"UpdateExpression":"SET l[0] = :v ADD n :n","ExpressionAttributeValues":{":v":{"S":"x"},":n":{"N":"1"}},"ReturnValues":"UPDATED_NEW"}`,
		`{"TableName":"leases","KeyConditionExpression":"ShardID = :a","ExpressionAttributeValues":{":a":{"S":"a"}},"Limit":1}`,
		`{"TableName":"leases","ExclusiveStartKey":{"ShardID":{"S":"a"}},"Segment":0,"TotalSegments":2,"FilterExpression":"size(l) > :n","ExpressionAttributeValues":{":n":{"N":"1"}}}`,
		`{"RequestItems":{"leases":[{"PutRequest":{"Item":{"ShardID":{"S":"b"}}}},{"DeleteRequest":{"Key":{"ShardID":{"S":"a"}}}}]}}`,
		`{"TableName":"other","AttributeDefinitions":[{"AttributeName":"id","AttributeType":"N"}],"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`,
		`{"Name":"a","Scope":"REGIONAL","IPAddressVersion":"IPV6","Addresses":["2001:db8::/64"]}`,
		`{"Name":"g","Scope":"REGIONAL","Capacity":5,"VisibilityConfig":{"MetricName":"m","SampledRequestsEnabled":true,"CloudWatchMetricsEnabled":true},"Rules":[{"Name":"r","Priority":0,"Statement":{"NotStatement":{"Statement":{"GeoMatchStatement":{}}}},"Action":{"Block":{"CustomResponse":{"ResponseCode":429}}},"VisibilityConfig":{"MetricName":"m","SampledRequestsEnabled":true,"CloudWatchMetricsEnabled":true}}]}`,
		`{"Name":"w","Scope":"CLOUDFRONT","DefaultAction":{"Allow":{}},"VisibilityConfig":{"MetricName":"m","SampledRequestsEnabled":true,"CloudWatchMetricsEnabled":true},"CustomResponseBodies":{"k":{"ContentType":"TEXT_PLAIN","Content":"c"}}}`,
		`{"Scope":"CLOUDFRONT","Limit":1,"NextMarker":"x"}`,
	} {
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		s := New(Config{})
		_, err := newDynamoClient(s).CreateTable(t.Context(), leaseTable("leases"))
		wantCode(t, err, "")
		target := targets[int(which)%len(targets)]
		service := serviceDynamoDB
		if strings.HasPrefix(target, "AWSWAF") {
			service = serviceWAF
		}
		if status, code := raw(t, s, target, service, body); status >= http.StatusInternalServerError || (status == 200) != (code == "") {
			t.Errorf("%s with %s: %d %s", target, body, status, code)
		}
	})
}

// What a batch leaves unprocessed is named, and is there after it was sent again.
func TestDynamoLeavesRequestsUnprocessed(t *testing.T) {
	client := newDynamoClient(New(Config{DynamoDB: DynamoDBConfig{BatchLimit: 2}}))
	if _, err := client.CreateTable(t.Context(), leaseTable("leases")); err != nil {
		t.Fatal(err)
	}
	requests := map[string][]types.WriteRequest{"leases": nil}
	for i := range 5 {
		requests["leases"] = append(requests["leases"], types.WriteRequest{PutRequest: &types.PutRequest{Item: attributes{"ShardID": str(strconv.Itoa(i))}}})
	}
	var left []int
	for len(requests) > 0 {
		out, err := client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: requests})
		if err != nil {
			t.Fatal(err)
		}
		requests = out.UnprocessedItems
		left = append(left, len(requests["leases"]))
	}
	out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("leases")})
	if err != nil || len(out.Items) != 5 || !slices.Equal(left, []int{3, 1, 0}) {
		t.Errorf("%d items, left %v, %v", len(out.Items), left, err)
	}
}

func TestDynamoTimeToLive(t *testing.T) {
	client := newDynamoClient(New(Config{}))
	if _, err := client.CreateTable(t.Context(), leaseTable("leases")); err != nil {
		t.Fatal(err)
	}
	set := func(enabled bool) error {
		_, err := client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
			TableName: aws.String("leases"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: &enabled},
		})
		return err
	}
	is := func() string {
		out, err := client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("leases")})
		if err != nil {
			t.Fatal(err)
		}
		return string(out.TimeToLiveDescription.TimeToLiveStatus) + aws.ToString(out.TimeToLiveDescription.AttributeName)
	}
	wantCode(t, set(false), "ValidationException")
	wantCode(t, set(true), "")
	if got := is(); got != "ENABLEDttl" {
		t.Error(got)
	}
	wantCode(t, set(true), "ValidationException")
	wantCode(t, set(false), "")
	if got := is(); got != "DISABLED" {
		t.Error(got)
	}
	_, err := client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("nobody")})
	wantCode(t, err, "ResourceNotFoundException")
}
