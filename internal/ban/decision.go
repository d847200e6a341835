package ban

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"weir/internal/scenario"
)

// Action is what WAF does with the requests of a banned client.
type Action string

// The actions, as they are written in settings, API and storage.
const (
	Block     Action = "block"
	Captcha   Action = "captcha"
	Challenge Action = "challenge"
	Count     Action = "count"
)

// Actions returns every action, the strongest first.
func Actions() []Action { return []Action{Block, Captcha, Challenge, Count} }

// strength orders actions: of two decisions about a prefix, the stronger is
// enforced.
func (a Action) strength() int { return len(Actions()) - slices.Index(Actions(), a) }

// Severity is who gives way when there are more decisions than room: the lowest
// first. Those of scenarios are scenario.Severity's.
type Severity uint8

// The severities beside those of scenarios.
const (
	// SeverityAdopted is what an entry of an IP set is worth that nothing explains.
	SeverityAdopted = Severity(scenario.Medium)

	// SeverityManual is that of what a person decided: above all scenarios.
	SeverityManual = Severity(scenario.Critical) + 1
)

// String returns "manual" or the name that scenarios have for it.
func (s Severity) String() string {
	if s == SeverityManual {
		return "manual"
	}
	return scenario.Severity(s).String()
}

// Hold is what keeps a decision from being enforced.
type Hold string

// The holds, as they are written in API and storage.
const (
	HeldByScenario Hold = "scenario" // the circuit breaker of its scenario
	HeldByAll      Hold = "all"      // the circuit breaker of all scenarios together
)

// Origin is where a decision came from.
type Origin string

// The origins, as they are written in API and storage.
const (
	OriginScenario Origin = "scenario" // an alert
	OriginManual   Origin = "manual"   // a person
	OriginAdopted  Origin = "adopted"  // found in an IP set at start, explained by nothing
	OriginList     Origin = "list"     // in a file of an imported list, for as long as it is there
)

// Origins returns every origin.
func Origins() []Origin { return []Origin{OriginScenario, OriginManual, OriginAdopted, OriginList} }

// Decision is what is done about a client or a range, and until when. All its
// times are UTC with millisecond precision.
type Decision struct {
	ID       string // 24 hexadecimal digits; an alert seen twice gets the same
	Prefix   netip.Prefix
	Action   Action
	Scenario string // empty unless a scenario decided
	Origin   Origin
	Reason   string // by hand: what the person wrote; at most MaxReason bytes
	Severity Severity

	Staged bool // its scenario is being tried out: it counts, whatever its action would be
	Held   Hold // why it is stored and shown, but not enforced; empty: it is enforced
	Wide   bool // by hand or adopted: wider than MinBits4 or MinBits6, as somebody insisted

	At      time.Time // event time of the overflow; by hand and adopted: Created
	Created time.Time // when it was decided, on the clock bans run on
	Until   time.Time // when it ends or was ended, on the same clock
	Arrived time.Time // when the stream got the record that overflowed; zero: unknown
	Removed time.Time // when it was ended before its time; zero: it was not
	Hit     time.Time // event time of the client's latest record, to a second, since this process began; zero: there was none. It is not stored

	Context *Context // what led to it; nil where the method that returned it says so
}

// InForce reports whether d is in force at now.
func (d *Decision) InForce(now time.Time) bool { return now.Before(d.Until) }

// alertID makes the name of a decision from what sets its alert apart: one that
// is raised again, after a restart has replayed its records, gets the name it had.
func alertID(scenario string, client netip.Prefix, at time.Time) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %d", scenario, client, at.UnixMilli())
	return hex.EncodeToString(h.Sum(nil)[:idBytes])
}

// randomID makes the name of a decision that no alert led to.
func randomID() string {
	var b [idBytes]byte
	rand.Read(b[:]) // never returns an error
	return hex.EncodeToString(b[:])
}

const idBytes = 12

// millis and fromMillis are the one way times go to and come from storage, and
// the one place where they lose what is finer than a millisecond and their
// monotonic reading. Zero stands for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis moves times that JSON cannot write to the nearest that it can: a
// record with an absurd time must not make its decision impossible to store.
func fromMillis(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(min(ms, endOfTime)).UTC()
}

const endOfTime = 253_402_300_799_999 // Unix ms: the last of the year 9999

func wholeMillis(t time.Time) time.Time { return fromMillis(millis(t)) }
