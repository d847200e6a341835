package ban

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"weir/internal/detect"
)

const (
	maxSamples = 20 // requests kept with a decision
	maxCounts  = 10 // entries of each list of most frequent values
)

// Context is what led to a decision. It is stored as JSON, so the names of its
// fields are part of the schema, and shown as it is stored.
type Context struct {
	First      time.Time `json:"first"` // event time of the first event in the bucket
	Last       time.Time `json:"last"`  // event time of the overflow
	Events     int       `json:"events"`
	Samples    []Sample  `json:"samples"`     // at most 20, oldest first
	Paths      []Tally   `json:"paths"`       // over the samples, most frequent first, at most 10,
	UserAgents []Tally   `json:"user_agents"` // as are the following
	Countries  []Tally   `json:"countries"`
	ASNs       []Tally   `json:"asns"`
}

// Sample is one request that was poured.
type Sample struct {
	Time      time.Time  `json:"time"`
	Addr      netip.Addr `json:"addr"`
	Status    uint16     `json:"status"`
	Method    string     `json:"method"`
	Host      string     `json:"host"`
	Path      string     `json:"path"`
	Query     string     `json:"query,omitempty"`
	UserAgent string     `json:"user_agent"`
	Referer   string     `json:"referer,omitempty"`
	Country   string     `json:"country,omitempty"`
	ASN       string     `json:"asn,omitempty"`
	RequestID string     `json:"request_id"`
}

// Tally is a value and how often it occurs.
type Tally struct {
	Value string `json:"value"`
	N     int    `json:"n"`
}

// newContext keeps of an alert what explains the decision.
func newContext(a *detect.Alert) *Context {
	from := a.Samples[max(0, len(a.Samples)-maxSamples):]
	c := &Context{
		First:      fromMillis(a.First),
		Last:       fromMillis(a.At),
		Events:     a.Events,
		Samples:    make([]Sample, len(from)),
		Paths:      tally(from, func(s *detect.Sample) string { return s.Path }),
		UserAgents: tally(from, func(s *detect.Sample) string { return s.UserAgent }),
		Countries:  tally(from, func(s *detect.Sample) string { return s.Country }),
		ASNs:       tally(from, func(s *detect.Sample) string { return s.ASN }),
	}
	for i := range from {
		s := &from[i]
		c.Samples[i] = Sample{
			Time: fromMillis(s.Time), Addr: s.Addr, Status: s.Status,
			Method: s.Method, Host: s.Host, Path: s.Path, Query: s.Query,
			UserAgent: s.UserAgent, Referer: s.Referer, Country: s.Country, ASN: s.ASN, RequestID: s.RequestID,
		}
	}
	return c
}

// tally lists the values that of gives, most frequent first, ties in the order
// of their text. What the log left empty is not a value.
func tally(samples []detect.Sample, of func(*detect.Sample) string) []Tally {
	n := make(map[string]int, len(samples))
	for i := range samples {
		if v := of(&samples[i]); v != "" {
			n[v]++
		}
	}
	counts := make([]Tally, 0, len(n))
	for v, k := range n {
		counts = append(counts, Tally{Value: v, N: k})
	}
	slices.SortFunc(counts, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value))
	})
	return counts[:min(len(counts), maxCounts)]
}
