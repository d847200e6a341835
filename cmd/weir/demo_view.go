package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// demoState is what the demo shows at one moment.
type demoState struct {
	elapsed time.Duration
	put     int64   // records put into the stream
	handled int64   // records that the service has handled
	rate    float64 // records handled in the last second
	shards  int     // leases that the service holds
	lag     time.Duration
	alerts  int64
	bans    int   // addresses and networks in the IP sets
	blocked int64 // requests that the web ACL answered
	writes  int   // UpdateIPSet calls made
	p50     time.Duration
}

// demoBan is one client that reached an IP set.
type demoBan struct {
	at       time.Duration // since the start of the demo
	client   netip.Prefix
	scenario string
	took     time.Duration // from the record's arrival in the stream
}

// demoView shows a running demo. Its methods may be called from any goroutine.
type demoView interface {
	alert(at time.Duration, client netip.Prefix, scenario string, events int)
	ban(demoBan)
	tick(demoState)
	close()
}

// newDemoView draws a live screen on a terminal and writes lines to anything
// else.
func newDemoView(out io.Writer, title string) demoView {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s := &screenView{out: f, title: title}
		fmt.Fprint(f, "\x1b[?25l\x1b[2J")
		return s
	}
	fmt.Fprintln(out, title)
	return &lineView{out: out}
}

// lineView writes what happens as lines, and a summary every second.
type lineView struct {
	mu  sync.Mutex
	out io.Writer
}

func (v *lineView) printf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, format, args...)
}

func (v *lineView) alert(at time.Duration, client netip.Prefix, scenario string, events int) {
	v.printf("%6.1fs  alert  %-22s %s (%d events)\n", at.Seconds(), shortPrefix(client), scenario, events)
}

func (v *lineView) ban(b demoBan) {
	v.printf("%6.1fs  ban    %-22s %s, in an IP set %s after its record reached the stream\n",
		b.at.Seconds(), shortPrefix(b.client), b.scenario, roundLatency(b.took))
}

func (v *lineView) tick(s demoState) {
	v.printf("%6.1fs  %s records/s  shards %d  lag %s  alerts %d  banned %d  blocked requests %s  WAF writes %d\n",
		s.elapsed.Seconds(), thousands(int64(s.rate)), s.shards, roundLatency(s.lag), s.alerts, s.bans, thousands(s.blocked), s.writes)
}

func (v *lineView) close() {}

// screenView redraws one screen.
type screenView struct {
	out   *os.File
	title string

	mu     sync.Mutex
	state  demoState
	alerts []string
	bans   []demoBan
}

func (v *screenView) alert(at time.Duration, client netip.Prefix, scenario string, events int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.alerts = append(v.alerts, fmt.Sprintf("%6.1fs  %-24s %-28s %d events", at.Seconds(), shortPrefix(client), scenario, events))
	v.alerts = v.alerts[max(0, len(v.alerts)-200):]
}

func (v *screenView) ban(b demoBan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bans = append(v.bans, b)
	v.bans = v.bans[max(0, len(v.bans)-200):]
	v.draw()
}

func (v *screenView) tick(s demoState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state = s
	v.draw()
}

// draw is called with the lock held.
func (v *screenView) draw() {
	width, height, err := term.GetSize(int(v.out.Fd()))
	if err != nil || width < 40 || height < 12 {
		width, height = 80, 24
	}
	s := v.state
	lines := []string{
		"\x1b[1m" + v.title + "\x1b[0m",
		"",
		fmt.Sprintf("  %s elapsed    %s records put, %s handled    %s records/s",
			s.elapsed.Round(time.Second), thousands(s.put), thousands(s.handled), thousands(int64(s.rate))),
		fmt.Sprintf("  shards %d    lag %s    alerts %d    WAF writes %d", s.shards, roundLatency(s.lag), s.alerts, s.writes),
		fmt.Sprintf("  \x1b[1mbanned %d\x1b[0m    requests blocked %s    arrival to IP set, median %s",
			s.bans, thousands(s.blocked), roundLatency(s.p50)),
		"",
		"\x1b[1m  bans\x1b[0m",
	}
	room := max(2, (height-len(lines)-3)/2)
	for _, b := range v.bans[max(0, len(v.bans)-room):] {
		lines = append(lines, fmt.Sprintf("  \x1b[31m%6.1fs  %-24s %-28s in an IP set after %s\x1b[0m",
			b.at.Seconds(), shortPrefix(b.client), b.scenario, roundLatency(b.took)))
	}
	lines = append(lines, "", "\x1b[1m  alerts\x1b[0m")
	for _, a := range v.alerts[max(0, len(v.alerts)-room):] {
		lines = append(lines, "  "+a)
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines[:min(len(lines), height-1)] {
		b.WriteString(cutVisible(line, width))
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	fmt.Fprint(v.out, b.String())
}

func (v *screenView) close() { fmt.Fprint(v.out, "\x1b[?25h") }

// cutVisible cuts a line to the width of the screen; escape sequences take no
// room and are kept, so that a colour always ends.
func cutVisible(line string, width int) string {
	var b strings.Builder
	escape := false
	for _, c := range line {
		switch {
		case c == '\x1b':
			escape = true
		case escape:
			escape = c < 'A' || c == '['
			b.WriteRune(c)
			continue
		case width == 0:
			continue
		default:
			width--
		}
		b.WriteRune(c)
	}
	return b.String()
}

// shortPrefix leaves the length off a single address.
func shortPrefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func roundLatency(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// thousands writes a whole number with its digits in groups of three.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percentile is the smallest of the values that at least p of them do not
// exceed; 0 of none.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
