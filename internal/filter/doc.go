// Package filter decides which of many filters hold of a record. A filter is a
// boolean expression over evt, in the language of CrowdSec's scenarios.
package filter
