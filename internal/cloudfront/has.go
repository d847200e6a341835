package cloudfront

// Has tells whether the record's format has a field at all: Raw alone does not tell
// a field that is "-" from one that is not logged.
func (r *Record) Has(f Field) bool {
	return r.format != nil && r.format.columns[f] != noColumn
}
