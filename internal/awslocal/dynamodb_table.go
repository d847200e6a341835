package awslocal

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"weir/internal/awslocal/expression"
)

// table is one table and its rows.
type table struct {
	name, arn, id string
	hash, sort    expression.Key
	onDemand      bool
	read, write   int64  // provisioned units; 0 when on demand
	guarded       bool   // deletion protection
	ttl           string // attribute by which items may expire, "" = none

	created time.Time
	ready   time.Time // ACTIVE from then on
	gone    time.Time // DELETING until then; zero = not being deleted
	rows    rows
}

func (t *table) status(now time.Time) string {
	switch {
	case !t.gone.IsZero():
		return "DELETING"
	case now.Before(t.ready):
		return "CREATING"
	default:
		return "ACTIVE"
	}
}

type (
	attributeDefinition struct {
		AttributeName string
		AttributeType expression.Kind
	}
	keySchemaElement struct{ AttributeName, KeyType string }
	throughput       struct{ ReadCapacityUnits, WriteCapacityUnits int64 }

	createTableInput struct {
		tableName
		AttributeDefinitions      []attributeDefinition
		KeySchema                 []keySchemaElement
		BillingMode               string
		ProvisionedThroughput     *throughput
		DeletionProtectionEnabled bool
		Tags                      []struct{ Key, Value string }
	}
	tableInput      struct{ tableName }
	listTablesInput struct {
		ExclusiveStartTableName string
		Limit                   *int
	}

	tableDescription struct {
		TableName                 string
		TableArn                  string
		TableId                   string
		TableStatus               string
		CreationDateTime          float64 // Unix seconds
		AttributeDefinitions      []attributeDefinition
		KeySchema                 []keySchemaElement
		ProvisionedThroughput     throughput
		BillingModeSummary        *billing `json:",omitempty"`
		ItemCount                 int
		TableSizeBytes            int
		DeletionProtectionEnabled bool
	}
	billing struct{ BillingMode string }
)

func (listTablesInput) table() string { return "" }

var tablePattern = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// keys checks a table's definition and returns its keys.
func (in *createTableInput) keys() (hash, sort expression.Key, err error) {
	kinds := make(map[string]expression.Kind)
	for _, a := range in.AttributeDefinitions {
		if !slices.Contains([]expression.Kind{expression.String, expression.Number, expression.Binary}, a.AttributeType) {
			return hash, sort, invalid("attribute %s: a key is S, N or B, not %q", a.AttributeName, a.AttributeType)
		}
		kinds[a.AttributeName] = a.AttributeType
	}
	var keys []expression.Key
	for i, k := range in.KeySchema {
		if want := []string{"HASH", "RANGE"}; i >= len(want) || k.KeyType != want[i] {
			return hash, sort, invalid("invalid KeySchema: one HASH key, then at most one RANGE key")
		}
		if kinds[k.AttributeName] == "" {
			return hash, sort, invalid("the KeySchema's attribute %s is not defined in AttributeDefinitions", k.AttributeName)
		}
		keys = append(keys, expression.Key{Name: k.AttributeName, Kind: kinds[k.AttributeName]})
	}
	keys = append(keys, expression.Key{})
	switch {
	case len(in.KeySchema) == 0:
		return hash, sort, invalid("the KeySchema is empty")
	case keys[0].Name == keys[1].Name:
		return hash, sort, invalid("both the hash key and the range key element in the KeySchema have the same name")
	case len(kinds) != len(in.KeySchema) || len(in.AttributeDefinitions) != len(kinds):
		return hash, sort, invalid("number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return keys[0], keys[1], nil
}

// units checks how a table is paid for.
func (in *createTableInput) units() (onDemand bool, units throughput, err error) {
	if err := checkOneOf("BillingMode", in.BillingMode, "PROVISIONED", "PAY_PER_REQUEST"); err != nil {
		return false, units, err
	}
	onDemand = in.BillingMode == "PAY_PER_REQUEST"
	p := in.ProvisionedThroughput
	switch {
	case onDemand && p != nil:
		return false, units, invalid("neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case onDemand:
		return true, units, nil
	case p == nil || p.ReadCapacityUnits < 1 || p.WriteCapacityUnits < 1:
		return false, units, invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified, and at least 1, when BillingMode is PROVISIONED")
	}
	return false, *p, nil
}

func (d *dynamo) createTable(in *createTableInput) (any, error) {
	if !tablePattern.MatchString(in.TableName) {
		return nil, invalid("TableName: %q is not 3 to 255 of a-z, A-Z, 0-9, '_', '-' and '.'", in.TableName)
	}
	hash, sort, err := in.keys()
	if err != nil {
		return nil, err
	}
	onDemand, units, err := in.units()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Now()
	if d.lookup(in.TableName, now) != nil {
		return nil, fail(http.StatusBadRequest, "ResourceInUseException", "table already exists: %s", in.TableName)
	}
	t := &table{
		name: in.TableName, id: newID(), hash: hash, sort: sort,
		arn:      "arn:aws:dynamodb:" + d.cfg.Region + ":" + d.cfg.AccountID + ":table/" + in.TableName,
		onDemand: onDemand, read: units.ReadCapacityUnits, write: units.WriteCapacityUnits,
		guarded: in.DeletionProtectionEnabled,
		created: now, ready: now.Add(d.cfg.DynamoDB.TableDelay),
	}
	t.rows.sort = sort
	d.tables[t.name] = t
	return map[string]any{"TableDescription": t.describe(now)}, nil
}

// lookup returns the table of that name, whatever its status, or nil. d.mu is held.
func (d *dynamo) lookup(name string, now time.Time) *table {
	t := d.tables[name]
	if t != nil && !t.gone.IsZero() && !now.Before(t.gone) {
		delete(d.tables, name)
		return nil
	}
	return t
}

// open returns a table whose items can be used. d.mu is held.
func (d *dynamo) open(name string) (*table, error) {
	now := d.cfg.Now()
	t := d.lookup(name, now)
	if t == nil || t.status(now) != "ACTIVE" {
		return nil, tableNotFound("table " + name)
	}
	return t, nil
}

func (t *table) describe(now time.Time) tableDescription {
	out := tableDescription{
		TableName: t.name, TableArn: t.arn, TableId: t.id, TableStatus: t.status(now),
		CreationDateTime:          float64(t.created.UnixMilli()) / 1000,
		ProvisionedThroughput:     throughput{t.read, t.write},
		ItemCount:                 len(t.rows.list),
		TableSizeBytes:            t.rows.size(),
		DeletionProtectionEnabled: t.guarded,
	}
	if t.onDemand {
		out.BillingModeSummary = &billing{"PAY_PER_REQUEST"}
	}
	for i, k := range []expression.Key{t.hash, t.sort} {
		if k.Name != "" {
			out.AttributeDefinitions = append(out.AttributeDefinitions, attributeDefinition{k.Name, k.Kind})
			out.KeySchema = append(out.KeySchema, keySchemaElement{k.Name, []string{"HASH", "RANGE"}[i]})
		}
	}
	return out
}

func (d *dynamo) describeTable(in *tableInput) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Now()
	t := d.lookup(in.table(), now)
	if t == nil {
		return nil, tableNotFound("table " + in.table())
	}
	return map[string]any{"Table": t.describe(now)}, nil
}

func (d *dynamo) deleteTable(in *tableInput) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Now()
	t := d.lookup(in.table(), now)
	switch {
	case t == nil:
		return nil, tableNotFound("table " + in.table())
	case t.guarded:
		return nil, invalid("table %s can't be deleted while DeletionProtectionEnabled is set to true", t.name)
	case t.status(now) != "ACTIVE":
		return nil, fail(http.StatusBadRequest, "ResourceInUseException", "table %s is %s", t.name, t.status(now))
	}
	t.gone = now.Add(d.cfg.DynamoDB.TableDelay)
	return map[string]any{"TableDescription": t.describe(now)}, nil
}

const maxTablesListed = 100

func (d *dynamo) listTables(in *listTablesInput) (any, error) {
	limit := maxTablesListed
	if in.Limit != nil {
		if limit = *in.Limit; limit < 1 || limit > maxTablesListed {
			return nil, invalid("Limit: %d is not in 1..%d", limit, maxTablesListed)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Now()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(d.tables)), func(name string) bool {
		return name <= in.ExclusiveStartTableName || d.lookup(name, now) == nil
	})
	if len(names) <= limit {
		return map[string]any{"TableNames": append([]string{}, names...)}, nil
	}
	return map[string]any{"TableNames": names[:limit], "LastEvaluatedTableName": names[limit-1]}, nil
}
