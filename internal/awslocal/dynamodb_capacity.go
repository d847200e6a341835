package awslocal

// Units of capacity, as DynamoDB bills them.
const (
	readUnit  = 4 << 10 // bytes; half a unit when the read need not be consistent
	writeUnit = 1 << 10 // bytes
)

// capacity is what a call has cost.
type capacity struct {
	TableName     string
	CapacityUnits float64
	Table         *tableCapacity `json:",omitempty"`
}

type tableCapacity struct{ CapacityUnits float64 }

// capacityMember is the member with which an input asks what it costs.
type capacityMember struct{ ReturnConsumedCapacity string }

func (m capacityMember) check() error {
	return checkOneOf("ReturnConsumedCapacity", m.ReturnConsumedCapacity, "NONE", "TOTAL", "INDEXES")
}

func (m capacityMember) reading(t *table, bytes int, consistent bool) *capacity {
	units := float64(max(1, (bytes+readUnit-1)/readUnit))
	if !consistent {
		units /= 2
	}
	return m.cost(t, units)
}

func (m capacityMember) writing(t *table, bytes int) *capacity {
	return m.cost(t, float64(max(1, (bytes+writeUnit-1)/writeUnit)))
}

// cost is nil unless it was asked for.
func (m capacityMember) cost(t *table, units float64) *capacity {
	switch m.ReturnConsumedCapacity {
	case "TOTAL":
		return &capacity{TableName: t.name, CapacityUnits: units}
	case "INDEXES":
		return &capacity{TableName: t.name, CapacityUnits: units, Table: &tableCapacity{units}}
	}
	return nil
}
