package kinesis

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	records, bytes       prometheus.Counter
	skipped              prometheus.Counter
	resumeErrors         prometheus.Counter
	delay                prometheus.Histogram
	handleErrors, panics prometheus.Counter
	readErrors           *prometheus.CounterVec // by kind: readErrorKinds
	taken                *prometheus.CounterVec // by how: free, own, claimed, expired
	ended                *prometheus.CounterVec // by why: endings
	checkpoints          *prometheus.CounterVec // by result: written, refused, unanswered
	tableErrors          prometheus.Counter
	looksFailed          prometheus.Counter
}

// The results of writing a checkpoint.
const (
	checkpointWritten    = "written"
	checkpointRefused    = "refused" // another worker has the lease
	checkpointUnanswered = "unanswered"
)

func newMetrics(reg prometheus.Registerer, status func() Status) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	m := &metrics{
		records:      counter("kinesis_records_total", "Records that were handled."),
		bytes:        counter("kinesis_bytes_total", "Bytes of records that were handled."),
		skipped:      counter("kinesis_records_skipped_total", "Records that were read and left out: they were handled before."),
		resumeErrors: counter("kinesis_resume_errors_total", "Times that it could not be told how far the kept state knows a shard."),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "kinesis_delay_seconds",
			Help:    "From the arrival of a batch's oldest record in the stream until the batch is first handled.",
			Buckets: []float64{.05, .1, .15, .2, .25, .3, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
		handleErrors: counter("kinesis_handle_errors_total", "Batches that were not handled and came again."),
		panics:       counter("kinesis_handle_panics_total", "Of those, batches that made the handler panic."),
		readErrors:   vec("kinesis_read_errors_total", "Reads of a shard that failed and were tried again, by kind.", "kind", readErrorKinds...),
		taken: vec("kinesis_leases_taken_total", "Leases that were taken, by how the shard was come by.", "from",
			takenFree, takenOwn, takenClaimed, takenExpired),
		ended: vec("kinesis_leases_ended_total", "Leases that ended, by why.", "why", endings...),
		checkpoints: vec("kinesis_checkpoints_total", "Checkpoints that were sent to the lease table, by result.", "result",
			checkpointWritten, checkpointRefused, checkpointUnanswered),
		tableErrors: counter("kinesis_lease_table_errors_total", "Writes of leases that the lease table did not answer."),
		looksFailed: counter("kinesis_look_errors_total", "Times that shards or leases could not be listed."),
	}
	if reg != nil {
		reg.MustRegister(m.records, m.bytes, m.skipped, m.resumeErrors, m.delay, m.handleErrors, m.panics, m.readErrors, m.taken, m.ended,
			m.checkpoints, m.tableErrors, m.looksFailed, collector{status})
	}
	return m
}

// wrote counts a write of a lease's row.
func (m *metrics) wrote(c change, err error) {
	result := checkpointWritten
	switch {
	case err == nil:
	case errors.Is(err, errRefused):
		result = checkpointRefused
	default:
		result = checkpointUnanswered
		m.tableErrors.Inc()
	}
	if c.checkpoint != "" {
		m.checkpoints.WithLabelValues(result).Inc()
	}
}

// sawDelay notes how long the oldest record of a batch has waited.
func (m *metrics) sawDelay(arrived []time.Time) {
	if len(arrived) > 0 && !arrived[0].IsZero() {
		m.delay.Observe(max(0, time.Since(arrived[0]).Seconds()))
	}
}

// collector reports what is so right now. The shards are those that are held,
// so a shard's figures go when its lease does.
type collector struct{ status func() Status }

var (
	descLeases  = prometheus.NewDesc("kinesis_leases", "Shards that this worker holds.", nil, nil)
	descOpen    = prometheus.NewDesc("kinesis_shards", "Shards of the stream that take records.", nil, nil)
	descUnowned = prometheus.NewDesc("kinesis_shards_unowned", "Shards that nobody reads though there may be something to read.", nil, nil)
	descWaiting = prometheus.NewDesc("kinesis_shards_waiting", "Shards that this worker holds and does not read, as the kept state cannot be read that says from where.", nil, nil)
	descLag     = prometheus.NewDesc("kinesis_shard_lag_seconds", "How far reading is behind the newest record of a shard.", []string{"shard"}, nil)
	descAge     = prometheus.NewDesc("kinesis_last_record_age_seconds", "Since the latest record that was read from a shard arrived in the stream.", []string{"shard"}, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLeases, descOpen, descUnowned, descWaiting, descLag, descAge} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := c.status()
	gauge(descLeases, float64(len(st.Shards)))
	gauge(descOpen, float64(st.Open))
	gauge(descUnowned, float64(st.Unowned))
	waiting := 0
	for _, s := range st.Shards {
		if s.Waits != "" {
			waiting++
		}
	}
	gauge(descWaiting, float64(waiting))
	for _, s := range st.Shards {
		gauge(descLag, s.Behind.Seconds(), s.ID)
		if !s.Arrived.IsZero() {
			gauge(descAge, time.Since(s.Arrived).Seconds(), s.ID)
		}
	}
}
