package scenario

import (
	"slices"
	"strings"
	"testing"
)

// TestShieldsAreShared: scenarios with the same shield, for the same time and kind of key,
// have one; its hits come once for each size of network.
func TestShieldsAreShared(t *testing.T) {
	const first = "{type: leaky, name: NAME, filter: weir.post, groupby: weir.range, range: {ipv4: 24, ipv6: 56}, capacity: 1, leakspeed: 1s, shield: {filter: weir.healthy, for: 1h}}"
	with := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(first) }
	for _, tt := range []struct {
		name  string
		other string
		of    int
		hits  []uint16
	}{
		{"the same", first, 0, []uint16{0}},
		{"another filter", with("weir.post", "weir.failing"), 0, []uint16{0}},
		{"other networks", with("ipv6: 56", "ipv6: 48"), 0, []uint16{0, 1}},
		{"for a shorter time", with("1h", "30m"), 1, []uint16{0, 1}},
		{"after other records", with("weir.healthy", "weir.healthy && true"), 1, []uint16{0, 1}},
		{"of clients", with("weir.range, range: {ipv4: 24, ipv6: 56}", "weir.client"), 1, []uint16{0, 1}},
		{"of values", with("weir.range, range: {ipv4: 24, ipv6: 56}", "weir.fingerprint"), 1, []uint16{0, 1}},
		{"of networks and values", with("weir.range, range", "weir.range + weir.host, range"), 1, []uint16{0, 1}},
		{"no shield", with(", shield: {filter: weir.healthy, for: 1h}", ""), 1, []uint16{0}},
	} {
		list, err := parse("f.yaml", []byte(strings.Replace(first, "NAME", "one", 1)+"\n---\n"+strings.Replace(tt.other, "NAME", "two", 1)), lookup{})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		shields := func(list []Scenario) (of int, hits []uint16) {
			set, err := Compile(list, Options{})
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			r := get("/", 200).but("ref", "https://www.example.com/").record(t)
			for _, h := range set.NewMatcher().Match(r, nil) {
				if h.Effect == Shield {
					hits = append(hits, h.Scenario)
				}
			}
			return set.ShieldOf(1), hits
		}
		if of, hits := shields(list); of != tt.of || !slices.Equal(hits, tt.hits) {
			t.Errorf("%s: the shield of %d, hits of %v; want %d and %v", tt.name, of, hits, tt.of, tt.hits)
		}
		list[0].Mode = Off
		if of, hits := shields(list); of != 1 || len(hits) > 0 && hits[0] == 0 {
			t.Errorf("%s: where the first is off, the shield of %d, hits of %v", tt.name, of, hits)
		}
	}
}
