//go:build unix && !linux

package detect

// adviseLarge has nothing to ask for: only Linux takes such advice.
func adviseLarge([]byte) {}
