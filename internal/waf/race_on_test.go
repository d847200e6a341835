//go:build race

package waf

// raced says that the race detector is on, with which the runtime shuffles who runs next.
const raced = true
