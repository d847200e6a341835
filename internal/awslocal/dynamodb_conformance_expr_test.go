package awslocal

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// sample is an item with a value of every kind.
func sample() attributes {
	return attributes{
		"ShardID": str("sample"), "s": str("héllo"), "n": num("12.5"), "b": bin("abc"), "t": yes(true), "z": null(),
		"ss": strs("a", "b"), "ns": nums("1", "2.0"), "l": list(str("x"), num("7"), doc(attributes{"in": str("y")})),
		"m": doc(attributes{"k": str("v"), "deep": doc(attributes{"er": num("1")})}), "dotted.name": str("d"), "nil1": str(""),
	}
}

// operands are the placeholders that the expressions below may use.
func operands() attributes {
	return attributes{
		":s": str("héllo"), ":hel": str("hé"), ":x": str("x"), ":a": str("a"), ":zz": str("zz"), ":S": str("S"), ":NS": str("NS"), ":wrong": str("X"),
		":n": num("12.50"), ":1": num("1"), ":2": num("2"), ":3": num("3"), ":5": num("5"), ":20": num("20"), ":big": num("1e2"),
		":b": bin("abc"), ":ab": bin("ab"), ":t": yes(true), ":f": yes(false), ":z": null(),
		":ss": strs("b", "a"), ":ns": nums("2", "1"), ":sa": strs("a"), ":sab": strs("a", "b"), ":l": list(num("9")), ":m": doc(attributes{"k": str("v"), "deep": doc(attributes{"er": num("1.0")})}),
	}
}

// mentioned returns the placeholders of all that the expressions mention.
func mentioned(expressions ...string) (map[string]string, attributes) {
	names, values := map[string]string{}, attributes{}
	text := strings.Join(expressions, " ") + " "
	has := func(placeholder string) bool {
		for _, end := range " ,)=<>+-.[" {
			if strings.Contains(text, placeholder+string(end)) {
				return true
			}
		}
		return false
	}
	for alias, name := range map[string]string{"#id": "ShardID", "#n": "n", "#d": "dotted.name", "#m": "m", "#k": "k", "#new": "new", "#size": "size"} {
		if has(alias) {
			names[alias] = name
		}
	}
	for param, v := range operands() {
		if has(param) {
			values[param] = v
		}
	}
	if len(names) == 0 {
		names = nil
	}
	if len(values) == 0 {
		values = nil
	}
	return names, values
}

// check puts a condition to an item and leaves it as it is.
func (s *dynamoSuite) check(t *testing.T, id, condition string) error {
	t.Helper()
	names, values := mentioned(condition)
	_, err := s.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &s.leases, Key: attributes{"ShardID": str(id)}, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	return err
}

func (s *dynamoSuite) conditions(t *testing.T) {
	s.put(t, s.leases, sample())
	hold := []string{
		"s = :s", "#n = :n", "n=:n", "b = :b", "t = :t", "z = :z", "ss = :ss", "ns = :ns", "m = :m", "#d = :m OR #d <> :m",
		"m.k <> :s", "m.deep.er = :1", "#m.#k <> :s", "l[0] = :x", "l[1] > :5", "l[2].#in = :s OR n = :n",
		"n < :20", "n <= :n", "n >= :n", "n > :5", "s > :a", "b >= :ab",
		"absent <> :s", "NOT absent = :s", "not absent < :n", "s <> :n",
		"n BETWEEN :5 AND :20", "s between :a and :zz", ":5 BETWEEN :1 AND n",
		"n IN (:1, :n)", "s in (:s)", "NOT n IN (:1,:2)",
		"attribute_exists(s)", "attribute_exists(m.deep.er)", "attribute_exists(l[2].#in) OR attribute_exists(#d)", "attribute_not_exists(nope)", "attribute_not_exists(l[3])", "attribute_not_exists(s.x)",
		"attribute_type(s, :S)", "attribute_type(ns, :NS)", "begins_with(s, :hel)", "begins_with(b, :ab)", "begins_with(b,:b)",
		"contains(s, :hel)", "contains(ss, :a)", "contains(ns, :2)", "contains(l, :x)",
		"size(s) >= :5", "size(b) = :3", "size(ss) = :2", "size(l) = :3", "size(m) = :2", "size(nil1) < :1",
		"s = :s AND n = :n", "s = :x OR n = :n AND t = :t", "(s = :x OR n = :n) AND t = :t", "NOT (s = :x AND n = :n)", "attribute_not_exists(nope)AND s = :s",
		"attribute_exists(ShardID)", "#id <> :s",
	}
	fail := []string{
		"s = :x", "s = :n", "n = :s", "t = :f", "ss = :sa", "absent = :s", "NOT absent <> :s",
		"n > :20", "n < :s", "s < :a", "absent < :n", "n BETWEEN :20 AND :big", "s IN (:x, :a)", "absent IN (:x)",
		"attribute_exists(nope)", "attribute_not_exists(s)", "attribute_type(s, :NS)", "attribute_type(nope, :S)",
		"begins_with(s, :x)", "begins_with(n, :x)", "begins_with(nope, :x)", "contains(s, :zz)", "contains(ss, :1)", "contains(n, :1)", "contains(l, :a)", "contains(nope, :a)",
		"size(n) > :1", "size(nope) < :5", "size(t) < :5",
		"s = :x AND n = :n OR t = :f", "NOT s = :s", "s = :s AND (n = :1 OR n = :2)",
	}
	for _, c := range hold {
		c := strings.ReplaceAll(c, "#in", "#k")
		t.Run(c, func(t *testing.T) { s.skipGap(t); wantCode(t, s.check(t, "sample", c), "") })
	}
	for _, c := range fail {
		t.Run(c, func(t *testing.T) {
			wantCode(t, s.check(t, "sample", c), "ConditionalCheckFailedException")
		})
	}
	// Of an item that is not there, and stays so when the condition fails.
	wantCode(t, s.check(t, "nobody", "attribute_exists(ShardID)"), "ConditionalCheckFailedException")
	if it := s.get(t, s.leases, attributes{"ShardID": str("nobody")}); it != nil {
		t.Errorf("a failed condition left %s", spell(it))
	}
	wantCode(t, s.check(t, "somebody", "attribute_not_exists(ShardID)"), "")
	if it := s.get(t, s.leases, attributes{"ShardID": str("somebody")}); it == nil {
		t.Error("an update of nothing did not make the item")
	}
}

func (s *dynamoSuite) badConditions(t *testing.T) {
	for _, c := range []string{
		"", " ", "s", "s =", "= :s", "s == :s", "s = :s AND", "AND s = :s", "s = :s s = :s", "(s = :s", "s = :s)", "((s = :s))",
		"s = 's'", "s = 1", "name = :s", "Status = :s", "#undefined = :s", "s = :undefined", "s[ = :s", "s[x] = :s", "l[-1] = :s", "s. = :s", ".s = :s", "s..s = :s",
		"s = s", "n BETWEEN :20 AND :5", "n BETWEEN :5 AND :s", "n BETWEEN :5", "s IN ()", "s IN :s", "s < :t", "s > :ss", "s <= :m",
		"begins_with(s, :n)", "begins_with(s)", "begins_with(s, :hel", "BEGINS_WITH(s, :hel)", "attribute_exists(:s)", "attribute_exists(s, :s)", "attribute_type(s, :wrong)", "attribute_type(s, :n)",
		"size(s)", "size(:n) = :1", "contains(s)", "nofunction(s)", "if_not_exists(s, :s) = :s", "s & :s", "s = :s; n = :n", "#", ":", "s != :s",
		strings.Repeat("s = :s OR ", 420) + "s = :s",
	} {
		t.Run(c[:min(len(c), 40)], func(t *testing.T) { s.skipGap(t); wantCode(t, s.check(t, "sample", c), "ValidationException") })
	}
	in := func() *dynamodb.PutItemInput {
		return &dynamodb.PutItemInput{
			TableName: &s.leases, Item: attributes{"ShardID": str("x")}, ConditionExpression: aws.String("#n = :n OR attribute_not_exists(ShardID)"),
			ExpressionAttributeNames: map[string]string{"#n": "n"}, ExpressionAttributeValues: attributes{":n": num("1")},
		}
	}
	for name, spoil := range map[string]func(*dynamodb.PutItemInput){
		"unused name":               func(in *dynamodb.PutItemInput) { in.ExpressionAttributeNames["#x"] = "x" },
		"unused value":              func(in *dynamodb.PutItemInput) { in.ExpressionAttributeValues[":x"] = num("1") },
		"name without #":            func(in *dynamodb.PutItemInput) { in.ExpressionAttributeNames["x"] = "x" },
		"value without :":           func(in *dynamodb.PutItemInput) { in.ExpressionAttributeValues["x"] = num("1") },
		"no names":                  func(in *dynamodb.PutItemInput) { in.ExpressionAttributeNames = map[string]string{} },
		"no values":                 func(in *dynamodb.PutItemInput) { in.ExpressionAttributeValues = attributes{} },
		"nothing to use it in":      func(in *dynamodb.PutItemInput) { in.ConditionExpression = nil },
		"unknown ReturnValues":      func(in *dynamodb.PutItemInput) { in.ReturnValues = "ALL" },
		"ReturnValues of an update": func(in *dynamodb.PutItemInput) { in.ReturnValues = "ALL_NEW" },
	} {
		t.Run(name, func(t *testing.T) {
			in := in()
			spoil(in)
			_, err := s.PutItem(t.Context(), in)
			wantCode(t, err, "ValidationException")
		})
	}
	_, err := s.PutItem(t.Context(), in())
	wantCode(t, err, "")
}

// update applies an expression to a fresh sample and returns what became of it.
func (s *dynamoSuite) update(t *testing.T, expression string) (attributes, error) {
	t.Helper()
	s.put(t, s.leases, sample())
	names, values := mentioned(expression)
	_, err := s.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &s.leases, Key: attributes{"ShardID": str("sample")}, UpdateExpression: &expression,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	return s.get(t, s.leases, attributes{"ShardID": str("sample")}), err
}

func (s *dynamoSuite) updates(t *testing.T) {
	tests := []struct {
		expression string
		change     func(it attributes)
	}{
		{"SET s = :x", func(it attributes) { it["s"] = str("x") }},
		{"set s=:x,n=:1 remove t", func(it attributes) { it["s"] = str("x"); it["n"] = num("1"); delete(it, "t") }},
		{"SET #new = :x", func(it attributes) { it["new"] = str("x") }},
		{"SET #size = :m", func(it attributes) { it["size"] = sample()["m"] }},
		{"SET s = n, n = s", func(it attributes) { it["s"], it["n"] = it["n"], it["s"] }},
		{"SET n = n + :1", func(it attributes) { it["n"] = num("13.5") }},
		{"SET n = n - :20", func(it attributes) { it["n"] = num("-7.5") }},
		{"SET n = (n + :1)", func(it attributes) { it["n"] = num("13.5") }},
		{"SET n = :big + :1", func(it attributes) { it["n"] = num("101") }},
		{"SET n = if_not_exists(absent, :5) + :1", func(it attributes) { it["n"] = num("6") }},
		{"SET s = if_not_exists(s, :x), x1 = if_not_exists(x1, :x)", func(it attributes) { it["x1"] = str("x") }},
		{"SET l = list_append(l, :l)", func(it attributes) { it["l"] = list(append(elements(it["l"]), num("9"))...) }},
		{"SET l = list_append(:l, l)", func(it attributes) { it["l"] = list(append([]av{num("9")}, elements(it["l"])...)...) }},
		{"SET l = list_append(if_not_exists(absent, :l), l)", func(it attributes) { it["l"] = list(append([]av{num("9")}, elements(it["l"])...)...) }},
		{"SET l[0] = :a", func(it attributes) { elements(it["l"])[0] = str("a") }},
		{"SET l[10] = :a, l[12] = :x", func(it attributes) { it["l"] = list(append(elements(it["l"]), str("a"), str("x"))...) }},
		{"SET l[2].#k = :a", func(it attributes) { members(elements(it["l"])[2])["k"] = str("a") }},
		{"SET m.deep.er = m.deep.er + :1, m.#new = :x", func(it attributes) {
			members(members(it["m"])["deep"])["er"] = num("2")
			members(it["m"])["new"] = str("x")
		}},
		{"REMOVE s, #d, nope", func(it attributes) { delete(it, "s"); delete(it, "dotted.name") }},
		{"REMOVE l[0], l[1], l[9]", func(it attributes) { it["l"] = list(elements(it["l"])[2]) }},
		{"REMOVE m.deep.er, m.#k", func(it attributes) { it["m"] = doc(attributes{"deep": doc(attributes{})}) }},
		{"ADD n :1", func(it attributes) { it["n"] = num("13.5") }},
		{"ADD counter2 :5", func(it attributes) { it["counter2"] = num("5") }},
		{"ADD ss :sa, ns :ns", func(attributes) {}},
		{"ADD #new :sab", func(it attributes) { it["new"] = strs("a", "b") }},
		{"ADD m.deep.er :2", func(it attributes) { members(members(it["m"])["deep"])["er"] = num("3") }},
		{"DELETE ss :sa", func(it attributes) { it["ss"] = strs("b") }},
		{"DELETE ss :sab, nope :sa", func(it attributes) { delete(it, "ss") }},
		{"SET s = :x REMOVE t ADD n :1 DELETE ss :sa", func(it attributes) {
			it["s"], it["n"], it["ss"] = str("x"), num("13.5"), strs("b")
			delete(it, "t")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			s.skipGap(t)
			got, err := s.update(t, tt.expression)
			wantCode(t, err, "")
			want := sample()
			want["ns"] = nums("1", "2")
			tt.change(want)
			if spell(got) != spell(want) {
				t.Errorf("became\n%s, want\n%s", spell(got), spell(want))
			}
		})
	}
}

func (s *dynamoSuite) badUpdates(t *testing.T) {
	for _, u := range []string{
		"", "SET", "SET s", "SET s =", "SET = :s", "SET s = :s,", "s = :s", "SET s := :s", "SET s = :s SET n = :n", "SET s = :s, REMOVE n", "REMOVE", "REMOVE s s", "REMOVE s = :s", "ADD n", "ADD n :s", "ADD n = :1", "ADD m :m", "DELETE ss :s", "DELETE ss", "DELETE n :1",
		"SET name = :s", "SET #undefined = :s", "SET s = :undefined", "SET s = :s, s = :x", "SET m = :m, m.#k = :s", "REMOVE m.#k SET m = :m", "SET l[0] = :s, l[0].#k = :s", "SET m.#k = :s, m[0] = :s",
		"SET ShardID = :s", "REMOVE ShardID", "ADD #id :1",
		"SET n = n + :s", "SET n = n + s", "SET n = n + absent", "SET n = absent", "SET n = n + :1 + :2", "SET n = (n + :1) + :2", "SET n = (n) + (:1)", "SET n = n * :2", "SET l = list_append(l, :s)", "SET l = list_append(l, s)", "SET l = list_append(l)", "SET s = if_not_exists(:s, s)", "SET s = size(l)", "SET s = nofunction(l)", "SET s = IF_NOT_EXISTS(s, :s)",
		"SET m.absent.er = :s", "SET s.#k = :s", "SET l.#k = :s", "SET m[0] = :s", "SET nope.#k = :s", "REMOVE nope.#k", "ADD s :1", "ADD ss :ns", "DELETE ss :ns", "DELETE s :sa",
	} {
		t.Run(u, func(t *testing.T) {
			got, err := s.update(t, u)
			wantCode(t, err, "ValidationException")
			want := sample()
			want["ns"] = nums("1", "2")
			if spell(got) != spell(want) {
				t.Errorf("a refused update left %s", spell(got))
			}
		})
	}
}
