package cloudfront

import (
	"bytes"
	"net/netip"
)

// An Excerpt is the format of records of which only some columns are left, in an order
// of its own: what goes to another process with what was found out about the rest. It is
// immutable: goroutines share it.
type Excerpt struct{ format *Format }

// NewExcerpt returns the excerpt with these columns, whose records are those of clients
// with an IPv6 network of so many bits, 0 to MaxClientBits.
func NewExcerpt(clientBits int, fields ...Field) *Excerpt {
	f := newFormat(len(fields))
	f.fields, f.least, f.clientBits = fields, 0, uint8(clientBits)
	for column, field := range fields {
		f.columns[field] = uint8(column)
	}
	return &Excerpt{f}
}

// Fill makes r the record with this address, event time in Unix milliseconds and status, and
// the columns of a line, which r keeps pointing into. Columns that the line has not are
// missing, and a line that no excerpt has made, as it is too long or has too many columns,
// counts as empty. A column that is empty is one.
func (x *Excerpt) Fill(r *Record, addr netip.Addr, at int64, status uint16, line []byte) {
	if len(line) > maxNear || bytes.IndexByte(line, 0) >= 0 {
		line = nil
	}
	columns, _ := r.stops.split(line)
	if columns > x.format.width {
		line = nil
		columns, _ = r.stops.split(line)
	}
	r.Time, r.Addr, r.Status = at, addr, status
	r.line, r.format = line, x.format
	r.columns = uint8(columns)
	r.near = r.columns
}
