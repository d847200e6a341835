package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/detect"
	"weir/internal/scenario"
	"weir/internal/seeded"
	"weir/internal/source/file"
)

// runExplain is `weir explain`: what detection makes of records, and why.
func runExplain(ctx context.Context, w *world) error {
	fs := newFlags(w, "explain", "LINE|-", "Tells of a log record what detection makes of it: fields after decoding, facts,\nscenarios that it hits and those that it nearly does, and what is then in their\nbuckets. Of a file (-file), or of standard input (-), it tells of the records that\nfill a bucket by a tenth or more, and ends with a summary. Bans that are decided\non the way are in force, as in `weir replay`; nobody is banned.")
	name := fs.String("file", "", "explain the records of this `file`, plain or gzip; - is standard input")
	var kind logKind
	fs.Var(&kind, "format", "the log's `kind`: realtime, standard, or auto, which looks at the input")
	list := fs.String("fields", "", "a real-time log's fields: a `list`, or @FILE (default: the setting WEIR_LOG_FIELDS)")
	client := fs.String("client", "", "tell only of this `address` or network; the others count all the same")
	only := fs.String("scenario", "", "tell only of the scenario of this `name`, and of each record why it does not hit it")
	all := fs.Bool("all", false, "tell of every record of a file")
	asJSON := fs.Bool("json", false, "write JSON, one object a record")
	loader := config.Register(fs, "log", "scenarios", "detect", "ban", "waf")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	var line string
	switch {
	case *name == "" && fs.NArg() == 1 && fs.Arg(0) == "-":
		*name = "-"
	case *name == "" && fs.NArg() == 1:
		line = fs.Arg(0)
	case *name == "" || fs.NArg() > 0:
		return usageError("one log line, - or -file FILE is wanted; a line has tabs in it, so quote it")
	}
	cfg, err := loadSettings(loader, w)
	if err != nil {
		return err
	}
	if *list == "" {
		*list = cfg.Log.Fields
	}
	fields, err := readFields(*list)
	if err != nil {
		return &codedError{exitUsage, err}
	}
	x, err := newExplainer(ctx, cfg, fields)
	if err != nil {
		return err
	}
	defer x.close()
	x.sniffer.Kind = kind.kind
	x.all = *all || *name == ""
	if err := x.choose(*client, *only); err != nil {
		return err
	}
	x.view = &textView{out: w.stdout, set: x.set, whole: *name == ""}
	if *asJSON {
		x.view = &jsonView{out: w.stdout}
	}
	if *name == "" {
		return x.explainLine(ctx, line)
	}
	source := file.New(*name)
	source.Stdin = w.stdin
	if err := source.Run(ctx, x.handle); err != nil {
		return err
	}
	return x.view.end(&x.totals)
}

// An explainer watches an engine as it takes one record after the other.
type explainer struct {
	set      *scenario.Set
	matcher  *scenario.Matcher // of another set: what is learnt of a site is learnt once by each
	engine   *detect.Engine
	store    *ban.Store
	sniffer  cloudfront.Sniffer
	client   netip.Prefix // the zero Prefix for all
	scenario int          // -1 for all
	all      bool
	view     view
	totals   totals
	records  []cloudfront.Record // one
	seen     []detect.Observation
	alerts   []detect.Alert
	decided  []*ban.Decision
	hits     []scenario.Hit
}

// A view shows what an explainer finds.
type view interface {
	record(*explained) error
	end(*totals) error
}

func newExplainer(ctx context.Context, cfg *config.Config, fields []cloudfront.Field) (*explainer, error) {
	x := &explainer{records: make([]cloudfront.Record, 1)}
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	x.sniffer.RealTime, x.sniffer.ClientBits = format.WithClientBits(cfg.Detect.IPv6Prefix), cfg.Detect.IPv6Prefix
	if x.set, err = compileScenarios(cfg, nil, seeded.Seed{}); err != nil {
		return nil, err
	}
	own, err := compileScenarios(cfg, nil, seeded.Seed{})
	if err != nil {
		return nil, err
	}
	x.matcher = own.NewMatcher()
	x.totals = newTotals(x.set)
	x.store, err = ban.Open(ctx, ban.Config{
		Allowlist: cfg.Ban.Allowlist, Duration: cfg.Ban.Duration, Action: ban.Action(cfg.Ban.Action),
		Now: func(event time.Time) time.Time { return event },
		OnAlert: func(_ detect.Alert, d *ban.Decision) {
			if d != nil {
				x.decided = append(x.decided, d)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	x.engine, err = detect.New(x.set, detect.Config{
		Shards: 1, Memory: 64 << 20, Registerer: prometheus.NewRegistry(), Banned: x.store.Banned,
		Alert: func(a detect.Alert) {
			x.alerts = append(x.alerts, a)
			x.store.Alert(a)
		},
		Observe: func(o detect.Observation) { x.seen = append(x.seen, o) },
	})
	if err != nil {
		return nil, errors.Join(err, x.store.Close())
	}
	return x, nil
}

func (x *explainer) close() {
	x.engine.Close()
	x.store.Close() // it keeps everything in memory
}

// choose narrows down what is told.
func (x *explainer) choose(client, only string) error {
	x.scenario = -1
	if client != "" {
		p, err := netip.ParsePrefix(client)
		if err != nil {
			a, err := netip.ParseAddr(client)
			if err != nil {
				return usageError("-client %s: neither an address nor a network", client)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		x.client = p.Masked()
	}
	if only == "" {
		return nil
	}
	for i := range x.set.Len() {
		if x.set.At(i).Name == only {
			x.scenario = i
			return nil
		}
	}
	return usageError("there is no scenario %q; `weir scenarios` lists them", only)
}

// explainLine tells of a single record.
func (x *explainer) explainLine(ctx context.Context, line string) error {
	format, err := x.sniffer.Format([]byte(line))
	if err != nil {
		return err
	}
	if format == nil {
		return usageError("this is a header, and no record")
	}
	if err := format.Parse(&x.records[0], []byte(line)); err != nil {
		return fmt.Errorf("this is no record: %w (it has %d columns, and the format %d; -fields names those of a real-time log)",
			err, strings.Count(line, "\t")+1, format.Columns())
	}
	return x.explain(ctx, 0)
}

// handle tells of the records of a file.
func (x *explainer) handle(ctx context.Context, lines [][]byte, _ []time.Time) error {
	for _, line := range lines {
		x.totals.Lines++
		format, err := x.sniffer.Format(line)
		if err != nil {
			return err
		}
		if format == nil {
			continue
		}
		if err := format.Parse(&x.records[0], line); err != nil {
			x.totals.Rejected++
			continue
		}
		if err := x.explain(ctx, x.totals.Lines); err != nil {
			return err
		}
	}
	return nil
}

// explain takes the record at hand through detection.
func (x *explainer) explain(ctx context.Context, line int) error {
	r := &x.records[0]
	x.seen, x.alerts, x.decided = x.seen[:0], x.alerts[:0], x.decided[:0]
	allowed := x.store.Allowed(r.Addr)
	if !allowed {
		x.hits = x.matcher.Match(r, x.hits[:0])
		x.engine.Process(x.records)
		if err := x.store.Commit(ctx); err != nil {
			return err
		}
	}
	if x.client.IsValid() && !x.client.Contains(r.Addr) {
		return nil
	}
	x.totals.count(x.seen, allowed, x.scenario)
	e := x.describe(r, line)
	e.Allowlisted = allowed
	if !x.all && !e.notable {
		return nil
	}
	return x.view.record(e)
}

// An explained record is the documented form of one in JSON.
type explained struct {
	Line        int              `json:"line,omitempty"` // of the file, from 1
	Time        time.Time        `json:"time"`
	Client      string           `json:"client"`
	Addr        string           `json:"addr"`
	Status      string           `json:"status"`
	Method      string           `json:"method"`
	Fields      []explainedField `json:"fields"`
	Facts       []string         `json:"facts"`
	Allowlisted bool             `json:"allowlisted,omitempty"`
	Dismissed   string           `json:"dismissed,omitempty"` // "duplicate" or "banned": none of the hits counts
	Hits        []explainedHit   `json:"hits"`
	Unpicked    []unpicked       `json:"unpicked,omitempty"`
	Near        []nearMiss       `json:"near,omitempty"`
	Decisions   []decisionLine   `json:"decisions,omitempty"`

	notable bool
	facts   []scenario.Fact
}

// An explainedField is what the client sent, in wire form and in the form that patterns
// are matched against.
type explainedField struct {
	Name    string `json:"name"`
	Wire    string `json:"wire"`
	Decoded string `json:"decoded,omitempty"`
}

type explainedHit struct {
	Scenario string  `json:"scenario"`
	Effect   string  `json:"effect"`        // pour, drain, cancel or shield
	Fate     string  `json:"fate"`          // poured, repeated, alerted, ...: what became of it
	Key      string  `json:"key,omitempty"` // the client or network whose bucket it is
	Weight   float64 `json:"weight"`
	Before   float64 `json:"before"` // what was in the bucket
	Level    float64 `json:"level"`  // what is in it with this; of an overflow, how far it ran over
	Capacity int     `json:"capacity"`
	Events   int     `json:"events"` // that the bucket counted

	o *detect.Observation
}

// An unpicked hit does not count: the scenario's sample is one record of so many, and not
// this one.
type unpicked struct {
	Scenario string `json:"scenario"`
	Of       int    `json:"of"`
}

type nearMiss struct {
	Scenario string   `json:"scenario"`
	Unmet    []string `json:"unmet"`
	Met      []string `json:"met"`
}

var effectNames = map[scenario.Effect]string{
	scenario.Pour: "pour", scenario.Drain: "drain", scenario.Cancel: "cancel", scenario.Shield: "shield",
}

func (x *explainer) describe(r *cloudfront.Record, line int) *explained {
	status := "000"
	if r.Status > 0 {
		status = fmt.Sprint(r.Status)
	}
	e := &explained{
		Line: line, Time: time.UnixMilli(r.Time).UTC(), Client: ban.FormatPrefix(r.Client()), Addr: r.Addr.String(),
		Status: status, Method: wireForm(r.Raw(cloudfront.FieldCSMethod)), Hits: []explainedHit{},
	}
	for _, f := range []struct {
		name  string
		raw   []byte
		query bool
	}{
		{"host", r.Raw(cloudfront.FieldCSHost), false},
		{"path", r.Path(), false},
		{"query", r.Query(), true},
		{"user agent", r.Raw(cloudfront.FieldCSUserAgent), false},
		{"referer", r.Raw(cloudfront.FieldCSReferer), false},
		{"x-forwarded-for", r.Raw(cloudfront.FieldXForwardedFor), false},
		{"cookie", r.Raw(cloudfront.FieldCSCookie), false},
		{"content type", r.Raw(cloudfront.FieldSCContentType), false},
		{"result", r.Raw(cloudfront.FieldXEdgeResultType), false},
	} {
		if f.raw == nil {
			continue
		}
		d := explainedField{Name: f.name, Wire: wireForm(f.raw)}
		if decoded := string(cloudfront.Decode(nil, f.raw, f.query)); !strings.EqualFold(decoded, d.Wire) {
			d.Decoded = decoded
		}
		e.Fields = append(e.Fields, d)
	}
	e.facts = x.matcher.Facts(r)
	for _, f := range e.facts {
		e.Facts = append(e.Facts, f.Name)
	}
	for i := range x.seen {
		o := &x.seen[i]
		if o.Scenario < 0 {
			e.Dismissed = o.Fate.String()
			e.notable = e.notable || x.client.IsValid()
			continue
		}
		if x.scenario >= 0 && o.Scenario != x.scenario {
			continue
		}
		s := x.set.At(o.Scenario)
		worth := x.scenario >= 0 || notable(o, s)
		if !worth && !x.all {
			continue
		}
		e.notable = e.notable || worth
		h := explainedHit{
			Scenario: s.Name, Effect: effectNames[o.Effect], Fate: o.Fate.String(), Weight: o.Weight,
			Before: o.Before, Level: o.Level, Capacity: s.Capacity, Events: o.Events, o: o,
		}
		if o.Key.IsValid() {
			h.Key = ban.FormatPrefix(o.Key)
		}
		e.Hits = append(e.Hits, h)
	}
	for _, d := range x.decided {
		e.Decisions = append(e.Decisions, newDecisionLine(d))
	}
	x.near(e)
	x.unpicked(e)
	return e
}

// unpicked finds the scenarios that look for such a record, but count it only with those
// that they pick.
func (x *explainer) unpicked(e *explained) {
	if e.Allowlisted || e.Dismissed != "" || x.scenario < 0 && !x.all {
		return
	}
	for i := range x.set.Len() {
		if x.scenario >= 0 && i != x.scenario {
			continue
		}
		for _, why := range x.matcher.Why(i) {
			if why.Unpicked > 0 {
				e.Unpicked = append(e.Unpicked, unpicked{x.set.At(i).Name, why.Unpicked})
			}
		}
	}
}

// notable reports whether a hit is worth telling in a file of thousands.
func notable(o *detect.Observation, s *scenario.Scenario) bool {
	switch o.Fate {
	case detect.Shielding, detect.Ineffective, detect.Late:
		return false
	case detect.Poured, detect.Repeated, detect.Drained:
		return s.Kind != scenario.Leaky || max(o.Level, o.Before) >= float64(s.Capacity)/10
	}
	return true
}

// maxNear is how many near misses are told of a record.
const maxNear = 10

// near finds the scenarios that the record nearly hits; of the one that was asked for,
// why it does not hit it, however far it is from it.
func (x *explainer) near(e *explained) {
	if e.Allowlisted || x.scenario < 0 && !x.all {
		return
	}
	for distance := 1; distance <= 2 || x.scenario >= 0 && distance < 100; distance++ {
		for i := range x.set.Len() {
			if x.scenario >= 0 && i != x.scenario || len(e.Near) == maxNear {
				continue
			}
			for _, why := range x.matcher.Why(i) {
				if why.Effect != scenario.Pour || why.Holds || len(why.Unmet) != distance || x.scenario < 0 && !why.Near() {
					continue
				}
				e.Near = append(e.Near, nearMiss{x.set.At(i).Name, why.Unmet, why.Met})
				e.notable = e.notable || why.Near()
			}
		}
	}
}

func wireForm(raw []byte) string { return string(cloudfront.Unescape(nil, raw)) }
