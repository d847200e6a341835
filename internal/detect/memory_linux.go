package detect

import "syscall"

// adviseLarge asks for large pages: tables are read and written all over, and with
// small pages most of the time would go into finding them, and into giving
// them out one by one. A system without large pages does as well with small ones,
// so its refusal says nothing.
func adviseLarge(region []byte) { _ = syscall.Madvise(region, syscall.MADV_HUGEPAGE) }
