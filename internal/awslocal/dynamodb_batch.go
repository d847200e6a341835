package awslocal

import (
	"maps"
	"slices"

	"weir/internal/awslocal/expression"
)

// maxBatch is how many items BatchWriteItem writes.
const maxBatch = 25

type (
	batchWriteItemInput struct {
		capacityMember
		RequestItems map[string][]batchWrite
	}
	batchWrite struct {
		PutRequest    *struct{ Item expression.Item } `json:",omitempty"`
		DeleteRequest *struct{ Key expression.Item }  `json:",omitempty"`
	}
	batchWriteItemOutput struct {
		UnprocessedItems map[string][]batchWrite
		ConsumedCapacity []*capacity `json:",omitempty"`
	}
)

// table is the one table that a batch is about; "" if there are several.
func (in *batchWriteItemInput) table() string {
	if names := in.tables(); len(names) == 1 {
		return tableName{names[0]}.table()
	}
	return ""
}

// keyed returns a write's key, and the item to put (nil: delete).
func (b *batchWrite) keyed(t *table) (k rowKey, it expression.Item, err error) {
	switch {
	case (b.PutRequest == nil) == (b.DeleteRequest == nil):
		return k, nil, invalid("a WriteRequest must have exactly one of PutRequest and DeleteRequest")
	case b.DeleteRequest != nil:
		k, err = t.exactKey(b.DeleteRequest.Key)
		return k, nil, err
	}
	it = b.PutRequest.Item
	k, err = t.keyOf(it)
	return k, it, firstError(err, checkItem(it))
}

// batchWriteItem checks everything first: a batch with a mistake in it writes
// nothing. It leaves requests unprocessed only if it was told to.
func (d *dynamo) batchWriteItem(in *batchWriteItemInput) (any, error) {
	count := 0
	for _, writes := range in.RequestItems {
		count += len(writes)
		if len(writes) == 0 {
			return nil, invalid("a table's list of requests must not be empty")
		}
	}
	if count == 0 || count > maxBatch {
		return nil, invalid("a batch has 1 to %d requests, not %d", maxBatch, count)
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var apply []func()
	out := batchWriteItemOutput{UnprocessedItems: map[string][]batchWrite{}}
	for _, name := range in.tables() {
		writes := in.RequestItems[name]
		t, err := d.open(tableName{name}.table())
		if err != nil {
			return nil, err
		}
		var seen []rowKey
		size := 0
		for _, w := range writes {
			k, it, err := w.keyed(t)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(seen, func(o rowKey) bool { return t.rows.compare(o, k) == 0 }) {
				return nil, invalid("provided list of item keys contains duplicates")
			}
			seen = append(seen, k)
			size += max(expression.ItemSize(it), 1)
			apply = append(apply, func() { t.rows.put(k, it) })
		}
		if c := in.writing(t, size); c != nil {
			out.ConsumedCapacity = append(out.ConsumedCapacity, c)
		}
	}
	if most := d.cfg.DynamoDB.BatchLimit; most > 0 && len(apply) > most {
		apply = apply[:most]
		out.UnprocessedItems = in.behind(most)
	}
	for _, a := range apply {
		a()
	}
	return out, nil
}

// tables are the names of the tables, in the order in which they are written to.
func (in *batchWriteItemInput) tables() []string { return slices.Sorted(maps.Keys(in.RequestItems)) }

// behind returns the requests behind the first n.
func (in *batchWriteItemInput) behind(n int) map[string][]batchWrite {
	left := make(map[string][]batchWrite)
	for _, name := range in.tables() {
		writes := in.RequestItems[name]
		if skip := min(n, len(writes)); skip < len(writes) {
			left[name] = writes[skip:]
		}
		n -= min(n, len(writes))
	}
	return left
}
