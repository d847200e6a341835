package main

import (
	"context"
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
	"weir/internal/seeded"
	"weir/internal/source/file"
)

// runReplay is `weir replay`: the service's own detection over files, on the
// time of the log, without AWS.
func runReplay(ctx context.Context, w *world) error {
	fs := newFlags(w, "replay", "FILE|- ...", "Runs log records from files, plain or gzip, or from standard input through\ndetection, at full speed and on the log's own time. Bans nobody.")
	var kind logKind
	fs.Var(&kind, "format", "the log's `kind`: realtime, standard, or auto, which looks at each input")
	list := fs.String("fields", "", "a real-time log's fields: a `list`, or @FILE (default: the setting WEIR_LOG_FIELDS)")
	active := fs.String("active", "", "begin with the decisions of this `file` in force, which is of the kind that -decisions writes")
	alerts := fs.String("alerts", "", "write every alert to this `file`: a table if its name ends in .tsv, else JSON lines. Without -decisions nobody is banned meanwhile, so that what a client does after its first alert is judged, too")
	decisions := fs.String("decisions", "", "write every decision that is made to this `file`, as JSON lines")
	loader := config.Register(fs, "log", "detect", "state", "scenarios", "ban", "waf")
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
	if *alerts != "" && *decisions == "" {
		cfg.Ban.Simulate = true
	}
	if *list == "" {
		*list = cfg.Log.Fields
	}
	fields, err := readFields(*list)
	if err != nil {
		return &codedError{exitUsage, err}
	}
	if err := distinctFiles(append(fs.Args(), *active), *alerts, *decisions); err != nil {
		return err
	}
	r, err := newReplay(ctx, cfg, fields)
	if err != nil {
		return err
	}
	if err := r.restore(ctx, *active); err != nil {
		return errors.Join(&codedError{exitUsage, err}, r.close())
	}
	if err := r.out.open(*alerts, *decisions); err != nil {
		return errors.Join(err, r.close())
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
	if sums := gather(r.registry); err == nil && sums.total("weir_pipeline_lines_total") > 0 && sums.total("weir_detect_records_total") == 0 {
		return errors.New("no line is a record: are -fields and -format those of the log?")
	}
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
	out      outputs
}

func newReplay(ctx context.Context, cfg *config.Config, fields []cloudfront.Field) (*replay, error) {
	r := &replay{registry: prometheus.NewRegistry()}
	reg := prometheus.WrapRegistererWithPrefix("weir_", r.registry)
	format, err := cloudfront.NewFormat(fields)
	if err != nil {
		return nil, err
	}
	format = format.WithClientBits(cfg.Detect.IPv6Prefix)
	r.sniffer.RealTime, r.sniffer.ClientBits = format, cfg.Detect.IPv6Prefix
	set, err := compileScenarios(cfg, nil, seeded.Seed{})
	if err != nil {
		return nil, err
	}
	r.store, err = ban.Open(ctx, ban.Config{
		Allowlist: cfg.Ban.Allowlist, Duration: cfg.Ban.Duration, Action: ban.Action(cfg.Ban.Action),
		Now:     func(event time.Time) time.Time { return event },
		OnAlert: r.out.write, Registerer: reg,
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
	return errors.Join(r.store.Close(), r.out.close())
}

func (r *replay) summary(out io.Writer, took time.Duration) {
	sums := gather(r.registry)
	lines := sums.total("weir_pipeline_lines_total")
	fmt.Fprintf(out, "%s lines in %s, %s a second\n", thousands(lines), took.Round(time.Millisecond), thousands(int64(float64(lines)/max(took.Seconds(), 1e-9))))
	sums.write(out)
}
