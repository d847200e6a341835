package awslocal

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// visit is a row of the table with a sort key.
func visit(client string, at int) attributes {
	return attributes{"client": str(client), "moment": num(strconv.Itoa(at)), "parity": num(strconv.Itoa(at % 2)), "page": str(fmt.Sprint("/", at))}
}

func (s *dynamoSuite) scan(t *testing.T) {
	ctx := t.Context()
	want := make(map[string]bool)
	for c := range 10 {
		for at := range 5 {
			it := visit(fmt.Sprint("scan", c), at-2)
			want[spell(it)] = true
			s.put(t, s.visits, it)
		}
	}
	in := func() *dynamodb.ScanInput {
		return &dynamodb.ScanInput{TableName: &s.visits, Limit: aws.Int32(7), ConsistentRead: aws.Bool(true)}
	}
	pages, seen := 0, make(map[string]bool)
	for in := in(); ; pages++ {
		out, err := s.Scan(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			seen[spell(it)] = true
		}
		if len(out.Items) > 7 || int(out.Count) != len(out.Items) || out.ScannedCount != out.Count {
			t.Errorf("page of %d, count %d, scanned %d", len(out.Items), out.Count, out.ScannedCount)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	if len(seen) != len(want) || pages != 7 {
		t.Errorf("%d of %d rows in %d pages", len(seen), len(want), pages)
	}

	// The limit is of what is looked at, not of what passes the filter.
	filtered := in()
	filtered.FilterExpression = aws.String("parity = :p AND attribute_exists(page)")
	filtered.ExpressionAttributeValues = attributes{":p": num("0")}
	filtered.Limit = aws.Int32(50)
	out, err := s.Scan(ctx, filtered)
	if err != nil || out.Count != 30 || out.ScannedCount != 50 || out.LastEvaluatedKey == nil {
		t.Errorf("filtered: %d of %d, more %v, %v", out.Count, out.ScannedCount, out.LastEvaluatedKey != nil, err)
	}
	count := in()
	count.Select, count.Limit = types.SelectCount, nil
	if out, err = s.Scan(ctx, count); err != nil || out.Count != 50 || len(out.Items) != 0 || out.LastEvaluatedKey != nil {
		t.Errorf("count: %d, %d items, %v", out.Count, len(out.Items), err)
	}
	s.segments(t, want)
	for name, spoil := range map[string]func(*dynamodb.ScanInput){
		"limit 0":                 func(in *dynamodb.ScanInput) { in.Limit = aws.Int32(0) },
		"a segment of nothing":    func(in *dynamodb.ScanInput) { in.Segment = aws.Int32(0) },
		"segment 2 of 2":          func(in *dynamodb.ScanInput) { in.Segment, in.TotalSegments = aws.Int32(2), aws.Int32(2) },
		"half a start key":        func(in *dynamodb.ScanInput) { in.ExclusiveStartKey = attributes{"client": str("a")} },
		"specific but none named": func(in *dynamodb.ScanInput) { in.Select = types.SelectSpecificAttributes },
		"all but some named": func(in *dynamodb.ScanInput) {
			in.Select, in.ProjectionExpression = types.SelectAllAttributes, aws.String("page")
		},
		"a filter that is none":    func(in *dynamodb.ScanInput) { in.FilterExpression = aws.String("page") },
		"a select of another kind": func(in *dynamodb.ScanInput) { in.Select = "SOME" },
	} {
		t.Run(name, func(t *testing.T) {
			s.skipGap(t)
			in := in()
			spoil(in)
			_, err := s.Scan(t.Context(), in)
			wantCode(t, err, "ValidationException")
		})
	}
}

// segments: a parallel scan reads every row once.
func (s *dynamoSuite) segments(t *testing.T, want map[string]bool) {
	seen := make(map[string]int)
	for i := range 3 {
		out, err := s.Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.visits, Segment: aws.Int32(int32(i)), TotalSegments: aws.Int32(3)})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			seen[spell(it)]++
		}
	}
	for it := range want {
		if seen[it] != 1 {
			t.Errorf("%s was scanned %d times", it, seen[it])
		}
	}
}

func (s *dynamoSuite) query(t *testing.T) {
	for at := range 20 {
		s.put(t, s.visits, visit("query", at-5))
	}
	s.put(t, s.visits, visit("querz", 3))
	tests := []struct {
		condition string
		values    attributes
		spoil     func(*dynamodb.QueryInput)
		want      string // moments
		more      bool
	}{
		{"client = :c AND moment < :a", attributes{":a": num("-2")}, nil, "-5 -4 -3", false},
		{"client = :c AND moment <= :a", attributes{":a": num("-3")}, nil, "-5 -4 -3", false},
		{"moment > :a AND client = :c", attributes{":a": num("12")}, nil, "13 14", false},
		{"(client = :c) AND (moment >= :a)", attributes{":a": num("13")}, nil, "13 14", false},
		{"client = :c and moment = :a", attributes{":a": num("2.0")}, nil, "2", false},
		{"client = :c AND moment BETWEEN :a AND :b", attributes{":a": num("9"), ":b": num("11")}, nil, "9 10 11", false},
		{"client = :c AND moment > :a", attributes{":a": num("11")}, func(in *dynamodb.QueryInput) { in.ScanIndexForward = aws.Bool(false) }, "14 13 12", false},
		{"client = :c", nil, func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(2) }, "-5 -4", true},
		{"client = :c", nil, func(in *dynamodb.QueryInput) {
			in.Limit, in.ScanIndexForward = aws.Int32(2), aws.Bool(false)
			in.ExclusiveStartKey = attributes{"client": str("query"), "moment": num("1.5")}
		}, "1 0", true},
		{"client = :c", nil, func(in *dynamodb.QueryInput) {
			in.ExclusiveStartKey = attributes{"client": str("query"), "moment": num("12")}
		}, "13 14", false},
		{"client = :c AND moment > :a", attributes{":a": num("9"), ":p": num("1")}, func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("parity = :p") }, "11 13", false},
		{"client = :c AND moment > :a", attributes{":a": num("12")}, func(in *dynamodb.QueryInput) { in.ProjectionExpression = aws.String("moment") }, "13 14", false},
		{"client = :c", attributes{":c": str("nobody")}, nil, "", false},
	}
	for _, tt := range tests {
		in := &dynamodb.QueryInput{TableName: &s.visits, KeyConditionExpression: aws.String(tt.condition), ExpressionAttributeValues: attributes{":c": str("query")}}
		maps.Copy(in.ExpressionAttributeValues, tt.values)
		if tt.spoil != nil {
			tt.spoil(in)
		}
		out, err := s.Query(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %v", tt.condition, err)
			continue
		}
		var got []string
		for _, it := range out.Items {
			got = append(got, moment(it))
		}
		if strings.Join(got, " ") != tt.want || (out.LastEvaluatedKey != nil) != tt.more {
			t.Errorf("%s %v: %v, more %v, want %s", tt.condition, tt.values, got, out.LastEvaluatedKey, tt.want)
		}
	}
}

func (s *dynamoSuite) badQueries(t *testing.T) {
	a, c := num("1"), str("query")
	for _, tt := range []struct {
		name, condition string
		values          attributes
		spoil           func(*dynamodb.QueryInput)
	}{
		{"no hash key", "moment = :a", attributes{":a": a}, nil},
		{"no key", "page = :c", attributes{":c": c}, nil},
		{"a third", "client = :c AND moment = :a AND page = :c", attributes{":c": c, ":a": a}, nil},
		{"a hash key by range", "client > :c", attributes{":c": c}, nil},
		{"a hash key by prefix", "begins_with(client, :c)", attributes{":c": c}, nil},
		{"or", "client = :c OR moment = :a", attributes{":c": c, ":a": a}, nil},
		{"not", "client = :c AND NOT moment = :a", attributes{":c": c, ":a": a}, nil},
		{"not equal", "client = :c AND moment <> :a", attributes{":c": c, ":a": a}, nil},
		{"in", "client = :c AND moment IN (:a)", attributes{":c": c, ":a": a}, nil},
		{"contains", "client = :c AND contains(moment, :a)", attributes{":c": c, ":a": a}, nil},
		{"twice", "client = :c AND moment > :a AND moment < :a", attributes{":c": c, ":a": a}, nil},
		{"another kind", "client = :c AND moment = :c", attributes{":c": c}, nil},
		{"another kind of hash", "client = :a", attributes{":a": a}, nil},
		{"a prefix of a number", "client = :c AND begins_with(moment, :a)", attributes{":c": c, ":a": a}, nil},
		{"a filter on a key", "client = :c", attributes{":c": c, ":a": a}, func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("moment > :a") }},
		{"another client's start", "client = :c", attributes{":c": c}, func(in *dynamodb.QueryInput) {
			in.ExclusiveStartKey = attributes{"client": str("other"), "moment": a}
		}},
	} {
		in := &dynamodb.QueryInput{TableName: &s.visits, KeyConditionExpression: aws.String(tt.condition), ExpressionAttributeValues: tt.values}
		if tt.spoil != nil {
			tt.spoil(in)
		}
		if _, err := s.Query(t.Context(), in); errorCode(err) != "ValidationException" {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// megabyte: a page ends by its size, too.
func (s *dynamoSuite) megabyte(t *testing.T) {
	const n = 9
	for at := range n {
		it := visit("large", at)
		it["fill"] = str(strings.Repeat("x", 300<<10))
		s.put(t, s.visits, it)
	}
	var moments []string
	var sizes []int
	in := &dynamodb.QueryInput{
		TableName: &s.visits, KeyConditionExpression: aws.String("client = :c"), ProjectionExpression: aws.String("moment"),
		ExpressionAttributeValues: attributes{":c": str("large")},
	}
	for {
		out, err := s.Query(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.Items))
		for _, it := range out.Items {
			moments = append(moments, moment(it))
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	if !slices.Equal(moments, strings.Fields("0 1 2 3 4 5 6 7 8")) || slices.Max(sizes) > 4 {
		t.Errorf("pages of %v: %v", sizes, moments)
	}
	for at := range n { // what follows should not have to read this
		_, err := s.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &s.visits, Key: attributes{"client": str("large"), "moment": num(strconv.Itoa(at))}})
		wantCode(t, err, "")
	}
}
