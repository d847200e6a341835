package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"weir/internal/ban"
	"weir/internal/detect"
	"weir/internal/scenario"
)

// outputs are the files that alerts and decisions are written to when all is
// over, in the order of their times: the shards of the engine raise them in any
// order. They are told by one goroutine at a time: the store's Commit.
type outputs struct {
	alertFile, decisionFile *os.File // nil: not wanted
	alerts                  []toldAlert
	decisions               []decisionLine
	told                    map[string]bool // IDs of decisions
}

// toldAlert is what is kept of an alert until it is written: it has no samples.
type toldAlert struct {
	scenario  *scenario.Scenario
	client    netip.Prefix
	first, at int64 // Unix ms
	events    int
}

// open makes the files; an empty name is none. Nothing is told before.
func (o *outputs) open(alerts, decisions string) (err error) {
	if o.alertFile, err = create(alerts); err != nil {
		return err
	}
	o.decisionFile, err = create(decisions)
	return err
}

func create(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	return os.Create(name)
}

// write takes an alert, and the decision on it if there is one.
func (o *outputs) write(a detect.Alert, d *ban.Decision) {
	if o.alertFile != nil {
		o.alerts = append(o.alerts, toldAlert{a.Scenario, a.Client, a.First, a.At, a.Events})
	}
	if d == nil || o.decisionFile == nil || o.told[d.ID] {
		return // what was decided before is not decided again
	}
	if o.told == nil {
		o.told = make(map[string]bool)
	}
	o.told[d.ID] = true
	o.decisions = append(o.decisions, newDecisionLine(d))
}

// close writes the files.
func (o *outputs) close() error {
	slices.SortFunc(o.alerts, toldAlert.compare)
	slices.SortFunc(o.decisions, decisionLine.compare)
	return errors.Join(writeLines(o.alertFile, o.writeAlerts), writeLines(o.decisionFile, func(buf *bufio.Writer) error {
		return encodeLines(buf, o.decisions, func(d decisionLine) any { return d })
	}))
}

func writeLines(f *os.File, write func(*bufio.Writer) error) error {
	if f == nil {
		return nil
	}
	buf := bufio.NewWriter(f)
	if err := errors.Join(write(buf), buf.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return nil
}

// encodeLines writes an object a line.
func encodeLines[T any](buf *bufio.Writer, list []T, line func(T) any) error {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	for _, v := range list {
		if err := enc.Encode(line(v)); err != nil {
			return err
		}
	}
	return nil
}

func (o *outputs) writeAlerts(buf *bufio.Writer) error {
	if strings.HasSuffix(o.alertFile.Name(), ".tsv") {
		return writeTable(buf, o.alerts)
	}
	return encodeLines(buf, o.alerts, func(a toldAlert) any { return newAlertLine(a) })
}

// writeTable writes alerts as a table whose columns are separated by tabs, with
// times in whole seconds.
func writeTable(buf *bufio.Writer, alerts []toldAlert) error {
	_, err := buf.WriteString("scenario\tscope\tsource\tfirst_event\talert_time\tevents\tremediation\n")
	for _, a := range alerts {
		second := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
		_, err = fmt.Fprintf(buf, "%s\t%s\t%s\t%s\t%s\t%d\t%t\n", a.scenario.Name, a.scope(), ban.FormatPrefix(a.client),
			second(a.first), second(a.at), a.events, a.scenario.Remediation)
	}
	return err // of the last write: a bufio.Writer keeps the first
}

func (a toldAlert) compare(b toldAlert) int {
	return cmp.Or(
		cmp.Compare(a.at, b.at),
		strings.Compare(a.scenario.Name, b.scenario.Name),
		strings.Compare(ban.FormatPrefix(a.client), ban.FormatPrefix(b.client)),
		cmp.Compare(a.first, b.first), cmp.Compare(a.events, b.events),
	)
}

// scope is, in CrowdSec's words, what the alert is about.
func (a toldAlert) scope() string {
	if a.scenario.Group.By == scenario.ByRange {
		return "Range"
	}
	return "Ip"
}

// alertLine and decisionLine are the documented forms of a line; times are
// seconds since 1970 on CloudFront's clock.
type alertLine struct {
	At          float64 `json:"ts"`
	First       float64 `json:"first"`
	Scenario    string  `json:"scenario"`
	Scope       string  `json:"scope"`
	Client      string  `json:"client"`
	Events      int     `json:"events"`
	Remediation bool    `json:"remediation"`
}

func newAlertLine(a toldAlert) alertLine {
	return alertLine{
		At: float64(a.at) / 1000, First: float64(a.first) / 1000, Scenario: a.scenario.Name, Scope: a.scope(),
		Client: ban.FormatPrefix(a.client), Events: a.events, Remediation: a.scenario.Remediation,
	}
}

type decisionLine struct {
	At       float64 `json:"ts"`
	Value    string  `json:"value"`
	Scenario string  `json:"scenario"`
	Type     string  `json:"type"`
	Until    float64 `json:"until"`
	ID       string  `json:"id"`
}

// banType is how the ecosystem's tools call ban.Block.
const banType = "ban"

func newDecisionLine(d *ban.Decision) decisionLine {
	kind := string(d.Action)
	if d.Action == ban.Block {
		kind = banType
	}
	return decisionLine{
		At: float64(d.At.UnixMilli()) / 1000, Value: ban.FormatPrefix(d.Prefix), Scenario: d.Scenario,
		Type: kind, Until: float64(d.Until.UnixMilli()) / 1000, ID: d.ID,
	}
}

func (a decisionLine) compare(b decisionLine) int {
	return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Scenario, b.Scenario), strings.Compare(a.Value, b.Value))
}
