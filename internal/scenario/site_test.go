package scenario

import (
	"testing"

	"pgregory.net/rapid"
)

const hour = int64(msPerHour)

func TestSiteKnowsForADay(t *testing.T) {
	s := newSite()
	const path = 0x123456789abcdef0
	const now = 500_000 * hour
	if s.knows(path, now) {
		t.Fatal("knows what it was never told")
	}
	s.learn(path, now)
	for ago, want := range map[int64]bool{0: true, 1: true, 24: true, 25: false, 48: false, 200: false, 240: false, 5000: false} {
		if got := s.knows(path, now+ago*hour); got != want {
			t.Errorf("%d hours later: %v, want %v", ago, got, want)
		}
	}
	if !s.knows(path, now-3*hour) {
		t.Error("a record that comes late is not told")
	}
	s.learn(path, now-20*hour)
	if !s.knows(path, now+24*hour) {
		t.Error("an older record made it forget")
	}
	s.learn(path, now+20*hour)
	if !s.knows(path, now+44*hour) {
		t.Error("a later record did not make it remember for longer")
	}
	if s.knows(path+1<<40, now) {
		t.Error("takes one path for another")
	}
}

// TestSiteForgetsTheOldest fills one group and more: what was there last stays.
func TestSiteForgetsTheOldest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSite()
		const group = 77 << 40
		n := rapid.IntRange(1, 12).Draw(t, "paths")
		for i := range n {
			s.learn(group|uint64(i+1)<<hourBits, (500_000+int64(i))*hour)
		}
		for i := range n {
			want := i >= n-siteWays
			if got := s.knows(group|uint64(i+1)<<hourBits, (500_000+int64(n))*hour); got != want {
				t.Fatalf("path %d of %d: %v, want %v", i, n, got, want)
			}
		}
	})
}

func TestSiteRecognisesItsStandIn(t *testing.T) {
	s := newSite()
	for i := range pageSure {
		if s.isStandIn(7, 4711) {
			t.Fatalf("sure after %d pages", i+1)
		}
	}
	if !s.isStandIn(7, 4711) {
		t.Error("not sure after many pages of one length")
	}
	if s.isStandIn(7, 4712) {
		t.Error("takes another length for it")
	}
	if s.isStandIn(8, 4711) {
		t.Error("takes it for another host's")
	}
	s = newSite()
	for i := range 500 { // a site with real pages
		if s.isStandIn(7, uint64(3000+i*7%40)) {
			t.Fatal("takes pages for a stand-in")
		}
	}
}
