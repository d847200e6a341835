package waf

import (
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// A ban that a merged entry stands for, and that goes on in another pool, is held
// by the one or the other at any time.
func TestAMergedBanThatChangesItsPool(t *testing.T) {
	bubble(t, 1, 0, func(t *testing.T, f *fakeWAF, s *fakeStore) {
		f.add("weir-list-v4-0", types.IPAddressVersionIpv4)
		cfg := s.config(f)
		cfg.Capacity = 3
		w := start(t, cfg)
		defer w.halt()
		both := pfx("1.0.0.8/31")
		s.ban(4*time.Hour, v4(8), v4(9), v4(20), v4(30))
		pass(time.Minute)
		if !f.find("weir-block-v4-0").held[both] {
			t.Fatal("nothing was merged")
		}
		f.check = func(_ *fakeSet, _ map[netip.Prefix]bool, _ time.Time) {
			for _, set := range f.sets[1:] {
				if set.held[both] || set.held[v4(9)] {
					return
				}
			}
			t.Errorf("%v: %s is held nowhere", time.Now(), v4(9))
		}
		s.mu.Lock()
		s.bans[v4(9)] = Entry{Prefix: v4(9), Action: "block", List: true, Created: time.Now(), Until: time.Now().Add(4 * time.Hour)}
		s.mu.Unlock()
		s.signal()
		pass(2 * time.Minute)
		expectHeld(t, f, v4(8), v4(9), v4(20), v4(30))
	})
}
