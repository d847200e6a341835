package agent

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/cloudfront"
	"weir/internal/seeded"
)

// TestLabelled: no innocent client is contradicted, taken for a tool or called an impostor;
// verified crawlers are genuine, a false Googlebot is not; and most of those who borrow a
// browser's user agent are told from browsers.
func TestLabelled(t *testing.T) {
	type tally struct {
		clients  map[netip.Addr]bool
		records  int
		contra   map[netip.Addr]bool
		told     int // records
		kinds    map[string]int
		verdicts map[Verdict]int
		prints   map[uint64]bool
	}
	classes := map[string]*tally{}
	rd := New(Config{}).NewReader(seeded.New().Hasher())
	eachLabelled(t, func(r *cloudfront.Record, who truth) {
		key := who.Label + "/" + who.Class
		c := classes[key]
		if c == nil {
			c = &tally{map[netip.Addr]bool{}, 0, map[netip.Addr]bool{}, 0, map[string]int{}, map[Verdict]int{}, map[uint64]bool{}}
			classes[key] = c
		}
		client := rd.Read(r)
		c.clients[r.Addr] = true
		c.records++
		c.prints[rd.Fingerprint(client, r)] = true
		c.kinds[client.Claim.Kind.String()]++
		found := client.Contradicts(r)
		if found != 0 {
			c.contra[r.Addr] = true
			c.told++
		}
		v := Unknown
		if client.Claim.Crawler != 0 {
			v = rd.Verify(client, r)
			c.verdicts[v]++
		}
		if who.Label == "benign" {
			if found != 0 || client.Claim.Kind&(Tool|Broken|Outdated) != 0 || v == Impostor {
				t.Errorf("%s %s %s: contradiction %v, kind %v, verdict %v\n%s\n%s", r.Addr, who.Class, who.Trap, found, client.Claim.Kind, v,
					r.Raw(cloudfront.FieldCSUserAgent), r.Raw(cloudfront.FieldCSHeaderNames))
			}
			if strings.HasPrefix(who.Trap, "verified_") && v != Genuine {
				t.Errorf("%s %s is %v", r.Addr, who.Trap, v)
			}
			if client.Signs(r, r.Raw(cloudfront.FieldCSCookie), r.Raw(cloudfront.FieldCSReferer))&SignsKnown == 0 {
				t.Errorf("%s: signs are not known", r.Addr)
			}
		} else if who.Class == "fake_googlebot" && v != Impostor {
			t.Errorf("%s %s is %v", r.Addr, who.Class, v)
		}
	})
	for _, key := range slices.Sorted(maps.Keys(classes)) {
		c := classes[key]
		t.Logf("%-28s %4d of %4d clients, %5d of %5d records contradicted; %3d fingerprints; %v %v", key, len(c.contra), len(c.clients), c.told, c.records, len(c.prints), c.verdicts, c.kinds)
	}
	for _, class := range []string{"bf_wp_login", "cred_stuffing", "cred_stuffing_net24", "scraper_fast", "scraper_slow", "v6_rotate_scan"} {
		if c := classes["attack/"+class]; c == nil || c.told*10 < c.records*9 {
			t.Errorf("%s: less than nine tenths of the records are told from browsers", class)
		}
	}
}
