package awslocal

import (
	"slices"

	"weir/internal/awslocal/expression"
)

type queryInput struct {
	readMembers
	KeyConditionExpression *string
	ScanIndexForward       *bool
}

func (d *dynamo) query(in *queryInput) (any, error) {
	if in.KeyConditionExpression == nil {
		return nil, invalid("the KeyConditionExpression must be given")
	}
	r, err := in.parse(in.KeyConditionExpression)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.open(in.table())
	if err != nil {
		return nil, err
	}
	hash, inRange, err := r.keys.Keys(t.hash, t.sort)
	if err != nil {
		return nil, err
	}
	for _, k := range []expression.Key{t.hash, t.sort} {
		if r.filter != nil && k.Name != "" && r.filter.Mentions(k.Name) {
			return nil, invalid("FilterExpression can only contain non-primary key attributes: %s", k.Name)
		}
	}
	list, err := in.from(t, hash)
	if err != nil {
		return nil, err
	}
	return r.page(t, list, func(row row) bool { return inRange.Holds(row.item) }), nil
}

// from returns the rows under a hash key that follow the starting key, in the
// direction of the query.
func (in *queryInput) from(t *table, hash expression.Value) ([]row, error) {
	list := t.rows.under(hash)
	backwards := in.ScanIndexForward != nil && !*in.ScanIndexForward
	if backwards {
		list = slices.Clone(list)
		slices.Reverse(list)
	}
	if in.ExclusiveStartKey == nil {
		return list, nil
	}
	start, err := t.exactKey(in.ExclusiveStartKey)
	if err != nil {
		return nil, invalid("the provided starting key is invalid: %v", err)
	}
	if !start.hash.Equal(hash) {
		return nil, invalid("the provided starting key is outside query boundaries")
	}
	// Not by its place in the list: the row may have been deleted meanwhile.
	return slices.DeleteFunc(slices.Clone(list), func(row row) bool {
		c := t.rows.compare(row.key, start)
		return c == 0 || backwards != (c < 0)
	}), nil
}
