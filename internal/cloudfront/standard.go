package cloudfront

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The standard logs' names that are spelled otherwise than the real-time log's, or that
// mean something else there: the two formats call the viewer's own Host header and the
// distribution's name by each other's names.
var standardNames = map[string]Field{
	"x-host-header":  FieldCSHost,
	"cs(Host)":       FieldXHostHeader,
	"cs(Referer)":    FieldCSReferer,
	"cs(User-Agent)": FieldCSUserAgent,
	"cs(Cookie)":     FieldCSCookie,
}

// Two columns that are no Field: together they are Record.Time, to the second.
const (
	standardDate = "date"
	standardTime = "time"
)

// standardRequired are the columns that no record can be judged without. The others came
// with the years.
var standardRequired = []string{
	standardDate, standardTime, "c-ip", "cs-method", "cs-uri-stem", "sc-status", "cs(User-Agent)",
}

// standardColumns are the columns of today, in their order. Columns were only ever added
// at the end.
var standardColumns = strings.Fields(`
	date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query
	cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken
	x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields
	c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end
	distribution-tenant-id connection-id`)

// standardDefault is how many columns a standard log has that does not say.
const standardDefault = 33

// standardWidths are the numbers of columns that standard logs have had over the years.
var standardWidths = []int{12, 15, 18, 19, 23, 24, 26, standardDefault, 35}

// StandardColumns returns the names of the columns of a standard log whose lines have
// that many columns: for a log that does not name them in a header. Where standard logs
// never had that many, it is the usual 33.
func StandardColumns(width int) []string {
	if !slices.Contains(standardWidths, width) {
		width = standardDefault
	}
	return slices.Clone(standardColumns[:width])
}

// NewStandardFormat returns the format of lines of a standard log (the "legacy" log that
// CloudFront delivers to S3), whose columns have these names in this order, as a header
// lists them. A name that is not known is a column that nobody reads. The error names
// every column that is given twice, or required and missing, or that there are too many.
//
// It differs from the real-time format in three ways. The time comes in two columns and
// in whole seconds, and FieldTimestamp is not in the format. A line may lack columns at
// its end, as long as it has all that a record is judged by; Record.Short tells. And
// cs-protocol-version is checked only where there is one.
func NewStandardFormat(columns []string) (*Format, error) {
	f := newFormat(len(columns))
	var errs []error
	if len(columns) > NumFields {
		errs = append(errs, fmt.Errorf("%d log columns are more than the %d there can be", len(columns), NumFields))
		columns = columns[:NumFields]
	}
	for i, name := range columns {
		if slices.Contains(columns[:i], name) {
			errs = append(errs, fmt.Errorf("log column %.64q is given more than once", name))
		}
		if field, ok := standardField(name); ok {
			f.columns[field] = uint8(i)
			f.fields = append(f.fields, field)
			if slices.Contains(requiredFields[:], field) {
				f.least = max(f.least, i+1)
			}
		}
	}
	for _, name := range standardRequired {
		i := slices.Index(columns, name)
		if i < 0 {
			errs = append(errs, fmt.Errorf("required log column %q is missing", name))
		}
		f.least = max(f.least, i+1)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f.find()
	f.date, f.time = slices.Index(columns, standardDate), slices.Index(columns, standardTime)
	return f, nil
}

// standardField returns the field that a column of a standard log holds.
func standardField(name string) (f Field, ok bool) {
	if f, ok = standardNames[name]; ok {
		return f, true
	}
	switch i := slices.Index(fieldNames[:], name); Field(i) {
	case FieldTimestamp, FieldCSHost, FieldXHostHeader, FieldCSUserAgent, FieldCSReferer, FieldCSCookie:
		return 0, false // the real-time log's spelling
	default:
		return Field(i), i >= 0
	}
}

// Header tells whether a line is one of those that a standard log begins with, "#Version"
// and "#Fields", which are not records. columns are the names in a "#Fields" line, and
// nil for every other line.
func Header(line []byte) (columns []string, ok bool) {
	if len(line) == 0 || line[0] != '#' {
		return nil, false
	}
	if list, found := bytes.CutPrefix(line, []byte("#Fields:")); found {
		columns = strings.Fields(string(list))
	}
	return columns, true
}
