package detect

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/cloudfront"
	"weir/internal/scenario"
)

// A fake is a list of scenarios whose hits the test says: by the record's request id,
// see hits.
type fake []scenario.Scenario

// shieldOf says that scenarios whose name ends in the same way behind a '/' have one shield.
func (f fake) shieldOf(i int) int {
	_, shield, ok := strings.Cut(f[i].Name, "/")
	if !ok {
		return i
	}
	return slices.IndexFunc(f, func(s scenario.Scenario) bool { return strings.HasSuffix(s.Name, "/"+shield) })
}

// hits are the hits of records, by request id up to its last '#', so that records that
// hit the same need not be duplicates.
type hits map[string][]scenario.Hit

// A gisted is a source of hits as a matcher that knows the rules they are of.
type gisted struct {
	source
	rules fake
}

type source interface {
	Match(r *cloudfront.Record, hits []scenario.Hit) []scenario.Hit
	Interpreted() (runs, failed uint64)
}

func (g gisted) MatchGist(r *cloudfront.Record, to []scenario.Hit) ([]scenario.Hit, scenario.Gist) {
	all := g.Match(r, to)
	return all, scenario.GistOf(all[len(to):], func(i uint16) bool { return g.rules[i].Group.By != scenario.ByClient })
}

func (h hits) Interpreted() (runs, failed uint64) { return 0, 0 }

func (h hits) Match(r *cloudfront.Record, to []scenario.Hit) []scenario.Hit {
	id := string(r.Raw(cloudfront.FieldXEdgeRequestID))
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '#' {
			id = id[:i]
		}
	}
	return append(to, h[id]...)
}

// plan returns the plan of the list. What a record hits, h says, and about queues judge.
func (f fake) plan(h source, judge func(int, []Sample) bool) *plan {
	var list []*scenario.Scenario
	for i := range f {
		list = append(list, &f[i])
	}
	p := newPlan(list, func(i int) bool {
		all, _ := h.(hits)
		for _, list := range all {
			for _, hit := range list {
				if int(hit.Scenario) == i && (hit.Effect == scenario.Drain || hit.Effect == scenario.Cancel) {
					return true
				}
			}
		}
		return false
	}, f.shieldOf)
	p.matcher = func() matcher { return gisted{h, f} }
	p.judge = judge
	return p
}

// start is start for a fake in which nothing is hit.
func (f fake) start(t testing.TB, cfg Config) (*Engine, *prometheus.Registry) {
	t.Helper()
	return f.startWith(t, hits{}, nil, cfg)
}

func (f fake) startWith(t testing.TB, h source, judge func(int, []Sample) bool, cfg Config) (*Engine, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	cfg.Registerer = reg
	if cfg.Memory == 0 {
		cfg.Memory = 16 << 20
	}
	if cfg.Alert == nil {
		cfg.Alert = func(Alert) {}
	}
	e, err := build(f.plan(h, judge), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, reg
}
