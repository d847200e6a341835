package cloudfront

import (
	"bytes"
	"net/netip"
)

// Record is one viewer request.
//
// Its byte slices point into the line that was parsed, so a Record is good only
// until that line is reused. Copy what has to live longer.
type Record struct {
	Time    int64      // Unix milliseconds on CloudFront's clock: the end of the response
	Arrived int64      // Unix milliseconds at which the stream got it; 0 = unknown. The caller's: Parse leaves it alone
	Addr    netip.Addr // c-ip, unmapped, without a zone
	Status  uint16     // 0 for "000": the viewer left before an answer

	format  *Format // valid while there are columns
	line    []byte
	columns uint8 // how many there are; 0 until a line was parsed
	near    uint8 // the same, but 0 if the line is long
	stops   stops
}

// Has tells whether the record's format has a field at all. Raw does not tell a field
// that is "-" from one that is not logged.
func (r *Record) Has(f Field) bool { return r.columns > 0 && r.format.columns[f] != noColumn }

// Short tells whether the line ended before its last column, as lines of standard logs
// sometimes do. Raw is nil for what is missing, and what comes last may be cut.
func (r *Record) Short() bool { return r.columns > 0 && int(r.columns) < r.format.width }

// Raw returns the column of f as it was logged. It is nil when the column is "-" or
// when f is not in the format or beyond the end of a short line, and empty when the
// column is empty.
func (r *Record) Raw(f Field) []byte {
	if r.near == 0 {
		return r.rawFar(f)
	}
	i := r.format.columns[f]
	if i >= r.near {
		return nil
	}
	value := r.nearColumn(int(i))
	if len(value) == 1 && value[0] == '-' {
		return nil
	}
	return value
}

// rawFar is Raw of a long line, or of none.
func (r *Record) rawFar(f Field) []byte {
	if r.columns == 0 || r.format.columns[f] >= r.columns {
		return nil
	}
	value := r.farColumn(int(r.format.columns[f]))
	if len(value) == 1 && value[0] == '-' {
		return nil
	}
	return value
}

// nearColumn returns column i of a line that is not long. Its capacity is cut too:
// appending to it must not write into the next column.
func (r *Record) nearColumn(i int) []byte {
	start, end := r.stops.near(uint(i))
	return r.line[start:end:end]
}

// farColumn is nearColumn of a long line.
func (r *Record) farColumn(i int) []byte {
	start, end := r.stops.far(uint(i))+1, r.stops.far(uint(i)+1)
	return r.line[start:end:end]
}

// Path returns cs-uri-stem up to its first '?', escaped as it was logged.
func (r *Record) Path() []byte {
	path, _ := r.Target()
	return path
}

// Query returns what follows the first '?' of cs-uri-stem, escaped as it was
// logged. Where the stem has no '?', it is cs-uri-query. It is nil when there is
// none, also when nothing follows the '?'.
func (r *Record) Query() []byte {
	_, query := r.Target()
	return query
}

// Target is Path and Query in one.
func (r *Record) Target() (path, query []byte) {
	stem := r.Raw(FieldCSURIStem)
	i := bytes.IndexByte(stem, '?')
	if i < 0 {
		return stem, r.Raw(FieldCSURIQuery)
	}
	if i+1 < len(stem) {
		query = stem[i+1:]
	}
	return stem[:i:i], query
}

// Client returns whom the request is counted against: the address itself for IPv4, and
// for IPv6 the network around it, as one subscriber has a whole /64 to pick addresses
// from. Format.WithClientBits makes it another network. It is the zero Prefix until a line
// was parsed.
func (r *Record) Client() netip.Prefix {
	if r.columns == 0 {
		return netip.Prefix{}
	}
	bits := int(r.format.clientBits)
	if r.Addr.Is4() {
		bits = 32
	}
	prefix, _ := r.Addr.Prefix(bits) // there is an address, and it has so many
	return prefix
}
