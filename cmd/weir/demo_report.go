package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"weir/internal/traffic"
)

// tooNew is how old an attacker must be at the end of a demo to count as
// missed: one that has only just begun could not have been found.
const tooNew = 10 * time.Second

// demoReport is the outcome of a demo over traffic whose nature is known.
type demoReport struct {
	rows      []demoRow
	missed    int // attackers, of all kinds
	innocents int // innocents that were banned
}

// demoRow is the outcome for one kind of client.
type demoRow struct {
	kind     string
	attacker bool
	clients  int
	banned   int
	missed   int
	blocked  int // requests that the web ACL answered
	delays   []time.Duration
}

// judge holds what was enforced against the truth about the clients. enforced
// says when a client first stood in an IP set.
func judge(clients []*traffic.Client, end time.Time, enforced func(netip.Prefix) (time.Time, bool)) demoReport {
	byKind := map[string]*demoRow{}
	var rep demoReport
	for _, c := range clients {
		row := byKind[c.Kind]
		if row == nil {
			row = &demoRow{kind: c.Kind, attacker: c.Attacker}
			byKind[c.Kind] = row
		}
		row.clients++
		row.blocked += c.Blocked
		at, banned := enforced(c.Prefix())
		switch {
		case banned:
			row.banned++
			row.delays = append(row.delays, at.Sub(c.Started))
		case c.Attacker && end.Sub(c.Started) >= tooNew:
			row.missed++
		}
		if banned && !c.Attacker {
			rep.innocents++
		}
	}
	for _, row := range byKind {
		rep.missed += row.missed
		rep.rows = append(rep.rows, *row)
	}
	order := traffic.Kinds()
	slices.SortFunc(rep.rows, func(a, b demoRow) int {
		if a.attacker != b.attacker {
			if a.attacker {
				return -1
			}
			return 1
		}
		if a.attacker {
			return slices.Index(order, a.kind) - slices.Index(order, b.kind)
		}
		return strings.Compare(a.kind, b.kind)
	})
	return rep
}

// write prints the table that ends a demo.
func (rep demoReport) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ATTACKERS\tCLIENTS\tBANNED\tMISSED\tFIRST REQUEST TO BAN\tREQUESTS BLOCKED")
	heading := false
	for _, row := range rep.rows {
		if !row.attacker && !heading {
			heading = true
			fmt.Fprintln(w, "\t\t\t\t\t")
			fmt.Fprintln(w, "INNOCENTS\tCLIENTS\tBANNED\t\t\t")
		}
		if row.attacker {
			delay := "-"
			if len(row.delays) > 0 {
				delay = roundLatency(percentile(row.delays, 0.5))
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\n", row.kind, row.clients, row.banned, row.missed, delay, thousands(int64(row.blocked)))
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t\t\t\n", row.kind, row.clients, row.banned)
	}
	w.Flush()
}
