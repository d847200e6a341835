package ban

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/detect"
	"weir/internal/scenario"
)

func TestMain(m *testing.M) {
	crashChild() // does not return in the child of TestCrash
	goleak.VerifyTestMain(m)
}

// noon is the time at which tests with a clock of their own begin.
var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// clock is a wall clock that stands still until it is moved.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(noon.UnixMilli())
	return c
}

func (c *clock) now() time.Time            { return fromMillis(c.ms.Load()) }
func (c *clock) advance(d time.Duration)   { c.ms.Add(d.Milliseconds()) }
func (c *clock) Now(_ time.Time) time.Time { return c.now() }

// flaky is a storage that fails when told to.
type flaky struct {
	storage
	fail atomic.Bool
}

var errFlaky = errors.New("the disk is on fire")

func (f *flaky) write(ctx context.Context, b batch) error {
	if f.fail.Load() {
		return errFlaky
	}
	return f.storage.write(ctx, b)
}

// slow is a storage during whose writes something happens, a failure perhaps.
type slow struct {
	storage
	meanwhile func(batch) error
}

func (s *slow) write(ctx context.Context, b batch) error {
	if err := s.meanwhile(b); err != nil {
		return err
	}
	return s.storage.write(ctx, b)
}

func testStore(t testing.TB, cfg Config, st storage) *Store {
	t.Helper()
	if cfg.Duration == 0 {
		cfg.Duration = 4 * time.Hour
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStore(t.Context(), cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openTest opens a store in the file dir/bans.db.
func openTest(t testing.TB, dir string, cfg Config) *Store {
	t.Helper()
	cfg.Path = filepath.Join(dir, "bans.db")
	if cfg.Duration == 0 {
		cfg.Duration = 4 * time.Hour
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var probing = &scenario.Scenario{Name: "http-probing", Mode: scenario.Enforce, Remediation: true}

// alert is one of http-probing about client at the event time at.
func alert(client string, at time.Time) detect.Alert {
	p := netip.MustParsePrefix(client)
	return detect.Alert{
		Scenario: probing, Client: p, Addr: p.Addr(), Events: 11,
		At: at.UnixMilli(), First: at.Add(-5 * time.Second).UnixMilli(), Arrived: at.Add(time.Second).UnixMilli(),
		Samples: []detect.Sample{{
			Time: at.UnixMilli(), Addr: p.Addr(), Status: 404, Method: "GET", Host: "example.com",
			Path: "/.env", Query: "a=1", UserAgent: "curl/8", Country: "NL", ASN: "64496", RequestID: "r1",
		}},
	}
}

func mustCommit(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// listAll follows every page.
func listAll(t testing.TB, s *Store, q Query) []Decision {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = MaxLimit
	}
	var all []Decision
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Decisions...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return all
		}
	}
}

func inForceOf(s *Store, now time.Time) []string {
	var ps []string
	for d := range s.InForce(now) {
		ps = append(ps, FormatPrefix(d.Prefix))
	}
	return ps
}

func isNotified(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
