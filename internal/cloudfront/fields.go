package cloudfront

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// requiredFields are those that no record can be judged without.
var requiredFields = [...]Field{
	FieldTimestamp,
	FieldCIP,
	FieldSCStatus,
	FieldCSMethod,
	FieldCSHost,
	FieldCSURIStem,
	FieldXEdgeRequestID,
	FieldCSProtocolVersion,
	FieldCSUserAgent,
}

// ParseFields reads a list of field names, separated by commas, white space or
// both, and returns the fields in AWS's order: the order in which CloudFront
// delivers them, whatever order they were configured in. "all" stands for every
// field.
//
// The error names all that is wrong at once: names that are not known, each with
// the nearest one that is, names given twice, and required fields that are missing.
func ParseFields(list string) ([]Field, error) {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(names) == 1 && names[0] == "all" {
		return allFields(), nil
	}
	var fields []Field
	var errs []error
	for _, name := range names {
		i := slices.Index(fieldNames[:], name)
		switch {
		case name == "all":
			errs = append(errs, errors.New(`"all" stands alone or not at all`))
		case i < 0:
			errs = append(errs, fmt.Errorf("unknown log field %.64q (nearest: %s)", name, nearestField(name)))
		default:
			fields = append(fields, Field(i))
		}
	}
	slices.Sort(fields)
	errs = append(errs, checkFields(fields)...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return fields, nil
}

func allFields() []Field {
	fields := make([]Field, NumFields)
	for i := range fields {
		fields[i] = Field(i)
	}
	return fields
}

// checkFields says what keeps sorted fields from being a format.
func checkFields(sorted []Field) []error {
	var errs []error
	for i, f := range sorted {
		switch {
		case int(f) >= NumFields:
			errs = append(errs, fmt.Errorf("log field number %d is out of range 0 to %d", f, NumFields-1))
		case i > 0 && f == sorted[i-1] && (i < 2 || f != sorted[i-2]):
			errs = append(errs, fmt.Errorf("log field %q is given more than once", f.String()))
		}
	}
	for _, f := range requiredFields {
		if _, found := slices.BinarySearch(sorted, f); !found {
			errs = append(errs, fmt.Errorf("required log field %q is missing", f.String()))
		}
	}
	return errs
}

// nearestField returns the known name that the fewest edits lead to.
func nearestField(name string) string {
	// A long name is nearer to nothing, and the distance is quadratic.
	name = strings.ToLower(name[:min(len(name), 64)])
	return slices.MinFunc(fieldNames[:], func(a, b string) int {
		return editDistance(name, a) - editDistance(name, b)
	})
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
