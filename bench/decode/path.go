package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"text/tabwriter"
)

// A way is one build of the path from Kinesis to KCL.
type way struct {
	name    string
	Shipped bool // the SDK decodes
	HTTP2   bool // the SDK's HTTP client, which takes HTTP/2 where it is offered
	Page    int  // records asked for at most
	ns      []float64
}

// A job is what the consumer is told.
type job struct {
	way
	Endpoint string
	CA       []byte // PEM
	Leases   string // name of a table to be made
	Records  int
}

// A result is what the consumer tells.
type result struct {
	Records int
	CPU     int64 // nanoseconds
}

// place is what the stand-in tells of itself.
type place struct {
	Endpoint string
	CA       []byte
}

// steady is how many records an answer has when a full shard is read five times a
// second, which is the most that may be.
const steady = 200

// measurePath runs the stand-in and one consumer after the other.
func measurePath(ctx context.Context, o options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	at, stop, err := startServer(ctx, self, o)
	if err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	defer stop()
	ways := []*way{
		{name: "the SDK as shipped", Shipped: true, HTTP2: true, Page: pageSize},
		{name: "Weir's decoding", HTTP2: true, Page: pageSize},
		{name: "Weir's HTTP client", Shipped: true, Page: pageSize},
		{name: "Weir", Page: pageSize},
		{name: "the SDK as shipped, small pages", Shipped: true, HTTP2: true, Page: steady},
		{name: "Weir, small pages", Page: steady},
	}
	n := 0
	for range (o.rounds + 1) / 2 { // each takes a minute
		for _, w := range ways {
			n++
			r, err := startConsumer(ctx, self, job{
				way: *w, Endpoint: at.Endpoint, CA: at.CA, Leases: fmt.Sprint("leases-", n), Records: o.records,
			})
			if err != nil {
				return fmt.Errorf("consumer, %s: %w", w.name, err)
			}
			w.ns = append(w.ns, float64(r.CPU)/float64(r.Records))
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "TLS, KCL, decisions\tns a record\trecords/s a core\tx as shipped\t")
	for i, w := range ways {
		base := ways[0]
		if w.Page == steady {
			base = ways[4]
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\t%.2f\t\n", w.name, median(w.ns), 1e9/median(w.ns), ratio(w.ns, base.ns))
		if i == 3 {
			fmt.Fprintln(out, "\t\t\t\t")
		}
	}
	out.Flush()
	shipped, ours := ways[0], ways[3]
	fmt.Printf("\nKinesis over TLS to decisions: %.0f records/s on one core, %.1f times as many as with the SDK as shipped\n",
		1e9/median(ours.ns), 1/ratio(ours.ns, shipped.ns))
	return nil
}

// startServer starts the stand-in. It ends with its standard input.
func startServer(ctx context.Context, self string, o options) (at place, stop func(), err error) {
	cmd := exec.CommandContext(ctx, self, "-serve", fmt.Sprint("-shards=", o.shards), fmt.Sprint("-records=", o.records))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return at, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return at, nil, err
	}
	if err := cmd.Start(); err != nil {
		return at, nil, err
	}
	stop = func() {
		in.Close()
		_ = cmd.Wait() // how it ends is nobody's business
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		stop()
	}
	return at, stop, err
}

func startConsumer(ctx context.Context, self string, j job) (r result, err error) {
	what, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "-consume", string(what))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return r, err
	}
	return r, json.Unmarshal(out.Bytes(), &r)
}
