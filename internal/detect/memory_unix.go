//go:build unix

package detect

import (
	"fmt"
	"syscall"
)

// mapRegion reserves zeroed pages, which the system hands out as they are touched.
func mapRegion(bytes int) ([]byte, error) {
	region, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w", bytes, err)
	}
	adviseLarge(region)
	return region, nil
}

func unmapRegion(region []byte) {
	if err := syscall.Munmap(region); err != nil {
		panic("BUG: unmap what was mapped: " + err.Error())
	}
}
