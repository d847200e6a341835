// Package wafsim holds the WAF writer against its bars: how soon a ban is
// enforced, what an outage, a full house, a deployment or a busy colleague at the
// console costs, and that no ban is lost and no budget exceeded meanwhile.
//
// The writer runs as it does in the service, through the AWS SDK, against the
// strict stand-in, on a testing/synctest bubble's clock: an hour takes seconds,
// and a run can be repeated. That needs package testing, so the cases are tests,
// small ones in "make test". "make waf-sim" runs them at full size and prints one
// line of JSON for each.
package wafsim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	full = flag.Bool("full", false, "run the cases at full size, and print a line of JSON for each")
	only = flag.String("case", "", "run only the cases whose name matches this regular expression")
	seed = flag.Uint64("seed", 1, "of what happens by chance")

	lines = os.Stdout // of JSON
)

// TestMain leaves standard output to the JSON lines: what the testing package has
// to say goes to standard error.
func TestMain(m *testing.M) {
	flag.Parse()
	if *full {
		os.Stdout = os.Stderr
	}
	os.Exit(m.Run())
}

// figures are the result of a case, one line of JSON. Seconds are the clock's that
// the writer saw, but for CPU.
type figures struct {
	Case     string  `json:"case"`
	Rate     float64 `json:"rate"` // writes a second that the budget allows
	Live     int     `json:"live"` // bans in force, about
	AddsPerS float64 `json:"adds_per_s"`

	BanP50    float64 `json:"ban_p50_s"` // from the making of a ban to the write accepted with it
	BanP99    float64 `json:"ban_p99_s"`
	ExpiryP99 float64 `json:"expiry_p99_s"` // from the end of a ban to the write accepted without it
	Calls     int     `json:"calls"`        // of every kind
	Refused   int     `json:"refused"`      // of them by the stand-in, for their rate or for what they ask
	Lost      int     `json:"lost"`         // bans in force that no set holds in the end, though they were to

	Writes  int            `json:"writes"` // UpdateIPSet among the calls
	Seconds float64        `json:"seconds"`
	CPU     float64        `json:"cpu_s"` // real, the stand-in's included
	Bars    map[string]bar `json:"bars"`
	Pass    bool           `json:"pass"`
	Notes   map[string]any `json:"notes,omitempty"`

	missed func(string) // reports a bar that was missed
}

// bar is what a figure may be at most.
type bar struct {
	Is   float64 `json:"is"`
	Most float64 `json:"most"`
}

// holds holds a figure against its bar.
func (f *figures) holds(name string, is, most float64) {
	f.Bars[name] = bar{round(is), round(most)}
	if !(is <= most) {
		f.Pass = false
		f.missed(fmt.Sprintf("%s is %v, at most %v is right", name, round(is), round(most)))
	}
}

// note keeps a figure that has no bar.
func (f *figures) note(name string, is any) {
	if f.Notes == nil {
		f.Notes = make(map[string]any)
	}
	f.Notes[name] = is
}

// round gives three decimals.
func round(x float64) float64 {
	return float64(int64(x*1000+0.5)) / 1000
}

// trial runs one case in a bubble of its own.
func trial(t *testing.T, name string, story func(t *testing.T, f *figures)) {
	t.Helper()
	if !regexp.MustCompile(*only).MatchString(name) {
		return
	}
	t.Run(name, func(t *testing.T) {
		f := &figures{Case: name, Bars: make(map[string]bar), Pass: true}
		f.missed = func(what string) { t.Error(what) }
		before := cpu()
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			story(t, f)
			f.Seconds = round(time.Since(begin).Seconds())
		})
		f.Pass = f.Pass && !t.Failed()
		f.CPU = round(cpu() - before)
		if !*full {
			return
		}
		line, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(lines, "%s\n", line)
	})
}

// cpu is what the process has spent, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("BUG: a process may ask for its own usage: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// slack is what a bar for the slowest hundredth is widened by where that are only
// a few bans.
func slack() float64 {
	if *full {
		return 1
	}
	return 1.2
}

// scaled is n, or a twentieth of it where the cases are run small.
func scaled(n int) int {
	if *full {
		return n
	}
	return n / 20
}
