package main

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/internal/awslocal"
)

// A verdict is what a run comes to.
type verdict struct {
	Seed       uint64  `json:"seed"`
	Kills      int     `json:"kills"`
	Clients    int     `json:"clients"`
	Records    int     `json:"records"`
	Bans       int     `json:"bans"`
	Lost       int     `json:"lost"`
	Extra      int     `json:"extra"`
	Duplicated int     `json:"duplicated"`
	Rewinds    int     `json:"rewinds"`
	RecoverP50 float64 `json:"recover_p50_s"`
	RecoverP99 float64 `json:"recover_p99_s"`
	Stops      int     `json:"stops"`
	StopP99    float64 `json:"stop_p99_s"`
	ResumeP99  float64 `json:"resume_p99_s"`

	recoveries, stops, resumes []float64 // seconds
}

func (v *verdict) add(o verdict) {
	v.Kills += o.Kills
	v.Clients += o.Clients
	v.Records += o.Records
	v.Bans += o.Bans
	v.Lost += o.Lost
	v.Extra += o.Extra
	v.Duplicated += o.Duplicated
	v.Rewinds += o.Rewinds
	v.recoveries = append(v.recoveries, o.recoveries...)
	v.stops = append(v.stops, o.stops...)
	v.resumes = append(v.resumes, o.resumes...)
	v.Stops = len(v.stops)
	v.RecoverP50, v.RecoverP99 = quantile(v.recoveries, 50), quantile(v.recoveries, 99)
	v.StopP99, v.ResumeP99 = quantile(v.stops, 99), quantile(v.resumes, 99)
}

// quantile returns the value that so many of a hundred are not above; 0 of none.
func quantile(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func (v *verdict) passes() bool {
	return v.Lost+v.Extra+v.Duplicated+v.Rewinds == 0 &&
		v.RecoverP99 <= longestRecovery && v.StopP99 <= longestStop && v.ResumeP99 <= longestResume
}

// A decision is one that the service shows.
type decision struct {
	ID, Value, Scenario string
	Active              bool
}

// An auditor knows what AWS WAF was told, and holds it against the plan.
type auditor struct {
	mu      sync.Mutex
	inForce map[netip.Prefix]time.Time // prefixes in IP sets, since when
	removed []netip.Prefix             // that were taken out of one; nothing here lasts less than a day
	shown   map[string]decision        // by id: what a task's API has shown
}

func newAuditor() *auditor {
	return &auditor{inForce: make(map[netip.Prefix]time.Time), shown: make(map[string]decision)}
}

// wrote takes note of a change of an IP set.
func (a *auditor) wrote(w awslocal.Write) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range w.Removed {
		delete(a.inForce, p)
		a.removed = append(a.removed, p)
	}
	for _, p := range w.Added {
		a.inForce[p] = w.At
	}
}

// since tells when a prefix came into an IP set.
func (a *auditor) since(p netip.Prefix) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.inForce[p]
	return at, ok
}

// show takes note of decisions that a task has shown.
func (a *auditor) show(list []decision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range list {
		a.shown[d.ID] = d
	}
}

// missing returns those of the plan who must be banned and are in no IP set.
func (a *auditor) missing(p *plan) (list []*suspect) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range p.all {
		if _, ok := a.inForce[c.who]; c.kind.scenario != "" && !ok {
			list = append(list, c)
		}
	}
	return list
}

// judge compares what is in force and what the service shows at the end with the
// plan. What it finds it tells.
func (a *auditor) judge(p *plan, final []decision, tell func(format string, args ...any)) (v verdict) {
	missing := a.missing(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	lost, extra := make(map[string]bool), make(map[string]bool)
	count := func(set map[string]bool, key, format string, args ...any) {
		if !set[key] {
			set[key] = true
			tell(format, args...)
		}
	}
	wanted := make(map[netip.Prefix]*suspect)
	for _, c := range p.all {
		wanted[c.who] = c
	}
	for _, c := range missing {
		count(lost, c.who.String(), "lost: %s (%s) is in no IP set", c.who, c.kind.name)
	}
	for _, who := range a.removed {
		count(lost, who.String(), "lost: %s was taken out of an IP set", who)
	}
	for who := range a.inForce {
		if c := wanted[who]; c == nil || c.kind.scenario == "" {
			name := "nobody planned"
			if c != nil {
				name = c.kind.name
			}
			count(extra, who.String(), "extra: %s (%s) is in an IP set", who, name)
		}
	}
	have := make(map[string]bool)
	of := make(map[string]string)
	for _, d := range final {
		have[d.ID] = true
		who, err := prefixOf(d.Value)
		c := wanted[who]
		if err != nil || c == nil || c.kind.scenario != d.Scenario {
			count(extra, who.String(), "extra: decision %s about %s by %s", d.ID, d.Value, d.Scenario)
			continue
		}
		key := d.Value + " " + d.Scenario
		if first, ok := of[key]; ok {
			v.Duplicated++
			tell("duplicated: decisions %s and %s about %s", first, d.ID, key)
		}
		of[key] = d.ID
		v.Bans++
	}
	for id, d := range a.shown {
		if !have[id] {
			count(lost, id, "lost: decision %s about %s was shown, and is not there any more", id, d.Value)
		}
	}
	for _, c := range p.all {
		if c.kind.scenario != "" && of[shownAs(c.who)+" "+c.kind.scenario] == "" {
			count(lost, c.who.String(), "lost: there is no decision about %s (%s)", c.who, c.kind.name)
		}
	}
	v.Clients, v.Lost, v.Extra = len(p.all), len(lost), len(extra)
	return v
}

// prefixOf reads a decision's value.
func prefixOf(value string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(value); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(value)
}

// shownAs is a prefix as a decision's value.
func shownAs(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// teller prints what an audit finds, the first of it.
func teller(setup string) func(format string, args ...any) {
	const most = 20
	n := 0
	return func(format string, args ...any) {
		if n++; n <= most {
			fmt.Printf(setup+": "+format+"\n", args...)
		}
	}
}
