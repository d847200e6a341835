package waf

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the package's counters. The gauges are set after every look and
// every write.
type metrics struct {
	wanted, enforced, strangers, pending, evicted, fill, alarm, sets *prometheus.GaugeVec // by pool and family
	shown                                                            map[[2]string]bool   // the pools and families of those
	excluded                                                         [exclusions]prometheus.Gauge
	used, left, overdue, deposed                                     prometheus.Gauge
	repairs                                                          prometheus.Counter
	writes, lists, gets                                              [outcomes]prometheus.Counter
	strange, taken, quarantined                                      prometheus.Counter
	success                                                          prometheus.Gauge
	rate                                                             prometheus.Gauge
	look                                                             prometheus.Histogram
	latency                                                          prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, target string) *metrics {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"target": target}, reg)
	m := &metrics{
		shown: make(map[[2]string]bool),
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
		used: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waf_slots_used", Help: "UpdateIPSet calls in the last minute, of all targets in the account and region.",
		}),
		left: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waf_slots_left", Help: "UpdateIPSet calls that the budget would have allowed beside them.",
		}),
		overdue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waf_overdue_entries", Help: "Ended bans that an IP set holds past their grace.",
		}),
		deposed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "waf_deposed", Help: "1 when an IP set bears the epoch of a later leader: nothing is written any more.",
		}),
		repairs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waf_repairs_total", Help: "IP sets that others were found to have changed, merged since.",
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
	reg.MustRegister(m.strange, m.taken, m.quarantined, m.success, m.rate, m.used, m.left, m.overdue, m.deposed, m.repairs, m.look, m.latency)
	byPool(reg, &m.wanted, "waf_wanted_entries", "Entries in force that should be in an IP set.")
	byPool(reg, &m.enforced, "waf_enforced_entries", "Entries in force that an IP set holds.")
	byPool(reg, &m.strangers, "waf_foreign_entries", "Entries that people added to the IP sets.")
	byPool(reg, &m.pending, "waf_pending_entries", "Entries in force that wait for a write.")
	byPool(reg, &m.evicted, "waf_evicted_entries", "Entries in force that no IP set has room for.")
	byPool(reg, &m.fill, "waf_fill_ratio", "Share of the IP sets' room that is taken.")
	byPool(reg, &m.alarm, "waf_fill_alarm_percent", "The highest of 80, 95 and 100 percent that the share has reached; 0: none.")
	byPool(reg, &m.sets, "waf_sets", "IP sets in use.")
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

func byPool(reg prometheus.Registerer, into **prometheus.GaugeVec, name, help string) {
	*into = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"pool", "family"})
	reg.MustRegister(*into)
}

func byOutcome(reg prometheus.Registerer, into *[outcomes]prometheus.Counter, name, help string) {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
	reg.MustRegister(v)
	for o := range outcomes {
		into[o] = v.WithLabelValues(o.String())
	}
}

// show sets the gauges to what a status says. Those of pools that it does not have
// any more are gone.
func (m *metrics) show(st *Status, excluded [exclusions]int) {
	gone := m.shown
	m.shown = make(map[[2]string]bool, len(st.Pools))
	for i := range st.Pools {
		p := &st.Pools[i]
		m.shown[[2]string{p.Pool, p.Family}] = true
		delete(gone, [2]string{p.Pool, p.Family})
		set := func(v *prometheus.GaugeVec, n float64) { v.WithLabelValues(p.Pool, p.Family).Set(n) }
		set(m.wanted, float64(p.Wanted))
		set(m.enforced, float64(p.Enforced))
		set(m.strangers, float64(p.Foreign))
		set(m.pending, float64(p.Pending))
		set(m.evicted, float64(p.Evicted))
		set(m.sets, float64(p.Sets))
		set(m.fill, p.Fill())
		set(m.alarm, float64(p.alarm()))
	}
	for labels := range gone {
		for _, v := range []*prometheus.GaugeVec{m.wanted, m.enforced, m.strangers, m.pending, m.evicted, m.sets, m.fill, m.alarm} {
			v.DeleteLabelValues(labels[:]...)
		}
	}
	for x := range exclusions {
		m.excluded[x].Set(float64(excluded[x]))
	}
	m.rate.Set(st.Rate)
	m.used.Set(float64(st.Budget.Used))
	m.left.Set(float64(st.Budget.Left))
	m.overdue.Set(float64(st.Overdue))
	m.deposed.Set(0)
	if st.Deposed {
		m.deposed.Set(1)
	}
}

func (m *metrics) banned(created, at time.Time) {
	m.latency.Observe(max(0, at.Sub(created).Seconds()))
}
