// Package agent tells who a client says it is, and whether that is true.
package agent
