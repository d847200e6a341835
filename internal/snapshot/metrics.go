package snapshot

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	took, read prometheus.Histogram
	bytes      prometheus.Gauge
	failed     *prometheus.CounterVec // by why: failedWrite, failedConflict
	refused    prometheus.Counter
}

const (
	failedWrite    = "write"    // the place did not take it
	failedConflict = "conflict" // another process went on from the same one
)

func newMetrics(reg prometheus.Registerer) *metrics {
	buckets := []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	m := &metrics{
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "snapshot_write_seconds", Help: "How long a snapshot took to be written and kept.", Buckets: buckets,
		}),
		read: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "snapshot_read_seconds", Help: "How long a snapshot took to be checked and read.", Buckets: buckets,
		}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "snapshot_bytes", Help: "Size of the latest snapshot that was kept."}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "snapshot_failures_total", Help: "Snapshots that were not kept, by why.",
		}, []string{"why"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "snapshot_refused_total", Help: "Snapshots that were found and could not be read.",
		}),
	}
	m.failed.WithLabelValues(failedWrite)
	m.failed.WithLabelValues(failedConflict)
	if reg != nil {
		reg.MustRegister(m.took, m.read, m.bytes, m.failed, m.refused)
	}
	return m
}

func (m *metrics) wrote(took time.Duration, size int64) {
	m.took.Observe(took.Seconds())
	m.bytes.Set(float64(size))
}
