// Package prefetch brings memory near before it is needed. Tables that are larger than the
// caches cost mostly the wait for them; nothing waits for what is fetched ahead.
package prefetch

import "unsafe"

// Line begins to fetch the cache line, of 64 bytes or more, that an address lies in. The
// address need not be that of anything. A read would hold up what follows it as long as
// memory takes, which is longer than all that is done with the line. Where it is not known
// how, nothing is done.
func Line(p unsafe.Pointer) { line(p) }
