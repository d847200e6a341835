package leader

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// try is one write of a holder, with when it was begun.
type try struct {
	begun    time.Time
	answered bool
}

// inForcePlainly is inForce by the whole history: whatever the holder knows, nobody
// else can have taken the lease while it was renewed lately, nor while the table
// answered none of its tries, each of which followed soon upon the one before.
func inForcePlainly(began time.Time, tries []try, now time.Time, is terms) bool {
	chain := []time.Time{began}
	for _, t := range tries {
		if t.answered {
			chain = chain[:0]
		}
		chain = append(chain, t.begun)
	}
	silent := now.Sub(chain[0])
	if silent < is.valid() {
		return true
	}
	for i := 1; i < len(chain); i++ {
		if chain[i].Sub(chain[i-1]) > is.trust() {
			return false
		}
	}
	return now.Sub(chain[len(chain)-1]) < is.trust() && silent < is.failover+is.grace
}

func TestStandingAgainstItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		is := terms{failover: 10 * time.Second, grace: time.Duration(rapid.IntRange(0, 60).Draw(t, "grace")) * time.Second}
		s := standing{confirmed: epoch0, reached: epoch0}
		var tries []try
		now := epoch0
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 9000).Draw(t, "gap")) * time.Millisecond)
			if got, want := s.inForce(now, is), inForcePlainly(epoch0, tries, now, is); got != want {
				t.Fatalf("after %v in force: %t, want %t; tries %v", now.Sub(epoch0), got, want, tries)
			}
			one := try{now, rapid.IntRange(0, 4).Draw(t, "answered") == 0}
			tries = append(tries, one)
			s.note(one.begun, one.answered, is)
		}
	})
}

// look is one reading of the row.
type look struct {
	begun, ended time.Time
	row          row
}

// stalePlainly is the age of a sighting by all looks: the row did not change from the
// end of a look to the beginning of the latest, and there was no gap in between.
func stalePlainly(looks []look, is terms) bool {
	last := len(looks) - 1
	first := last
	for first > 0 && looks[first-1].row == looks[last].row && looks[first].begun.Sub(looks[first-1].begun) <= is.blind() {
		first--
	}
	return looks[last].begun.Sub(looks[first].ended) >= is.failover
}

func TestSightingAgainstItsTwin(t *testing.T) {
	is := terms{failover: 10 * time.Second}
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		var s sighting
		var looks []look
		now, seen := epoch0, row{holder: "other", revision: 1}
		for range rapid.IntRange(1, 40).Draw(t, "looks") {
			begun := now.Add(time.Duration(rapid.SampledFrom([]int{500, 1000, 3000, 6000}).Draw(t, "gap")) * time.Millisecond)
			now = begun.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "took")) * time.Millisecond)
			switch rapid.IntRange(0, 40).Draw(t, "change") {
			case 0:
				seen.revision++
			case 1:
				seen = row{revision: seen.revision + 1}
			case 2:
				seen = row{holder: "me", revision: seen.revision + 1}
			case 3:
				seen = row{holder: "other", revision: seen.revision + 1}
			}
			looks = append(looks, look{begun, now, seen})
			s.see(seen, begun, now, is)
			want := map[string]string{"": takenFree, "me": takenOwn}[seen.holder]
			if seen.holder == "other" && stalePlainly(looks, is) {
				want = takenExpired
				taken++
			}
			if got := s.from("me", is); got != want {
				t.Fatalf("it may be taken as %q, want %q: %v", got, want, looks)
			}
		}
	})
	if taken == 0 {
		t.Error("no lease ever ran out")
	}
}

// Who watches a lease run out begins after its holder has stopped to rely on it,
// whatever their calls took.
func TestHolderGivesUpFirst(t *testing.T) {
	for _, failover := range []time.Duration{minFailover, 10 * time.Second, maxFailover} {
		is := terms{failover: failover}
		switch {
		case is.valid() >= is.failover:
			t.Errorf("of %v the holder relies on %v", failover, is.valid())
		case is.tick()+is.timeout() >= is.trust():
			t.Errorf("of %v tries that get no answer are a pause", failover)
		case is.trust() >= is.failover-is.renew()-is.tick():
			t.Errorf("of %v a pause in which the lease runs out is taken for tries", failover)
		case is.tick()+is.timeout() >= is.blind():
			t.Errorf("of %v one look that fails is a gap", failover)
		}
	}
}
