// Package wafsim holds the WAF writer against its bars: how soon a ban is
// enforced, what an outage, a full house, a deployment or a busy colleague at the
// console costs, and that no ban is lost and no budget exceeded meanwhile.
//
// The writer runs as it does in the service, through the AWS SDK, against the
// strict stand-in, on a testing/synctest bubble's clock: an hour takes seconds,
// and a run can be repeated. That needs package testing, so the cases are tests,
// small ones in "make test". "make waf-sim" runs them at full size and prints one
// line of JSON for each.
package wafsim
