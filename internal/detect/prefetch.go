//go:build amd64 || arm64

package detect

import "unsafe"

// prefetch begins to bring the cache line at p into the cache, and does not wait for
// it. A read would hold up what follows it as long as memory takes, which is longer
// than all that is done with the line.
//
//go:noescape
func prefetch(p unsafe.Pointer)
