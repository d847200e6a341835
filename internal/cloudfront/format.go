// Package cloudfront turns a line of a CloudFront log into a Record.
//
// A Format is made once, from the configured field list of a real-time log or from the
// header of a standard log; Parse then fills a Record that the caller owns, alike for
// both and without allocating: every byte slice of a Record points
// into the line. Each line is checked before anything is read from it, because a
// changed log configuration shifts columns without notice, and detection on
// shifted columns would ban people for nothing. Values stay as they were logged;
// Unescape and Decode undo the escaping for those who need it.
package cloudfront

import (
	"errors"
	"fmt"
	"slices"
)

// MaxLine is the length in bytes up to which a line is read. CloudFront's own limits
// on URLs and headers keep a line below half of it, were every byte escaped.
const MaxLine = 256 << 10

// noColumn marks a field that is not in the format.
const noColumn = 0xff

// Format knows the column of every field. It is immutable: goroutines share it.
type Format struct {
	fields []Field // in the order of their columns
	// columns maps a field to its column. It has an entry for every possible Field,
	// so that no index needs a check.
	columns [256]uint8

	width, least int   // how many columns a line has, and with how few it is still a record
	clientBits   uint8 // of the network that an IPv6 client is

	// The columns that Parse reads itself; -1 where there is none. A standard log has its
	// time in two of them, and only its format has a date.
	date, time, client, status, protocol int
}

// NewFormat returns the format of real-time records that hold these fields, in any order:
// CloudFront delivers them in its own. The error names every field that is given
// twice, unknown, or required and missing.
func NewFormat(fields []Field) (*Format, error) {
	fields = slices.Clone(fields)
	slices.Sort(fields)
	if errs := checkFields(fields); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f := newFormat(len(fields))
	f.fields, f.least, f.date = fields, f.width, -1
	for column, field := range fields {
		f.columns[field] = uint8(column)
	}
	f.find()
	return f, nil
}

func newFormat(width int) *Format {
	f := &Format{width: width, clientBits: DefaultClientBits}
	for i := range f.columns {
		f.columns[i] = noColumn
	}
	return f
}

// find notes where the columns are that Parse reads itself.
func (f *Format) find() {
	at := func(field Field) int {
		if c := f.columns[field]; c != noColumn {
			return int(c)
		}
		return -1
	}
	f.time = at(FieldTimestamp)
	f.client = at(FieldCIP)
	f.status = at(FieldSCStatus)
	f.protocol = at(FieldCSProtocolVersion)
}

// How many bits of an IPv6 address tell clients apart: below MinClientBits they are whole
// sites, and with MaxClientBits each address is a client.
const (
	MinClientBits     = 48
	DefaultClientBits = 64
	MaxClientBits     = 128
)

// WithClientBits returns a format of the same lines whose records are those of clients
// with an IPv6 network of that length: MinClientBits to MaxClientBits.
func (f *Format) WithClientBits(bits int) *Format {
	if bits < MinClientBits || bits > MaxClientBits {
		panic(fmt.Sprintf("BUG: clients of %d bits", bits))
	}
	g := *f
	g.clientBits = uint8(bits)
	return &g
}

// Columns returns how many columns a line has.
func (f *Format) Columns() int { return f.width }

// Fields returns the fields in the order of their columns.
func (f *Format) Fields() []Field { return slices.Clone(f.fields) }

// Parse reads one line, without its line break, into r, which keeps pointing into the
// line. The error is a RejectReason: the first that applies of length, columns,
// control, time, client, status and protocol. A rejected line leaves r without columns.
//
// One empty column too many at the end is let pass.
func (f *Format) Parse(r *Record, line []byte) error {
	r.columns, r.near = 0, 0
	if len(line) > MaxLine {
		return RejectLength
	}
	columns, nul := r.stops.split(line)
	if columns != f.width {
		switch {
		case columns == f.width+1 && line[len(line)-1] == '\t':
			line = line[:len(line)-1]
			columns--
		case columns > f.width || columns < f.least:
			return RejectColumns
		}
	}
	if nul {
		return RejectControl
	}
	r.line = line
	if len(line) > maxNear {
		if reason, ok := f.readFar(r); !ok {
			return reason
		}
		r.format, r.columns = f, uint8(columns)
		return nil
	}
	var ok bool
	if f.date < 0 {
		r.Time, ok = parseTime(r.nearColumn(f.time))
	} else {
		r.Time, ok = parseDateTime(r.nearColumn(f.date), r.nearColumn(f.time))
	}
	if !ok {
		return RejectTime
	}
	start, end := r.stops.near(uint(f.client))
	if r.Addr, ok = parseAddrAt(line, uint(start), uint(end)); !ok {
		return RejectClient
	}
	if r.Status, ok = parseStatus(r.nearColumn(f.status)); !ok {
		return RejectStatus
	}
	if f.protocol >= 0 && !isProtocol(r.nearColumn(f.protocol)) {
		return RejectProtocol
	}
	r.format, r.columns = f, uint8(columns)
	r.near = r.columns
	return nil
}

// readFar reads what Parse reads itself of a long line.
func (f *Format) readFar(r *Record) (reason RejectReason, ok bool) {
	if f.date < 0 {
		r.Time, ok = parseTime(r.farColumn(f.time))
	} else {
		r.Time, ok = parseDateTime(r.farColumn(f.date), r.farColumn(f.time))
	}
	if !ok {
		return RejectTime, false
	}
	if r.Addr, ok = parseAddr(r.farColumn(f.client)); !ok {
		return RejectClient, false
	}
	if r.Status, ok = parseStatus(r.farColumn(f.status)); !ok {
		return RejectStatus, false
	}
	return RejectProtocol, f.protocol < 0 || isProtocol(r.farColumn(f.protocol))
}
