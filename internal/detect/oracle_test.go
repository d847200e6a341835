package detect

import (
	"slices"
	"testing"
	"time"

	"weir/internal/scenario"
)

// probing is the leaky scenario that CrowdSec's behaviour was measured with:
// 10 distinct paths, one leaks out each 10 s, blackhole 5 minutes.
func probing() []scenario.Scenario {
	return only("http-probing", func(s *scenario.Scenario) {
		s.Capacity, s.Leak, s.Blackhole = 10, 10*time.Second, 5*time.Minute
	})
}

// TestAgainstCrowdSec pins what CrowdSec 1.7.8 did with each of these logs, and,
// for the last two, what it should have done.
func TestAgainstCrowdSec(t *testing.T) {
	type alert struct {
		at, first time.Duration
		events    int
	}
	sec := time.Second
	interleave := func(a, b []visit) (all []visit) {
		for i := range a {
			all = append(all, a[i], b[i])
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		visits []visit
		want   []alert
	}{
		{"10 at once", series(10, 0, 0, "c"), nil},
		{"11 at once", series(11, 0, 0, "c"), []alert{{0, 0, 11}}},
		{"11 at once, one of them twice", append(series(10, 0, 0, "c"), visit{url: "/c/aa"}), nil},
		{"a leak apart", series(140, 0, 10*sec, "d"), nil},
		{"0.9 leaks apart", series(140, 0, 9*sec, "d"), []alert{{819 * sec, 0, 92}}},
		{"1 s apart", series(12, 0, sec, "d"), []alert{{11 * sec, 0, 12}}},
		{
			"three bursts, the second in the blackhole",
			slices.Concat(series(60, 0, sec, "e"), series(60, 240*sec, sec, "f"), series(12, 400*sec, sec, "g")),
			[]alert{{11 * sec, 0, 12}, {411 * sec, 400 * sec, 12}},
		},
		{
			"values that come again count once, and do not keep the bucket alive",
			slices.Concat(series(10, 0, 0, "g"), []visit{{at: 50 * sec, url: "/g/aa"}}, series(10, 100*sec, sec, "g"), []visit{{at: 110 * sec, url: "/g/new"}}),
			nil,
		},
		{"13th event after 20 s", append(series(10, 0, 0, "h"), series(10, 20*sec, 0, "i")...), []alert{{20 * sec, 0, 13}}},
		{
			"bucket expires 110 s after its last event",
			append(series(10, 0, 0, "h"), series(10, 111*sec, 0, "h")...),
			nil,
		},
		{
			"a record of an old file between two parts of an attack",
			slices.Concat(series(6, 474*sec, sec, "a"), []visit{{at: 0, url: "/old/x"}}, series(6, 480*sec, sec, "b")),
			[]alert{{485 * sec, 474 * sec, 12}},
		},
		{
			"two series, one a minute late",
			interleave(series(24, 60*sec, sec, "f"), series(24, 0, sec, "s")),
			[]alert{{65 * sec, 60 * sec, 11}},
		},
	} {
		var got []alert
		for _, a := range alertsOf(t, probing(), tt.visits...) {
			got = append(got, alert{time.Duration(a.At-ms(0)) * time.Millisecond, time.Duration(a.First-ms(0)) * time.Millisecond, a.Events})
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: alerts %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestTriggerAlertsAtOnce(t *testing.T) {
	trigger := only("http-exploit-path", func(s *scenario.Scenario) { s.Blackhole = time.Minute })
	exploit := func(at time.Duration) visit { return visit{at: at, url: "/HNAP1/"} }
	alerts := alertsOf(t, trigger, exploit(0), exploit(time.Second), exploit(59*time.Second), exploit(60*time.Second))
	if len(alerts) != 2 || alerts[0].At != ms(0) || alerts[1].At != ms(time.Minute) {
		t.Fatalf("alerts %+v, want two, a minute apart", alerts)
	}
	if a := alerts[0]; a.Events != 1 || a.First != a.At || len(a.Samples) != 1 {
		t.Errorf("alert %+v, want one event and its sample", a)
	}
}

// TestOneClockFarAhead: a record that is dated wrongly into the future must not
// make its client's buckets deaf.
func TestOneClockFarAhead(t *testing.T) {
	ahead := visit{at: 3000 * time.Hour, url: "/ahead"}
	attack := series(11, 0, time.Second, "a")
	if alerts := alertsOf(t, probing(), append([]visit{ahead}, series(12, 0, time.Second, "a")...)...); len(alerts) != 1 {
		t.Errorf("%d alerts when it comes first, want 1", len(alerts))
	}
	middle := slices.Concat(attack[:5], []visit{ahead}, series(12, 10*time.Second, time.Second, "b"))
	if alerts := alertsOf(t, probing(), middle...); len(alerts) != 1 {
		t.Errorf("%d alerts when it comes in the middle, want 1", len(alerts))
	}
	trigger := only("http-exploit-path")
	if alerts := alertsOf(t, trigger, visit{at: ahead.at, url: "/HNAP1/"}, visit{url: "/HNAP1/"}); len(alerts) != 2 {
		t.Errorf("%d alerts of a trigger, want 2", len(alerts))
	}
}

func TestLateRecords(t *testing.T) {
	e, reg := start(t, probing(), Config{Shards: 1})
	e.Process(parse(t, visit{at: 200 * time.Second, url: "/a"}, visit{at: 201 * time.Second, url: "/b"}))
	e.Process(parse(t,
		visit{at: 91 * time.Second, url: "/c"},                     // a life old to the millisecond
		visit{at: 91*time.Second - time.Millisecond, url: "/d"},    // older
		visit{at: 91*time.Second - time.Millisecond, url: "/late"}, // older
	))
	if got := counted(t, reg, "detect_records_total"); got["late"] != 2 || got["poured"] != 3 {
		t.Errorf("records %v, want 2 late and 3 poured", got)
	}
}
