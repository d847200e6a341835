package main

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/waf"
)

// What no write will enforce is told, and is a difference.
func TestUnplaced(t *testing.T) {
	got := unplaced([]waf.PoolStatus{
		{Pool: "block", Family: "ipv4", Sets: 1, Wanted: 12, Evicted: 2},
		{Pool: "block", Family: "ipv6", Wanted: 7},
		{Pool: "captcha", Family: "ipv4", Sets: 2, Wanted: 5, Pending: 5},
		{Pool: "list", Family: "ipv4"},
	})
	if want := []api.Unplaced{{Pool: "block", Family: "ipv4", Entries: 2}, {Pool: "block", Family: "ipv6", Entries: 7}}; !slices.Equal(got, want) {
		t.Fatalf("unplaced: %+v, want %+v", got, want)
	}
	diffs := []api.Diff{{Target: "default", Unplaced: got}}
	var coded *codedError
	if err := judgeDiffs(diffs, true); !errors.As(err, &coded) || coded.code != exitDiffers {
		t.Errorf("judged %v, want exit code %d", err, exitDiffers)
	}
	if err := judgeDiffs(diffs, false); err != nil {
		t.Errorf("asked to reconcile, judged %v", err)
	}
	var out strings.Builder
	writeDiff(&out, &diffs[0])
	if !strings.Contains(out.String(), "block, ipv6: 7 in force without room in any IP set") {
		t.Errorf("shown as %s", &out)
	}
}

// What is not to be written is told with its reason, and is no difference.
func TestShownExcluded(t *testing.T) {
	list := []waf.Excluded{
		{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Reason: "action"},
		{Prefix: netip.MustParsePrefix("192.0.2.2/32"), Reason: "action"},
		{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Reason: "special"},
	}
	diff := api.Diff{Target: "default", Excluded: excluded(list)}
	var out strings.Builder
	writeDiff(&out, &diff)
	for _, want := range []string{"  2 in force have an action that no IP set is for", "    ! 192.0.2.2\n", "  1 in force are addresses that nobody on the internet has", "    ! 10.0.0.0/8\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	if err := judgeDiffs([]api.Diff{diff}, true); err != nil {
		t.Errorf("judged %v", err)
	}
}
