package waf

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the package's counters. The gauges are set after every look and
// every write.
type metrics struct {
	wanted, enforced, strangers, pending, unplaced, fill [families]prometheus.Gauge
	sets                                                 [families]prometheus.Gauge
	excluded                                             [exclusions]prometheus.Gauge
	writes, lists, gets                                  [outcomes]prometheus.Counter
	strange, taken, quarantined                          prometheus.Counter
	success                                              prometheus.Gauge
	rate                                                 prometheus.Gauge
	look                                                 prometheus.Histogram
	latency                                              prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		strange: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waf_hand_added_total", Help: "Entries found in IP sets that people had added.",
		}),
		taken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waf_hand_removed_total", Help: "Bans in force that people took out of an IP set.",
		}),
		quarantined: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waf_quarantined_total", Help: "Entries that AWS WAF refused by name, left out since.",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waf_last_write_timestamp_seconds", Help: "Time of the last UpdateIPSet that AWS accepted, Unix seconds.",
		}),
		rate: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waf_write_rate", Help: "UpdateIPSet calls a second allowed at present; halved for a minute by throttling.",
		}),
		look: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "waf_look_seconds", Help: "Time to compare everything in force with the IP sets.",
			Buckets: []float64{.0001, .001, .005, .01, .025, .05, .1, .25, .5, 1},
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "waf_ban_seconds", Help: "From the making of a ban to the UpdateIPSet accepted with it.",
			Buckets: []float64{.1, .25, .5, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 20, 30, 60, 120, 300, 600},
		}),
	}
	reg.MustRegister(m.strange, m.taken, m.quarantined, m.success, m.rate, m.look, m.latency)
	byFamily(reg, &m.wanted, "waf_wanted_entries", "Entries in force that should be in an IP set.")
	byFamily(reg, &m.enforced, "waf_enforced_entries", "Entries in force that an IP set holds.")
	byFamily(reg, &m.strangers, "waf_foreign_entries", "Entries that people added to the IP sets.")
	byFamily(reg, &m.pending, "waf_pending_entries", "Entries in force that wait for a write.")
	byFamily(reg, &m.unplaced, "waf_unplaced_entries", "Entries in force that no IP set has room for.")
	byFamily(reg, &m.fill, "waf_fill_ratio", "Share of the IP sets' room that is taken.")
	byFamily(reg, &m.sets, "waf_sets", "IP sets in use.")
	excluded := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "waf_excluded_entries", Help: "Entries in force that are not written, by reason.",
	}, []string{"reason"})
	reg.MustRegister(excluded)
	for x := range exclusions {
		m.excluded[x] = excluded.WithLabelValues(x.String())
	}
	byOutcome(reg, &m.writes, "waf_writes_total", "UpdateIPSet calls by result.")
	byOutcome(reg, &m.lists, "waf_lists_total", "ListIPSets calls by result.")
	byOutcome(reg, &m.gets, "waf_gets_total", "GetIPSet calls by result.")
	return m
}

func byFamily(reg prometheus.Registerer, into *[families]prometheus.Gauge, name, help string) {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"family"})
	reg.MustRegister(v)
	for f := range families {
		into[f] = v.WithLabelValues(f.String())
	}
}

func byOutcome(reg prometheus.Registerer, into *[outcomes]prometheus.Counter, name, help string) {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
	reg.MustRegister(v)
	for o := range outcomes {
		into[o] = v.WithLabelValues(o.String())
	}
}

// show sets the gauges to what a status says.
func (m *metrics) show(st *Status, excluded [exclusions]int) {
	for f := range families {
		fs := &st.Families[f]
		m.wanted[f].Set(float64(fs.Wanted))
		m.enforced[f].Set(float64(fs.Enforced))
		m.strangers[f].Set(float64(fs.Foreign))
		m.pending[f].Set(float64(fs.Pending))
		m.unplaced[f].Set(float64(fs.Unplaced))
		m.sets[f].Set(float64(fs.Sets))
		m.fill[f].Set(fs.fill())
	}
	for x := range exclusions {
		m.excluded[x].Set(float64(excluded[x]))
	}
	m.rate.Set(st.Rate)
}

func (m *metrics) banned(created, at time.Time) {
	m.latency.Observe(max(0, at.Sub(created).Seconds()))
}
