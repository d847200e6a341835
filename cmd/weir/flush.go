package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"weir/internal/api"
)

// runFlush is `weir flush`.
func runFlush(ctx context.Context, w *world) error {
	f := newClientFlags(w, "flush", "", `Unbans many at once: ends the decisions in force that fit everything that is said,
and prints how many of which kind they were. What their clients did before does not
ban them again. The IP sets follow within as many writes as there are sets.`)
	var wish api.FlushWish
	f.fs.StringVar(&wish.Scenario, "scenario", "", "those of the scenario with this `name`")
	f.fs.StringVar(&wish.Origin, "origin", "", "those of this `origin`: scenario, manual or adopted")
	since := f.fs.Duration("since", 0, "those made within this `duration` before now, as in 30m or 4h")
	f.fs.BoolVar(&wish.All, "all", false, "all of them; stands alone, and needs -yes")
	f.fs.BoolVar(&wish.DryRun, "dry-run", false, "end none, print which would be ended")
	yes := f.fs.Bool("yes", false, "that -all is meant")
	c, err := f.enter(w, 0)
	if err != nil {
		return err
	}
	some := wish.Scenario != "" || wish.Origin != "" || *since != 0
	switch {
	case wish.All == some:
		return usageError("whose decisions? Say -scenario, -origin or -since, or several of them; or -all, which stands alone")
	case *since < 0:
		return usageError("-since %s: want a duration, as in 30m or 4h", *since)
	case wish.All && !*yes && !wish.DryRun:
		return usageError("-all unbans everybody: say -yes, too, if that is meant, or -dry-run to see who that is")
	}
	if *since > 0 {
		wish.Since = since.String()
	}
	var answer api.Flushed
	if err := c.call(ctx, http.MethodPost, "/api/v1/flush", wish, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	writeFlushed(w.stdout, saidOf(&wish), &answer)
	return nil
}

// saidOf says in words whose decisions a wish is about.
func saidOf(wish *api.FlushWish) string {
	if wish.All {
		return "all decisions"
	}
	said := []string{"decisions"}
	if wish.Scenario != "" {
		said = append(said, "of scenario "+wish.Scenario)
	}
	if wish.Origin != "" {
		said = append(said, "of origin "+wish.Origin)
	}
	if wish.Since != "" {
		said = append(said, "of the last "+wish.Since)
	}
	return strings.Join(said, " ")
}

func writeFlushed(out io.Writer, said string, answer *api.Flushed) {
	fit := 0
	for _, g := range answer.Fit {
		fit += g.Decisions
	}
	if answer.DryRun {
		fmt.Fprintf(out, "%s: %d would be ended\n", said, fit)
	} else {
		fmt.Fprintf(out, "%s: %d ended\n", said, answer.Ended)
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, g := range answer.Fit {
		fmt.Fprintf(tw, "  %s\t%s\t%d\n", g.Origin, g.Scenario, g.Decisions)
	}
	tw.Flush()
}

// runRelease is `weir release`.
func runRelease(ctx context.Context, w *world) error {
	f := newClientFlags(w, "release", "[SCENARIO]", `Closes circuit breakers, of a scenario or, without one, of all: what they hold is
enforced from now on, or ended with -drop. A breaker opens again when there is as
much again.`)
	drop := f.fs.Bool("drop", false, "end what is held, as an unban does, instead of having it enforced")
	list := f.fs.Bool("list", false, "release nothing, print the breakers")
	c, err := f.enter(w, 1)
	if err != nil {
		return err
	}
	if *list {
		return listBreakers(ctx, w, c, *f.json)
	}
	wish := api.ReleaseWish{Scenario: f.fs.Arg(0), Drop: *drop}
	var answer api.Released
	if err := c.call(ctx, http.MethodPost, "/api/v1/release", wish, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	who, done := "all scenarios", "released: they are enforced from now on"
	if wish.Scenario != "" {
		who = "scenario " + wish.Scenario
	}
	if answer.Dropped {
		done = "dropped: they are ended"
	}
	fmt.Fprintf(w.stdout, "breaker of %s closed; %d held decisions %s\n", who, answer.Decisions, done)
	return nil
}

func listBreakers(ctx context.Context, w *world, c *client, asJSON bool) error {
	var answer struct {
		Breakers []api.Breaker `json:"breakers"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/v1/breakers", nil, &answer); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w.stdout, answer)
	}
	tw := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "BREAKER OF\tSTATE\tHELD\tLAST MINUTE\tWHY")
	for _, b := range answer.Breakers {
		who, state := "all scenarios", "closed"
		if b.Scenario != "" {
			who = b.Scenario
		}
		if b.Open {
			state = "open since " + b.Since.Format(time.RFC3339)
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\n", who, state, b.Held, b.Minute, b.Why)
	}
	return tw.Flush()
}
