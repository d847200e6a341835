// Package scenario says what a request of an attacker looks like.
//
// A Scenario is a match, which picks records, and the numbers of the leaky bucket
// that counts them for each client; package detect keeps the buckets. Catalogue
// holds the built-in scenarios, Tune changes their numbers, and Compile turns a
// list of them into a Set, whose Matchers tell for a record which scenarios it
// hits. How that is found out is nobody else's business: a Hit is all that
// crosses.
package scenario

import (
	"fmt"
	"time"
)

// Kind is how a scenario counts.
type Kind uint8

const (
	Leaky   Kind = iota // overflows when more than Capacity events are in the bucket
	Trigger             // overflows at every event
)

var kindNames = [...]string{Leaky: "leaky", Trigger: "trigger"}

// String returns "leaky" or "trigger".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", k)
	}
	return kindNames[k]
}

// Mode is what comes of a scenario's alerts.
type Mode uint8

const (
	Enforce  Mode = iota // alerts become decisions
	Simulate             // alerts are raised, and never become decisions
	Off                  // nothing is matched
)

var modeNames = [...]string{Enforce: "enforce", Simulate: "simulate", Off: "off"}

// String returns "enforce", "simulate" or "off".
func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", m)
	}
	return modeNames[m]
}

// Scenario is one kind of attack: what its requests look like, and how many of
// them it takes.
type Scenario struct {
	Name        string // unique, in lower case: "http-probing"
	Description string // what it catches, and why its numbers are what they are
	Kind        Kind

	// Capacity is how many events a Leaky bucket holds: a burst of one more
	// overflows it. It is above 0 for Leaky and 0 for Trigger.
	Capacity int

	// Leak is how long one event takes to leak out of a Leaky bucket. Events that
	// come no faster than that never overflow it.
	Leak time.Duration

	// Blackhole is for how long, in event time, a client's further overflows
	// after an alert raise none.
	Blackhole time.Duration

	Ban         time.Duration // how long a decision lasts; 0 = the service's default
	Action      string        // "block", "captcha", "challenge" or "count"; "" = the service's default
	Mode        Mode
	Remediation bool // false: an alert is only for the record, and never becomes a decision

	match    rule
	distinct distinct
}

// A distinct says which events a bucket counts only once in its life.
type distinct uint8

const (
	everyEvent      distinct = iota
	distinctPath             // the path
	distinctTop              // the first segment of the path
	distinctShape            // the path, with what identifies one of many things of a kind left out
	distinctRequest          // path and query
)
