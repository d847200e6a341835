// Package filter decides which of many filters hold of a record. A filter is a
// boolean expression over evt, in the language of CrowdSec's scenarios.
//
// Filters are compiled together. What an expression asks of one column of the
// record is an atom, a bit; the atoms of all filters that look into one column are
// found in one pass over it and remembered by the column's hash, and which filters
// hold for a combination of atoms is remembered by the combination. So a filter
// costs nothing of its own on a record whose columns were seen before: what remains
// is to hash them.
// Whatever cannot be compiled runs in the virtual machine of expr, on the records
// that the compiled part of its filter lets pass.
//
// The rule that holds it together: compiled or not, a filter holds of a record
// exactly when expr says so of the event that CrowdSec's parsers would have made. There
// is one exception, and it is there so that nobody can make records dear: of a column of
// more than 1280 bytes, as logged, compiled filters see the first 1024 and the last 256.
// Values are of the whole column, whatever its length.
package filter
