package rekey

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type senderMetrics struct {
	frames, bytes, events prometheus.Counter
	refused               [refusals]prometheus.Counter
}

func newSenderMetrics(reg prometheus.Registerer, waiting func() float64) *senderMetrics {
	m := &senderMetrics{
		frames: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_put_frames_total", Help: "Records put into the re-keyed stream, each with many events.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_put_bytes_total", Help: "Bytes put into the re-keyed stream.",
		}),
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_put_events_total", Help: "Events put into the re-keyed stream.",
		}),
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rekey_refused_total", Help: "Records that the re-keyed stream did not take at once; they are put again, and reading waits meanwhile.",
	}, []string{"reason"})
	for i, name := range refusalNames {
		m.refused[i] = refused.WithLabelValues(name)
	}
	frames := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rekey_waiting_frames", Help: "Records that are full and wait to be put into the re-keyed stream.",
	}, waiting)
	if reg != nil {
		reg.MustRegister(m.frames, m.bytes, m.events, refused, frames)
	}
	return m
}

func (s *Sender) waiting() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.lanes {
		n += len(l.frames)
	}
	return float64(n)
}

// trouble is that the stream takes nothing, or does not answer.
type trouble struct {
	last    time.Time // of a log line
	skipped int
}

// unready is for how long a shard may take nothing before that is worth a word.
const unready = 10 * time.Second

// say reports whether to log something, one line a minute, and how many lines were left out.
func (t *trouble) say(at time.Time) (skipped int, ok bool) {
	if !t.last.IsZero() && at.Sub(t.last) < time.Minute {
		t.skipped++
		return 0, false
	}
	skipped, t.skipped, t.last = t.skipped, 0, at
	return skipped, true
}

// Ready says what keeps events from being put.
func (s *Sender) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.layout == nil {
		return errors.New("the shards of the re-keyed stream " + s.stream.id + " have not been listed yet")
	}
	for _, l := range s.lanes {
		if l.fails == 0 || time.Since(l.refused) < unready {
			continue
		}
		advice := ""
		if refusalOf(l.code) == refusalThrottled {
			advice = ": it needs more shards"
		}
		return fmt.Errorf("a shard of the re-keyed stream %s has taken nothing for %v (%s)%s", s.stream.id, time.Since(l.refused).Round(time.Second), l.code, advice)
	}
	return nil
}

// A readTally is what became of the events of a batch.
type readTally struct {
	counted  int // they are poured
	repeated int // they came before
	foreign  int // they are for the owner of another shard
	unfit    int // they make no sense
	unknown  int // hits of scenarios that are not there
	broken   int // records that are no frames
}

type detectorMetrics struct {
	events                            *prometheus.CounterVec
	counted, repeated, foreign, unfit prometheus.Counter
	unknown, broken, refused          prometheus.Counter
	commits, unread, keeps            prometheus.Counter
	shards                            prometheus.Gauge
}

func newDetectorMetrics(reg prometheus.Registerer) *detectorMetrics {
	m := &detectorMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rekey_events_total",
			Help: "Events read from the re-keyed stream: counted, repeated (they came before), foreign (another shard owns them, as after a reshard), or unfit (they make no sense to these scenarios).",
		}, []string{"outcome"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_unknown_hits_total", Help: "Hits of scenarios that are not the ones here, left out: ingest and detect tasks have different scenarios.",
		}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_broken_frames_total", Help: "Records of the re-keyed stream that are no frames, left out.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_newer_frames_total", Help: "Times that a shard met a frame of a newer version of Weir, at which it waits.",
		}),
		commits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_commit_retries_total", Help: "Times that storing decisions had to be tried again; reading waits meanwhile.",
		}),
		unread: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_unreadable_states_total", Help: "States of shards that could not be read: what they knew is forgotten.",
		}),
		keeps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rekey_keep_errors_total", Help: "States of shards that could not be kept.",
		}),
		shards: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "rekey_shards", Help: "Shards of the re-keyed stream whose clients are counted here.",
		}),
	}
	m.counted, m.repeated = m.events.WithLabelValues("counted"), m.events.WithLabelValues("repeated")
	m.foreign, m.unfit = m.events.WithLabelValues("foreign"), m.events.WithLabelValues("unfit")
	if reg != nil {
		reg.MustRegister(m.events, m.unknown, m.broken, m.refused, m.commits, m.unread, m.keeps, m.shards)
	}
	return m
}

func (m *detectorMetrics) count(t *readTally) {
	m.counted.Add(float64(t.counted))
	m.repeated.Add(float64(t.repeated))
	m.foreign.Add(float64(t.foreign))
	m.unfit.Add(float64(t.unfit))
	m.unknown.Add(float64(t.unknown))
	m.broken.Add(float64(t.broken))
}
