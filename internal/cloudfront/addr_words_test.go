package cloudfront

import (
	"net/netip"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Where netip.Addr is not as expected, this fails and nothing else does: the way around
// is slow, but right.
func TestAddrFrom128(t *testing.T) {
	if !addrBeginsWithWords {
		t.Error("netip.Addr does not begin with two words any more: addrFrom128 is slow")
	}
	rapid.Check(t, func(t *rapid.T) {
		high, low := rapid.Uint64().Draw(t, "high"), rapid.Uint64().Draw(t, "low")
		got, want := addrFrom128(high, low), addrFromArray(high, low)
		if got != want || got.String() != want.String() || got.Is6() != want.Is6() {
			t.Fatalf("%x %x: %v, want %v", high, low, got, want)
		}
	})
}

func TestAddrFrom128Array(t *testing.T) {
	defer func(was bool) { addrBeginsWithWords = was }(addrBeginsWithWords)
	addrBeginsWithWords = false
	if got, want := addrFrom128(0x20010db8<<32, 1), netip.MustParseAddr("2001:db8::1"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBeginsWithWords(t *testing.T) {
	type words struct{ _, _ uint64 }
	for _, c := range []struct {
		of   any
		want bool
	}{
		{struct {
			w words
			p *int
		}{}, true},
		{struct {
			p *int
			w words
		}{}, false},
		{struct{ w [2]uint64 }{}, false},
		{struct {
			w struct{ a, b, c uint64 }
		}{}, false},
		{struct {
			w struct{ a, b *int }
		}{}, false},
		{struct {
			w struct {
				a uint64
				b uint32
			}
		}{}, false},
		{struct{}{}, false},
		{1, false},
	} {
		if got := beginsWithWords(reflect.TypeOf(c.of)); got != c.want {
			t.Errorf("%T: %v, want %v", c.of, got, c.want)
		}
	}
}
