package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"weir/internal/ban"
	"weir/internal/config"
	"weir/internal/scenario"
	"weir/internal/seeded"
)

// runScenarios is `weir scenarios`: what is loaded, and what is in force of it.
func runScenarios(ctx context.Context, w *world) error {
	if len(w.args) > 0 && w.args[0] == "test" {
		w.args = w.args[1:]
		return runScenariosTest(ctx, w)
	}
	fs := newFlags(w, "scenarios", "[NAME ...]", "Lists the scenarios that are loaded; of those that are named, everything.\nA value with a * is set by a variable, one in brackets is the service's default.\n\n`weir scenarios test [DIR ...]` runs logs through them and compares the alerts.")
	details := fs.Bool("explain", false, "tell everything of all scenarios")
	facts := fs.Bool("facts", false, "list what filters, groupby and distinct may ask for beside CrowdSec's fields")
	asJSON := fs.Bool("json", false, "write JSON")
	loader := config.Register(fs, "scenarios", "ban", "waf")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	if *facts {
		return printFacts(w.stdout, *asJSON)
	}
	cfg, err := loadSettings(loader, w)
	if err != nil {
		return err
	}
	set, err := compileScenarios(cfg, nil, seeded.Seed{})
	if err != nil {
		return &codedError{exitConfig, err}
	}
	list := describe(set, cfg)
	if fs.NArg() > 0 {
		if list, err = named(list, fs.Args()); err != nil {
			return err
		}
		*details = true
	}
	switch {
	case *asJSON:
		return printJSON(w.stdout, list)
	case *details:
		printDetails(w.stdout, list)
		return nil
	default:
		return printScenarios(w.stdout, list)
	}
}

// A described scenario is the documented form of one in JSON.
type described struct {
	Name        string            `json:"name"`
	Origin      string            `json:"origin"` // "built-in", or FILE:LINE
	Kind        string            `json:"kind"`
	Severity    string            `json:"severity"`
	Description string            `json:"description,omitempty"`
	KeptFor     string            `json:"kept_for"`
	CountsOnce  string            `json:"distinct,omitempty"`
	Weight      string            `json:"weight"`
	Members     bool              `json:"members"`
	Remediation bool              `json:"remediation"`
	Compiled    bool              `json:"compiled"` // all of its filters
	Expressions []describedExpr   `json:"expressions"`
	Thresholds  []describedNumber `json:"thresholds"`
	Labels      map[string]string `json:"labels,omitempty"`
}

type describedExpr struct {
	Key         string `json:"key"`
	Text        string `json:"text"`
	Line        int    `json:"line"`
	Interpreted bool   `json:"interpreted"`
	Why         string `json:"why,omitempty"`
}

type describedNumber struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	From     string `json:"from"` // "scenario", "environment", or "service" for what the service's settings say
	Variable string `json:"variable"`
}

func describe(set *scenario.Set, cfg *config.Config) []described {
	list := make([]described, set.Len())
	for i := range list {
		s := set.At(i)
		d := described{
			Name: s.Name, Origin: s.Origin, Kind: s.Kind.String(), Severity: s.Severity.String(), Description: s.Description,
			KeptFor: s.KeptFor(), CountsOnce: s.CountsOnce(), Weight: s.Weighs(), Members: s.Group.Members,
			Remediation: s.Remediation, Compiled: true, Labels: s.Labels,
		}
		for _, x := range set.Expressions(i) {
			d.Expressions = append(d.Expressions, describedExpr(x))
			d.Compiled = d.Compiled && !x.Interpreted
		}
		for _, t := range s.Thresholds() {
			n := describedNumber{t.Key, t.Value, "scenario", t.Variable}
			if _, ok := cfg.Scenario[t.Variable]; ok {
				n.From = "environment"
			}
			if t.Value == "" {
				n.From, n.Value = "service", serviceDefault(t.Key, cfg)
			}
			d.Thresholds = append(d.Thresholds, n)
		}
		list[i] = d
	}
	slices.SortStableFunc(list, func(a, b described) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// serviceDefault is what holds where a scenario says nothing.
func serviceDefault(key string, cfg *config.Config) string {
	switch key {
	case "ban":
		return scenario.FormatDuration(cfg.Ban.Duration)
	case "action":
		return string(ban.Action(cfg.Ban.Action))
	case "cache_size":
		return "20"
	}
	return ""
}

func (d *described) threshold(key string) (describedNumber, bool) {
	i := slices.IndexFunc(d.Thresholds, func(n describedNumber) bool { return n.Key == key })
	if i < 0 {
		return describedNumber{}, false
	}
	return d.Thresholds[i], true
}

// marked is a value as the table has it.
func (n describedNumber) marked() string {
	switch n.From {
	case "environment":
		return n.Value + "*"
	case "service":
		return "(" + n.Value + ")"
	}
	return n.Value
}

// named picks the scenarios of these names.
func named(list []described, names []string) ([]described, error) {
	var picked []described
	for _, name := range names {
		i := slices.IndexFunc(list, func(d described) bool { return d.Name == name })
		if i < 0 {
			return nil, usageError("there is no scenario %q; `weir scenarios` lists them", name)
		}
		picked = append(picked, list[i])
	}
	return picked, nil
}

var tableColumns = []string{"capacity", "leakspeed", "blackhole", "ban", "action", "mode"}

func printScenarios(out io.Writer, list []described) error {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "SCENARIO\tKIND\tSEVERITY\tKEPT FOR\t%s\tFILTERS\tORIGIN\n", strings.ToUpper(strings.Join(tableColumns, "\t")))
	interpreted := 0
	for _, d := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s", d.Name, d.Kind, d.Severity, d.KeptFor)
		for _, key := range tableColumns {
			value := "-"
			if n, ok := d.threshold(key); ok {
				value = n.marked()
			}
			fmt.Fprint(tw, "\t", value)
		}
		how := "compiled"
		if !d.Compiled {
			how = "interpreted"
			interpreted++
		}
		fmt.Fprintf(tw, "\t%s\t%s\n", how, d.Origin)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d scenarios, %d of them interpreted\n", len(list), interpreted)
	return err
}

func printDetails(out io.Writer, list []described) {
	for i, d := range list {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s  %s, %s, %s\n", d.Name, d.Kind, d.Severity, d.Origin)
		printWrapped(out, "  ", d.Description)
		fmt.Fprintf(out, "  kept for: %s", d.KeptFor)
		if d.Members {
			fmt.Fprint(out, ", and alerts about each client that pours into it while it is full")
		}
		fmt.Fprintln(out)
		if d.CountsOnce != "" {
			fmt.Fprintf(out, "  counts once: %s\n", d.CountsOnce)
		}
		if d.Weight != "one" {
			fmt.Fprintf(out, "  an event weighs: %s\n", d.Weight)
		}
		if !d.Remediation {
			fmt.Fprintln(out, "  alerts never ban")
		}
		for _, x := range d.Expressions {
			how := "compiled"
			if x.Interpreted {
				how = "interpreted: " + x.Why
			}
			if x.Key == "groupby" || x.Key == "distinct" {
				continue // told above
			}
			fmt.Fprintf(out, "  %s (line %d, %s)\n", x.Key, x.Line, how)
			for line := range strings.SplitSeq(x.Text, "\n") {
				fmt.Fprintf(out, "    %s\n", line)
			}
		}
		tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, n := range d.Thresholds {
			from := ""
			if n.From == "environment" {
				from = "  which is set"
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s%s\n", n.Key, n.marked(), n.Variable, from)
		}
		tw.Flush()
	}
}

// printWrapped writes a text in lines of up to 80 characters.
func printWrapped(out io.Writer, indent, text string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > 80 {
			fmt.Fprintln(out, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	if len(line) > len(indent) {
		fmt.Fprintln(out, line)
	}
}

// printFacts lists the vocabulary of scenario files.
func printFacts(out io.Writer, asJSON bool) error {
	type word struct {
		Name    string `json:"name"`
		Meaning string `json:"meaning"`
	}
	words := func(list []scenario.Fact) []word {
		all := make([]word, len(list))
		for i, f := range list {
			all[i] = word(f)
		}
		return all
	}
	facts, values := words(scenario.Facts()), words(scenario.Values())
	if asJSON {
		return printJSON(out, map[string][]word{"facts": facts, "values": values})
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FACT\tfilters, drain, cancel_on and shield may ask whether")
	for _, f := range facts {
		fmt.Fprintf(tw, "%s\t%s\n", f.Name, f.Meaning)
	}
	fmt.Fprintln(tw, "\t\nVALUE\tgroupby and distinct may be made of")
	for _, f := range values {
		fmt.Fprintf(tw, "%s\t%s\n", f.Name, f.Meaning)
	}
	return tw.Flush()
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
