package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
	"weir/internal/seeded"
	"weir/internal/traffic"
)

// fingerprinted returns scenarios whose hits have fingerprints of every kind: of our
// values, of sums of columns, and of what expr's machine says.
func fingerprinted(t testing.TB) (list []Scenario) {
	t.Helper()
	for i, x := range [][2]string{
		{"weir.client + weir.fingerprint", "weir.path"},
		{"weir.fingerprint", "weir.client"},
		{"weir.host + weir.top", "weir.shape"},
		{"weir.client", "weir.request + weir.request_size"},
		{"evt.Meta.source_ip", "evt.Meta.http_path"},
		{"evt.Meta.source_ip + evt.Parsed.static_ressource", "evt.Parsed.request"},
		{"evt.Meta.http_user_agent", "evt.Parsed.file_name + evt.Parsed.http_args"},
		{"evt.Parsed.verb", "Lower(evt.Meta.http_path)"},
		{"Upper(evt.Meta.http_user_agent)", "evt.Parsed.file_ext"},
	} {
		more, err := parse("fingerprints.yaml", fmt.Appendf(nil,
			"{type: leaky, name: kind-%d, filter: 'weir.served && not (evt.Meta.http_path contains \"/p\")', groupby: '%s', distinct: '%s', capacity: 5, leakspeed: 10s}", i, x[0], x[1]), lookup{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, more...)
	}
	return list
}

func seededSet(t testing.TB, list []Scenario, seed seeded.Seed) *Set {
	t.Helper()
	set, err := Compile(list, Options{BlockStatuses: []uint16{429}, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// madeRecords returns records of visitors and attackers, in order.
func madeRecords(t testing.TB, seed uint64, n int) []*cloudfront.Record {
	t.Helper()
	fields, err := cloudfront.ParseFields(strings.Join(traffic.Fields, " "))
	if err != nil {
		t.Fatal(err)
	}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		t.Fatal(err)
	}
	var list []*cloudfront.Record
	start := time.Unix(1_791_187_200, 0)
	mix := traffic.New(traffic.Config{Seed: seed, Start: start, Rate: 100, Spread: time.Minute})
	for at := start; len(list) < n; at = at.Add(time.Second) {
		mix.Until(at, func(line []byte) {
			r := new(cloudfront.Record)
			if err := format.Parse(r, slices.Clone(line)); err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		})
	}
	return list[:n]
}

// TestHitsAreTheSameUnderOneSeed compiles twice, as two processes do, and has one Matcher
// in one of them and several in the other.
func TestHitsAreTheSameUnderOneSeed(t *testing.T) {
	list := append(Catalogue(), fingerprinted(t)...)
	seed := seeded.New()
	a, b, other := seededSet(t, list, seed), seededSet(t, list, seed), seededSet(t, list, seeded.Seed{})
	one, foreign := a.NewMatcher(), other.NewMatcher()
	several := []*Matcher{b.NewMatcher(), b.NewMatcher(), b.NewMatcher()}
	r := rand.New(rand.NewPCG(1, 2))
	var got, want, differ []Hit
	prints, alike := 0, 0
	for i, record := range madeRecords(t, 7, 4000) {
		want = one.Match(record, want[:0])
		got = several[r.IntN(len(several))].Match(record, got[:0])
		if !slices.Equal(got, want) {
			t.Fatalf("record %d, %s: %+v here, %+v there", i, record.Path(), want, got)
		}
		differ = foreign.Match(record, differ[:0])
		if len(differ) != len(want) {
			t.Fatalf("record %d, %s: %+v under one seed, %+v under another", i, record.Path(), want, differ)
		}
		for j, h := range differ {
			for _, p := range [][2]uint32{{h.Distinct, want[j].Distinct}, {h.Group, want[j].Group}} {
				if p[0] > 1 { // 1 is no value
					prints++
				}
				if p[0] == p[1] && p[0] > 1 {
					alike++
				}
			}
		}
	}
	if prints < 20_000 || alike > 5 {
		t.Errorf("of %d fingerprints, %d are alike under two seeds", prints, alike)
	}
}

// TestHitsDoNotHangOnOtherRecords: what a Matcher keeps of the records before changes no
// hit, but for what the set has learnt.
func TestHitsDoNotHangOnOtherRecords(t *testing.T) {
	list := append(Catalogue(), fingerprinted(t)...)
	seed := seeded.New()
	records := madeRecords(t, 9, 3000)
	warm, cold := seededSet(t, list, seed), seededSet(t, list, seed)
	seasoned, fresh := warm.NewMatcher(), cold.NewMatcher()
	rapid.Check(t, func(t *rapid.T) {
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(records)-1), 0, 50).Draw(t, "before") {
			seasoned.Match(records[i], nil)
		}
		warm.site, cold.site = newSite(), newSite()
		for _, m := range []*Matcher{seasoned, fresh} {
			for i := range m.paths {
				m.paths[i].place = 0 // that it was learnt
			}
		}
		r := records[rapid.IntRange(0, len(records)-1).Draw(t, "record")]
		got, want := seasoned.Match(r, nil), fresh.Match(r, nil)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %+v, and %+v by one who saw nothing else", r.Path(), got, want)
		}
	})
}

// TestFingerprintsAreFixed: snapshots hold them, and another process, maybe of the next
// version, has to go on with them.
func TestFingerprintsAreFixed(t *testing.T) {
	set := seededSet(t, fingerprinted(t), seeded.Seed{1, 2, 3})
	r := get("/shop/Items/4711/blue-mug.html?ref=list", 200).but("names", "host,user-agent,accept")
	var got []string
	for _, h := range set.NewMatcher().Match(r.record(t), nil) {
		got = append(got, fmt.Sprintf("%08x %08x", h.Group, h.Distinct))
	}
	want := []string{
		"6ca08c52 6b512b25", "6ca08c52 cd8a8fbe", "134839d2 ab75c89e", "00000000 1cda4087", "00000000 1a09605e",
		"5054fe1e 6b512b25", "714589a0 e27d9fce", "139d9fe7 90feacec", "16afc624 2ad01663",
	}
	if !slices.Equal(got, want) {
		t.Errorf("fingerprints are %q, were %q: what snapshots hold means nothing any more", got, want)
	}
}
