package prefetch

import (
	"testing"
	"unsafe"
)

// TestAnyAddressIsHarmless: what lies at the address is as it was, and none has to be there.
func TestAnyAddressIsHarmless(t *testing.T) {
	table := [4]uint64{1, 2, 3, 4}
	for i := range table {
		Line(unsafe.Pointer(&table[i]))
	}
	Line(unsafe.Add(unsafe.Pointer(&table), len(table)*8)) // just behind it
	Line(nil)
	if table != [4]uint64{1, 2, 3, 4} {
		t.Errorf("the table is now %v", table)
	}
	if n := testing.AllocsPerRun(10, func() { var x [8]uint64; Line(unsafe.Pointer(&x)) }); n != 0 {
		t.Errorf("%v allocations: what is fetched escapes", n)
	}
}
