package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"

	"weir/internal/api"
	"weir/internal/ban"
	"weir/internal/config"
	"weir/internal/waf"
)

const panicAbout = `Stops all bans from being enforced, at once, and starts that again: the web ACL
is told with one call to count what the rule group decides. Neither the service nor
the IP sets are touched. Edges follow within seconds to minutes. The audit log of a
service that answers is told afterwards.`

// runPanic is `weir panic`. It needs AWS and nothing else of ours: no service, no
// lease table, no file. Who has a service at hand finds it in its audit log.
func runPanic(ctx context.Context, w *world) error {
	modes := map[string]waf.Mode{"on": waf.Observe, "off": waf.Enforce, "status": waf.AsItIs}
	fs := newFlags(w, "panic on|off|status", "", panicAbout)
	webACL := fs.String("web-acl", "", "`name` or ARN of the web ACL; none: every one that uses the rules")
	named := fs.String("target", "", "`name` of the target; none: all")
	prefix := fs.String("prefix", "weir-", "of every `name`, as bootstrap was told")
	service := fs.String("api", "", "`URL` of a service's API, whose audit log is told; without it, where WEIR_API_LISTEN says on this machine")
	loader := config.Register(fs, "waf", "logger", "api")
	if err := parseFlags(fs, w); err != nil {
		return err
	}
	mode, known := modes[fs.Arg(0)]
	if !known {
		return usageError("say on, off or status")
	}
	cfg, log, cloud, err := enter(ctx, w, fs, loader, 1)
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
	changed := slices.DeleteFunc(items, func(i waf.Item) bool { return i.Done != waf.Changed })
	if len(changed) > 0 {
		fmt.Fprintln(w.stdout, "Edges follow within seconds to minutes.")
		if err := notePanic(ctx, *service, cfg, mode, changed); err != nil {
			fmt.Fprintf(w.stderr, "done, but the audit log was not told: %v\n", err)
		}
	}
	return errors.Join(errs...)
}

// notePatience is how long the audit log may keep who is in a panic.
const notePatience = 5 * time.Second

// notePanic tells the audit log of a service what was done. That nothing but AWS is needed
// stays true: it is told afterwards, and is nothing that panic can fail of.
func notePanic(ctx context.Context, service string, cfg *config.Config, mode waf.Mode, changed []waf.Item) error {
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	c, err := newClient(service, cfg)
	if err != nil {
		return err
	}
	action := ban.AuditPanicOff
	if mode == waf.Observe {
		action = ban.AuditPanicOn
	}
	for _, i := range changed {
		var answer api.AuditNote
		if err := c.call(ctx, http.MethodPost, "/api/v1/audit", api.AuditNote{Action: action, Target: i.Kind + " " + i.Name, Detail: i.Detail}, &answer); err != nil {
			return err
		}
	}
	return nil
}
