package awslocal

import (
	"weir/internal/awslocal/expression"
)

// maxPage is how much Scan and Query read at most in a call, in bytes.
const maxPage = 1 << 20

type (
	// readMembers are what Scan and Query share.
	readMembers struct {
		tableName
		placeholderMembers
		capacityMember
		ConsistentRead       bool
		FilterExpression     *string
		ProjectionExpression *string
		Select               string
		Limit                *int
		ExclusiveStartKey    expression.Item
	}
	scanInput struct {
		readMembers
		Segment, TotalSegments *int
	}

	readOutput struct {
		Items            []expression.Item `json:",omitempty"`
		Count            int
		ScannedCount     int
		LastEvaluatedKey expression.Item `json:",omitempty"`
		ConsumedCapacity *capacity       `json:",omitempty"`
	}
)

// reading is a parsed Scan or Query.
type reading struct {
	*readMembers
	filter     *expression.Condition // nil = all
	projection expression.Projection
	keys       *expression.Condition // nil for a Scan
}

func (in *readMembers) parse(keyCondition *string) (*reading, error) {
	p, err := expression.NewPlaceholders(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	out := &reading{readMembers: in}
	if out.keys, err = parsed(p.Condition, "KeyConditionExpression", keyCondition); err != nil {
		return nil, err
	}
	if out.filter, err = parsed(p.Condition, "FilterExpression", in.FilterExpression); err != nil {
		return nil, err
	}
	if out.projection, err = parsed(p.Projection, "ProjectionExpression", in.ProjectionExpression); err != nil {
		return nil, err
	}
	return out, firstError(
		p.AllUsed(), in.check(), in.checkSelect(),
		checkRange("Limit", in.Limit, 1, 1<<31-1),
	)
}

func (in *readMembers) checkSelect() error {
	if err := checkOneOf("Select", in.Select, "ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"); err != nil {
		return err
	}
	if projected := in.ProjectionExpression != nil; projected && in.Select != "" && in.Select != "SPECIFIC_ATTRIBUTES" {
		return invalid("cannot specify the ProjectionExpression when choosing to get %s", in.Select)
	} else if !projected && in.Select == "SPECIFIC_ATTRIBUTES" {
		return invalid("must specify the ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	}
	return nil
}

// checkRange refuses a number outside low..high. nil is the default.
func checkRange(member string, n *int, low, high int) error {
	if n != nil && (*n < low || *n > high) {
		return invalid("%s: %d is not in %d..%d", member, *n, low, high)
	}
	return nil
}

func (d *dynamo) scan(in *scanInput) (any, error) {
	r, err := in.parse(nil)
	if err != nil {
		return nil, err
	}
	segment, segments, err := in.segment()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.open(in.table())
	if err != nil {
		return nil, err
	}
	list := t.rows.list
	if in.ExclusiveStartKey != nil {
		k, err := t.exactKey(in.ExclusiveStartKey)
		if err != nil {
			return nil, invalid("the provided starting key is invalid: %v", err)
		}
		at, found := t.rows.find(k)
		if found {
			at++
		}
		list = list[at:]
	}
	mine := func(row row) bool { return row.key.place%segments == segment }
	return r.page(t, list, mine), nil
}

// segment returns which part of the table to scan, of how many.
func (in *scanInput) segment() (segment, segments uint64, err error) {
	switch {
	case (in.Segment == nil) != (in.TotalSegments == nil):
		return 0, 0, invalid("Segment and TotalSegments must be given together")
	case in.Segment == nil:
		return 0, 1, nil
	}
	err = checkRange("TotalSegments", in.TotalSegments, 1, 1_000_000)
	if err == nil {
		err = checkRange("Segment", in.Segment, 0, *in.TotalSegments-1)
	}
	if err != nil {
		return 0, 0, err
	}
	return uint64(*in.Segment), uint64(*in.TotalSegments), nil
}

// page reads rows of interest until a limit is met.
func (r *reading) page(t *table, list []row, wanted func(row) bool) readOutput {
	var out readOutput
	bytes := 0
	for i, row := range list {
		if !wanted(row) {
			continue
		}
		out.ScannedCount++
		bytes += row.size
		if r.filter == nil || r.filter.Holds(row.item) {
			out.Count++
			out.Items = append(out.Items, r.shown(row.item))
		}
		// Like DynamoDB, say that there may be more when the limit is met by
		// the last row: a client has to ask again to know.
		if r.Limit != nil && out.ScannedCount == *r.Limit || bytes >= maxPage && i < len(list)-1 {
			out.LastEvaluatedKey = t.keyItem(row.key)
			break
		}
	}
	if r.Select == "COUNT" {
		out.Items = nil
	}
	out.ConsumedCapacity = r.reading(t, bytes, r.ConsistentRead)
	return out
}

func (r *reading) shown(it expression.Item) expression.Item {
	if r.ProjectionExpression == nil {
		return it
	}
	return r.projection.Of(it)
}
