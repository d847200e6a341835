package ban

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	decisions     map[Origin]prometheus.Counter // stored ones
	refused       map[string]prometheus.Counter // by reason
	alertsDropped prometheus.Counter
	trips         prometheus.Counter
	commitErrors  prometheus.Counter
	commitSeconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ban_decisions_total", Help: "Decisions made and stored, by origin.",
	}, []string{"origin"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ban_refused_total", Help: "Alerts on which no new decision was made, by reason.",
	}, []string{"reason"})
	m := &metrics{
		decisions: make(map[Origin]prometheus.Counter),
		refused:   make(map[string]prometheus.Counter),
		alertsDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ban_alerts_not_kept_total", Help: "Alerts that made no decision and were not stored, as there were many about the client within the hour.",
		}),
		trips: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ban_breaker_trips_total", Help: "Times that a circuit breaker opened.",
		}),
		commitErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ban_commit_errors_total", Help: "Transactions that could not be stored; what they held is tried again.",
		}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ban_commit_seconds", Help: "How long transactions took, failed ones among them.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	for _, o := range []Origin{OriginScenario, OriginManual, OriginAdopted} { // lists are not stored
		m.decisions[o] = decisions.WithLabelValues(string(o))
	}
	for _, r := range []string{refusedSimulate, refusedRemediation, refusedAllowlist, refusedReserved, refusedUnban, refusedLate, refusedKnown} {
		m.refused[r] = refused.WithLabelValues(r)
	}
	pending := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ban_pending_alerts", Help: "Alerts decided on in memory and not yet stored.",
	}, func() float64 { return float64(s.untold.Load()) })
	unread := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ban_unreadable_total", Help: "Times that something stored was left out of what was read, as it is damaged or foreign; the log names it.",
	}, func() float64 { return float64(s.storage.unread()) })
	reg.MustRegister(decisions, refused, m.alertsDropped, m.trips, m.commitErrors, m.commitSeconds, pending, unread, inForce{s}, breakerStates{s}, listStates{s})
	return m
}

// inForce counts bans when it is asked: they end without anything happening.
type inForce struct{ s *Store }

var inForceDesc = prometheus.NewDesc("bans_in_force", "Prefixes with a decision in force, by action.", []string{"action"}, nil)

func (c inForce) Describe(ch chan<- *prometheus.Desc) { ch <- inForceDesc }

func (c inForce) Collect(ch chan<- prometheus.Metric) {
	n, now := make(map[Action]int), millis(c.s.now())
	for _, h := range c.s.index.table.Load().All() {
		if e := h.best(now); e != nil {
			n[e.d.Action]++
		}
	}
	for _, a := range Actions() {
		ch <- prometheus.MustNewConstMetric(inForceDesc, prometheus.GaugeValue, float64(n[a]), string(a))
	}
}

// breakerStates looks at the circuit breakers when it is asked.
type breakerStates struct{ s *Store }

var (
	breakerOpenDesc = prometheus.NewDesc("ban_breaker_open", "Whether a circuit breaker holds new decisions: of a scenario that decided something, or * of all together.", []string{"scenario"}, nil)
	breakerHeldDesc = prometheus.NewDesc("ban_breaker_held", "Decisions in force that a circuit breaker holds.", []string{"scenario"}, nil)
)

func (c breakerStates) Describe(ch chan<- *prometheus.Desc) {
	ch <- breakerOpenDesc
	ch <- breakerHeldDesc
}

func (c breakerStates) Collect(ch chan<- prometheus.Metric) {
	for _, b := range c.s.Breakers() {
		name := cmp.Or(b.Scenario, everyScenario)
		ch <- prometheus.MustNewConstMetric(breakerOpenDesc, prometheus.GaugeValue, float64(count(b.Open)), name)
		ch <- prometheus.MustNewConstMetric(breakerHeldDesc, prometheus.GaugeValue, float64(b.Held), name)
	}
}

// listStates looks at the imported lists when it is asked.
type listStates struct{ s *Store }

var (
	listEntriesDesc = prometheus.NewDesc("ban_list_entries", "Prefixes of an imported list that are in force.", []string{"file"}, nil)
	listBadDesc     = prometheus.NewDesc("ban_list_bad_lines", "Lines of an imported list that could not be read, or may not be banned.", []string{"file"}, nil)
	listStaleDesc   = prometheus.NewDesc("ban_list_stale", "Whether an imported list cannot be read; what it held last stays in force.", []string{"file"}, nil)
)

func (c listStates) Describe(ch chan<- *prometheus.Desc) {
	ch <- listEntriesDesc
	ch <- listBadDesc
	ch <- listStaleDesc
}

func (c listStates) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, file string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), file)
	}
	for _, l := range *c.s.listStats.Load() {
		gauge(listEntriesDesc, l.entries, l.path)
		gauge(listBadDesc, l.bad, l.path)
		gauge(listStaleDesc, count(l.stale), l.path)
	}
}
