package detect

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/scenario"
)

func TestSamplesAreTheLatest(t *testing.T) {
	large := only("http-probing", func(s *scenario.Scenario) { s.Capacity, s.Leak = 60, time.Hour })
	alerts := alertsOf(t, large, series(61, 0, 0, "a")...)
	if len(alerts) != 1 {
		t.Fatalf("%d alerts, want 1", len(alerts))
	}
	samples := alerts[0].Samples
	if len(samples) != maxSamples || samples[0].Path != "/a/bp" || samples[maxSamples-1].Path != "/a/ci" {
		t.Errorf("%d samples, from %s to %s", len(samples), samples[0].Path, samples[len(samples)-1].Path)
	}
}

func TestSamplesAreOfTheBucketThatOverflowed(t *testing.T) {
	var visits []visit
	for i := range 11 {
		at := time.Duration(i) * time.Millisecond
		visits = append(visits,
			visit{at: at, url: fmt.Sprintf("/a/%c", 'a'+i)},
			visit{at: at, url: fmt.Sprintf("/b/%c", 'a'+i), client: "203.0.113.5"},
			visit{at: at, url: fmt.Sprintf("/%c/HNAP1/", 'a'+i), status: 200},
		)
	}
	alerts := alertsOf(t, append(probing(), only("http-exploit-path")...), visits...)
	if len(alerts) != 2 {
		t.Fatalf("%d alerts, want 2", len(alerts))
	}
	for i, want := range []string{"/a/", "/b/"} {
		for _, s := range alerts[i].Samples {
			if !strings.HasPrefix(s.Path, want) {
				t.Errorf("alert %d: sample of %s", i, s.Path)
			}
		}
	}
}

func TestSampleIsCutAndInWireForm(t *testing.T) {
	long := strings.Repeat("%25ff", 200)
	exploit := visit{
		url: "/HNAP1/" + long + "?" + strings.Repeat("b", 2000), status: 403, method: strings.Repeat("M", 100),
		agent: strings.Repeat("%20x", 300), id: strings.Repeat("i", 100), client: "2001:db8::7", referer: strings.Repeat("r", 300),
	}
	alerts := alertsOf(t, only("http-exploit-path"), exploit)
	if len(alerts) != 1 || len(alerts[0].Samples) != 1 {
		t.Fatalf("alerts %+v, want one with a sample", alerts)
	}
	s := alerts[0].Samples[0]
	// 512 bytes of the path as logged end two bytes into an escape, which goes too.
	if want := "/HNAP1/" + strings.Repeat("%ff", 101); s.Path != want {
		t.Errorf("path %q, want %q", s.Path, want)
	}
	if want := strings.Repeat(" x", 64); s.UserAgent != want {
		t.Errorf("user agent %q, want %q", s.UserAgent, want)
	}
	if len(s.Query) != 512 || len(s.Method) != 16 || len(s.RequestID) != 64 {
		t.Errorf("query %d, method %d, request id %d bytes long", len(s.Query), len(s.Method), len(s.RequestID))
	}
	if s.Addr != netip.MustParseAddr("2001:db8::7") || s.Status != 403 || s.Time != ms(0) || s.Country != "DE" || s.ASN != "3320" || s.Host != "www.example.com" || s.Referer != strings.Repeat("r", 256) {
		t.Errorf("sample %+v", s)
	}
}

// TestRingForgetsTheOldest: with room for few samples, those that were overwritten
// are left out, and none is ever another bucket's.
func TestRingForgetsTheOldest(t *testing.T) {
	var m memory
	defer m.free()
	g, err := newRing(&m, 4*maxSample)
	if err != nil {
		t.Fatal(err)
	}
	g.end = ringUnit * (1<<32 - 40) // positions begin anew on the way
	records := parse(t, visit{url: "/" + strings.Repeat("x", 300)})
	mine, other := key{addr: 7}.ident(3, 0), key{addr: 8}.ident(3, 0)
	var last uint32
	for i := range 200 {
		records[0].Time = int64(i)
		last = g.add(mine, &records[0], last)
		if last == 0 {
			t.Fatalf("sample %d has the position that means none", i)
		}
		g.add(other, &records[0], 0)
		samples := g.chain(last, mine, maxSamples)
		if len(samples) == 0 || len(samples) > 8 {
			t.Fatalf("sample %d: chain of %d", i, len(samples))
		}
		for j, s := range samples {
			if want := int64(i - len(samples) + 1 + j); s.Time != want {
				t.Fatalf("sample %d: place %d of the chain holds %d, want %d", i, j, s.Time, want)
			}
		}
	}
	if samples := g.chain(last, other, maxSamples); samples != nil {
		t.Errorf("a position of another's sample gives %v", samples)
	}
}
