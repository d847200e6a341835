// Package cloudfront turns a line of a CloudFront log into a Record.
//
// A Format is made once from the configured field list; Parse then fills a Record
// that the caller owns, without allocating: every byte slice of a Record points
// into the line. Each line is checked before anything is read from it, because a
// changed log configuration shifts columns without notice, and detection on
// shifted columns would ban people for nothing. Values stay as they were logged;
// Unescape and Decode undo the escaping for those who need it.
package cloudfront

import (
	"errors"
	"slices"
)

// MaxLine is the length in bytes up to which a line is read. CloudFront's own limits
// on URLs and headers keep a line below half of it, were every byte escaped.
const MaxLine = 256 << 10

// noColumn marks a field that is not in the format.
const noColumn = 0xff

// Format knows the column of every field. It is immutable: goroutines share it.
type Format struct {
	fields []Field
	// columns maps a field to its column. It has an entry for every possible Field,
	// so that no index needs a check.
	columns [256]uint8

	time, client, status, protocol int // the columns that Parse reads itself
}

// NewFormat returns the format of records that hold these fields, in any order:
// CloudFront delivers them in its own. The error names every field that is given
// twice, unknown, or required and missing.
func NewFormat(fields []Field) (*Format, error) {
	fields = slices.Clone(fields)
	slices.Sort(fields)
	if errs := checkFields(fields); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f := &Format{fields: fields}
	for i := range f.columns {
		f.columns[i] = noColumn
	}
	for column, field := range fields {
		f.columns[field] = uint8(column)
	}
	f.time = int(f.columns[FieldTimestamp])
	f.client = int(f.columns[FieldCIP])
	f.status = int(f.columns[FieldSCStatus])
	f.protocol = int(f.columns[FieldCSProtocolVersion])
	return f, nil
}

// Fields returns the fields in the order of their columns.
func (f *Format) Fields() []Field { return slices.Clone(f.fields) }

// Parse reads one line, without its line break, into r, which keeps pointing into the
// line. The error is a RejectReason: the first that applies of length, columns,
// control, time, client, status and protocol. A rejected line leaves r without columns.
//
// One empty column too many at the end is let pass.
func (f *Format) Parse(r *Record, line []byte) error {
	r.format = nil
	if len(line) > MaxLine {
		return RejectLength
	}
	n := len(f.fields)
	columns, nul := r.stops.split(line)
	if columns == n+1 && line[len(line)-1] == '\t' {
		line = line[:len(line)-1]
		columns--
	}
	switch {
	case columns != n:
		return RejectColumns
	case nul:
		return RejectControl
	}
	r.line = line
	r.stops[n] = int32(len(line))
	var ok bool
	if r.Time, ok = parseTime(r.column(f.time)); !ok {
		return RejectTime
	}
	if r.Addr, ok = parseAddr(r.column(f.client)); !ok {
		return RejectClient
	}
	if r.Status, ok = parseStatus(r.column(f.status)); !ok {
		return RejectStatus
	}
	if !isProtocol(r.column(f.protocol)) {
		return RejectProtocol
	}
	r.format = f
	return nil
}
