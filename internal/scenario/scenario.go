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
	Leaky       Kind = iota // overflows when more than Capacity events are in the bucket
	Trigger                 // overflows at every event
	Conditional             // overflows when its condition holds of what is in the bucket
)

var kindNames = [...]string{Leaky: "leaky", Trigger: "trigger", Conditional: "conditional"}

// String returns "leaky", "trigger" or "conditional".
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", k)
	}
	return kindNames[k]
}

// Mode is what comes of a scenario's alerts; a higher one is weaker.
type Mode uint8

const (
	Enforce  Mode = iota // alerts become decisions
	Stage                // alerts become decisions that only count: nobody is stopped, and WAF labels the requests
	Simulate             // alerts are raised, and never become decisions
	Off                  // nothing is matched
)

var modeNames = [...]string{Enforce: "enforce", Stage: "stage", Simulate: "simulate", Off: "off"}

// String returns "enforce", "stage", "simulate" or "off".
func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", m)
	}
	return modeNames[m]
}

// Severity is how much harm an attack may do. It decides who gives way when there
// are more bans than AWS WAF has room for.
type Severity uint8

const (
	Low Severity = iota
	Medium
	High
	Critical
)

var severityNames = [...]string{Low: "low", Medium: "medium", High: "high", Critical: "critical"}

// String returns "low", "medium", "high" or "critical".
func (s Severity) String() string {
	if int(s) >= len(severityNames) {
		return fmt.Sprintf("Severity(%d)", s)
	}
	return severityNames[s]
}

// By is what the buckets of a scenario are kept for.
type By uint8

const (
	// ByClient keeps a bucket for each client, and for each Hit.Group of it.
	ByClient By = iota

	// ByRange keeps a bucket for each network of Group.V4 or Group.V6 bits. Its
	// alerts are about the network.
	ByRange

	// ByValue keeps a bucket for each Hit.Group, whoever the client is. Its alerts
	// are about clients: see Group.Members.
	ByValue
)

// A Group says whom a scenario's buckets are for.
type Group struct {
	By     By
	V4, V6 uint8 // ByRange: bits of the network of an IPv4 and of an IPv6 client; 0 = none of that family

	// Members, with ByValue: a bucket that runs over stays full, and raises an alert
	// about the client of each event that it would have to take. Without it, it is
	// emptied after an alert about the client of the last one.
	Members bool
}

// Scenario is one kind of attack: what its requests look like, and how many of
// them it takes.
type Scenario struct {
	Name        string // unique, in lower case: "http-probing"
	Description string // what it catches, and why its numbers are what they are
	Kind        Kind
	Origin      string // "built-in", or the file and line that it was read from
	Severity    Severity
	Group       Group

	// Capacity is how many events a Leaky bucket holds: a burst of one more
	// overflows it. It is above 0 for Leaky, 0 for Trigger and -1 for Conditional,
	// whose buckets never overflow by their number of events.
	Capacity int

	// Leak is how long one event takes to leak out of a Leaky bucket. Events that
	// come no faster than that never overflow it.
	Leak time.Duration

	// Blackhole is for how long, in event time, a client's further overflows
	// after an alert raise none.
	Blackhole time.Duration

	// Spacing is the least time, in event time, between two events that a bucket counts:
	// what comes sooner after one that counted does not count. 0 = all count.
	Spacing time.Duration

	// Sample says of how many records one is counted, as so many events: of those that
	// look alike to it, it picks some by their request ids. 0 and 1 = each is counted.
	// What is really done is Sampling.
	Sample int

	// Shield is for how long, in event time, a record with the effect Shield protects
	// a bucket's key from alerts. It is a whole number of minutes, and the protection
	// ends at a whole minute, so that a second Shield of the same minute changes nothing.
	Shield time.Duration

	Ban         time.Duration // how long a decision lasts; 0 = the service's default
	Action      string        // "block", "captcha", "challenge" or "count"; "" = the service's default
	Mode        Mode
	CacheSize   int  // requests that an alert carries; 0 = as many as it can
	Remediation bool // false: an alert is only for the record, and never becomes a decision

	// Queue says that Set.Judge has to be asked: of a Conditional, after each pour; of
	// others, when they overflow.
	Queue bool

	Labels map[string]string // what else the file says of it; lists are joined by ", "

	file                      string
	lookup                    lookup
	files                     []dataFile
	weight                    weight
	drainBy                   int // events that a draining record takes
	filter, groupby, distinct expression
	drain, cancel, shield     expression // extensions, but for cancel
	condition, overflow       expression
	groups                    []part    // of groupby, without the client and the range
	contents                  []content // of a Set's: the data files that expressions asked for, by name
}

// Drains reports whether there are records that take something out of the scenario's
// buckets: those with the effect Drain or Cancel.
func (s *Scenario) Drains() bool { return s.drain.text != "" || s.cancel.text != "" }

// An expression is one of a scenario's, as its file has it.
type expression struct {
	text string
	key  string
	line int
}

// weight is how much an event counts for.
type weight uint8

const (
	weightOne    weight = iota
	weightBytes         // the megabytes that were sent
	weightOrigin        // the seconds that the origin was busy
)

var weightNames = [...]string{weightOne: "one", weightBytes: "megabytes", weightOrigin: "origin_seconds"}
