package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/config"
	"weir/internal/waf"
)

const panicAbout = `Stops all bans from being enforced, at once, and starts that again: the web ACL
is told with one call to count what the rule group decides. Neither the service nor
the IP sets are touched. Edges follow within seconds to minutes.`

// runPanic is `weir panic`. It needs AWS and nothing else of ours: no service, no
// lease table, no file.
func runPanic(ctx context.Context, w *world) error {
	modes := map[string]waf.Mode{"on": waf.Observe, "off": waf.Enforce, "status": waf.AsItIs}
	fs := newFlags(w, "panic on|off|status", "", panicAbout)
	webACL := fs.String("web-acl", "", "`name` or ARN of the web ACL; none: every one that uses the rules")
	named := fs.String("target", "", "`name` of the target; none: all")
	prefix := fs.String("prefix", "weir-", "of every `name`, as bootstrap was told")
	loader := config.Register(fs, "waf", "logger")
	var mode waf.Mode
	known := false
	if len(w.args) > 0 {
		if mode, known = modes[w.args[0]]; known {
			w.args = w.args[1:]
		}
	}
	if !known {
		if err := parseFlags(fs, w); err != nil { // or it is asked for help
			return err
		}
		return usageError("say on, off or status first")
	}
	cfg, log, cloud, err := enter(ctx, w, fs, loader)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootstrapPatience)
	defer cancel()
	targets, elsewhere, err := operated(cfg, *named)
	if err != nil {
		return err
	}
	var items []waf.Item
	var errs []error
	for _, t := range targets {
		report, err := waf.Override(ctx, newWAF(cloud, &t), waf.OverrideConfig{
			Scope: waftypes.Scope(t.Scope), Prefix: *prefix, WebACL: *webACL, Mode: mode, Logger: log,
		})
		items, errs = append(items, report.Items...), append(errs, err)
	}
	for _, name := range elsewhere {
		errs = append(errs, fmt.Errorf("target %s is in an account of its own, and nothing was done there: run this again with -target %s and credentials of that account", name, name))
	}
	tw := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	for _, i := range items {
		how := i.Detail
		if mode != waf.AsItIs {
			how = map[waf.Done]string{waf.Changed: "now: ", waf.Kept: "already: "}[i.Done] + i.Detail
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", i.Kind, i.Name, how)
	}
	tw.Flush()
	if slices.ContainsFunc(items, func(i waf.Item) bool { return i.Done == waf.Changed }) {
		fmt.Fprintln(w.stdout, "Edges follow within seconds to minutes.")
	}
	return errors.Join(errs...)
}
