package scenario

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/cloudfront"
)

// floodSet is one scenario that samples, and one that does not.
func floodSet(t *testing.T, capacity, sample int) *Set {
	t.Helper()
	const text = `type: leaky
name: sampled
filter: weir.read
drain: weir.ok
groupby: weir.client
capacity: 6400
leakspeed: 1ms
sample: 64
---
type: leaky
name: whole
filter: weir.read
groupby: weir.client
capacity: 6400
leakspeed: 1ms
`
	list := parsed(t, text)
	list[0].Capacity, list[0].Sample = capacity, sample
	set, err := Compile(list, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// idForms are request ids as CloudFront makes them, and as others do.
var idForms = map[string]func(n uint64) string{
	"CloudFront": func(n uint64) string {
		b := make([]byte, 40)
		for i := range 5 {
			n = n*0x5851f42d4c957f2d + 0x14057b7ef767814f
			binary.LittleEndian.PutUint64(b[i*8:], n^n>>29)
		}
		return base64.StdEncoding.EncodeToString(b)
	},
	"numbers":           func(n uint64) string { return fmt.Sprint(n) },
	"numbered":          func(n uint64) string { return fmt.Sprintf("made-up-request-number-%012d", n) },
	"numbered in front": func(n uint64) string { return fmt.Sprintf("%012d-of-what-was-made-up", n) },
}

// TestSampleStandsForAll: of many records about one in so many is picked, whatever their
// ids look like, and whatever is in the hits that do not sample and that drain.
func TestSampleStandsForAll(t *testing.T) {
	const records = 4000
	for form, id := range idForms {
		var all []*cloudfront.Record
		for n := range uint64(records) {
			all = append(all, get("/", 200).but("id", id(n)).record(t))
		}
		for _, sample := range []int{2, 4, 16, 64} {
			m := floodSet(t, 6400, sample).NewMatcher()
			events, whole, drained := 0, 0, 0
			for _, r := range all {
				for _, hit := range m.Match(r, nil) {
					switch {
					case hit.Scenario == 1:
						whole += int(hit.Records())
					case hit.Effect == Drain:
						drained++
					case hit.Weight != uint32(sample)*WholeEvent || int(hit.Records()) != sample:
						t.Fatalf("a hit of a sample of %d: %+v", sample, hit)
					default:
						events += sample
					}
				}
			}
			if whole != records || drained != records {
				t.Errorf("%s: %d and %d hits that do not sample, want %d", form, whole, drained, records)
			}
			deviation := math.Sqrt(records * float64(sample-1))
			if off := math.Abs(float64(events-records)) / deviation; off > 4 {
				t.Errorf("%s, sample %d: %d records count as %d, which is off by %.1f deviations", form, sample, records, events, off)
			}
		}
	}
}

// TestSampleIsTheSameEverywhere: another set, as another process has it, picks the same
// records, and a record that comes twice is picked twice, or not at all.
func TestSampleIsTheSameEverywhere(t *testing.T) {
	a, b := floodSet(t, 6400, 3).NewMatcher(), floodSet(t, 6400, 3).NewMatcher()
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.StringMatching("[A-Za-z0-9_=-]{1,80}").Draw(rt, "id")
		r := get("/", 200).but("id", id)
		first := a.Match(r.record(t), nil)
		if again := a.Match(r.record(t), nil); !slices.Equal(first, again) {
			rt.Errorf("id %q: hits %v, and %v the second time", id, first, again)
		}
		if other := b.Match(r.record(t), nil); !slices.Equal(first, other) {
			rt.Errorf("id %q: hits %v, and %v elsewhere", id, first, other)
		}
	})
}

func TestWithoutIDEachCounts(t *testing.T) {
	m := floodSet(t, 6400, 64).NewMatcher()
	for range 100 {
		hits := m.Match(get("/", 200).record(t), nil)
		if len(hits) != 3 || hits[0].Records() != 1 || hits[0].Weight != WholeEvent {
			t.Fatalf("a record without an id: hits %+v", hits)
		}
	}
}

// TestOneIDForMany: where one id stands for many records, as in logs that were made, the
// times tell them apart.
func TestOneIDForMany(t *testing.T) {
	picked := 0
	for ms := range int64(16_000) {
		if uint64(numberOf([]byte("the-one-id"), ms))*16>>32 == 0 {
			picked++
		}
	}
	if picked < 880 || picked > 1120 { // 4 deviations
		t.Errorf("%d of 16000 are picked, want 1000", picked)
	}
}

// TestSampleFitsTheCapacity: who lowers a capacity need not think of the sample.
func TestSampleFitsTheCapacity(t *testing.T) {
	for _, tt := range []struct {
		kind                   Kind
		capacity, sample, want int
	}{
		{Leaky, 3000, 16, 16},
		{Leaky, 1500, 16, 15},
		{Leaky, 250, 16, 2},
		{Leaky, 199, 16, 1},
		{Leaky, 1, 16, 1},
		{Leaky, 3000, 0, 1},
		{Leaky, 3000, 1, 1},
		{Trigger, 0, 16, 1},
		{Conditional, -1, 16, 1},
	} {
		s := Scenario{Kind: tt.kind, Capacity: tt.capacity, Sample: tt.sample}
		if got := s.Sampling(); got != tt.want {
			t.Errorf("%v, capacity %d, sample %d: %d is sampled, want %d", tt.kind, tt.capacity, tt.sample, got, tt.want)
		}
	}
	m := floodSet(t, 99, 64).NewMatcher()
	for n := range 50 {
		if hits := m.Match(get("/", 200).but("id", fmt.Sprint(n)).record(t), nil); len(hits) != 3 || hits[0].Records() != 1 {
			t.Fatalf("capacity 99: hits %+v", hits)
		}
	}
	tuned, err := Tune(parsed(t, strings.Replace(plain, "capacity: 3", "capacity: 3000\nsample: 8", 1)), map[string]string{"WEIR_SCENARIO_A_B_SAMPLE": "65"})
	if err == nil || !strings.Contains(err.Error(), "allowed are 1 to 64") {
		t.Errorf("a sample of 65: %v, error %v", tuned, err)
	}
}

// TestSampledFloodsAreFound holds what samples make of the catalogue's floods against
// what a count of all would: who stays well below it is never held for a flood, and who
// exceeds it by a fifth nearly always is.
func TestSampledFloodsAreFound(t *testing.T) {
	for _, s := range Catalogue() {
		k := s.Sampling()
		if k == 1 {
			continue
		}
		// overflows returns how many of the clients overflow their buckets with so many
		// requests, a pause apart.
		overflows := func(clients, requests int, pause float64) (n int) {
			for c := range clients {
				level, last := 0.0, 0.0
				for i := range requests {
					at := float64(i) * pause
					id := idForms["CloudFront"](uint64(c)<<32 | uint64(i))
					if uint64(numberOf([]byte(id), int64(at)))*uint64(k)>>32 != 0 {
						continue
					}
					level = max(0, level-(at-last)/float64(s.Leak.Milliseconds())) + float64(k)
					last = at
					if level > float64(s.Capacity) {
						n++
						break
					}
				}
			}
			return n
		}
		if n := overflows(200, s.Capacity/2, 0); n > 0 {
			t.Errorf("%s: %d of 200 clients overflow who send half the capacity at once", s.Name, n)
		}
		if n := overflows(20, 20_000, float64(s.Leak.Milliseconds())/0.9); n > 0 {
			t.Errorf("%s: %d of 20 clients overflow whose requests leak as fast as they come", s.Name, n)
		}
		if n := overflows(200, s.Capacity*6/5, 0); n < 190 {
			t.Errorf("%s: %d of 200 clients overflow who send a fifth more than the capacity at once", s.Name, n)
		}
	}
}

// TestWhyUnpicked: of each record it is told that it was not picked, or it is a hit.
func TestWhyUnpicked(t *testing.T) {
	m := floodSet(t, 6400, 16).NewMatcher()
	picked := 0
	for n := range uint64(400) {
		r := get("/", 200).but("id", idForms["CloudFront"](n)).record(t)
		hit := slices.ContainsFunc(m.Match(r, nil), func(h Hit) bool { return h.Scenario == 0 && h.Effect == Pour })
		if hit {
			picked++
		}
		for i, want := range []int{16, 0} {
			for _, why := range m.Why(i) {
				if hit || why.Effect != Pour {
					want = 0
				}
				if !why.Holds || why.Unpicked != want {
					t.Fatalf("record %d, hit %v, scenario %d: %+v, want %d", n, hit, i, why, want)
				}
			}
		}
	}
	if picked == 0 || picked == 400 {
		t.Errorf("%d of 400 records are picked", picked)
	}
}
