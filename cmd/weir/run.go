package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"weir/internal/config"
)

// runService is `weir run`.
func runService(ctx context.Context, w *world) error {
	fs := newFlags(w, "run", "", "Runs the service until it gets SIGTERM.")
	loader := config.Register(fs)
	loader.Require("WEIR_KINESIS_STREAM")
	checkLists(loader)
	cfg, log, cloud, err := enter(ctx, w, fs, loader, 0)
	if err != nil {
		return err
	}
	s, err := newService(ctx, cfg, cloud, log, observer{})
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// enter is what every command that talks to AWS begins with: its flags, behind which
// there may be so many arguments, its settings, a logger, and AWS.
func enter(ctx context.Context, w *world, fs *flag.FlagSet, loader *config.Loader, most int) (cfg *config.Config, log *zap.Logger, cloud aws.Config, err error) {
	if err = parseFlags(fs, w); err != nil {
		return nil, nil, cloud, err
	}
	if err = atMost(fs, most); err != nil {
		return nil, nil, cloud, err
	}
	if cfg, err = loadSettings(loader, w); err != nil {
		return nil, nil, cloud, err
	}
	if log, err = newLogger(cfg, w.stderr); err != nil {
		return nil, nil, cloud, err
	}
	if cloud, err = loadAWS(ctx, log); err != nil {
		return nil, nil, cloud, &codedError{exitConfig, err}
	}
	return cfg, log, cloud, nil
}

// newRegistry is what /metrics shows, with the Go runtime and the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector())
	return r
}

// newLatency measures what users feel: from a record's arrival in the stream to
// its client's address in an IP set. A package of the house sees only its part.
func newLatency(reg prometheus.Registerer) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "arrival_to_ip_set_seconds",
		Help:    "From the arrival of the record that overflowed a bucket in the stream to its client in an IP set.",
		Buckets: []float64{.1, .25, .5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300},
	})
	reg.MustRegister(h)
	return h
}

// printSettings is what `weir config` shows.
func printSettings(out io.Writer, cfg *config.Config) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, v := range cfg.Values() {
		value := v.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, value, v.Origin)
	}
	if cfg.WAF.Targets != "" {
		fmt.Fprintln(w)
		printTargets(w, cfg.Targets())
	}
	return w.Flush()
}

// printTargets shows what a file of targets and the settings that it leaves to
// others come to.
func printTargets(w io.Writer, targets []config.Target) {
	or := func(s, none string) string {
		if s == "" {
			return none
		}
		return s
	}
	list := func(s []string) string { return or(strings.Join(s, ","), "all") }
	fmt.Fprintln(w, "TARGET\tSCOPE\tREGION\tROLE\tSETS\tWRITES A SECOND\tBLOCK STATUS\tFALLBACK\tDRY RUN\tSCENARIOS\tORIGINS\tACTIONS")
	for _, t := range targets {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%v\t%d\t%s\t%t\t%s\t%s\t%s\n", t.Name, t.Scope, or(t.Region, "-"), or(t.Role, "-"), list(t.Sets),
			t.WritesPerSecond, t.BlockStatus, t.Fallback, t.DryRun, list(t.Scenarios), list(t.Origins), list(t.Actions))
	}
}
