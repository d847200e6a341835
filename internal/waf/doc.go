// Package waf keeps AWS WAF IP sets equal to the bans in force.
//
// A [Writer] is given everything in force, never a queue of changes, and makes
// the union of its IP sets equal to that plus whatever people added by hand.
// UpdateIPSet replaces a whole set and AWS takes one a second for the whole
// account, so a ban is bound late: it waits for the next write, whichever set
// that write is for, and never for a set of its own.
//
// The rule that holds it together: the plan (plan.go and the files it names)
// knows neither AWS nor a clock. It is told the time and the answers, and says
// what to do next. The Writer does that and nothing else, on one goroutine.
//
// What is promised: a restart unbans nobody, an empty store empties no set,
// an entry that a person added stays until a person removes it, an allowlisted
// address is never written, and the write budget is never exceeded.
//
// [Bootstrap] makes the IP sets, the rule group and the web ACL's rule once,
// before a Writer runs; a Writer itself creates and deletes nothing.
package waf
