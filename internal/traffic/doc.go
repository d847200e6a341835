// Package traffic makes CloudFront real-time log records of visitors and
// attackers whose nature is known: what `weir demo` puts into the stream and
// the benchmarks read.
//
// A Mix is a set of actors, each a small model of one client: a browser that
// loads a page and its assets, an app that refreshes its token, a scanner that
// works through a word list. Actors live on the clock they are given and ask
// before each request whether the web ACL blocks them, so that enforcement
// shows in the records as it would in a real log: the answer becomes the WAF's
// own, and the origin is not reached.
//
// The same seed makes the same population; the rest follows from the clock and
// from who is blocked when.
package traffic
