package leader

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the package's counters, and gauges that ask for the state.
type metrics struct {
	taken  *prometheus.CounterVec // by how
	ended  *prometheus.CounterVec // by why
	errors prometheus.Counter
}

// How a lease is come by; the values of a metric's label.
const (
	takenFree    = "free"    // nobody had it
	takenOwn     = "own"     // this process had it, by a write whose answer got lost
	takenExpired = "expired" // its holder looked dead
)

func newMetrics(reg prometheus.Registerer, status func() Status) *metrics {
	m := &metrics{
		taken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leader_takeovers_total", Help: "Times that this process began to lead, by whom it had the lease from.",
		}, []string{"from"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leader_ended_total", Help: "Times that this process ceased to lead, by the reason.",
		}, []string{"why"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "leader_table_errors_total", Help: "Calls about the leader lease that the table did not answer.",
		}),
	}
	for _, how := range []string{takenFree, takenOwn, takenExpired} {
		m.taken.WithLabelValues(how)
	}
	for _, why := range []string{endedLost, endedEmptied, endedSilent, endedIneligible, endedStopped, endedByItself} {
		m.ended.WithLabelValues(why)
	}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, value func(Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(status()) })
	}
	reg.MustRegister(m.taken, m.ended, m.errors,
		gauge("leader", "1 while this process holds the leader lease.", func(st Status) float64 {
			if st.Leads {
				return 1
			}
			return 0
		}),
		gauge("leader_epoch", "Epoch of whoever leads, as far as this process knows.", func(st Status) float64 { return float64(st.Epoch) }),
		gauge("leader_lease_age_seconds", "Since the leader lease was last renewed; 0 where this process does not hold it.", func(st Status) float64 {
			if !st.Leads {
				return 0
			}
			return time.Since(st.Confirmed).Seconds()
		}))
	return m
}
