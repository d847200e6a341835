package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ban"
	"weir/internal/cloudfront"
	"weir/internal/config"
	"weir/internal/detect"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

const fixtureHeader = "scenario\tscope\tsource\tfirst_event\talert_time\tevents\tremediation"

// runScenariosTest is `weir scenarios test`: logs, and the alerts that are expected of
// them.
func runScenariosTest(ctx context.Context, w *world) error {
	fs := newFlags(w, "scenarios test", "[DIR ...]", "Runs each NAME.log (or NAME.log.gz) of the directories through the scenarios that\nare loaded and compares the alerts with NAME.alerts.tsv. No bans are in force, so\nthat each alert is seen. Without a directory it runs the built-in catalogue's own\ntests. The exit code is 1 when anything differs.\n\nA log is a standard log, or a real-time log that begins with a line `#Fields:` and\nthe names of its columns.")
	update := fs.Bool("update", false, "write the alerts that were raised to NAME.alerts.tsv, for authors of tests")
	loader := config.Register(fs, "scenarios", "detect", "waf")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	if *update && fs.NArg() == 0 {
		return usageError("-update needs a directory: the built-in tests are part of the program")
	}
	cfg, err := loadSettings(loader, w)
	if err != nil {
		return err
	}
	r := fixtureRunner{cfg: cfg, out: w.stdout}
	if fs.NArg() == 0 {
		err = r.runAll(ctx, scenario.BuiltinTests(), "", false)
	}
	for _, dir := range fs.Args() {
		err = errors.Join(err, r.runAll(ctx, os.DirFS(dir), dir, *update))
	}
	if err != nil {
		return err
	}
	if r.failed > 0 {
		return fmt.Errorf("%d of %d tests failed", r.failed, r.run)
	}
	if *update {
		fmt.Fprintf(w.stdout, "%d tests written: look at what changed\n", r.run)
		return nil
	}
	fmt.Fprintf(w.stdout, "%d tests passed\n", r.run)
	return nil
}

// A fixtureRunner runs tests of scenarios.
type fixtureRunner struct {
	cfg         *config.Config
	out         io.Writer
	run, failed int
}

// runAll runs the tests in a directory, but not those below it. The error says what is
// wrong with the directory or its files.
func (r *fixtureRunner) runAll(ctx context.Context, dir fs.FS, name string, update bool) error {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var errs []error
	logs, tables := map[string]string{}, map[string]bool{}
	for _, e := range entries {
		if test, ok := strings.CutSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".log"); ok && !e.IsDir() {
			if other, twice := logs[test]; twice {
				errs = append(errs, fmt.Errorf("%s: there are %s and %s", name, other, e.Name()))
			}
			logs[test] = e.Name()
		}
		if test, ok := strings.CutSuffix(e.Name(), ".alerts.tsv"); ok {
			tables[test] = true
		}
	}
	for test := range tables {
		if logs[test] == "" {
			errs = append(errs, fmt.Errorf("%s: %s.alerts.tsv has no %s.log", name, test, test))
		}
	}
	if len(logs) == 0 {
		errs = append(errs, fmt.Errorf("%s: there is no test: NAME.log with NAME.alerts.tsv beside it is wanted", name))
	}
	for _, e := range entries {
		test := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".log")
		if logs[test] != e.Name() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.runOne(dir, name, test, e.Name(), update); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(name, e.Name()), err))
		}
	}
	return errors.Join(errs...)
}

func (r *fixtureRunner) runOne(dir fs.FS, dirName, test, log string, update bool) error {
	got, err := r.replay(dir, log)
	if err != nil {
		return err
	}
	file := test + ".alerts.tsv"
	if update {
		r.run++
		fmt.Fprintf(r.out, "wrote %s (%s)\n", file, countAlerts(len(got)))
		return os.WriteFile(filepath.Join(dirName, file), formatFixture(got), 0o644)
	}
	text, err := fs.ReadFile(dir, file)
	if err != nil {
		return err
	}
	want, err := parseFixture(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	r.run++
	lines := compareFixture(got, want)
	if len(lines) == 0 {
		fmt.Fprintf(r.out, "ok   %s (%s)\n", test, countAlerts(len(got)))
		return nil
	}
	r.failed++
	fmt.Fprintf(r.out, "FAIL %s\n", test)
	for _, line := range lines {
		fmt.Fprintf(r.out, "     %s\n", line)
	}
	return nil
}

func countAlerts(n int) string {
	if n == 1 {
		return "1 alert"
	}
	return fmt.Sprintf("%d alerts", n)
}

// replay returns the alerts that a log raises. Each log has an engine of its own: what
// the scenarios learn of the sites in one is not known in the next.
func (r *fixtureRunner) replay(dir fs.FS, log string) ([]fixtureAlert, error) {
	f, err := dir.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(log, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	set, err := compileScenarios(r.cfg, nil, seeded.Seed{})
	if err != nil {
		return nil, err
	}
	var alerts []fixtureAlert
	engine, err := detect.New(set, detect.Config{
		Shards: 1, Memory: 32 << 20, Registerer: prometheus.NewRegistry(),
		Alert: func(a detect.Alert) { alerts = append(alerts, newFixtureAlert(a)) },
	})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	if err := readRecords(in, r.cfg.Detect.IPv6Prefix, engine.Process); err != nil {
		return nil, err
	}
	slices.SortFunc(alerts, fixtureAlert.compare)
	return alerts, nil
}

// readRecords hands every record of a log to handle, whose slices are good until it
// returns. A line that is no record is an error: it is a mistake of whoever wrote it.
func readRecords(in io.Reader, clientBits int, handle func([]cloudfront.Record)) error {
	sniffer := cloudfront.Sniffer{ClientBits: clientBits}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, cloudfront.MaxLine+2)
	records := make([]cloudfront.Record, 1)
	for n := 1; scanner.Scan(); n++ {
		line := bytes.TrimSuffix(scanner.Bytes(), []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		format, err := sniffer.Format(line)
		if errors.Is(err, cloudfront.ErrNoFields) {
			err = errors.New("this is a real-time log without a line #Fields: that names its columns")
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if format == nil {
			continue
		}
		if err := format.Parse(&records[0], line); err != nil {
			return fmt.Errorf("line %d is no record: %w", n, err)
		}
		handle(records)
	}
	return scanner.Err()
}

// A fixtureAlert is one line of NAME.alerts.tsv.
type fixtureAlert struct {
	scenario, scope, source string
	first, at               string // RFC 3339, to the second
	events                  int
	remediation             bool
}

func newFixtureAlert(a detect.Alert) fixtureAlert {
	second := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	return fixtureAlert{
		a.Scenario.Name, toldAlert{scenario: a.Scenario}.scope(), ban.FormatPrefix(a.Client),
		second(a.First), second(a.At), a.Events, a.Scenario.Remediation,
	}
}

func (a fixtureAlert) compare(b fixtureAlert) int {
	return cmp.Or(
		strings.Compare(a.at, b.at), strings.Compare(a.scenario, b.scenario), strings.Compare(a.source, b.source),
		strings.Compare(a.first, b.first), cmp.Compare(a.events, b.events),
	)
}

func (a fixtureAlert) String() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d\t%t", a.scenario, a.scope, a.source, a.first, a.at, a.events, a.remediation)
}

func formatFixture(alerts []fixtureAlert) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, fixtureHeader)
	for _, a := range alerts {
		fmt.Fprintln(&b, a)
	}
	return b.Bytes()
}

func parseFixture(text []byte) ([]fixtureAlert, error) {
	var alerts []fixtureAlert
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if n == 1 {
			if line != fixtureHeader {
				return nil, fmt.Errorf("line 1: it has to be the header %q", fixtureHeader)
			}
			continue
		}
		if line == "" {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) != strings.Count(fixtureHeader, "\t")+1 {
			return nil, fmt.Errorf("line %d: %d columns, and not those of the header", n, len(columns))
		}
		a := fixtureAlert{scenario: columns[0], scope: columns[1], source: columns[2], first: columns[3], at: columns[4]}
		var errs [4]error
		_, errs[0] = time.Parse(time.RFC3339, a.first)
		_, errs[1] = time.Parse(time.RFC3339, a.at)
		a.events, errs[2] = strconv.Atoi(columns[5])
		a.remediation, errs[3] = strconv.ParseBool(columns[6])
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		alerts = append(alerts, a)
	}
	if n == 0 {
		return nil, errors.New("it is empty: the header is missing")
	}
	return alerts, nil
}

// compareFixture tells what differs, one line each: none if nothing does.
func compareFixture(got, want []fixtureAlert) (lines []string) {
	left := slices.Clone(want)
	var unexpected []fixtureAlert
	for _, g := range got {
		if i := slices.Index(left, g); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			unexpected = append(unexpected, g)
		}
	}
	for _, g := range unexpected {
		i := slices.IndexFunc(left, func(w fixtureAlert) bool {
			return w.scenario == g.scenario && w.source == g.source
		})
		if i < 0 {
			lines = append(lines, "unexpected: "+g.String())
			continue
		}
		lines = append(lines, "different:  "+g.String(), "  expected: "+left[i].String())
		left = slices.Delete(left, i, i+1)
	}
	for _, w := range left {
		lines = append(lines, "missing:    "+w.String())
	}
	return lines
}
