package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"weir/internal/api"
)

const allowlistAbout = `Shows who is never banned, and changes it while the service runs: an entry ends the
bans that share an address with it, and is in force at once. Entries of
WEIR_BAN_ALLOWLIST are shown, too, and changed there.`

// runAllowlist is `weir allowlist`.
func runAllowlist(ctx context.Context, w *world) error {
	what := "list"
	if len(w.args) > 0 && !strings.HasPrefix(w.args[0], "-") {
		what, w.args = w.args[0], w.args[1:]
	}
	switch what {
	case "list":
		return listAllowlist(ctx, w)
	case "add":
		return addAllowlist(ctx, w)
	case "remove":
		return removeAllowlist(ctx, w)
	}
	return usageError("no %q: there are list, add and remove", what)
}

func listAllowlist(ctx context.Context, w *world) error {
	f := newClientFlags(w, "allowlist list", "", allowlistAbout)
	c, err := f.enter(w, 0)
	if err != nil {
		return err
	}
	var answer struct {
		Allowlist []api.Allowed `json:"allowlist"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/v1/allowlist", nil, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	tw := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "VALUE\tEXPIRES\tADDED\tBY\tCOMMENT")
	for _, a := range answer.Allowlist {
		by := a.By
		if a.Fixed {
			by = "settings"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", a.Value, moment(a.Expires, "never"), moment(a.Created, "-"), by, a.Comment)
	}
	return tw.Flush()
}

// moment writes a time for people, or what stands for none.
func moment(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

func addAllowlist(ctx context.Context, w *world) error {
	f := newClientFlags(w, "allowlist add", "PREFIX", allowlistAbout)
	var wish api.AllowWish
	expires := f.fs.Duration("expires", 0, "for how long, as in 24h; without it, for ever")
	f.fs.StringVar(&wish.Comment, "comment", "", "`why`, for whoever finds the entry")
	f.fs.BoolVar(&wish.Force, "force", false, "even if the range is wide")
	c, err := f.enter(w, 1)
	if err != nil {
		return err
	}
	if wish.Value = f.fs.Arg(0); wish.Value == "" {
		return usageError("say who: an address, or a range like 192.0.2.0/24")
	}
	if *expires < 0 {
		return usageError("-expires %s: want a duration, as in 24h", *expires)
	}
	if *expires > 0 {
		wish.Duration = expires.String()
	}
	var answer api.AllowedNow
	if err := c.call(ctx, http.MethodPost, "/api/v1/allowlist", wish, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	fmt.Fprintf(w.stdout, "%s is allowlisted, expires: %s; %d decisions ended\n", answer.Value, moment(answer.Expires, "never"), answer.Ended)
	return nil
}

func removeAllowlist(ctx context.Context, w *world) error {
	f := newClientFlags(w, "allowlist remove", "PREFIX", allowlistAbout)
	c, err := f.enter(w, 1)
	if err != nil {
		return err
	}
	who := f.fs.Arg(0)
	if who == "" {
		return usageError("say who: an address or a range, as the list has it")
	}
	var answer api.Disallowed
	if err := c.call(ctx, http.MethodDelete, "/api/v1/allowlist?value="+url.QueryEscape(who), nil, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	if !answer.Removed {
		fmt.Fprintf(w.stdout, "%s was not on the allowlist\n", who)
		return &codedError{exitDiffers, nil}
	}
	fmt.Fprintf(w.stdout, "%s is not allowlisted any more\n", who)
	return nil
}

// runAudit is `weir audit`.
func runAudit(ctx context.Context, w *world) error {
	f := newClientFlags(w, "audit", "", "Shows who banned, unbanned, flushed, released, or changed the allowlist, and when:\nthe newest first.")
	limit := f.fs.Int("limit", 50, "how many entries, 1 to 1000")
	c, err := f.enter(w, 0)
	if err != nil {
		return err
	}
	var answer api.AuditLog
	if err := c.call(ctx, http.MethodGet, fmt.Sprint("/api/v1/audit?limit=", *limit), nil, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	tw := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TIME\tWHO\tWHAT\tWHOM\tHOW")
	for _, a := range answer.Entries {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", moment(a.At, "-"), a.Actor, a.Action, a.Target, a.Detail)
	}
	return tw.Flush()
}

// runAlerts is `weir alerts`.
func runAlerts(ctx context.Context, w *world) error {
	f := newClientFlags(w, "alerts", "[ID]", `Shows what was raised, the newest first, also what led to no decision: of each client
ten in an hour. With an ID it shows one alert and its requests.`)
	query := url.Values{}
	limit := f.fs.Int("limit", 50, "how many alerts, 1 to 1000")
	client := f.fs.String("client", "", "those about this `address` or range, and about ranges around it")
	scenario := f.fs.String("scenario", "", "those of the scenario with this `name`")
	c, err := f.enter(w, 1)
	if err != nil {
		return err
	}
	if id := f.fs.Arg(0); id != "" {
		var answer api.Alert
		if err := c.call(ctx, http.MethodGet, "/api/v1/alerts/"+url.PathEscape(id), nil, &answer); err != nil {
			return err
		}
		return printJSON(w.stdout, answer) // what led to it is for no table
	}
	query.Set("limit", fmt.Sprint(*limit))
	for name, v := range map[string]string{"client": *client, "scenario": *scenario} {
		if v != "" {
			query.Set(name, v)
		}
	}
	var answer api.Alerts
	if err := c.call(ctx, http.MethodGet, "/api/v1/alerts?"+query.Encode(), nil, &answer); err != nil {
		return err
	}
	if *f.json {
		return printJSON(w.stdout, answer)
	}
	return writeAlerts(w.stdout, answer.Alerts)
}

func writeAlerts(out io.Writer, alerts []api.Alert) error {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "TIME\tVALUE\tSCENARIO\tLED TO\tID")
	for _, a := range alerts {
		led := "decision"
		if a.Refused != "" {
			led = "nothing: " + a.Refused
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", moment(a.At, "-"), a.Value, a.Scenario, led, a.ID)
	}
	return tw.Flush()
}
