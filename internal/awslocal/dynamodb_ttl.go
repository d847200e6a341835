package awslocal

type (
	updateTTLInput struct {
		tableName
		TimeToLiveSpecification *ttlSpecification
	}
	ttlSpecification struct {
		AttributeName string
		Enabled       bool
	}
	ttlDescription struct {
		TimeToLiveStatus string
		AttributeName    string `json:",omitempty"`
	}
)

// ttlTable returns a table that TTL can be asked about. d.mu is held.
func (d *dynamo) ttlTable(name string) (*table, error) {
	t := d.lookup(name, d.cfg.Now())
	if t == nil {
		return nil, tableNotFound("table " + name)
	}
	return t, nil
}

func (d *dynamo) describeTTL(in *tableInput) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.ttlTable(in.table())
	if err != nil {
		return nil, err
	}
	out := ttlDescription{TimeToLiveStatus: "DISABLED"}
	if t.ttl != "" {
		out = ttlDescription{"ENABLED", t.ttl}
	}
	return map[string]any{"TimeToLiveDescription": out}, nil
}

// updateTTL has items expire, or not. It deletes none: AWS takes days over it, and
// whoever reads must not rely on it.
func (d *dynamo) updateTTL(in *updateTTLInput) (any, error) {
	s := in.TimeToLiveSpecification
	if s == nil || s.AttributeName == "" || len(s.AttributeName) > 255 {
		return nil, invalid("TimeToLiveSpecification: an attribute of 1 to 255 bytes must be named")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.ttlTable(in.table())
	switch {
	case err != nil:
		return nil, err
	case s.Enabled && t.ttl != "":
		return nil, invalid("TimeToLive is already enabled")
	case !s.Enabled && t.ttl == "":
		return nil, invalid("TimeToLive is already disabled")
	}
	if t.ttl = s.AttributeName; !s.Enabled {
		t.ttl = ""
	}
	return map[string]any{"TimeToLiveSpecification": s}, nil
}
