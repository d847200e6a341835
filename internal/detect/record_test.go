package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// A visit is one record of a test. Its zero fields stand for something ordinary.
type visit struct {
	at      time.Duration // after epoch
	client  string
	url     string // as logged
	status  int
	method  string
	agent   string // as logged
	referer string // as logged
	id      string // of the request; made up when empty
}

var epoch = time.Date(2026, 10, 5, 8, 0, 0, 0, time.UTC)

// ms returns the event time of a visit.
func ms(at time.Duration) int64 { return epoch.Add(at).UnixMilli() }

var testFields = []cloudfront.Field{
	cloudfront.FieldTimestamp, cloudfront.FieldCIP, cloudfront.FieldSCStatus, cloudfront.FieldCSMethod, cloudfront.FieldCSHost,
	cloudfront.FieldCSURIStem, cloudfront.FieldXEdgeRequestID, cloudfront.FieldCSProtocolVersion, cloudfront.FieldCSUserAgent,
	cloudfront.FieldCSReferer, cloudfront.FieldCCountry, cloudfront.FieldASN,
}

type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// parse makes records of visits.
func parse(t tb, visits ...visit) []cloudfront.Record {
	t.Helper()
	return parseAs(t, cloudfront.DefaultClientBits, visits...)
}

// parseAs is parse for clients with IPv6 networks of so many bits.
func parseAs(t tb, bits int, visits ...visit) []cloudfront.Record {
	t.Helper()
	format, err := cloudfront.NewFormat(testFields)
	if err != nil {
		t.Fatal(err)
	}
	format = format.WithClientBits(bits)
	records := make([]cloudfront.Record, len(visits))
	for i, v := range visits {
		or := func(s, otherwise string) string {
			if s == "" {
				return otherwise
			}
			return s
		}
		if v.status == 0 {
			v.status = 404
		}
		at := ms(v.at)
		line := strings.Join([]string{
			fmt.Sprintf("%d.%03d", at/1000, at%1000), or(v.client, "198.51.100.7"), fmt.Sprintf("%03d", v.status), or(v.method, "GET"),
			"www.example.com", or(v.url, "/"), or(v.id, fmt.Sprintf("id-%s-%d-%d-%s", v.client, at, i, v.url)), "HTTP/2.0", or(v.agent, "Mozilla/5.0"),
			or(v.referer, "-"), "DE", "3320",
		}, "\t")
		if err := format.Parse(&records[i], []byte(line)); err != nil {
			t.Fatalf("parse %q: %v", line, err)
		}
		records[i].Arrived = at + 250
	}
	return records
}

// only returns the scenario of that name from the catalogue, changed by each f.
func only(name string, change ...func(*scenario.Scenario)) []scenario.Scenario {
	list := scenario.Catalogue()
	i := slices.IndexFunc(list, func(s scenario.Scenario) bool { return s.Name == name })
	for _, f := range change {
		f(&list[i])
	}
	return list[i : i+1]
}

func compile(t tb, list []scenario.Scenario) *scenario.Set {
	t.Helper()
	set, err := scenario.Compile(list, scenario.Options{BlockStatuses: []uint16{429}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// start returns an engine of these scenarios that is closed with the test. What cfg
// leaves open gets values for tests.
func start(t testing.TB, list []scenario.Scenario, cfg Config) (*Engine, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	cfg.Registerer = reg
	if cfg.Shards == 0 {
		cfg.Shards = 2
	}
	if cfg.Memory == 0 {
		cfg.Memory = 16 << 20
	}
	if cfg.Alert == nil {
		cfg.Alert = func(Alert) {}
	}
	e, err := New(compile(t, list), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, reg
}

// alertsOf returns the alerts that visits raise, in a single Process.
func alertsOf(t testing.TB, list []scenario.Scenario, visits ...visit) []Alert {
	t.Helper()
	var alerts []Alert
	e, _ := start(t, list, Config{Shards: 1, Alert: func(a Alert) { alerts = append(alerts, a) }})
	e.Process(parse(t, visits...))
	return alerts
}

// counted returns the values of a metric by its one label, or under "" if it has none.
func counted(t tb, reg *prometheus.Registry, name string) map[string]int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]int{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			values[labelOf(m)] = int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		}
	}
	return values
}

func labelOf(m *dto.Metric) string {
	for _, l := range m.GetLabel() {
		return l.GetValue()
	}
	return ""
}

// series returns visits of one client to paths of their own, each step apart.
func series(n int, from, step time.Duration, path string) []visit {
	visits := make([]visit, n)
	for i := range visits {
		visits[i] = visit{at: from + time.Duration(i)*step, url: fmt.Sprintf("/%s/%c%c", path, 'a'+i/26, 'a'+i%26)}
	}
	return visits
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
