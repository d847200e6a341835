package detect

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/scenario"
)

// An outcome is what became of a record. Of the outcomes of its hits a record
// has the least.
type outcome uint8

const (
	outcomePoured    outcome = iota // into at least one bucket
	outcomeRepeated                 // its values had been counted in every bucket, or it came too soon
	outcomeLate                     // older than the life of every bucket
	outcomeBlocked                  // its client was banned at its time
	outcomeDuplicate                // its request id was seen before
	outcomeUnmatched                // by every scenario
	outcomes
)

var outcomeNames = [outcomes]string{"poured", "repeated", "late", "blocked", "duplicate", "unmatched"}

type metrics struct {
	records   [outcomes]prometheus.Counter
	pours     []prometheus.Counter // by scenario
	alerts    []prometheus.Counter // by scenario
	buckets   prometheus.Gauge
	evicted   prometheus.Counter // buckets
	forgotten prometheus.Counter // distinct values

	interpreted prometheus.Counter // runs of filters
	failed      prometheus.Counter // runs of filters
}

func newMetrics(reg prometheus.Registerer, scenarios []*scenario.Scenario) *metrics {
	records := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "detect_records_total",
		Help: "Records by what became of them: poured into a bucket, unmatched by every scenario, repeated (only values that their buckets had counted, or too soon after one that counted), duplicate (request id seen before), blocked (client banned at that time), late (older than the life of their buckets).",
	}, []string{"outcome"}))
	pours := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "detect_pours_total",
		Help: "Events that the buckets of a scenario accepted; of a scenario that samples, those that were picked.",
	}, []string{"scenario"}))
	alerts := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "detect_alerts_total",
		Help: "Alerts raised by a scenario.",
	}, []string{"scenario"}))
	evictions := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "detect_evictions_total",
		Help: "State that gave way for want of memory while it was still needed: a bucket, or a distinct value that a bucket had counted.",
	}, []string{"kind"}))
	m := &metrics{
		buckets: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "detect_buckets",
			Help: "Buckets that have not expired.",
		})),
		evicted:   evictions.WithLabelValues("bucket"),
		forgotten: evictions.WithLabelValues("distinct"),
	}
	m.interpreted, m.failed = newInterpreted(reg)
	for i, name := range outcomeNames {
		m.records[i] = records.WithLabelValues(name)
	}
	for _, s := range scenarios {
		m.pours = append(m.pours, pours.WithLabelValues(s.Name))
		m.alerts = append(m.alerts, alerts.WithLabelValues(s.Name))
	}
	return m
}

// register registers a collector and returns it, or the one that another Engine has registered: the
// Engines of one process count together.
func register[T prometheus.Collector](reg prometheus.Registerer, c T) T {
	var known prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &known) {
		return known.ExistingCollector.(T)
	} else if err != nil {
		panic("BUG: " + err.Error())
	}
	return c
}

// newInterpreted returns the counters of runs of filters, and of those that failed.
func newInterpreted(reg prometheus.Registerer) (runs, failed prometheus.Counter) {
	return register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "detect_interpreted_total",
			Help: "Runs of filters, or parts of filters, that could not be compiled and are interpreted: \"weir scenarios\" says which.",
		})), register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "detect_filter_errors_total",
			Help: "Runs of interpreted filters that failed, and so did not hold: they ask for what a record has not.",
		}))
}

// A tally counts for one shard between two flushes, so that counting costs no
// atomic operation a record.
type tally struct {
	pours     []uint64 // by scenario
	alerts    []uint64 // by scenario
	forgotten uint64

	live int64 // buckets, as last told
}

func newTally(scenarios int) tally {
	return tally{pours: make([]uint64, scenarios), alerts: make([]uint64, scenarios)}
}

// flush adds what a shard counted to the metrics.
func (t *tally) flush(s *shard) {
	for i := range t.pours {
		move(s.metrics.pours[i], &t.pours[i])
		move(s.metrics.alerts[i], &t.alerts[i])
	}
	move(s.metrics.evicted, &s.buckets.evicted)
	move(s.metrics.forgotten, &t.forgotten)
	if now := s.buckets.live; now != t.live {
		s.metrics.buckets.Add(float64(now - t.live))
		t.live = now
	}
}

func move(counter prometheus.Counter, n *uint64) {
	if *n > 0 {
		counter.Add(float64(*n))
		*n = 0
	}
}
