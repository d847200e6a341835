// Package ban decides what is done about clients that raised an alert, and
// remembers it: who is banned, from when, until when, why, and who never is.
//
// A Store takes alerts in memory, at once: when Alert returns, Banned knows.
// What was decided becomes visible to people (List, Get, metrics, OnAlert) only
// after Commit has stored it, so a decision that was shown is never lost.
// Enforcement follows the same order while storing works; when storing fails,
// InForce yields the decisions nevertheless, because protection comes first and
// an address in an IP set is a fact, not a promise (see Store.InForce).
//
// Two clocks meet here. A ban begins at the event time of the overflow, on
// CloudFront's clock, because records are compared with it. It lasts, from the
// moment of the decision, on the wall clock, because WAF enforces it there.
//
// The allowlist is checked before anything else: no scenario, no person and no
// adopted entry gets past it.
package ban
