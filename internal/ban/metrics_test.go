package ban

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func counted(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	return testutil.ToFloat64(c)
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := newClock()
	s := testStore(t, Config{Now: c.Now, Registerer: reg, Duration: time.Hour}, newMemory())
	s.Alert(alert("192.0.2.1/32", noon))
	s.Alert(alert("192.0.2.2/32", noon))
	expect := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "bans_in_force", "ban_decisions_total", "ban_pending_alerts"); err != nil {
			t.Error(err)
		}
	}
	const (
		help = `
# HELP ban_decisions_total Decisions made and stored, by origin.
# TYPE ban_decisions_total counter
ban_decisions_total{origin="adopted"} 0
ban_decisions_total{origin="manual"} 0
`
		pending = `
# HELP ban_pending_alerts Alerts decided on in memory and not yet stored.
# TYPE ban_pending_alerts gauge
`
		inForce = `
# HELP bans_in_force Prefixes with a decision in force, by action.
# TYPE bans_in_force gauge
bans_in_force{action="captcha"} 0
bans_in_force{action="challenge"} 0
bans_in_force{action="count"} 0
`
	)
	expect(help + "ban_decisions_total{origin=\"scenario\"} 0\n" + pending + "ban_pending_alerts 2\n" + inForce + "bans_in_force{action=\"block\"} 0\n")
	mustCommit(t, s)
	expect(help + "ban_decisions_total{origin=\"scenario\"} 2\n" + pending + "ban_pending_alerts 0\n" + inForce + "bans_in_force{action=\"block\"} 2\n")
	c.advance(time.Hour)
	expect(help + "ban_decisions_total{origin=\"scenario\"} 2\n" + pending + "ban_pending_alerts 0\n" + inForce + "bans_in_force{action=\"block\"} 0\n")

	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}
