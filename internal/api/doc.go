// Package api serves a running Weir over HTTP: metrics, health; decisions and
// circuit breakers, to look at and to change; and what the IP sets hold.
//
// Whoever reaches the API can ban and unban. So it answers only to a bearer
// token, or, without one, only on a loopback address, to requests that name a
// loopback host (a page elsewhere that has its name resolve to 127.0.0.1 does
// not) and that no page of another origin sent.
//
// Every answer, errors among them, is JSON, except for the metrics.
package api
