// Package expression is DynamoDB's language of expressions and the values it
// is about: attribute values as they are on the wire, conditions, filters and
// key conditions, projections and updates.
//
// It is as strict as DynamoDB, since a request that the real one refuses must
// not pass its stand-in: reserved words, placeholders that nothing mentions,
// clashing paths and senseless comparisons are errors. Parsed expressions and
// values never change and may be shared by goroutines.
package expression

import "fmt"

// Error says what is wrong with a value, an expression or an update of a
// certain item. DynamoDB calls it a ValidationException.
type Error struct{ reason string }

func (e *Error) Error() string { return e.reason }

func errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }
