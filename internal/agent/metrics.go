package agent

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	lookups  [][3]prometheus.Counter // by crawler and verdict
	failures *prometheus.CounterVec  // by publisher
	asOf     *prometheus.GaugeVec    // by publisher
	dns      [dnsOutcomes]prometheus.Counter
}

// A dnsOutcome is what became of asking for the name of an address.
type dnsOutcome uint8

const (
	dnsConfirmed dnsOutcome = iota // its name is the crawler's, and has this address
	dnsRefuted                     // it has no such name
	dnsFailed                      // no answer
	dnsDropped                     // too many were waiting
	dnsOutcomes
)

var dnsOutcomeNames = [dnsOutcomes]string{"confirmed", "refuted", "failed", "dropped"}

func newMetrics(reg prometheus.Registerer) *metrics {
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agent_crawler_lookups_total",
		Help: "Records of clients that claim to be a known crawler, by whether it is true: genuine, impostor, unknown (neither is known, or not yet).",
	}, []string{"crawler", "verdict"})
	dns := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agent_dns_lookups_total",
		Help: "Addresses of alleged crawlers whose names were asked for: confirmed, refuted, failed (no answer), dropped (too many were waiting).",
	}, []string{"outcome"})
	m := &metrics{
		lookups: make([][3]prometheus.Counter, len(crawlers)),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agent_ranges_refresh_errors_total",
			Help: "Lists of crawlers' ranges that could not be renewed: the old list stays.",
		}, []string{"publisher"}),
		asOf: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agent_ranges_timestamp_seconds",
			Help: "Unix time as of which a publisher's list of crawlers' ranges is.",
		}, []string{"publisher"}),
	}
	for i, c := range crawlers {
		for _, v := range []Verdict{Unknown, Genuine, Impostor} {
			m.lookups[i][v] = lookups.WithLabelValues(c.name, v.String())
		}
	}
	for i, name := range dnsOutcomeNames {
		m.dns[i] = dns.WithLabelValues(name)
	}
	for _, p := range publishers {
		if len(p.urls) > 0 {
			m.failures.WithLabelValues(p.name)
		}
	}
	reg.MustRegister(lookups, dns, m.failures, m.asOf)
	return m
}
