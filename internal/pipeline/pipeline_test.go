package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"weir/internal/cloudfront"
	"weir/internal/detect"
	"weir/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a pipeline over a real engine, with the alerts it raised.
type house struct {
	*Pipeline
	reg *prometheus.Registry

	mu     sync.Mutex
	alerts []detect.Alert

	decided netip.Prefix // whom a decision covers, from the second 1790000010 on
	seen    []netip.Addr
}

func (h *house) answered(client netip.Prefix, at int64) bool {
	return client == h.decided && at >= 1_790_000_010_000
}

const fields = "timestamp c-ip sc-status cs-method cs-host cs-uri-stem x-edge-request-id cs-protocol-version cs-user-agent"

func newHouse(t *testing.T, commit func(context.Context) error, log *zap.Logger) *house {
	t.Helper()
	list, err := cloudfront.ParseFields(fields)
	if err != nil {
		t.Fatal(err)
	}
	format, err := cloudfront.NewFormat(list)
	if err != nil {
		t.Fatal(err)
	}
	set, err := scenario.Compile(scenario.Catalogue(), scenario.Options{BlockStatuses: []uint16{429}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{reg: prometheus.NewRegistry()}
	engine, err := detect.New(set, detect.Config{Shards: 2, Memory: 16 << 20, Registerer: h.reg, Alert: func(a detect.Alert) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.alerts = append(h.alerts, a)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	if commit == nil {
		commit = func(context.Context) error { return nil }
	}
	h.Pipeline = New(Config{
		Format: format, Engine: engine, Commit: commit, Logger: log, Registerer: h.reg,
		Allowed: netip.MustParsePrefix("192.0.2.0/24").Contains,
		Answers: []uint16{429, 405, 202}, Answered: h.answered,
		Seen: func(a netip.Addr) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.seen = append(h.seen, a)
		},
	})
	return h
}

// line is a request for a file that no honest client asks for.
func line(client string, n int) string {
	return fmt.Sprintf("1790000000.%03d\t%s\t404\tGET\twww.example.com\t/%d/.env\trequest-%s-%d\tHTTP/2.0\tcurl/8", n, client, n, client, n)
}

func attack(client string) [][]byte {
	var out [][]byte
	for n := range 40 {
		out = append(out, []byte(line(client, n)))
	}
	return out
}

func (h *house) count(t *testing.T, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(h.reg, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestAttackBecomesAlerts(t *testing.T) {
	h := newHouse(t, nil, nil)
	arrived := make([]time.Time, 40)
	for i := range arrived {
		arrived[i] = time.UnixMilli(5_000_000 + int64(i))
	}
	if err := h.Handle(t.Context(), attack("198.51.100.7"), arrived); err != nil {
		t.Fatal(err)
	}
	if len(h.alerts) == 0 {
		t.Fatal("no alert")
	}
	for _, a := range h.alerts {
		if a.Client != netip.MustParsePrefix("198.51.100.7/32") {
			t.Errorf("alert for %s", a.Client)
		}
		if i := a.Arrived - 5_000_000; i != a.At-1_790_000_000_000 {
			t.Errorf("the alert of record %d says that record %d arrived", a.At-1_790_000_000_000, i)
		}
	}
	if h.Handled() != 40 {
		t.Errorf("handled %d records, want 40", h.Handled())
	}
}

// However lines are packed into stream records, the same comes of them.
func TestManyLinesInARecord(t *testing.T) {
	one, packed := newHouse(t, nil, nil), newHouse(t, nil, nil)
	lines := attack("198.51.100.7")
	if err := one.Handle(t.Context(), lines, nil); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for i, l := range lines {
		end := "\n"
		if i%3 == 0 {
			end = "\r\n\n"
		}
		all = append(append(all, l...), end...)
	}
	if err := packed.Handle(t.Context(), [][]byte{all, {}}, nil); err != nil {
		t.Fatal(err)
	}
	if len(one.alerts) == 0 || len(one.alerts) != len(packed.alerts) {
		t.Errorf("%d alerts from 40 records, %d from one", len(one.alerts), len(packed.alerts))
	}
}

func TestGarbageIsCountedAndNeverAlerts(t *testing.T) {
	h := newHouse(t, nil, nil)
	good := line("198.51.100.7", 1)
	cols := strings.Split(good, "\t")
	swap := func(i int, v string) []byte {
		c := append([]string(nil), cols...)
		c[i] = v
		return []byte(strings.Join(c, "\t"))
	}
	var lines [][]byte
	for range 50 {
		lines = append(lines,
			[]byte(good[:len(good)/2]),
			[]byte(strings.Join(cols[1:], "\t")),
			swap(0, "yesterday"),
			swap(1, "www.example.com"),
			swap(2, "2000"),
			swap(7, "SPDY/3"),
			swap(5, "/\x00/.env"),
			swap(5, "/"+strings.Repeat("../", 400_000)+".env"),
		)
	}
	if err := h.Handle(t.Context(), lines, nil); err != nil {
		t.Fatal(err)
	}
	if len(h.alerts) > 0 {
		t.Errorf("garbage raised %v", h.alerts[0])
	}
	h.count(t, `
# HELP pipeline_rejected_total Log lines that could not be read, by the first thing wrong with them.
# TYPE pipeline_rejected_total counter
pipeline_rejected_total{reason="client"} 50
pipeline_rejected_total{reason="columns"} 100
pipeline_rejected_total{reason="control"} 50
pipeline_rejected_total{reason="length"} 50
pipeline_rejected_total{reason="protocol"} 50
pipeline_rejected_total{reason="status"} 50
pipeline_rejected_total{reason="time"} 50
`, "pipeline_rejected_total")
}

func TestAllowlistedClientsAreNotPoured(t *testing.T) {
	h := newHouse(t, nil, nil)
	if err := h.Handle(t.Context(), attack("192.0.2.9"), nil); err != nil {
		t.Fatal(err)
	}
	if len(h.alerts) > 0 {
		t.Errorf("an allowlisted client raised %v", h.alerts[0])
	}
	if n := testutil.ToFloat64(h.m.allowed); n != 40 {
		t.Errorf("%v records counted as allowlisted, want 40", n)
	}
}

// While decisions cannot be stored, a batch is neither acknowledged nor poured
// again.
func TestStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk full")
		begun := time.Now()
		core, logs := observer.New(zap.ErrorLevel)
		h := newHouse(t, func(context.Context) error {
			if time.Since(begun) < 3*time.Minute {
				return broken
			}
			return nil
		}, zap.New(core))
		if err := h.Handle(t.Context(), attack("198.51.100.7"), nil); err != nil {
			t.Fatal(err)
		}
		if time.Since(begun) < 3*time.Minute {
			t.Error("acknowledged before it was stored")
		}
		if n := len(h.alerts); n != countOf(t, attack("198.51.100.7")) {
			t.Errorf("%d alerts: the batch was poured more than once", n)
		}
		if n := logs.Len(); n < 3 || n > 4 {
			t.Errorf("%d log lines in three minutes, want one a minute", n)
		}
	})
}

// Lines of a standard log go the same way, those too that lack columns at their end.
func TestHandleAs(t *testing.T) {
	h := newHouse(t, nil, nil)
	format, err := cloudfront.NewStandardFormat(cloudfront.StandardColumns(33))
	if err != nil {
		t.Fatal(err)
	}
	const line = "2026-03-12\t15:00:02\tNRT57-P2\t1\t203.0.113.7\tGET\td111111abcdef8.cloudfront.net\t/.env\t404\t-\tcurl/8\t-\t-\tError\t" +
		"id==\twww.example.com\thttps\t120\t0.802\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tError\tHTTP/2.0"
	if err := h.HandleAs(t.Context(), format, [][]byte{[]byte(line), []byte(line + strings.Repeat("\t-", 9))}, nil); err != nil {
		t.Fatal(err)
	}
	h.count(t, `
# HELP pipeline_lines_total Log lines read, well-formed or not.
# TYPE pipeline_lines_total counter
pipeline_lines_total 2
# HELP pipeline_short_total Records of a standard log whose line lacked columns at its end.
# TYPE pipeline_short_total counter
pipeline_short_total 1
`, "pipeline_lines_total", "pipeline_short_total")
}

// countOf is how many alerts lines raise in a house of their own.
func countOf(t *testing.T, lines [][]byte) int {
	h := newHouse(t, nil, nil)
	if err := h.Handle(t.Context(), lines, nil); err != nil {
		t.Fatal(err)
	}
	return len(h.alerts)
}

func TestStopWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, func(context.Context) error { return errors.New("disk full") }, nil)
		why := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		if err := h.Handle(ctx, attack("198.51.100.7"), nil); !errors.Is(err, why) {
			t.Errorf("got %v, want the reason of the stop", err)
		}
		if h.Handled() != 0 {
			t.Error("counted as handled what was not acknowledged")
		}
	})
}

// Any number of sources may call Handle at once; the numbers add up.
func TestManySources(t *testing.T) {
	h := newHouse(t, nil, nil)
	var wg sync.WaitGroup
	const sources, rounds = 8, 20
	for s := range sources {
		wg.Go(func() {
			for r := range rounds {
				if err := h.Handle(context.Background(), attack(fmt.Sprintf("10.%d.%d.7", s, r)), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if want := sources * rounds * countOf(t, attack("198.51.100.7")); len(h.alerts) != want {
		t.Errorf("%d alerts, want %d", len(h.alerts), want)
	}
	if n := testutil.ToFloat64(h.m.lines); n != sources*rounds*40 {
		t.Errorf("%v lines counted, want %d", n, sources*rounds*40)
	}
}

// A batch that raises no alert costs no memory.
func TestHandleDoesNotAllocate(t *testing.T) {
	h := newHouse(t, nil, nil)
	var lines [][]byte
	for n := range 1000 {
		lines = append(lines, fmt.Appendf(nil, "1790000000.%03d\t198.51.%d.%d\t200\tGET\twww.example.com\t/page/%d\tid-%d\tHTTP/2.0\tMozilla/5.0", n, n%250, n%7, n, n))
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(50, func() {
		if err := h.Handle(ctx, lines, nil); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // a thousand lines a run
		t.Errorf("%v allocations for a thousand lines", n)
	}
}

// A field list that does not fit is said once a minute, with what to look at.
func TestWrongFieldListIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		h := newHouse(t, nil, zap.New(core))
		for range 150 { // seconds
			if err := h.Handle(t.Context(), [][]byte{[]byte("1790000000.000\t198.51.100.7\t200")}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if logs.Len() != 3 {
			t.Fatalf("%d log lines in two and a half minutes, want 3", logs.Len())
		}
		last := logs.All()[2]
		if !strings.Contains(last.Message, "WEIR_LOG_FIELDS") || last.ContextMap()["columns"] != int64(60) {
			t.Errorf("got %q %v", last.Message, last.ContextMap())
		}
	})
}

func TestMetricsAreWellFormed(t *testing.T) {
	h := newHouse(t, nil, nil)
	problems, err := testutil.GatherAndLint(h.reg)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// What WAF answers on account of a decision is held against nobody, and what
// anybody else answers, or answers to anybody else, is.
func TestAnswered(t *testing.T) {
	for _, tc := range []struct {
		name           string
		second, status int
		client         string
		answered       bool
	}{
		{"a block", 10, 429, "198.51.100.7", true},
		{"a captcha", 11, 405, "198.51.100.7", true},
		{"a challenge", 12, 202, "198.51.100.7", true},
		{"a captcha that was solved", 10, 404, "198.51.100.7", false},
		{"before the decision", 9, 405, "198.51.100.7", false},
		{"another client", 10, 405, "198.51.100.8", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHouse(t, nil, nil)
			h.decided = netip.MustParsePrefix("198.51.100.7/32")
			var lines [][]byte
			for n := range 40 {
				l := strings.Replace(line(tc.client, n), "1790000000", fmt.Sprint(1790000000+tc.second), 1)
				lines = append(lines, []byte(strings.Replace(l, "\t404\t", fmt.Sprintf("\t%d\t", tc.status), 1)))
			}
			if err := h.Handle(t.Context(), lines, nil); err != nil {
				t.Fatal(err)
			}
			if answered := len(h.seen) == 0; answered != tc.answered || answered != (len(h.alerts) == 0) {
				t.Errorf("%d were seen, %d alerts", len(h.seen), len(h.alerts))
			}
			n := 0
			if tc.answered {
				n = 40
			}
			h.count(t, fmt.Sprintf(`
# HELP pipeline_answered_total Records of requests that WAF answered on account of a decision, which are not counted against anyone.
# TYPE pipeline_answered_total counter
pipeline_answered_total %d
`, n), "pipeline_answered_total")
		})
	}
}
