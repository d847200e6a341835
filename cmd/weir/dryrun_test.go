package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"weir/internal/waf"
)

// A dry run tells what is new, and little of what is much.
func TestNarration(t *testing.T) {
	var n narration
	now := time.Unix(1_790_000_000, 0)
	client := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 32)
	}
	preview := func(adds, drops []netip.Prefix) waf.Preview {
		d := waf.SetDiff{Name: "weir-block-v4-0", Adds: adds, Drops: drops}
		return waf.Preview{At: now, Sets: []waf.SetDiff{d}, Slots: []waf.Slot{{At: now.Add(1500 * time.Millisecond), SetDiff: d}}}
	}
	told := func(pre waf.Preview) string {
		fields := n.next(pre)
		if fields == nil {
			return ""
		}
		enc := zapcore.NewMapObjectEncoder()
		for _, f := range fields {
			f.AddTo(enc)
		}
		return fmt.Sprint(enc.Fields)
	}
	for _, tt := range []struct {
		pre  waf.Preview
		want string
	}{
		{waf.Preview{Ready: errors.New("not read yet")}, ""},
		{waf.Preview{At: now}, ""},
		{preview([]netip.Prefix{client(1)}, nil), "map[add:[192.0.0.1/32] missing:1 superfluous:0 writes:[weir-block-v4-0 in 1.5s: +1 -0]]"},
		{preview([]netip.Prefix{client(1)}, nil), ""},
		{
			preview([]netip.Prefix{client(1), client(2)}, []netip.Prefix{client(3)}),
			"map[add:[192.0.0.2/32] drop:[192.0.0.3/32] missing:2 superfluous:1 writes:[weir-block-v4-0 in 1.5s: +2 -1]]",
		},
		{
			preview([]netip.Prefix{client(2)}, []netip.Prefix{client(3)}),
			"map[add_no_more:[192.0.0.1/32] missing:1 superfluous:1 writes:[weir-block-v4-0 in 1.5s: +1 -1]]",
		},
	} {
		if got := told(tt.pre); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	var many []netip.Prefix
	for i := range 1000 {
		many = append(many, client(i))
	}
	for _, f := range n.next(preview(many, nil)) {
		if f.Key != "add" {
			continue
		}
		enc := zapcore.NewMapObjectEncoder()
		f.AddTo(enc)
		list := enc.Fields["add"].([]any)
		if len(list) != tellMost+1 || !slices.Contains(list, any("and 979 more")) {
			t.Errorf("a thousand are told as %v", list)
		}
	}
}
