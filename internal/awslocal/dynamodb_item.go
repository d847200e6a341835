package awslocal

import (
	"net/http"

	"weir/internal/awslocal/expression"
)

// Limits of items and their keys, in bytes.
const (
	maxItem    = 400 << 10
	maxHashKey = 2048
	maxSortKey = 1024
)

type (
	// placeholderMembers are what all inputs with expressions have.
	placeholderMembers struct {
		ExpressionAttributeNames  map[string]string
		ExpressionAttributeValues map[string]expression.Value
	}

	getItemInput struct {
		tableName
		capacityMember
		Key                      expression.Item
		ConsistentRead           bool
		ProjectionExpression     *string
		ExpressionAttributeNames map[string]string
	}

	// writeMembers are what all inputs that write one item have.
	writeMembers struct {
		tableName
		placeholderMembers
		capacityMember
		ConditionExpression                 *string
		ReturnValues                        string
		ReturnValuesOnConditionCheckFailure string
	}
	putItemInput struct {
		writeMembers
		Item expression.Item
	}
	deleteItemInput struct {
		writeMembers
		Key expression.Item
	}
	updateItemInput struct {
		writeMembers
		Key              expression.Item
		UpdateExpression *string
	}

	itemOutput struct {
		Item             expression.Item `json:",omitempty"`
		Attributes       expression.Item `json:",omitempty"`
		ConsumedCapacity *capacity       `json:",omitempty"`
	}
)

// keyOf takes a table's key out of an item and checks it.
func (t *table) keyOf(it expression.Item) (rowKey, error) {
	var out [2]expression.Value
	for i, k := range []expression.Key{t.hash, t.sort} {
		if k.Name == "" {
			continue
		}
		v, ok := it[k.Name]
		limit := []int{maxHashKey, maxSortKey}[i]
		switch {
		case !ok:
			return rowKey{}, invalid("one of the required keys was not given a value: %s", k.Name)
		case v.Kind() != k.Kind:
			return rowKey{}, invalid("type mismatch for key %s expected: %s actual: %s", k.Name, k.Kind, v.Kind())
		case v.Text() == "":
			return rowKey{}, invalid("key %s must not be an empty value", k.Name)
		case len(v.Text()) > limit:
			return rowKey{}, invalid("key %s has %d bytes, at most %d are allowed", k.Name, len(v.Text()), limit)
		}
		out[i] = v
	}
	return newRowKey(out[0], out[1]), nil
}

// exactKey is keyOf for a Key member, which must hold nothing else.
func (t *table) exactKey(key expression.Item) (rowKey, error) {
	want := 1
	if t.sort.Name != "" {
		want = 2
	}
	if len(key) != want {
		return rowKey{}, invalid("the provided key element does not match the schema: %d attributes, want %d", len(key), want)
	}
	k, err := t.keyOf(key)
	if err != nil {
		return rowKey{}, invalid("the provided key element does not match the schema: %v", err)
	}
	return k, nil
}

// keyItem is a row's key as an item, for LastEvaluatedKey.
func (t *table) keyItem(k rowKey) expression.Item {
	out := expression.Item{t.hash.Name: k.hash}
	if t.sort.Name != "" {
		out[t.sort.Name] = k.sort
	}
	return out
}

func checkItem(it expression.Item) error {
	if _, ok := it[""]; ok {
		return invalid("an attribute name must not be empty")
	}
	if n := expression.ItemSize(it); n > maxItem {
		return invalid("item size has exceeded the maximum allowed size: %d bytes", n)
	}
	return nil
}

func (d *dynamo) getItem(in *getItemInput) (any, error) {
	names, err := expression.NewPlaceholders(in.ExpressionAttributeNames, nil)
	if err != nil {
		return nil, err
	}
	projection, err := parsed(names.Projection, "ProjectionExpression", in.ProjectionExpression)
	if err != nil {
		return nil, err
	}
	if err := firstError(names.AllUsed(), in.check()); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.open(in.table())
	if err != nil {
		return nil, err
	}
	k, err := t.exactKey(in.Key)
	if err != nil {
		return nil, err
	}
	it := t.rows.get(k)
	out := itemOutput{Item: it, ConsumedCapacity: in.reading(t, expression.ItemSize(it), in.ConsistentRead)}
	if in.ProjectionExpression != nil {
		out.Item = projection.Of(it)
	}
	return out, nil
}

// A change is one write, ready to be carried out: next makes the new item
// (nil: none) out of the old one (nil: none).
type change struct {
	key        expression.Item // an item that holds the key
	exact      bool            // and nothing else
	condition  *expression.Condition
	returnItem bool // with a failed condition
	next       func(t *table, old expression.Item) (expression.Item, error)
}

// prepare parses the members that all writes have. The update is nil unless
// its expression is given.
func (in *writeMembers) prepare(updateExpression *string, returns ...string) (c change, u *expression.Update, err error) {
	p, err := expression.NewPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return c, nil, err
	}
	if u, err = parsed(p.Update, "UpdateExpression", updateExpression); err != nil {
		return c, nil, err
	}
	if c.condition, err = parsed(p.Condition, "ConditionExpression", in.ConditionExpression); err != nil {
		return c, nil, err
	}
	c.returnItem = in.ReturnValuesOnConditionCheckFailure == "ALL_OLD"
	return c, u, firstError(
		p.AllUsed(),
		in.check(),
		checkOneOf("ReturnValues", in.ReturnValues, append(returns, "NONE")...),
		checkOneOf("ReturnValuesOnConditionCheckFailure", in.ReturnValuesOnConditionCheckFailure, "NONE", "ALL_OLD"),
	)
}

// write carries out one change and returns the item before and after it.
func (d *dynamo) write(table string, c change) (t *table, before, after expression.Item, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, err = d.open(table); err != nil {
		return nil, nil, nil, err
	}
	keyed := t.keyOf
	if c.exact {
		keyed = t.exactKey
	}
	k, err := keyed(c.key)
	if err != nil {
		return nil, nil, nil, err
	}
	before = t.rows.get(k)
	if c.condition != nil && !c.condition.Holds(before) {
		return nil, nil, nil, conditionFailed(before, c.returnItem)
	}
	if after, err = c.next(t, before); err != nil {
		return nil, nil, nil, err
	}
	t.rows.put(k, after)
	return t, before, after, nil
}

func conditionFailed(it expression.Item, returnItem bool) error {
	e := fail(http.StatusBadRequest, "ConditionalCheckFailedException", "the conditional request failed")
	if returnItem && it != nil {
		return e.with("Item", it)
	}
	return e
}

func (d *dynamo) putItem(in *putItemInput) (any, error) {
	c, _, err := in.prepare(nil, "ALL_OLD")
	if err := firstError(err, checkItem(in.Item)); err != nil {
		return nil, err
	}
	c.key = in.Item
	c.next = func(*table, expression.Item) (expression.Item, error) { return in.Item, nil }
	return d.writeAndReturn(&in.writeMembers, c, nil)
}

func (d *dynamo) deleteItem(in *deleteItemInput) (any, error) {
	c, _, err := in.prepare(nil, "ALL_OLD")
	if err != nil {
		return nil, err
	}
	c.key, c.exact = in.Key, true
	c.next = func(*table, expression.Item) (expression.Item, error) { return nil, nil }
	return d.writeAndReturn(&in.writeMembers, c, nil)
}

func (d *dynamo) updateItem(in *updateItemInput) (any, error) {
	c, u, err := in.prepare(in.UpdateExpression, "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
	if err != nil {
		return nil, err
	}
	c.key, c.exact = in.Key, true
	c.next = func(t *table, old expression.Item) (expression.Item, error) { return in.next(t, u, old) }
	return d.writeAndReturn(&in.writeMembers, c, u)
}

// next makes the updated item; one that was not there begins as its key.
func (in *updateItemInput) next(t *table, u *expression.Update, old expression.Item) (expression.Item, error) {
	if old == nil {
		old = in.Key
	}
	if u == nil {
		return old, nil
	}
	for name := range in.Key {
		if u.Changes(name) {
			return nil, invalid("cannot update attribute %s. This attribute is part of the key", name)
		}
	}
	it, err := u.Apply(old)
	if err != nil {
		return nil, err
	}
	return it, checkItem(it)
}

// writeAndReturn carries out a change and answers with what ReturnValues asks for.
func (d *dynamo) writeAndReturn(in *writeMembers, c change, u *expression.Update) (any, error) {
	t, before, after, err := d.write(in.table(), c)
	if err != nil {
		return nil, err
	}
	out := itemOutput{ConsumedCapacity: in.writing(t, max(expression.ItemSize(before), expression.ItemSize(after)))}
	switch in.ReturnValues {
	case "ALL_OLD":
		out.Attributes = before
	case "ALL_NEW":
		out.Attributes = after
	case "UPDATED_OLD", "UPDATED_NEW":
		of := after
		if in.ReturnValues == "UPDATED_OLD" {
			of = before
		}
		if u != nil {
			out.Attributes = u.Touched(of)
		}
	}
	return out, nil
}
