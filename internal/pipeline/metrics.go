package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"weir/internal/cloudfront"
)

type metrics struct {
	lines    prometheus.Counter
	blank    prometheus.Counter
	allowed  prometheus.Counter
	answered prometheus.Counter
	short    prometheus.Counter
	rejected []prometheus.Counter // by cloudfront.RejectReason
	newest   prometheus.Gauge
	retries  prometheus.Counter

	newestMs   atomic.Int64
	lastLogged atomic.Int64 // Unix seconds of the last line about a failing store
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pipeline_lines_total", Help: "Log lines read, well-formed or not.",
		}),
		blank: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pipeline_blank_lines_total", Help: "Empty lines and empty stream records.",
		}),
		allowed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pipeline_allowed_total", Help: "Records of allowlisted clients, which are not counted against anyone.",
		}),
		answered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pipeline_answered_total", Help: "Records of requests that WAF answered on account of a decision, which are not counted against anyone.",
		}),
		short: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pipeline_short_total", Help: "Records of a standard log whose line lacked columns at its end.",
		}),
		newest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pipeline_newest_record_timestamp_seconds", Help: "Event time of the newest record seen.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pipeline_commit_retries_total", Help: "Times that storing decisions had to be tried again; reading waits meanwhile.",
		}),
	}
	rejected := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pipeline_rejected_total", Help: "Log lines that could not be read, by the first thing wrong with them.",
	}, []string{"reason"})
	for _, reason := range cloudfront.RejectReasons() { // numbered from 0 without gaps
		m.rejected = append(m.rejected, rejected.WithLabelValues(reason.String()))
	}
	if reg != nil {
		reg.MustRegister(m.lines, m.blank, m.allowed, m.answered, m.short, m.newest, m.retries, rejected)
	}
	return m
}

// count adds what one Handle call saw.
func (m *metrics) count(t *tally) {
	m.lines.Add(float64(t.lines))
	m.blank.Add(float64(t.blank))
	m.allowed.Add(float64(t.allowed))
	m.answered.Add(float64(t.answered))
	m.short.Add(float64(t.short))
	for reason, n := range t.rejected {
		if n > 0 {
			m.rejected[reason].Add(float64(n))
		}
	}
	for {
		was := m.newestMs.Load()
		if t.newest <= was {
			return
		}
		if m.newestMs.CompareAndSwap(was, t.newest) {
			m.newest.Set(float64(t.newest) / 1000)
			return
		}
	}
}

// commitFailed counts a failure to store, and says so once a minute.
func (m *metrics) commitFailed(log *zap.Logger, err error) {
	m.retries.Inc()
	now := time.Now().Unix()
	if last := m.lastLogged.Load(); now-last >= 60 && m.lastLogged.CompareAndSwap(last, now) {
		log.Error("decisions cannot be stored; reading waits until they can", zap.Error(err))
	}
}
