package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/detect"
	"weir/internal/pipeline"
	"weir/internal/source/file"
)

// runReplay is `weir replay`: the service's own detection over files, on the
// time of the log, without AWS.
func runReplay(ctx context.Context, w *world) (err error) {
	fs := newFlags(w, "replay", "FILE|- ...", "Runs log records from files, plain or gzip, or from standard input through\ndetection, at full speed and on the log's own time. Bans nobody.")
	var kind logKind
	fs.Var(&kind, "format", "the log's `kind`: realtime, standard, or auto, which looks at each input")
	list := fs.String("fields", "", "a real-time log's fields: a `list`, or @FILE (default: the setting WEIR_LOG_FIELDS)")
	alerts := fs.String("alerts", "", "write every alert to this `file`, as JSON lines")
	decisions := fs.String("decisions", "", "write every decision to this `file`, as JSON lines")
	loader := config.Register(fs, "log", "detect", "state", "ban", "waf")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return usageError("no file is named; - is standard input")
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
	if err := distinctFiles(fs.Args(), *alerts, *decisions); err != nil {
		return err
	}
	out, err := openOutputs(*alerts, *decisions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()

	r, err := newReplay(ctx, cfg, fields, out)
	if err != nil {
		return err
	}
	r.sniffer.Kind = kind.kind
	source := file.New(fs.Args()...)
	source.Stdin = w.stdin
	source.Begin = func(string) { r.sniffer.Reset() }
	bar := startProgress(w.stderr, source)
	began := time.Now()
	err = source.Run(ctx, r.handle)
	took := time.Since(began)
	bar.stop()
	if closeErr := r.close(); err == nil {
		err = closeErr
	}
	r.summary(w.stdout, took)
	return err
}

// logKind is the value of -format.
type logKind struct{ kind cloudfront.Kind }

var logKinds = map[string]cloudfront.Kind{
	"auto": cloudfront.KindUnknown, "realtime": cloudfront.KindRealTime, "standard": cloudfront.KindStandard,
}

func (k *logKind) String() string {
	for name, kind := range logKinds {
		if kind == k.kind {
			return name
		}
	}
	return ""
}

func (k *logKind) Set(name string) error {
	kind, ok := logKinds[name]
	if !ok {
		return errors.New("not auto, realtime or standard")
	}
	k.kind = kind
	return nil
}

// distinctFiles refuses an output that is an input, or the other output: making
// it would empty a log.
func distinctFiles(inputs []string, outputs ...string) error {
	for i, out := range outputs {
		if out == "" {
			continue
		}
		for _, other := range append(slices.Clone(inputs), outputs[:i]...) {
			a, errA := os.Stat(out)
			b, errB := os.Stat(other)
			if out == other || errA == nil && errB == nil && os.SameFile(a, b) && a.Mode().IsRegular() {
				return usageError("%s is to be written, and is named twice", out)
			}
		}
	}
	return nil
}

// replay is detection and a store in memory, on event time.
type replay struct {
	registry *prometheus.Registry
	store    *ban.Store
	engine   *detect.Engine
	flow     *pipeline.Pipeline
	sniffer  cloudfront.Sniffer
}

func newReplay(ctx context.Context, cfg *config.Config, fields []cloudfront.Field, out *outputs) (*replay, error) {
	r := &replay{registry: prometheus.NewRegistry()}
	reg := prometheus.WrapRegistererWithPrefix("weir_", r.registry)
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	r.sniffer.RealTime = format
	set, err := compileScenarios(cfg)
	if err != nil {
		return nil, err
	}
	r.store, err = ban.Open(ctx, ban.Config{
		Allowlist: cfg.Ban.Allowlist, Duration: cfg.Ban.Duration, Action: ban.Action(cfg.Ban.Action),
		Now:     func(event time.Time) time.Time { return event },
		OnAlert: out.write, Registerer: reg,
	})
	if err != nil {
		return nil, err
	}
	r.engine, err = detect.New(set, detect.Config{
		Shards: cfg.Detect.Shards, Memory: cfg.State.Memory,
		Alert: r.store.Alert, Banned: r.store.Banned, Registerer: reg,
	})
	if err != nil {
		return nil, errors.Join(err, r.store.Close())
	}
	r.flow = pipeline.New(pipeline.Config{
		Format: format, Engine: r.engine, Allowed: r.store.Allowed, Commit: r.store.Commit, Registerer: reg,
	})
	return r, nil
}

// handle hands lines to detection, as many at once as have the same format. Header
// lines are no records.
func (r *replay) handle(ctx context.Context, lines [][]byte, arrived []time.Time) error {
	for len(lines) > 0 {
		format, n, err := r.run(lines)
		if err != nil {
			return err
		}
		if format != nil {
			if err := r.flow.HandleAs(ctx, format, lines[:n], nil); err != nil {
				return err
			}
		}
		lines = lines[n:]
	}
	return nil
}

// run returns how many lines have the format of the first; it is nil for headers.
func (r *replay) run(lines [][]byte) (format *cloudfront.Format, n int, err error) {
	for n < len(lines) {
		next, err := r.sniffer.Format(lines[n])
		switch {
		case err != nil && n == 0:
			return nil, 0, err
		case err != nil || n > 0 && next != format:
			return format, n, nil // the next call meets it again
		}
		format = next
		n++
	}
	return format, n, nil
}

func (r *replay) close() error {
	r.engine.Close()
	return r.store.Close()
}

func (r *replay) summary(out io.Writer, took time.Duration) {
	sums := gather(r.registry)
	lines := sums.total("weir_pipeline_lines_total")
	fmt.Fprintf(out, "%s lines in %s, %s a second\n", thousands(lines), took.Round(time.Millisecond), thousands(int64(float64(lines)/max(took.Seconds(), 1e-9))))
	sums.write(out)
}

// outputs are the files that alerts and decisions are written to. They are
// written by one goroutine at a time: the store's Commit.
type outputs struct {
	alerts, decisions *jsonLines
}

func openOutputs(alerts, decisions string) (*outputs, error) {
	a, err := createLines(alerts)
	if err != nil {
		return nil, err
	}
	d, err := createLines(decisions)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return &outputs{a, d}, nil
}

// alertLine and decisionLine are the documented forms of a line; times are
// seconds since 1970 on CloudFront's clock.
type alertLine struct {
	At          float64 `json:"ts"`
	First       float64 `json:"first"`
	Scenario    string  `json:"scenario"`
	Client      string  `json:"client"`
	Events      int     `json:"events"`
	Remediation bool    `json:"remediation"`
}

type decisionLine struct {
	At       float64 `json:"ts"`
	Value    string  `json:"value"`
	Scenario string  `json:"scenario"`
	Type     string  `json:"type"`
	Until    float64 `json:"until"`
	ID       string  `json:"id"`
}

func (o *outputs) write(a detect.Alert, d *ban.Decision) {
	o.alerts.encode(alertLine{
		At: float64(a.At) / 1000, First: float64(a.First) / 1000, Scenario: a.Scenario.Name,
		Client: ban.FormatPrefix(a.Client), Events: a.Events, Remediation: a.Scenario.Remediation,
	})
	if d == nil {
		return
	}
	kind := string(d.Action)
	if d.Action == ban.Block {
		kind = "ban" // the word of the ecosystem's tools
	}
	o.decisions.encode(decisionLine{
		At: float64(d.At.UnixMilli()) / 1000, Value: ban.FormatPrefix(d.Prefix), Scenario: d.Scenario,
		Type: kind, Until: float64(d.Until.UnixMilli()) / 1000, ID: d.ID,
	})
}

func (o *outputs) close() error { return errors.Join(o.alerts.close(), o.decisions.close()) }

// jsonLines writes one JSON object a line to a file; nil writes nothing. Its
// first error is told by close.
type jsonLines struct {
	f   *os.File
	buf *bufio.Writer
	enc *json.Encoder
	err error
}

func createLines(name string) (*jsonLines, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	l := &jsonLines{f: f, buf: bufio.NewWriter(f)}
	l.enc = json.NewEncoder(l.buf)
	l.enc.SetEscapeHTML(false)
	return l, nil
}

func (l *jsonLines) encode(v any) {
	if l != nil && l.err == nil {
		l.err = l.enc.Encode(v)
	}
}

func (l *jsonLines) close() error {
	if l == nil {
		return nil
	}
	if err := errors.Join(l.err, l.buf.Flush(), l.f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", l.f.Name(), err)
	}
	return nil
}
