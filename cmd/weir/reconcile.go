package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"weir/internal/api"
)

// runReconcile is `weir reconcile`.
func runReconcile(ctx context.Context, w *world) error {
	f := newClientFlags(w, "reconcile", "", `Shows what distinguishes the IP sets from what they are to hold: what is missing,
what is superfluous, what people added, when it would be written, and what is in
force and is not to be written, and why; and has the running service read all of its
IP sets now and write what differs.

The exit code is 1 when the service cannot tell, and with -diff 3 when something is
missing or superfluous, or no IP set has room for it.`)
	diff := f.fs.Bool("diff", false, "show only, ask for nothing")
	limit := f.fs.Int("limit", 100, "print so many addresses of each list, 1 to 1000")
	c, err := f.enter(w, 0)
	if err != nil {
		return err
	}
	var answer struct {
		Diffs []api.Diff `json:"diffs"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/v1/diff?"+url.Values{"limit": {strconv.Itoa(*limit)}}.Encode(), nil, &answer); err != nil {
		return err
	}
	if *f.json {
		err = printJSON(w.stdout, answer)
	} else {
		for i := range answer.Diffs {
			writeDiff(w.stdout, &answer.Diffs[i])
		}
	}
	if err != nil {
		return err
	}
	if !*diff {
		var asked struct{}
		if err := c.call(ctx, http.MethodPost, "/api/v1/reconcile", nil, &asked); err != nil {
			return err
		}
		if !*f.json {
			fmt.Fprintln(w.stdout, "asked the service to read its IP sets and to write what differs")
		}
	}
	return judgeDiffs(answer.Diffs, *diff)
}

// judgeDiffs gives the exit code. Of what is being written now nothing is wrong.
func judgeDiffs(diffs []api.Diff, strict bool) error {
	differ := false
	for _, d := range diffs {
		if d.Why != "" {
			return &codedError{exitFailed, nil}
		}
		differ = differ || len(d.Unplaced) > 0
		for _, s := range d.Sets {
			differ = differ || s.Missing.Count+s.Superfluous.Count > 0
		}
	}
	if differ && strict {
		return &codedError{exitDiffers, nil}
	}
	return nil
}

func writeDiff(out io.Writer, d *api.Diff) {
	dry := ""
	if d.DryRun {
		dry = " (dry run: nothing is written)"
	}
	if d.Why != "" {
		fmt.Fprintf(out, "%s%s: %s\n", d.Target, dry, d.Why)
		return
	}
	fmt.Fprintf(out, "%s%s, %s\n", d.Target, dry, d.At.Format(time.RFC3339))
	for _, s := range d.Sets {
		fmt.Fprintf(out, "  %s (%s, %s): %d missing, %d superfluous, %d foreign\n", s.Name, s.Pool, s.Family, s.Missing.Count, s.Superfluous.Count, s.Foreign.Count)
		for _, turn := range s.Writes {
			fmt.Fprintf(out, "    write in %s: +%d -%d\n", max(0, turn.At.Sub(d.At)).Round(100*time.Millisecond), turn.Adds, turn.Drops)
		}
		writePrefixes(out, "+", s.Missing)
		writePrefixes(out, "-", s.Superfluous)
		writePrefixes(out, "=", s.Foreign)
	}
	for _, u := range d.Unplaced {
		fmt.Fprintf(out, "  %s, %s: %d in force without room in any IP set: weir bootstrap -sets makes more\n", u.Pool, u.Family, u.Entries)
	}
	for _, x := range d.Excluded {
		fmt.Fprintf(out, "  %d in force %s\n", x.Count, whyExcluded(x.Reason))
		writePrefixes(out, "!", x.Prefixes)
	}
}

// whyExcluded tells a reason of weir_waf_excluded_entries.
func whyExcluded(reason string) string {
	switch reason {
	case "malformed":
		return "are no prefixes that AWS WAF takes"
	case "allowlisted":
		return "overlap the allowlist, and are not written"
	case "action":
		return "have an action that no IP set is for: weir bootstrap -sets makes some"
	case "quarantined":
		return "were refused by AWS WAF by name, and are tried again within the hour"
	case "wide":
		return "are wider than /16 or, of IPv6, /32, and nobody insists on them"
	case "special":
		return "are addresses that nobody on the internet has, and are not written"
	}
	return "are not written: " + reason
}

func writePrefixes(out io.Writer, mark string, list api.Prefixes) {
	for _, v := range list.Values {
		fmt.Fprintf(out, "    %s %s\n", mark, v)
	}
	if more := list.Count - len(list.Values); more > 0 {
		fmt.Fprintf(out, "    %s and %d more\n", mark, more)
	}
}
