package awslocal

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// No second, wherever it begins, lets more through than what was saved up and
// what a second brings.
func TestAllowanceBoundsEverySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rate = 10
		type taken struct {
			at int64
			n  int
		}
		a := newAllowance(rate)
		now := time.Unix(1, 0).UnixNano()
		var log []taken
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now += rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(t, "wait")
			n := rapid.IntRange(1, 5).Draw(t, "n")
			if a.covers(now, n) {
				a.take(n)
				log = append(log, taken{now, n})
			}
		}
		for i := range log {
			sum := 0
			for _, x := range log[i:] {
				if x.at-log[i].at > int64(time.Second) {
					break
				}
				sum += x.n
			}
			if sum > 2*rate {
				t.Fatalf("%d passed within a second", sum)
			}
		}
	})
}

func TestAllowance(t *testing.T) {
	at := func(d time.Duration) int64 { return time.Unix(1, 0).Add(d).UnixNano() }

	a := newAllowance(5)
	for i := range 5 {
		if !a.covers(at(0), 1) {
			t.Fatalf("call %d of 5 refused", i+1)
		}
		a.take(1)
	}
	if a.covers(at(199*time.Millisecond), 1) {
		t.Error("a sixth call within 200 ms passed")
	}
	if !a.covers(at(200*time.Millisecond), 1) {
		t.Error("a call after 200 ms refused")
	}
	if !a.covers(at(time.Hour), 5) {
		t.Error("nothing was saved up")
	}
	a.take(5)
	if a.covers(at(time.Hour), 1) {
		t.Error("more was saved up than a second's worth")
	}
	if a.covers(at(0), 1) {
		t.Error("a clock that steps back refilled it")
	}

	big := newAllowance(5)
	if !big.covers(at(0), 50) {
		t.Error("what is larger than a second's worth never passes")
	}
	big.take(50)
	if big.covers(at(9*time.Second), 1) || !big.covers(at(10*time.Second), 1) {
		t.Error("the debt of a large item is not worked off in 9 to 10 seconds")
	}
}

// 10 MB out of a shard stop it for 5 seconds, though 2 MB were saved up.
func TestAllowanceSpentBeyondWhatIsThere(t *testing.T) {
	at := func(d time.Duration) int64 { return time.Unix(1, 0).Add(d).UnixNano() }
	a := newAllowance(2)
	if !a.clear(at(0)) {
		t.Fatal("in debt at the start")
	}
	a.spend(10)
	if a.clear(at(5*time.Second - time.Millisecond)) {
		t.Error("clear before 5 seconds")
	}
	if !a.clear(at(5 * time.Second)) {
		t.Error("not clear after 5 seconds")
	}
	a.clear(at(time.Minute))
	a.spend(2)
	if !a.clear(at(time.Minute)) {
		t.Error("a second's worth put it in debt")
	}
}
